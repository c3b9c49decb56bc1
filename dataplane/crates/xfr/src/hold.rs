//! What waits of an IXFR with several sequences, because a node may commit it before it has the end.
//!
//! ```text
//! SOA 7 | SOA 5  deleted  SOA 6  added | SOA 6  deleted  SOA 7  added | SOA 7
//!                                        ^ BIND (9.18) commits serial 6 here; NSD, Knot DNS and PowerDNS wait for the end
//! ```
//!
//! So the message that completes a sequence, and all behind it, wait for the verdict. Not without bound: a node may have
//! the patience of Knot DNS, five seconds from message to message, and memory ends. What waits longer than two seconds, or
//! is more than its limit, goes on as far as its signatures are verified; then a node may commit a version between, which
//! is a whole one, and never what is wrong.

/// Seconds that messages wait at most for the end, as long as more come.
const PATIENCE: f64 = 2.0;

/// Messages that wait, with their length prefixes.
#[derive(Default)]
pub struct Held {
    pub bytes: Vec<u8>,
    since: Option<f64>,
    /// It was too much or too long: from now on only what is not verified waits.
    given_up: bool,
}

impl Held {
    /// Whether the next message, of so many bytes, waits too. `verified`: it and all before it are.
    pub fn waits(&mut self, length: usize, verified: bool, limit: usize, at: f64) -> bool {
        let since = *self.since.get_or_insert(at);
        self.given_up |= self.bytes.len() + length > limit || at - since > PATIENCE;
        !(verified && self.given_up)
    }
}
