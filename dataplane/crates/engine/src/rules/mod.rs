//! Rules: an ordered list of conditions with an action each. The first rule that matches with a final action decides.
//!
//! ```text
//!  final                       allow   skip the later rules and the rate limits
//!                              drop, reply (an RCODE, perhaps with a reason), truncate (UDP)
//!                              route   to a pool of backends; the rate limits still apply
//!                              limit   final for what is over it
//!  go on with the next rule    tag, delay (streams), mirror, observe; limit for what is under it
//! ```
//! A message costs one look at the [`Index`], and then only rules that it may match.

mod condition;
mod facts;
mod index;
mod pattern;
mod program;

use wire::{EDE_TEXT_MAX, extended_error};

pub use condition::{Condition, Section, Tlv, TlvValue, Window};

use crate::decide::Treatment;
use crate::limits::{Action, Bytes, Limit, RateLimit, Subject};
use crate::table::Limits;
use crate::trace::Trace;
use crate::zones::Zones;
pub(crate) use facts::Facts;
use index::{Demands, Index};
use program::Program;

/// Rules that a policy can have, and places for their counters.
pub const RULE_SLOTS: usize = 1024;
/// Different tags of a policy.
pub const MAX_TAGS: u8 = 64;
/// Tells the buckets of rules from those of the rate limits, which count from 0.
const ORDINAL: u32 = 1 << 16;

/// What is done with a message that matches.
#[derive(Clone, Debug, PartialEq)]
pub enum RuleAction {
    Allow,
    Drop,
    /// A reply with this RCODE and perhaps an extended error (RFC 8914): its code and text.
    Reply(u16, Option<(u16, String)>),
    Truncate,
    /// What is over the limit gets the limit's action.
    Limit(RateLimit),
    /// A tag below [`MAX_TAGS`].
    Tag(u8),
    /// The number of a pool of backends.
    Route(u8),
    /// Milliseconds.
    Delay(u16),
    /// The place of an address among the policy's mirrors.
    Mirror(u8),
    Observe,
}

/// A rule as it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Below [`RULE_SLOTS`]: where its hits are counted.
    pub slot: u16,
    pub when: Condition,
    pub action: RuleAction,
}

/// What the rules say of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// On to the rate limits.
    Pass,
    /// Past the rate limits and the demand for a cookie.
    Allow,
    Drop,
    /// An RCODE, and the number of the extended error that goes with it.
    Reply(u16, u16),
    Truncate,
    /// Over the limit of a rule.
    Over(Action),
}

#[derive(Clone, Copy, Debug)]
enum Step {
    End(Outcome, &'static str),
    /// UDP only.
    Truncate,
    /// The place of the limit.
    Limit(u16),
    Tag(u8),
    Route(u8),
    /// Streams only.
    Delay(u16),
    Mirror(u8),
    Observe,
}

#[derive(Clone, Copy, Debug)]
struct Compiled {
    entry: u32,
    slot: u16,
    step: Step,
}

/// The rules of a policy, compiled.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    rules: Vec<Compiled>,
    index: Option<Index>,
    program: Program,
    limits: Vec<Limit>,
    /// EDNS options with extended errors; number n stands at n - 1.
    errors: Vec<Vec<u8>>,
}

impl Rules {
    /// # Errors
    /// Which rule, counted from 0, is wrong in what.
    pub(crate) fn new(rules: &[Rule], zones: &Zones, mirrors: usize) -> Result<Self, String> {
        if rules.len() > RULE_SLOTS {
            return Err(format!("{} rules are more than {RULE_SLOTS}", rules.len()));
        }
        let mut made = Self::default();
        let mut demands = Vec::with_capacity(rules.len());
        for (place, rule) in rules.iter().enumerate() {
            let named = |error: String| format!("rule {place}: {error}");
            let (mut demand, mut rest) = (Demands::default(), Vec::new());
            demand.take(&rule.when, &mut rest);
            demands.push(demand);
            let rest = Condition::All(rest.into_iter().cloned().collect());
            let entry = made.program.add(&rest, zones).map_err(named)?;
            let step = made.step(rules, place, mirrors).map_err(named)?;
            if usize::from(rule.slot) >= RULE_SLOTS {
                return Err(named(format!("there is no slot {}", rule.slot)));
            }
            made.rules.push(Compiled { entry, slot: rule.slot, step });
        }
        if !rules.is_empty() {
            made.index = Some(Index::new(&demands)?);
        }
        Ok(made)
    }

