//! A gateway's engine in a vector: memory, policy and clients of a test.

#![allow(dead_code, reason = "each test file uses its part")]

use std::net::IpAddr;
use std::sync::atomic::AtomicU64;

use engine::{Action, Client, Grants, Key, Layout, Limits, Now, Policy, PolicySpec, RateLimit, Verdict, decide};
use wire::Transport;

pub const SECOND: u64 = 1_000_000_000;

/// A name from its dotted form, in wire form.
pub fn name(dotted: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in dotted.split('.').filter(|label| !label.is_empty()) {
        wire.push(u8::try_from(label.len()).expect("a label of the test is short"));
        wire.extend_from_slice(label.as_bytes());
    }
    wire.push(0);
    wire
}

/// A message with one question and nothing else.
pub fn message(opcode: u8, qname: &[u8], qtype: u16, qclass: u16) -> Vec<u8> {
    let mut bytes = vec![0x12, 0x34, opcode << 3, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    bytes.extend_from_slice(qname);
    bytes.extend_from_slice(&qtype.to_be_bytes());
    bytes.extend_from_slice(&qclass.to_be_bytes());
    bytes
}

pub fn query(dotted: &str) -> Vec<u8> {
    message(0, &name(dotted), 1, 1)
}

/// A query without EDNS, with an OPT that holds these cookies.
pub fn with_cookie(query: &[u8], cookies: &[u8]) -> Vec<u8> {
    let mut bytes = query.to_vec();
    bytes[11] = 1;
    let length = u8::try_from(cookies.len()).expect("cookies are short");
    bytes.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, length + 4, 0, 10, 0, length]);
    bytes.extend_from_slice(cookies);
    bytes
}

pub fn client(address: &str) -> Client<'static> {
    let address: IpAddr = address.parse().expect("an address");
    let local = if address.is_ipv4() { "192.0.2.53" } else { "2001:db8::53" };
    Client {
        address,
        port: 40_000,
        local: local.parse().expect("an address"),
        local_port: 53,
        transport: Transport::Udp,
        grants: Grants::default(),
        listener: 0,
        tlvs: &[],
        server_name: &[],
    }
}

pub fn over_tcp(client: Client<'_>) -> Client<'_> {
    Client { transport: Transport::Tcp, ..client }
}

pub fn limit(key: Key, rate: u32, burst: u32, action: Action) -> RateLimit {
    RateLimit { key, rate, burst, action, ..RateLimit::default() }
}

/// A limit that drops, by prefixes of these lengths.
pub fn prefix_limit(v4: u8, v6: u8, rate: u32, burst: u32) -> RateLimit {
    RateLimit { prefixes_v4: vec![(v4, 1)], prefixes_v6: vec![(v6, 1)], ..limit(CLIENT, rate, burst, Action::Drop) }
}

pub const CLIENT: Key = Key::CLIENT_PREFIX;

/// A policy that passes all names, with these limits, each with the counter of its place.
pub fn limited(mut rate_limits: Vec<RateLimit>) -> PolicySpec {
    rate_limits.iter_mut().enumerate().for_each(|(slot, limit)| limit.slot = slot);
    PolicySpec { pass_all: true, rate_limits, ..PolicySpec::default() }
}

/// Policy and memory of one gateway.
pub struct Engine {
    pub layout: Layout,
    pub memory: Vec<AtomicU64>,
    pub policy: Policy,
}

impl Engine {
    pub fn new(spec: PolicySpec) -> Self {
        Self::with_slots(spec, 1 << 12)
    }

    pub fn with_slots(spec: PolicySpec, slots: usize) -> Self {
        let layout = Layout::new(2, slots).expect("sizes are in range");
        let memory: Vec<AtomicU64> = (0..layout.words()).map(|_| AtomicU64::new(0)).collect();
        layout.create(&memory, &[7; 32]).expect("the memory is long enough");
        Self { layout, memory, policy: Policy::new(spec).expect("the policy is good") }
    }

    pub fn limits(&self, worker: usize) -> Limits<'_> {
        self.layout.limits(&self.memory, worker).expect("the worker exists")
    }

    pub fn decide<'m>(&self, message: &'m [u8], client: &Client<'_>, now: u64) -> Verdict<'m> {
        self.decide_at(message, client, Now::new(now, 0))
    }

    pub fn decide_at<'m>(&self, message: &'m [u8], client: &Client<'_>, now: Now) -> Verdict<'m> {
        decide(&self.policy, &self.limits(0), message, client, now)
    }

    /// What is said to the message, in words: verdict, reason, and the RCODE of a reply.
    pub fn says(&self, message: &[u8], client: &Client<'_>, now: u64) -> String {
        let verdict = self.decide(message, client, now);
        let (act, reason) = verdict.cell();
        match verdict {
            Verdict::Reply { rcode, truncated: true, .. } => format!("{} {} tc {rcode}", act.label(), reason.label()),
            Verdict::Reply { rcode, .. } => format!("{} {} {rcode}", act.label(), reason.label()),
            _ => format!("{} {}", act.label(), reason.label()),
        }
    }

    /// How many of `count` messages at once are forwarded.
    pub fn forwarded(&self, message: &[u8], client: &Client<'_>, now: u64, count: usize) -> usize {
        (0..count).filter(|_| matches!(self.decide(message, client, now), Verdict::Forward { .. })).count()
    }
}
