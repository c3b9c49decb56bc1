//! A token bucket as one number: the generic cell rate algorithm (ITU-T I.371, virtual scheduling).
//!
//! The number is the theoretical arrival time: when the bucket will be full again. A message costs as many intervals as
//! it has units; it is let in if the debt is then at most `burst` intervals. Integers, so nothing drifts.

use super::meter::Unit;

/// Nanoseconds of a second.
pub const SECOND: u64 = 1_000_000_000;
/// The interval of a unit is kept in 2^-16 nanoseconds: at a gigabyte a second a byte takes one nanosecond.
const FRACTION: u32 = 16;

/// Rate and burst, compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Of one unit, in 2^-16 nanoseconds.
    interval: u64,
    /// Nanoseconds that the whole burst takes.
    capacity: u64,
    burst: u64,
}

impl Bucket {
    /// `rate` units a second, of which `burst` may come at once; both at least 1.
    ///
    /// Rounding is up, so the rate is never exceeded: with packets the interval is a whole number of nanoseconds, so
    /// that exactly the burst comes at once; with bytes each message costs a whole number.
    pub fn new(rate: u64, burst: u64, unit: Unit) -> Self {
        let mut interval = (SECOND << FRACTION).div_ceil(rate.max(1));
        if unit == Unit::Packets {
            interval = interval.div_ceil(1 << FRACTION) << FRACTION;
        }
        let capacity = (u128::from(interval) * u128::from(burst)).div_ceil(1 << FRACTION);
        Self { interval, capacity: u64::try_from(capacity).unwrap_or(u64::MAX), burst }
    }

    /// Nanoseconds that `units` take. A message of more than the burst costs all of it: else it would never be let in.
    #[inline]
    const fn cost(&self, units: u64) -> u64 {
        if units >= self.burst {
            return self.capacity;
        }
        // Units are one packet, or the at most 2^16 bytes of one; the interval has at most 46 bits.
        units.saturating_mul(self.interval).div_ceil(1 << FRACTION)
    }

    /// The arrival time after the first message, to a full bucket, at `now`.
    #[inline]
    #[must_use]
    pub const fn first(&self, units: u64, now: u64) -> u64 {
        now.saturating_add(self.cost(units))
    }

    /// The arrival time after one more message at `now`, or `None` if it is over the limit.
    #[inline]
    #[must_use]
    pub const fn charge(&self, arrival: u64, units: u64, now: u64) -> Option<u64> {
        let base = if arrival > now { arrival } else { now };
        let cost = self.cost(units);
        if (base - now).saturating_add(cost) > self.capacity { None } else { Some(base.saturating_add(cost)) }
    }
}
