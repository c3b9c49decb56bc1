//! What a decision came past, for those who want to know. The packet path passes `()`, of which the compiler leaves nothing.

/// Is told of each rule and limit that had to do with a message.
pub trait Trace {
    /// The rule at `place` matched; `what` it did, in a word.
    #[inline]
    fn rule(&mut self, _place: usize, _what: &'static str) {}

    /// The message was over the rate limit at `place`.
    #[inline]
    fn over_limit(&mut self, _place: usize) {}
}

impl Trace for () {}
