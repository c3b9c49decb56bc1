//! Response rate limits: how many answers of one kind go to one client prefix, so that a forged source makes us send
//! little to whom it names. What NSD, BIND and Knot DNS call RRL.
//!
//! A bucket is shared by a prefix, a class of answers and the name that such answers share (see [`wire::classify`]). Of
//! the answers over the limit every `slip`th goes out truncated, so that an honest client in an attacked prefix comes
//! back over TCP; the others are dropped. Streams and clients with a valid cookie are never limited: their address is
//! their own.

use std::net::IpAddr;

use wire::name::MAX_NAME;
use wire::{Answer, AnswerClass, classify, labelled};

use super::meter::{Algorithm, MOST, Unit};
use super::{Bytes, Exempt, Levels, Numbers, is_slipped};
use crate::decide::Treatment;
use crate::policy::Policy;
use crate::table::Limits;

/// Names of buckets, beside those of rate limits and of the error budget: this and the class.
const RESPONSES: u32 = 512;

labelled! {
    /// What became of an answer over a response limit.
    pub enum Limited {
        Drop = "drop",
        Truncate = "truncate",
        /// Passed: the limits only observe.
        Observe = "observe",
    }
}

/// What response limits are compiled from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseSpec {
    /// Answers or bytes a second of each class, in the order of [`AnswerClass::ALL`]; 0 is no limit.
    pub rates: [u32; AnswerClass::COUNT],
    /// Of all answers to one prefix together, whatever they are; 0 is no limit.
    pub all: u32,
    /// Seconds' worth of them that may come at once.
    pub window: u32,
    pub unit: Unit,
    pub algorithm: Algorithm,
    /// Bits of an IPv4 and of an IPv6 address that make a prefix.
    pub prefixes: (u8, u8),
    /// Every how many answers over the limit go out truncated; 0: none.
    pub slip: u32,
    /// Only count.
    pub observe: bool,
    /// Clients that are not limited.
    pub exempt: Vec<(IpAddr, u8)>,
}

/// Response limits, compiled.
#[derive(Debug)]
pub(crate) struct Responses {
    classes: [Option<Levels>; AnswerClass::COUNT],
    all: Option<Levels>,
    unit: Unit,
    slip: u64,
    observe: bool,
    exempt: Exempt,
}

impl Responses {
    /// # Errors
    /// What is out of range.
    pub(crate) fn compile(spec: &ResponseSpec) -> Result<Self, String> {
        let ResponseSpec { rates, all, window, unit, algorithm, prefixes: (v4, v6), slip, observe, ref exempt } = *spec;
        let compile = |number: usize, label, rate: u32| {
            let numbers = Numbers { unit, algorithm, rate, burst: rate.saturating_mul(window).min(MOST) };
            let levels = Levels::compile(&numbers, (RESPONSES + number as u32, 0), &[(v4, 1)], &[(v6, 1)]);
            levels.map_err(|error| format!("response limit {label}: {error}"))
        };
        let mut classes = [const { None }; AnswerClass::COUNT];
        for class in AnswerClass::ALL {
            let rate = rates[class as usize];
            if rate > 0 {
                classes[class as usize] = Some(compile(class as usize, class.label(), rate)?);
            }
        }
        let all = if all > 0 { Some(compile(AnswerClass::COUNT, "all", all)?) } else { None };
        Ok(Self { classes, all, unit, slip: u64::from(slip), observe, exempt: Exempt::new(exempt)? })
    }

    /// The class of `message` to `client`, if it is over the limit of its class or of all; if not, its buckets have paid.
    /// What is over the limit of all has taken from its class.
    fn is_over(
        &self,
        limits: &Limits<'_>,
        message: &[u8],
        answer: &Answer<'_>,
        client: IpAddr,
        now: u64,
    ) -> Option<AnswerClass> {
        if self.exempt.contains(client) {
            return None;
        }
        let mut name = [0; MAX_NAME];
        let (class, name) = classify(message, answer, &mut name);
        let units = match self.unit {
            Unit::Packets => 1,
            Unit::Bytes => message.len() as u64,
        };
        let charge = |levels: &Option<Levels>, name: &[u8]| {
            let Some(levels) = levels else { return true };
            levels.charge(limits, &mut Bytes::of_answer(client, name), client, units, now)
        };
        let passes = charge(&self.classes[class as usize], name) && charge(&self.all, &[]);
        if passes { None } else { Some(class) }
    }
}

/// What to do with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    Pass,
    Drop,
    /// Cut it with `wire::cut_answer`; one that can't be cut is dropped.
    Truncate,
}

/// Decides about `message`, the answer of a backend that goes to `client` in a datagram; `answer` was read from it. `now`
/// is in nanoseconds of the monotonic clock.
#[inline]
pub fn decide_answer(
    policy: &Policy,
    limits: &Limits<'_>,
    message: &[u8],
    answer: &Answer<'_>,
    client: IpAddr,
    treatment: &Treatment,
    now: u64,
) -> Passage {
    match &policy.responses {
        Some(responses) if !treatment.verified => limited(responses, limits, message, answer, client, now),
        _ => Passage::Pass,
    }
}

fn limited(
    responses: &Responses,
    limits: &Limits<'_>,
    message: &[u8],
    answer: &Answer<'_>,
    client: IpAddr,
    now: u64,
) -> Passage {
    let Some(class) = responses.is_over(limits, message, answer, client, now) else { return Passage::Pass };
    let (outcome, passage) = if responses.observe {
        (Limited::Observe, Passage::Pass)
    } else if is_slipped(responses.slip, limits.limited_answers(class) + 1) {
        (Limited::Truncate, Passage::Truncate)
    } else {
        (Limited::Drop, Passage::Drop)
    };
    limits.count_answer(class, outcome);
    passage
}
