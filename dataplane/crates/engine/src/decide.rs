//! The decision about one message.
//!
//! Three choices, with their reasons:
//! - A faulty message takes nothing from the rate limits. It never reaches a backend, what it costs is one error reply,
//!   and those have their own, tighter budget.
//! - A reply of a rule, list or block without an error (NOERROR, NXDOMAIN, truncated) takes nothing from the error
//!   budget either: it stands for the answer of a backend, so the rate limits bound it.
//! - A truncated reply is no error. It is no longer than the query and takes nothing from the error budget, but one to
//!   ANY passes the limits that need no question, so that a `drop` limit silences a flood of those too.

use std::net::IpAddr;
use std::num::NonZeroU16;

use wire::{
    Cookie, CookiePlace, Echo, Fault, Query, Reaction, Reason, Row, Transport, check_query, opcode, qtype, rcode,
};

use crate::blocks::{BlockAction, Blocks, Hit};
use crate::cookies::{Challenge, Cookies, Seen, Shown};
use crate::counters::Act;
use crate::limits::{Action, Bytes, Subject};
use crate::lists::{self, Listed};
use crate::notifies::Sender;
use crate::policy::Policy;
use crate::rules::{Facts, Outcome};
use crate::source;
use crate::table::Limits;
use crate::trace::{Passed, Trace};
use crate::zones::Place;

/// What a listener lets in besides queries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// AXFR and IXFR.
    pub transfer: bool,
    pub notify: bool,
    pub update: bool,
}

/// The time of a message, by both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// CLOCK_MONOTONIC in nanoseconds, the same in all workers.
    pub clock: u64,
    /// Seconds since 1970; only what is compared with other machines or with a calendar goes by it.
    pub unix: u32,
}

impl Now {
    /// The time at `clock`, where the calendar is `offset` nanoseconds ahead of it.
    #[must_use]
    pub const fn new(clock: u64, offset: u64) -> Self {
        Self { clock, unix: (clock.wrapping_add(offset) / 1_000_000_000) as u32 }
    }
}

/// Who sent a message, and by which door it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client<'c> {
    /// IPv4 as IPv4, also where the socket showed it as IPv6.
    pub address: IpAddr,
    pub port: u16,
    /// The address of ours that was asked; the unspecified one where it is not known.
    pub local: IpAddr,
    pub local_port: u16,
    pub transport: Transport,
    pub grants: Grants,
    /// The number of the listener.
    pub listener: u16,
    /// The TLVs of the PROXY header that it came with, as they stand there; empty without one.
    pub tlvs: &'c [u8],
    /// The server name that a TLS client asked for; empty without one.
    pub server_name: &'c [u8],
}

/// How a forwarded query is carried, and what is remembered of it until its answer comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Treatment {
    /// The pool of backends that gets it; 0 is the default one.
    pub pool: u8,
    /// Milliseconds that it waits before it is forwarded; over a stream only.
    pub delay: u16,
    /// The sender has shown a valid cookie: its address is its own.
    pub verified: bool,
    /// The sender is over a limit of its prefix that only observes: under pressure it comes last.
    pub limited: bool,
    /// The COOKIE option is not for the backend.
    pub strip_cookie: bool,
    /// The cookie that is put into the answer.
    pub cookie: Option<CookieDue>,
    /// Who gets a copy: 1 for the first address of the policy's mirrors; 0 nobody.
    pub mirror: u8,
}

impl Treatment {
    /// What a reply of ours to `query` repeats.
    #[must_use]
    pub fn echo(&self, query: &Query<'_>) -> Echo {
        Echo { cookie: self.cookie.map(|due| due.cookie), ..Echo::of(query) }
    }
}

/// A cookie that the answer gets, and how long that may be then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CookieDue {
    pub cookie: Cookie,
    pub room: NonZeroU16,
}

/// What to do with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'m> {
    Forward {
        query: Query<'m>,
        /// The index of the served zone; none if only `*` lets it in.
        zone: Option<u32>,
        treatment: Treatment,
    },
    Drop(Reason),
    /// Answer with `wire::write_reply_with(buffer, echo, rcode, truncated, policy.options(echo.note))`.
    Reply {
        reason: Reason,
        rcode: u16,
        truncated: bool,
        echo: Echo,
    },
    /// A NOTIFY for a zone whose backends are all to hear of it: Python answers it.
    HandOver,
}

