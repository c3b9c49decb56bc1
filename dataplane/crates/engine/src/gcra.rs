//! A token bucket as one number: the generic cell rate algorithm (ITU-T I.371, virtual scheduling).
//!
//! The number is the theoretical arrival time: when the bucket will be full again. A query costs one interval; it is
//! let in if the debt that stands before it is at most `burst - 1` intervals. Integers in nanoseconds, so nothing
//! drifts.

/// Nanoseconds of a second.
pub const SECOND: u64 = 1_000_000_000;
/// The largest rate and burst.
pub const MOST: u32 = 100_000_000;

/// Rate and burst, compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    interval: u64,
    tolerance: u64,
}

impl Bucket {
    /// `rate` queries a second, of which `burst` may come at once; both 1 to 100 million.
    ///
    /// The interval is rounded up to a whole nanosecond, so the rate is never exceeded.
    ///
    /// # Errors
    /// What is out of range.
    pub fn new(rate: u32, burst: u32) -> Result<Self, String> {
        if !(1..=MOST).contains(&rate) {
            return Err(format!("a rate of {rate} is not between 1 and {MOST}"));
        }
        if !(1..=MOST).contains(&burst) {
            return Err(format!("a burst of {burst} is not between 1 and {MOST}"));
        }
        let interval = SECOND.div_ceil(u64::from(rate));
        Ok(Self { interval, tolerance: interval * u64::from(burst - 1) })
    }

    /// The arrival time after the first query of a full bucket at `now`.
    #[inline]
    #[must_use]
    pub const fn first(&self, now: u64) -> u64 {
        now.saturating_add(self.interval)
    }

    /// The arrival time after one more query at `now`, or `None` if the query is over the limit.
    #[inline]
    #[must_use]
    pub const fn charge(&self, arrival: u64, now: u64) -> Option<u64> {
        let base = if arrival > now { arrival } else { now };
        if base - now > self.tolerance { None } else { Some(base.saturating_add(self.interval)) }
    }
}
