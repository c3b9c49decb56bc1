//! A decision about one message, without a socket, and what it came past.

use std::borrow::Cow;
use std::net::IpAddr;

use engine::{Client, Grants, Layout, Memory, Now, Passed, Trace, Treatment, Verdict, decide_traced};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::Policy;
use crate::blocks::Blocks;
use crate::memory::SharedMemory;
use crate::udp::grants;
use crate::wire::{reply, transport};

/// Transport, source, the address of ours that was asked, and what the listener allows.
pub type ClientRow = (String, (IpAddr, u16), (IpAddr, u16), Vec<String>);

/// Verdict, reason, and the reply if there is one.
pub type Decision = (&'static str, &'static str, Option<Cow<'static, [u8]>>);

/// What a decision came to and what it came past.
#[pyclass(frozen, get_all, module = "dataplane")]
pub struct Explanation {
    verdict: &'static str,
    reason: &'static str,
    reply: Option<Cow<'static, [u8]>>,
    /// The steps that the message got past, in order.
    passed: Vec<&'static str>,
    /// The fault that the wire check only observed.
    observed: Option<&'static str>,
    /// What it showed of a DNS cookie.
    cookie: Option<&'static str>,
    /// The served zone, in wire form.
    zone: Option<Cow<'static, [u8]>>,
    /// The cell of the list that knows the client or the name.
    listed: Option<usize>,
    /// Places of the rules that were looked at.
    looked: Vec<usize>,
    /// Names of the rules that matched, in order, and what each did.
    rules: Vec<(String, &'static str)>,
    /// Places of the rate limits that the message was over.
    over_limits: Vec<usize>,
    pool: u8,
    delay: u16,
    mirror: u8,
}

/// Notes what a decision comes past.
#[derive(Default)]
pub struct Notes {
    passed: Vec<Passed>,
    listed: Option<usize>,
    looked: Vec<usize>,
    rules: Vec<(usize, &'static str)>,
    over_limits: Vec<usize>,
}

impl Trace for Notes {
    fn passed(&mut self, step: Passed) {
        self.passed.push(step);
    }

    fn listed(&mut self, cell: usize) {
        self.listed = Some(cell);
    }

    fn looked(&mut self, place: usize) {
        self.looked.push(place);
    }

    fn rule(&mut self, place: usize, what: &'static str) {
        self.rules.push((place, what));
    }

    fn over_limit(&mut self, place: usize) {
        self.over_limits.push(place);
    }
}

/// What Python says about a client besides its addresses.
#[derive(Clone, Copy, Default)]
pub struct Extras<'e> {
    pub listener: u16,
    pub tlvs: &'e [u8],
    pub server_name: &'e [u8],
    /// Seconds since 1970.
    pub unix: u32,
    pub blocks: Option<&'e Blocks>,
}

/// Decides and notes.
pub fn run<T: Trace>(
    policy: &Policy,
    message: &[u8],
    row: &ClientRow,
    extras: Extras<'_>,
    memory: &SharedMemory,
    clock: u64,
    trace: &mut T,
) -> PyResult<(Decision, Treatment)> {
    let (word, source, local, allow) = row;
    let grants: Grants = grants(allow)?;
    let client = Client {
        address: source.0,
        port: source.1,
        local: local.0,
        local_port: local.1,
        transport: transport(word)?,
        grants,
        listener: extras.listener,
        tlvs: extras.tlvs,
        server_name: extras.server_name,
    };
    let words = memory.inner.words();
    let limits = Layout::read(words).and_then(|layout| layout.limits(words, 0));
    let limits = limits.map_err(|error| PyValueError::new_err(error.to_string()))?;
    let now = Now { clock, unix: extras.unix };
    let blocks = extras.blocks.and_then(|blocks| blocks.inner.as_deref());
    let verdict = decide_traced(&policy.inner, blocks, &limits, message, &client, now, trace);
    let (act, reason) = verdict.cell();
    let (answer, treatment) = match verdict {
        Verdict::Reply { rcode, truncated, echo, .. } => {
            let options = policy.inner.options(echo.note);
            (Some(reply(message, echo, rcode, truncated, options).into()), Treatment::default())
        }
        Verdict::Forward { treatment, .. } => (None, treatment),
        Verdict::Drop(_) | Verdict::HandOver => (None, Treatment::default()),
    };
    Ok(((act.label(), reason.label(), answer), treatment))
}

const fn label(step: Passed) -> &'static str {
    match step {
        Passed::Source => "source",
        Passed::WireCheck(_) => "wire-check",
        Passed::Cookie(_) => "cookie",
        Passed::Grants => "grants",
        Passed::Zone(_) => "zone",
        Passed::Lists => "lists",
        Passed::Rules => "rules",
        Passed::Limits => "limits",
    }
}

impl Explanation {
    pub fn new((verdict, reason, reply): Decision, treatment: Treatment, notes: Notes, policy: &Policy) -> Self {
        let named = |(place, what): (usize, _)| (policy.rules.get(place).cloned().unwrap_or_default(), what);
        let Treatment { pool, delay, mirror, .. } = treatment;
        let (mut observed, mut cookie, mut zone) = (None, None, None);
        for step in &notes.passed {
            match step {
                Passed::WireCheck(fault) => observed = fault.map(|reason| reason.label()),
                Passed::Cookie(shown) => cookie = policy.inner.has_cookies().then(|| shown.label()),
                Passed::Zone(index) => zone = index.map(|index| policy.inner.zone_name(index).to_vec().into()),
                _ => {}
            }
        }
        Explanation {
            verdict,
            reason,
            reply,
            passed: notes.passed.into_iter().map(label).collect(),
            observed,
            cookie,
            zone,
            listed: notes.listed,
            looked: notes.looked,
            rules: notes.rules.into_iter().map(named).collect(),
            over_limits: notes.over_limits,
            pool,
            delay,
            mirror,
        }
    }
}