impl Verdict<'_> {
    /// Which cell counts it.
    #[must_use]
    pub const fn cell(&self) -> (Act, Reason) {
        match self {
            Self::Forward { .. } => (Act::Forward, Reason::Ok),
            Self::Drop(reason) => (Act::Drop, *reason),
            Self::Reply { reason, .. } => (Act::Reply, *reason),
            Self::HandOver => (Act::Reply, Reason::Notify),
        }
    }
}

/// Decides about `message`, which `client` sent, while nothing is blocked.
#[inline]
pub fn decide<'m>(
    policy: &Policy,
    limits: &Limits<'_>,
    message: &'m [u8],
    client: &Client<'_>,
    now: Now,
) -> Verdict<'m> {
    decide_blocked(policy, None, limits, message, client, now)
}

/// Decides about `message`, which `client` sent.
#[inline]
pub fn decide_blocked<'m>(
    policy: &Policy,
    blocks: Option<&Blocks>,
    limits: &Limits<'_>,
    message: &'m [u8],
    client: &Client<'_>,
    now: Now,
) -> Verdict<'m> {
    decide_traced(policy, blocks, limits, message, client, now, &mut ())
}

/// As [`decide_blocked`], and tells `trace` what it comes past.
#[inline]
pub fn decide_traced<'m, T: Trace>(
    policy: &Policy,
    blocks: Option<&Blocks>,
    limits: &Limits<'_>,
    message: &'m [u8],
    client: &Client<'_>,
    now: Now,
    trace: &mut T,
) -> Verdict<'m> {
    let mut case = Case { policy, limits, client, length: message.len(), now, mute: None };
    match source::check(client, |reason| case.lets_pass(reason)) {
        Ok(observed) => case.mute = observed.or_else(|| source::answers_errors(client).then_some(Reason::SourcePort)),
        Err(reason) => return Verdict::Drop(reason),
    }
    trace.passed(Passed::Source);
    let verdict = case.judge(blocks, message, trace);
    if let Some(reason) = case.mute
        && matches!(verdict, Verdict::Reply { .. } | Verdict::HandOver)
    {
        return Verdict::Drop(reason);
    }
    verdict
}

/// Whether nothing that the gateway says itself may go to this client: it would be answered, or reach somebody else.
#[must_use]
pub fn is_mute(client: &Client<'_>) -> bool {
    source::check(client, |_| true) != Ok(None) || source::answers_errors(client)
}

#[inline]
fn ungranted(query: &Query<'_>, grants: Grants) -> Option<Reason> {
    match query.opcode {
        opcode::NOTIFY if !grants.notify => Some(Reason::NotifyRefused),
        opcode::UPDATE if !grants.update => Some(Reason::UpdateRefused),
        opcode::QUERY if !grants.transfer => match query.question?.qtype {
            qtype::AXFR | qtype::IXFR => Some(Reason::TransferRefused),
            _ => None,
        },
        _ => None,
    }
}

/// An RCODE above 15 needs OPT to be said; who asked without EDNS hears of a failure instead.
const fn sayable(code: u16, query: &Query<'_>) -> u16 {
    if code > 15 && query.edns.is_none() { rcode::SERVFAIL } else { code }
}

/// What a message is over.
struct Over {
    /// What the first limit that acts does.
    action: Option<Action>,
    /// A limit of its client prefix that only observes.
    observed: bool,
}

/// What every step of one decision looks at.
struct Case<'b> {
    policy: &'b Policy,
    limits: &'b Limits<'b>,
    client: &'b Client<'b>,
    /// Bytes of the message.
    length: usize,
    now: Now,
    /// Why nothing that we say ourselves may go to this client, if so.
    mute: Option<Reason>,
}

/// A query on its way.
#[derive(Clone, Copy)]
struct Asked<'q, 'm> {
    query: &'q Query<'m>,
    seen: Seen,
    /// Where it lies, once that is known.
    zone: Option<u32>,
    /// Who sent it, if it is a NOTIFY that is taken here.
    notifier: Option<Sender>,
}

impl Asked<'_, '_> {
    /// What a reply repeats.
    fn echo(&self) -> Echo {
        Echo { cookie: self.seen.reply, ..Echo::of(self.query) }
    }

    /// With the reply the client will have a valid cookie that it did not have before.
    fn learns(&self) -> bool {
        self.seen.learns() && !self.query.signed
    }
}