    fn step(&mut self, rules: &[Rule], place: usize, mirrors: usize) -> Result<Step, String> {
        Ok(match &rules[place].action {
            RuleAction::Allow => Step::End(Outcome::Allow, "allow"),
            RuleAction::Drop => Step::End(Outcome::Drop, "drop"),
            RuleAction::Reply(rcode, error) => {
                let number = error.as_ref().map_or(Ok(0), |(code, text)| self.add_error(*code, text))?;
                Step::End(Outcome::Reply(*rcode & 0x0fff, number), "reply")
            }
            RuleAction::Truncate => Step::Truncate,
            RuleAction::Limit(limit) => {
                let same = |rule: &&Rule| matches!(&rule.action, RuleAction::Limit(other) if other.is_like(limit));
                let ordinal = ORDINAL + rules[..place].iter().filter(same).count() as u32;
                self.limits.push(Limit::compile(limit, ordinal)?);
                Step::Limit((self.limits.len() - 1) as u16)
            }
            RuleAction::Tag(tag) if *tag < MAX_TAGS => Step::Tag(*tag),
            RuleAction::Tag(tag) => return Err(format!("tag {tag} is none: there are {MAX_TAGS}")),
            RuleAction::Route(pool) => Step::Route(*pool),
            RuleAction::Delay(time) => Step::Delay(*time),
            RuleAction::Mirror(mirror) if usize::from(*mirror) < mirrors => Step::Mirror(*mirror + 1),
            RuleAction::Mirror(mirror) => return Err(format!("there is no mirror {mirror}")),
            RuleAction::Observe => Step::Observe,
        })
    }

    fn add_error(&mut self, code: u16, text: &str) -> Result<u16, String> {
        let option = extended_error(code, text)
            .ok_or_else(|| format!("the text of an extended error has more than {EDE_TEXT_MAX} bytes"))?;
        self.errors.push(option);
        Ok(self.errors.len() as u16)
    }

    /// The EDNS option of extended error `number`; empty for 0.
    #[inline]
    pub(crate) fn error(&self, number: u16) -> &[u8] {
        usize::from(number).checked_sub(1).and_then(|index| self.errors.get(index)).map_or(&[], |option| option)
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&self.rules[..])
            + self.index.as_ref().map_or(0, Index::bytes)
            + self.program.bytes()
            + self.errors.iter().map(Vec::len).sum::<usize>()
    }

    /// What the rules say, and what they write into `treatment`.
    #[inline]
    pub(crate) fn decide<T: Trace>(
        &self,
        facts: &Facts<'_, '_>,
        limits: &Limits<'_>,
        zones: &Zones,
        treatment: &mut Treatment,
        trace: &mut T,
    ) -> Outcome {
        let Some(index) = &self.index else {
            return Outcome::Pass;
        };
        let mut tags = 0;
        for (word, mut candidates) in index.candidates(facts).enumerate() {
            while candidates != 0 {
                let place = word * 64 + candidates.trailing_zeros() as usize;
                candidates &= candidates - 1;
                let rule = &self.rules[place];
                trace.looked(place);
                if !self.program.holds(rule.entry, facts, tags, place as u32) {
                    continue;
                }
                let mut case = Case { rules: self, facts, limits, zones, treatment, tags: &mut tags };
                if let Some(outcome) = case.take(rule, place, trace) {
                    return outcome;
                }
            }
        }
        Outcome::Pass
    }
}

/// A message that a rule matches.
struct Case<'c, 'q, 'm> {
    rules: &'c Rules,
    facts: &'c Facts<'q, 'm>,
    limits: &'c Limits<'c>,
    zones: &'c Zones,
    treatment: &'c mut Treatment,
    tags: &'c mut u64,
}

impl Case<'_, '_, '_> {
    /// Does what the rule says; an outcome if that is final.
    #[inline]
    fn take<T: Trace>(&mut self, rule: &Compiled, place: usize, trace: &mut T) -> Option<Outcome> {
        let is_stream = self.facts.client.transport.is_stream();
        let (end, what) = match rule.step {
            Step::Truncate if is_stream => return None,
            Step::Delay(_) if !is_stream => return None,
            Step::End(outcome, what) => (Some(outcome), what),
            Step::Truncate => (Some(Outcome::Truncate), "truncate"),
            Step::Limit(place) => self.charge(place, rule.slot),
            Step::Tag(tag) => {
                *self.tags |= 1 << tag;
                (None, "tag")
            }
            Step::Route(pool) => {
                self.treatment.pool = pool;
                (Some(Outcome::Pass), "route")
            }
            Step::Delay(time) => {
                self.treatment.delay = time;
                (None, "delay")
            }
            Step::Mirror(mirror) => {
                self.treatment.mirror = mirror;
                (None, "mirror")
            }
            Step::Observe => (None, "observe"),
        };
        self.limits.count_rule(rule.slot);
        trace.rule(place, what);
        end
    }

    fn charge(&mut self, place: u16, slot: u16) -> (Option<Outcome>, &'static str) {
        let Some(limit) = self.rules.limits.get(usize::from(place)) else {
            return (None, "under-limit");
        };
        let Facts { client, query, zone, now, .. } = *self.facts;
        let verified = self.facts.is_verified();
        let subject =
            Subject { client, query: Some(query), zone, verified, length: self.facts.message.len(), now: now.clock };
        if !limit.is_over(self.limits, self.zones, &subject, &mut Bytes::new()) {
            return (None, "under-limit");
        }
        let count = self.limits.count_rule_over(slot);
        self.treatment.limited |= limit.observe && limit.is_of_clients();
        let end = (!limit.observe).then(|| Outcome::Over(limit.verdict(count)));
        (end, "over-limit")
    }
}
