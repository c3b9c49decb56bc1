//! How fast a connection brings bytes, while anything is due on it.

use crate::limits::Limits;
use crate::reason::{Reason, Wrong};

/// The clock of a connection.
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