impl Case<'_> {
    /// Everything behind the source.
    #[inline]
    fn judge<'m, T: Trace>(&self, blocks: Option<&Blocks>, message: &'m [u8], trace: &mut T) -> Verdict<'m> {
        let Self { policy, limits, client, .. } = *self;
        let is_stream = client.transport.is_stream();
        let hit = blocks.and_then(|blocks| blocks.of_client(client.address)).filter(|hit| hit.holds(is_stream));
        if let Some(hit) = hit
            && hit.action() == BlockAction::Drop
        {
            return hit.drop();
        }
        let query = match check_query(message, client.transport, &policy.checks) {
            Ok(query) => query,
            // One that is no query is dropped: there is nothing to repeat in a reply.
            Err(fault) => return hit.map_or_else(|| self.fault(&fault, message, trace), |hit| hit.drop()),
        };
        let seen = self.see_cookie(message, query.cookie);
        let asked = Asked { query: &query, seen, zone: None, notifier: None };
        if let Some(verdict) = hit.and_then(|hit| self.blocked(hit, &asked, trace)) {
            return verdict;
        }
        if let Some(reason) = query.observed {
            limits.count_observed(client.transport, reason);
        }
        trace.passed(Passed::WireCheck(query.observed));
        trace.passed(Passed::Cookie(seen.shown));
        let notifier = if query.opcode == opcode::NOTIFY { self.notifier(&query, message) } else { None };
        if notifier.is_none()
            && let Some(reason) = ungranted(&query, client.grants)
        {
            return self.error(reason, rcode::REFUSED, asked.echo());
        }
        if notifier == Some(Sender::Nobody) {
            return self.error(Reason::NotifyRefused, rcode::REFUSED, asked.echo());
        }
        trace.passed(Passed::Grants);
        let zone = match policy.locate(&query) {
            Place::Zone(index) => Some(index),
            Place::Any => None,
            Place::Nowhere => return self.error(Reason::NotServed, rcode::REFUSED, asked.echo()),
        };
        trace.passed(Passed::Zone(zone));
        let asked = Asked { zone, notifier, ..asked };
        match blocks.and_then(|blocks| self.blocked_name(blocks, &asked, trace)).or_else(|| self.listed(&asked, trace))
        {
            Some(verdict) => verdict,
            None => self.by_policy(&asked, message, trace),
        }
    }

    /// Rules, rate limits, and the demand for a cookie.
    #[inline]
    fn by_policy<'m, T: Trace>(&self, asked: &Asked<'_, 'm>, message: &[u8], trace: &mut T) -> Verdict<'m> {
        let Self { policy, limits, client, now, .. } = *self;
        let Asked { query, seen, zone, notifier } = *asked;
        trace.passed(Passed::Lists);
        let mut treatment = Treatment::default();
        let facts = Facts { query, message, client, lists: &policy.lists, zone, shown: seen.shown, now };
        let outcome = policy.rules.decide(&facts, limits, &policy.zones, &mut treatment, trace);
        match outcome {
            Outcome::Pass => {
                trace.passed(Passed::Rules);
                let over = self.over_limit(Some(query), zone, seen.is_verified(), trace);
                if let Some(action) = over.action {
                    return self.limited(action, asked);
                }
                treatment.limited |= over.observed;
                trace.passed(Passed::Limits);
            }
            Outcome::Allow => trace.passed(Passed::Rules),
            _ => return self.ruled(outcome, asked, trace),
        }
        if let Some(sender) = notifier {
            return self.hand_over(sender);
        }
        if let Some(cookies) = &policy.cookies {
            if let Some(verdict) = self.challenge(cookies, asked, outcome == Outcome::Allow) {
                return verdict;
            }
            treatment = cookies.treat(treatment, query, &seen, client.transport);
        }
        Verdict::Forward { query: *query, zone, treatment }
    }

    /// Who sent a NOTIFY, if it is for a zone whose NOTIFY is taken here.
    #[cold]
    fn notifier(&self, query: &Query<'_>, message: &[u8]) -> Option<Sender> {
        self.policy.notifies.sender(query, message, self.client.address)
    }

    /// A NOTIFY that has come past all else, if its sender has not sent too many.
    #[cold]
    fn hand_over(&self, sender: Sender) -> Verdict<'static> {
        if self.policy.notifies.take(self.limits, self.client, sender, self.now.clock) {
            Verdict::HandOver
        } else {
            Verdict::Drop(Reason::NotifyLimited)
        }
    }

    /// What becomes of a query under a block of its name, if one holds for it.
    fn blocked_name<T: Trace>(
        &self,
        blocks: &Blocks,
        asked: &Asked<'_, '_>,
        trace: &mut T,
    ) -> Option<Verdict<'static>> {
        let hit = blocks.of_name(asked.query.question.as_ref()?)?;
        if hit.holds(self.client.transport.is_stream()) { self.blocked(hit, asked, trace) } else { None }
    }

    /// What becomes of a query under a block. None if it passes: truncation asks for proof of the address, and this
    /// client has given it.
    fn blocked<T: Trace>(&self, hit: Hit<'_>, asked: &Asked<'_, '_>, trace: &mut T) -> Option<Verdict<'static>> {
        if hit.action() == BlockAction::Drop {
            return Some(hit.drop());
        }
        if asked.seen.is_verified() {
            return None;
        }
        hit.count();
        Some(self.stand_in(Reason::Blocked, (rcode::NOERROR, true), asked.echo(), asked, trace))
    }

    /// A reply without an error. It stands for the answer of a backend, so the rate limits bound it.
    fn stand_in<T: Trace>(
        &self,
        reason: Reason,
        (rcode, truncated): (u16, bool),
        echo: Echo,
        asked: &Asked<'_, '_>,
        trace: &mut T,
    ) -> Verdict<'static> {
        // NOERROR would tell who sent a NOTIFY or an UPDATE that it was done; without a word it is sent again.
        if truncated && asked.query.opcode != opcode::QUERY {
            return Verdict::Drop(reason);
        }
        match self.over_limit(Some(asked.query), asked.zone, asked.seen.is_verified(), trace).action {
            Some(action) => self.limited(action, asked),
            None => Verdict::Reply { reason, rcode, truncated, echo },
        }
    }

    /// Whether a faulty source is let in by the choice of the operator.
    #[cold]
    fn lets_pass(&self, reason: Reason) -> bool {
        let row = self.policy.checks.row(reason);
        if row == Row::Observe {
            self.limits.count_observed(self.client.transport, reason);
        }
        !matches!(row, Row::Refuse(_))
    }

    /// What the message shows of a cookie; nothing while cookies are off.
    #[inline]
    fn see_cookie(&self, message: &[u8], place: Option<CookiePlace>) -> Seen {
        let Some(cookies) = &self.policy.cookies else { return Seen::NOTHING };
        let seen = match place {
            Some(place) => cookies.see(message, place, self.client.address, self.now.unix),
            None => Seen::NOTHING,
        };
        self.limits.count_cookie(self.client.transport, seen.shown);
        seen
    }

    /// The reply to a query that has to show another cookie, unless a rule allows it, or that asks for nothing else.
    fn challenge(&self, cookies: &Cookies, asked: &Asked<'_, '_>, allowed: bool) -> Option<Verdict<'static>> {
        let Asked { query, seen, .. } = asked;
        let echo = || asked.echo();
        let reply = |reason, rcode, truncated| Some(Verdict::Reply { reason, rcode, truncated, echo: echo() });
        if query.question.is_none() && seen.reply.is_some() {
            // A wrong server cookie is told to be wrong (RFC 7873 section 5.4).
            let is_right = matches!(seen.shown, Shown::Client | Shown::Valid);
            return reply(Reason::CookieOnly, if is_right { rcode::NOERROR } else { rcode::BADCOOKIE }, false);
        }
        if allowed || self.client.transport.is_stream() || seen.is_verified() {
            return None;
        }
        match cookies.challenge(query, seen, self.now.clock) {
            Challenge::None => None,
            Challenge::Badcookie => reply(Reason::CookieRequired, rcode::BADCOOKIE, false),
            Challenge::Truncate => reply(Reason::CookieRequired, rcode::NOERROR, true),
            Challenge::Drop => Some(Verdict::Drop(Reason::CookieRequired)),
        }
    }

    fn fault<T: Trace>(&self, fault: &Fault, message: &[u8], trace: &mut T) -> Verdict<'static> {
        let reason = fault.reason;
        let echo = || Echo { cookie: self.see_cookie(message, fault.cookie).reply, ..fault.echo() };
        match fault.reaction {
            Reaction::Drop => Verdict::Drop(reason),
            Reaction::Reply { rcode: rcode::NOERROR, truncated } => {
                match self.over_limit(None, None, false, trace).action {
                    Some(Action::Drop) => Verdict::Drop(Reason::RateLimited),
                    _ => Verdict::Reply { reason, rcode: rcode::NOERROR, truncated, echo: echo() },
                }
            }
            Reaction::Reply { rcode, .. } => self.error(reason, rcode, echo()),
        }
    }

    /// An error reply, if the client may have one and the budget has one left.
    fn error(&self, reason: Reason, rcode: u16, echo: Echo) -> Verdict<'static> {
        if let Some(reason) = self.mute.or_else(|| source::is_backscatter(self.client, reason).then_some(reason)) {
            return Verdict::Drop(reason);
        }
        if !self.policy.budget.take(self.limits, self.client, self.now.clock) {
            return Verdict::Drop(Reason::ErrorBudget);
        }
        Verdict::Reply { reason, rcode, truncated: false, echo }
    }

    /// The verdict of the first list that knows the client or the name.
    fn listed<T: Trace>(&self, asked: &Asked<'_, '_>, trace: &mut T) -> Option<Verdict<'static>> {
        if self.policy.lists.is_idle() {
            return None;
        }
        let (cell, action) = self.policy.lists.find(self.client.address, asked.query)?;
        self.limits.count_listed(cell);
        trace.listed(cell);
        let reason = Reason::Listed;
        Some(match lists::act(action, asked.query.opcode, self.client.transport.is_stream())? {
            Listed::Drop => Verdict::Drop(reason),
            Listed::Refuse => self.error(reason, rcode::REFUSED, Echo { note: lists::NOTE, ..asked.echo() }),
            Listed::Truncate => self.stand_in(reason, (rcode::NOERROR, true), asked.echo(), asked, trace),
            Listed::Reply(rcode) => {
                self.stand_in(reason, (rcode, false), Echo { note: lists::NOTE, ..asked.echo() }, asked, trace)
            }
        })
    }

    /// What a rule has decided.
    fn ruled<T: Trace>(&self, outcome: Outcome, asked: &Asked<'_, '_>, trace: &mut T) -> Verdict<'static> {
        let reason = Reason::Rule;
        let (rcode, truncated, note) = match outcome {
            Outcome::Over(action) => return self.limited(action, asked),
            Outcome::Reply(rcode, note) => (sayable(rcode, asked.query), false, note),
            Outcome::Truncate => (rcode::NOERROR, true, 0),
            Outcome::Pass | Outcome::Allow | Outcome::Drop => return Verdict::Drop(reason),
        };
        let echo = Echo { note, ..asked.echo() };
        if matches!(rcode, rcode::NOERROR | rcode::NXDOMAIN) {
            self.stand_in(reason, (rcode, truncated), echo, asked, trace)
        } else {
            self.error(reason, rcode, echo)
        }
    }

    /// What the limits say of the message, up to the first with an action that it is over. Those before have been charged.
    #[inline]
    fn over_limit<T: Trace>(
        &self,
        query: Option<&Query<'_>>,
        zone: Option<u32>,
        verified: bool,
        trace: &mut T,
    ) -> Over {
        let (client, length, now) = (self.client, self.length, self.now.clock);
        let subject = Subject { client, query, zone, verified, length, now };
        let mut observed = false;
        if self.policy.limits.is_empty() {
            return Over { action: None, observed };
        }
        let mut bytes = Bytes::new();
        for (place, limit) in self.policy.limits.iter().enumerate() {
            if limit.is_over(self.limits, &self.policy.zones, &subject, &mut bytes) {
                let count = self.limits.count_over(limit.slot);
                trace.over_limit(place);
                if !limit.observe {
                    return Over { action: Some(limit.verdict(count)), observed };
                }
                observed |= limit.is_of_clients();
            }
        }
        Over { action: None, observed }
    }

    fn limited(&self, action: Action, asked: &Asked<'_, '_>) -> Verdict<'static> {
        let reason = Reason::RateLimited;
        let reply = |rcode, truncated| Verdict::Reply { reason, rcode, truncated, echo: asked.echo() };
        match action {
            Action::Drop | Action::Observe => Verdict::Drop(reason),
            // NOERROR would tell who sent a NOTIFY or an UPDATE that it was done; without a word it is sent again.
            Action::Truncate if asked.query.opcode != opcode::QUERY => Verdict::Drop(reason),
            // With the cookie that comes with it the client passes over UDP too, and saves itself the connection.
            Action::Truncate if asked.learns() && !self.client.transport.is_stream() => reply(rcode::BADCOOKIE, false),
            Action::Truncate => reply(rcode::NOERROR, true),
            Action::Refuse => self.error(reason, rcode::REFUSED, asked.echo()),
        }
    }
}
