//! What a TCP client may cost: connections a second, and time of ours, for each client prefix.
//!
//! Both are buckets in the table of the rate limits, so they are exact over all workers. Time is paid for after it was spent, because
//! nobody knows beforehand what a message costs; a prefix in debt has to wait until the debt is what the burst permits.

use std::net::IpAddr;

use crate::limits::{Algorithm, Meter, Prefix, SECOND, Unit};
use crate::table::Limits;

/// Kinds of buckets; see `budget` for those of others.
const CONNECTIONS: u32 = 272;
const TIME: u32 = 273;
const COUNT: u32 = 274;

/// The largest share of a second, in microseconds, that can be set.
pub const MOST_TIME: u32 = 1_000_000;

/// Bounds for each prefix of the first `v4` or `v6` bits; a rate of 0 sets none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GuardSpec {
    pub v4: u8,
    pub v6: u8,
    /// New connections a second, and how many at once.
    pub rate: u32,
    pub burst: u32,
    /// Microseconds of our time a second, and how many at once.
    pub time: u32,
    pub time_burst: u32,
}

/// The time that a prefix may take, compiled.
#[derive(Clone, Copy, Debug)]
struct Allowance {
    prefix: Prefix,
    /// Nanoseconds that one nanosecond spent takes to be forgiven.
    slowness: u64,
    tolerance: u64,
}

/// A `GuardSpec`, compiled.
#[derive(Clone, Copy, Debug)]
pub struct Guard {
    count: Prefix,
    connections: Option<(Prefix, Meter)>,
    time: Option<Allowance>,
}

impl Default for Guard {
    /// No bounds; connections are counted for each address and each /64.
    fn default() -> Self {
        Self { count: Prefix::new((COUNT, 0), (32, 64), 0, 0), connections: None, time: None }
    }
}

impl Guard {
    /// # Errors
    /// What is out of range, in words.
    pub fn new(spec: &GuardSpec) -> Result<Self, String> {
        let GuardSpec { v4, v6, rate, burst, time, time_burst } = *spec;
        if v4 > 32 || v6 > 128 {
            return Err(format!("prefixes of {v4} and {v6} bits: IPv4 has 32, IPv6 has 128"));
        }
        if time > MOST_TIME {
            return Err(format!("{time} µs are more than a second has"));
        }
        let bits = (v4, v6);
        let connections = match rate {
            0 => None,
            _ => {
                let meter = Meter::new(Algorithm::Bucket, Unit::Packets, rate, burst, 1)?;
                Some((Prefix::new((CONNECTIONS, 0), bits, rate, burst), meter))
            }
        };
        let allowance = |slowness| Allowance {
            prefix: Prefix::new((TIME, 0), bits, time, time_burst),
            slowness,
            tolerance: u64::from(time_burst) * 1000 * slowness,
        };
        let time = 1_000_000_u64.checked_div(u64::from(time)).map(allowance);
        Ok(Self { count: Prefix::new((COUNT, 0), bits, 0, 0), connections, time })
    }

    /// The key that the connections of `address` are counted under.
    #[must_use]
    pub fn key(&self, limits: &Limits<'_>, address: IpAddr) -> u64 {
        self.count.key(limits, address)
    }

    /// Whether one more connection of `address` is within the rate. If so, its bucket has paid.
    #[must_use]
    pub fn admits(&self, limits: &Limits<'_>, address: IpAddr, now: u64) -> bool {
        self.connections
            .as_ref()
            .is_none_or(|(prefix, meter)| limits.charge(prefix.key(limits, address), meter, 1, now))
    }

    /// Whether time is bounded, so that it has to be measured.
    #[inline]
    #[must_use]
    pub const fn counts_time(&self) -> bool {
        self.time.is_some()
    }

    /// Charges `spent` nanoseconds to `address`. Returns for how many nanoseconds it has to wait before more is done for it.
    #[must_use]
    pub fn spend(&self, limits: &Limits<'_>, address: IpAddr, spent: u64, now: u64) -> u64 {
        let Some(allowance) = &self.time else { return 0 };
        let cost = spent.saturating_mul(allowance.slowness);
        let debt = limits.debit(allowance.prefix.key(limits, address), cost, now);
        // What is owed beyond a minute is forgiven: nobody is locked out for longer by one bad moment of ours.
        debt.saturating_sub(allowance.tolerance).min(60 * SECOND)
    }
}
