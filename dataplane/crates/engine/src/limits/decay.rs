//! A load that decays exponentially, as in the rate limits of Knot DNS, as one number.
//!
//! Every message adds its units to the load of its key, and the load shrinks by a constant share a second, so that a
//! full one gives just `rate` units a second free:
//!
//! ```text
//!  load(t) = load(0) * e^(-t / tau)     tau = instant / rate
//!  let in if load + units <= instant
//! ```
//! Who asks at a steady pace stays at `rate`; who has been quiet may ask `instant` at once, and gets most of that back
//! after some tau, where a bucket is full again only after the whole of it. The number is the time at which the load
//! will be down to a sixteenth of a unit, which counts as nothing. So it moves like the arrival time of a bucket, is
//! changed by one compare-and-swap, and says nothing once it has passed.

use super::gcra::SECOND;

/// A load that counts as nothing.
const FLOOR: f64 = 1.0 / 16.0;
/// The least time constant in nanoseconds: the number counts whole ones, and must say the load to a ten-thousandth.
const LEAST_TAU: f64 = 10_000.0;

/// Rate and instant, compiled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decay {
    /// Nanoseconds in which a load falls to 1/e.
    tau: f64,
    instant: f64,
    /// The most that a load may be: the instant, and what rounding to nanoseconds may have added.
    most: f64,
}

impl Decay {
    /// `rate` units a second in the long run, `instant` at once.
    ///
    /// # Errors
    /// The instant is so small beside the rate that nanoseconds can't tell its load.
    pub fn new(rate: u64, instant: u64) -> Result<Self, String> {
        let tau = instant as f64 / rate as f64 * SECOND as f64;
        if tau < LEAST_TAU {
            return Err(format!(
                "with decay a burst of {instant} is too small for a rate of {rate}: write at least {}",
                rate.div_ceil(100_000)
            ));
        }
        let instant = instant as f64;
        Ok(Self { tau, instant, most: instant + 1e-3 + instant * 1e-6 })
    }

    /// The load at `now` of a number.
    #[inline]
    fn load(&self, until: u64, now: u64) -> f64 {
        match until.saturating_sub(now) {
            0 => 0.0,
            left => FLOOR * (left as f64 / self.tau).exp(),
        }
    }

    /// The number after the first message at `now`.
    #[inline]
    #[must_use]
    pub fn first(&self, units: u64, now: u64) -> u64 {
        self.until(self.cost(units), now)
    }

    /// The number after one more message at `now`, or `None` if it is over the limit.
    #[inline]
    #[must_use]
    pub fn charge(&self, until: u64, units: u64, now: u64) -> Option<u64> {
        let load = self.load(until, now) + self.cost(units);
        if load <= self.most { Some(self.until(load, now)) } else { None }
    }

    /// A message of more than the instant costs all of it: else it would never be let in.
    #[inline]
    fn cost(&self, units: u64) -> f64 {
        (units as f64).min(self.instant)
    }

    #[inline]
    fn until(&self, load: f64, now: u64) -> u64 {
        now.saturating_add((self.tau * (load / FLOOR).ln()).round() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same limit, slow and obvious: the load itself, in floating point, and the time it was true.
    struct Model {
        rate: f64,
        instant: f64,
        load: f64,
        at: u64,
    }

    impl Model {
        fn load(&self, now: u64) -> f64 {
            let seconds = (now - self.at) as f64 / 1e9;
            let load = self.load * (-seconds * self.rate / self.instant).exp();
            if load < FLOOR { 0.0 } else { load }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_formula(
            rate in 1_u64..100_000,
            instant in 1_u64..200_000,
            units in 1_u64..2000,
            steps in prop::collection::vec((0_u64..2_000_000_000, 0_usize..300), 1..30),
        ) {
            let decay = Decay::new(rate, instant).expect("in range");
            let mut model = Model { rate: rate as f64, instant: instant as f64, load: 0.0, at: 7 };
            let (mut until, mut now) = (0, 7);
            let cost = (units as f64).min(model.instant);
            for (wait, tries) in steps {
                now += wait;
                for _ in 0..tries {
                    let load = model.load(now) + cost;
                    let next = decay.charge(until, units, now);
                    // On the edge rounding may decide, here or there; anywhere else both agree.
                    if (load - model.instant).abs() > 0.07 + model.instant * 1e-4 {
                        prop_assert_eq!(next.is_some(), load <= model.instant, "load {} of {}", load, instant);
                    }
                    if let Some(next) = next {
                        prop_assert!(next > now, "a charge is a debt");
                        (until, model.load, model.at) = (next, load, now);
                    }
                }
            }
        }

        #[test]
        fn no_number_is_too_odd(rate in 1_u64..=100_000_000, instant in 1_u64..=100_000_000, until: u64, now: u64, units in 0_u64..70_000) {
            let Ok(decay) = Decay::new(rate, instant) else {
                prop_assert!(instant < rate);
                return Ok(());
            };
            prop_assert!(decay.first(units, now) >= now);
            prop_assert!(decay.charge(until, units, now).is_none_or(|next| next >= now));
            prop_assert!(decay.charge(0, units, now).is_some(), "who asked nothing is let in");
        }
    }

    #[test]
    fn the_figures_of_knot() {
        let decay = Decay::new(50, 125).expect("in range");
        let most_at_once = |mut until: u64, now: u64| {
            let mut count = 0;
            while let Some(next) = decay.charge(until, 1, now) {
                (until, count) = (next, count + 1);
            }
            (until, count)
        };
        let (mut until, count) = most_at_once(0, SECOND);
        assert_eq!(count, 125, "the instant limit");
        let mut passed = 0;
        for tick in 1..=10_000_u64 {
            let (next, count) = most_at_once(until, SECOND + tick * 1_000_000);
            (until, passed) = (next, passed + count);
        }
        assert!((490..=500).contains(&passed), "50 a second for ten seconds: {passed}");
        let half = SECOND * 1_733 / 1000; // ln 2 * 125 / 50
        let (_, back) = most_at_once(until, 11 * SECOND + half);
        assert!((61..=63).contains(&back), "half of it is back: {back}");
    }
}
