//! What a decision came past, for those who want to know. The packet path passes `()`, of which the compiler leaves nothing.

use wire::Reason;

use crate::cookies::Shown;

/// A step of a decision that a message got past, with what was found there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    Source,
    /// The fault that the wire check only observed, if there was one.
    WireCheck(Option<Reason>),
    Cookie(Shown),
    Grants,
    /// The index of the served zone; none if only `*` lets the name in.
    Zone(Option<u32>),
    Lists,
    Rules,
    Limits,
}

/// Is told of each step, and of each rule, list and limit that had to do with a message.
pub trait Trace {
    /// The message got past a step.
    #[inline]
    fn passed(&mut self, _step: Passed) {}

    /// The list whose hits this cell counts knows the client or the name.
    #[inline]
    fn listed(&mut self, _cell: usize) {}

    /// The condition of the rule at `place` was looked at; the index could not say that it does not hold.
    #[inline]
    fn looked(&mut self, _place: usize) {}

    /// The rule at `place` matched; `what` it did, in a word.
    #[inline]
    fn rule(&mut self, _place: usize, _what: &'static str) {}

    /// The message was over the rate limit at `place`.
    #[inline]
    fn over_limit(&mut self, _place: usize) {}
}

impl Trace for () {}
