//! The policy: the filters' settings, compiled. Immutable; a reload makes a new one and swaps it in.

use std::net::SocketAddr;

use wire::{Checks, Query};

use crate::Treatment;
use crate::budget::{Budget, ErrorBudget};
use crate::cookies::{CookieSpec, Cookies};
use crate::limits::{Limit, MAX_LIMITS, RateLimit, ResponseSpec, Responses};
use crate::lists::{self, ListSpec, Lists};
use crate::notifies::{Notifies, NotifySpec};
use crate::rules::{Rule, Rules};
use crate::zones::{Place, Zones};

/// What a policy is compiled from.
#[derive(Clone, Debug, Default)]
pub struct PolicySpec {
    /// Served zones, in wire form.
    pub zones: Vec<Vec<u8>>,
    /// Names outside the zones pass too.
    pub pass_all: bool,
    /// In order; the first that a query is over decides.
    pub rate_limits: Vec<RateLimit>,
    pub checks: Checks,
    pub error_budget: ErrorBudget,
    /// Answer and verify DNS cookies; without, the option is none of our business.
    pub cookies: Option<CookieSpec>,
    /// In order; the first that knows a client or a name decides.
    pub lists: Vec<ListSpec>,
    /// In order; the first final one that matches decides.
    pub rules: Vec<Rule>,
    /// Bytes that the compiled policy may take, if there is a bound.
    pub memory: Option<usize>,
    /// Bounds of the answers that clients get over UDP.
    pub responses: Option<ResponseSpec>,
    /// Where copies of queries may go; at most 255.
    pub mirrors: Vec<SocketAddr>,
    /// The zones whose NOTIFY is taken here instead of passed on.
    pub notifies: Vec<NotifySpec>,
}

/// A compiled policy.
#[derive(Debug)]
pub struct Policy {
    pub(crate) zones: Zones,
    pub(crate) limits: Vec<Limit>,
    pub(crate) checks: Checks,
    pub(crate) budget: Budget,
    pub(crate) cookies: Option<Cookies>,
    pub(crate) lists: Lists,
    pub(crate) rules: Rules,
    pub(crate) responses: Option<Box<Responses>>,
    pub(crate) notifies: Notifies,
    mirrors: Vec<SocketAddr>,
}

impl Policy {
    /// # Errors
    /// What is wrong, in words.
    pub fn new(spec: PolicySpec) -> Result<Self, String> {
        if spec.mirrors.len() > usize::from(u8::MAX) {
            return Err(format!("{} mirrors are more than {}", spec.mirrors.len(), u8::MAX));
        }
        if spec.rate_limits.len() > MAX_LIMITS {
            return Err(format!("{} rate limits are more than {MAX_LIMITS}", spec.rate_limits.len()));
        }
        let mut limits = Vec::with_capacity(spec.rate_limits.len());
        for (index, limit) in spec.rate_limits.iter().enumerate() {
            let ordinal = spec.rate_limits[..index].iter().filter(|other| other.is_like(limit)).count() as u32;
            limits.push(Limit::compile(limit, ordinal).map_err(|error| format!("rate limit {index}: {error}"))?);
        }
        let zones = Zones::new(spec.zones, spec.pass_all)?;
        let policy = Self {
            rules: Rules::new(&spec.rules, &zones, spec.mirrors.len())?,
            zones,
            limits,
            checks: spec.checks,
            budget: Budget::compile(spec.error_budget)?,
            cookies: spec.cookies.as_ref().map(Cookies::new),
            lists: Lists::new(spec.lists)?,
            responses: spec.responses.as_ref().map(Responses::compile).transpose()?.map(Box::new),
            notifies: Notifies::new(spec.notifies)?,
            mirrors: spec.mirrors,
        };
        let bytes = policy.bytes();
        match spec.memory {
            Some(most) if bytes > most => {
                Err(format!("the policy takes {bytes} bytes, more than the {most} that it may"))
            }
            _ => Ok(policy),
        }
    }

    /// What the compiled policy takes in memory, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.zones.bytes() + self.rules.bytes()
    }

    /// The EDNS options of a reply with this `note`, in wire form.
    #[inline]
    #[must_use]
    pub fn options(&self, note: u16) -> &[u8] {
        if note == lists::NOTE { &lists::BLOCKED } else { self.rules.error(note) }
    }

    /// The name of a served zone, in wire form and lower case; empty for an index that does not exist.
    #[must_use]
    pub fn zone_name(&self, index: u32) -> &[u8] {
        self.zones.name(index)
    }

    /// Whether answers over UDP have limits.
    #[inline]
    #[must_use]
    pub const fn limits_answers(&self) -> bool {
        self.responses.is_some()
    }

    /// Whether DNS cookies are looked at.
    #[must_use]
    pub const fn has_cookies(&self) -> bool {
        self.cookies.is_some()
    }

    #[must_use]
    pub fn mirrors(&self) -> &[SocketAddr] {
        &self.mirrors
    }

    /// Where a copy of a query goes by its [`crate::Treatment`].
    #[must_use]
    pub fn mirror(&self, treatment: Treatment) -> Option<SocketAddr> {
        usize::from(treatment.mirror).checked_sub(1).and_then(|index| self.mirrors.get(index)).copied()
    }

    /// Where the query's name lies. Names of class CH lie in no zone, and without a question there is no name.
    #[inline]
    pub(crate) fn locate(&self, query: &Query<'_>) -> Place {
        match &query.question {
            Some(question) if question.qclass != wire::class::CHAOS => self.zones.locate(question),
            _ => Place::Any,
        }
    }
}
