//! How fast a connection brings bytes, while anything is due on it, and what time it is for that.
//!
//! Signatures are dated by the clock on the wall, so that is what the guard is given. Limits must not suffer when it is set,
//! or when the machine sleeps: between two looks at it at most ten seconds pass, and never less than none. Whoever wants
//! the limits kept looks more often.

use crate::limits::Limits;
use crate::reason::{Reason, Wrong};

/// The longest that can pass between two looks at the clock, in seconds.
const STEP: f64 = 10.0;

/// Seconds that go forward only, from those of the clock on the wall.
#[derive(Default)]
pub struct Clock {
    last: Option<f64>,
    elapsed: f64,
}

impl Clock {
    /// Seconds since the first look.
    pub fn read(&mut self, now: f64) -> f64 {
        if now.is_finite() {
            let step = now - self.last.replace(now).unwrap_or(now);
            self.elapsed += step.clamp(0.0, STEP);
        }
        self.elapsed
    }
}

/// The bytes of a connection over time.
#[derive(Default)]
pub struct Pace {
    heard: f64,
    window: f64,
    bytes: u64,
}

impl Pace {
    /// The first query is out on a connection where nothing was due.
    pub fn begin(&mut self, now: f64) {
        (self.heard, self.window, self.bytes) = (now, now, 0);
    }

    pub fn hear(&mut self, bytes: usize, now: f64) {
        if bytes > 0 {
            self.heard = now;
            self.bytes += bytes as u64;
        }
    }

    /// Closes the interval if it is over; its beginning if it brought too little.
    pub fn interval(&mut self, limits: &Limits, now: f64) -> Option<f64> {
        let begun = self.window;
        if now - begun < limits.rate_seconds {
            return None;
        }
        let short = self.bytes < limits.rate_bytes;
        (self.window, self.bytes) = (now, 0);
        short.then_some(begun)
    }

    /// What is wrong with the time that a query takes, if anything. `short`: as `interval` returned it.
    #[must_use]
    pub fn check(&self, started: f64, short: Option<f64>, limits: &Limits, now: f64) -> Option<Wrong> {
        if now - started > limits.seconds {
            let detail = format!("longer under way than {} s", limits.seconds);
            return Some(Wrong::new(Reason::TooLong, detail));
        }
        if now - self.heard.max(started) > limits.idle {
            return Some(Wrong::new(Reason::Idle, format!("nothing came for {} s", limits.idle)));
        }
        // Only who was there for the whole interval can be blamed for it.
        if short.is_some_and(|begun| started <= begun) {
            let (bytes, seconds) = (limits.rate_bytes, limits.rate_seconds);
            return Some(Wrong::new(Reason::TooSlow, format!("fewer than {bytes} bytes within {seconds} s")));
        }
        None
    }
}
