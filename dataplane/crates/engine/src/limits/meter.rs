//! How a limit counts: in which unit, and by which of the two algorithms. Either keeps all it knows in one 64-bit time.

use super::decay::Decay;
use super::gcra::Bucket;

/// The largest rate and burst.
pub const MOST: u32 = 100_000_000;
/// The largest factor of a prefix length.
pub const MOST_FACTOR: u32 = 1_000_000;

/// What is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    #[default]
    Packets,
    /// Of the DNS message, without headers of lower layers.
    Bytes,
}

/// How what was used comes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// At a constant rate (see [`super::gcra`]).
    #[default]
    Bucket,
    /// By a constant share (see [`super::decay`]).
    Decay,
}

/// A rate limit's arithmetic, compiled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Meter {
    Bucket(Bucket),
    Decay(Decay),
}

impl Meter {
    /// `rate` a second and `burst` at once, both 1 to 100 million, and both times `factor`.
    ///
    /// # Errors
    /// What is out of range.
    pub fn new(algorithm: Algorithm, unit: Unit, rate: u32, burst: u32, factor: u32) -> Result<Self, String> {
        for (what, number, most) in [("rate", rate, MOST), ("burst", burst, MOST), ("factor", factor, MOST_FACTOR)] {
            if !(1..=most).contains(&number) {
                return Err(format!("a {what} of {number} is not between 1 and {most}"));
            }
        }
        let [rate, burst] = [rate, burst].map(|number| u64::from(number) * u64::from(factor));
        Ok(match algorithm {
            Algorithm::Bucket => Self::Bucket(Bucket::new(rate, burst, unit)),
            Algorithm::Decay => Self::Decay(Decay::new(rate, burst)?),
        })
    }

    /// The time after the first message of `units` at `now`.
    #[inline]
    #[must_use]
    pub fn first(&self, units: u64, now: u64) -> u64 {
        match self {
            Self::Bucket(bucket) => bucket.first(units, now),
            Self::Decay(decay) => decay.first(units, now),
        }
    }

    /// The time after one more message, or `None` if it is over the limit.
    #[inline]
    #[must_use]
    pub fn charge(&self, time: u64, units: u64, now: u64) -> Option<u64> {
        match self {
            Self::Bucket(bucket) => bucket.charge(time, units, now),
            Self::Decay(decay) => decay.charge(time, units, now),
        }
    }
}
