//! Invariant: whatever clients send, in whatever order and at whatever times, the engine
//! - gives a verdict, and does not panic;
//! - hands over nothing but NOTIFY for a zone that takes it, from who may send it or signed;
//! - forwards nothing but what the wire check passes, lies in a served zone and is granted;
//! - in any second forwards no more than burst + rate queries that share a bucket, and gives no more error replies than
//!   the budget;
//! - keeps the books: received = forwarded + replied + dropped + shed.
//!
//! The input is a sequence of messages: selector, time step, last byte of the client's address, length, bytes. The
//! bytes are the message, or, if the selector's highest bit is set, pairs of place and value that change a good query.

#![no_main]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::AtomicU64;

use engine::{
    Act, Action, Algorithm, Client, Condition, ErrorBudget, Grants, Key, Layout, NotifySpec, Now, Policy, PolicySpec,
    RateLimit, Rule, RuleAction, Section, Unit, Verdict, decide,
};
use libfuzzer_sys::fuzz_target;
use wire::{Checks, Transport, check_query};

const RATE: u32 = 4;
const BURST: u32 = 8;
const ERRORS: u32 = 5;
const ZONE: &[u8] = b"\x07example\0";
/// The zone whose NOTIFY is handed over, and who may send it unsigned.
const NOTIFIED: &[u8] = b"\x03www\x07example\0";
const KNOWN: [IpAddr; 1] = [IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7))];
const GOOD: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\x01\x03www\x07eXample\0\0\x01\0\x01\0\0\x29\x04\xd0\0\0\x80\0\0\x0c\0\x0a\0\x08abcdefgh";

fn spec() -> PolicySpec {
    PolicySpec {
        zones: vec![ZONE.to_vec()],
        rate_limits: vec![
            RateLimit { key: Key::QNAME | Key::OPCODE, burst: 2, action: Action::Observe, ..RateLimit::default() },
            RateLimit { rate: RATE, burst: BURST, ..RateLimit::default() },
            RateLimit {
                key: Key::CLIENT_PREFIX,
                prefixes_v4: vec![(30, 1), (24, 2)],
                burst: 5,
                action: Action::Refuse,
                ..RateLimit::default()
            },
            RateLimit {
                key: Key::CLIENT_PREFIX | Key::ZONE | Key::TRANSPORT,
                rate: 100,
                burst: 500,
                unit: Unit::Bytes,
                algorithm: Algorithm::Decay,
                action: Action::Truncate,
                slip: 2,
                ..RateLimit::default()
            },
        ],
        error_budget: ErrorBudget { rate: ERRORS, prefix_rate: 3 },
        rules: rules(),
        notifies: vec![NotifySpec {
            zone: NOTIFIED.to_vec(),
            from: KNOWN.map(|address| (address, 32)).to_vec(),
            keys: vec![b"\x01k\0".to_vec()],
        }],
        ..PolicySpec::default()
    }
}

/// Rules of every kind that leave the bounds above as they are.
fn rules() -> Vec<Rule> {
    let name = |text: &[u8]| vec![text.to_vec()];
    let any = Condition::Any(vec![
        Condition::QnameSuffix(name(b"\x03www\x07example\0")),
        Condition::QnameRegex(vec!["^[^.]{3}\\.".to_owned()]),
        Condition::Not(Box::new(Condition::EdnsOption(vec![10]))),
        Condition::Count(Section::Additional, 2..=9),
    ]);
    let limit = RateLimit { key: Key::QTYPE, rate: 2, burst: 3, action: Action::Refuse, ..RateLimit::default() };
    let list = [
        (any, RuleAction::Tag(1)),
        (Condition::Tag(vec![1]), RuleAction::Delay(5)),
        (Condition::Probability(1 << 30), RuleAction::Reply(5, Some((15, "no".to_owned())))),
        (
            Condition::All(vec![Condition::Client(vec![([10, 0, 0, 0].into(), 26)]), Condition::DnssecOk(true)]),
            RuleAction::Limit(limit),
        ),
        (Condition::Size(60..=70), RuleAction::Drop),
        (Condition::Labels(0..=1), RuleAction::Truncate),
        (Condition::Qtype(vec![1, 28]), RuleAction::Route(1)),
    ];
    list.into_iter().enumerate().map(|(slot, (when, action))| Rule { slot: slot as u16, when, action }).collect()
}

fuzz_target!(|input: &[u8]| {
    let layout = Layout::new(1, 7).expect("in range");
    let memory: Vec<AtomicU64> = (0..layout.words()).map(|_| AtomicU64::new(0)).collect();
    layout.create(&memory, &[7; 32]).expect("long enough");
    let policy = Policy::new(spec()).expect("good");
    let limits = layout.limits(&memory, 0).expect("worker 0");
    let counters = layout.counters(&memory, 0).expect("worker 0");
    let (mut rest, mut now, mut forwarded, mut errors) = (input, 1, Vec::new(), [Vec::new(), Vec::new()]);
    while let [selector, step, address, length, tail @ ..] = rest {
        let (bytes, next) = tail.split_at(usize::from(*length).min(tail.len()));
        rest = next;
        let changed = changed(bytes);
        let message = if selector & 0x80 == 0 { bytes } else { &changed };
        now += u64::from(*step) * 4_000_000;
        let client = client(*selector, *address);
        counters.received(client.transport, 1);
        let verdict = decide(&policy, &limits, message, &client, Now::new(now, 0));
        let (act, reason) = verdict.cell();
        counters.add(client.transport, act, reason, 1);
        if let Verdict::Reply { truncated, .. } = verdict {
            let is_stream = client.transport.is_stream();
            assert!(is_stream || !matches!(client.port, 7 | 464), "they would answer");
            assert!(!truncated || (!is_stream && message[2] >> 3 & 15 == 0), "TC is no answer to anything else");
        }
        match verdict {
            Verdict::Forward { query, zone, .. } => {
                assert_eq!(check_query(message, client.transport, &Checks::default()), Ok(query));
                assert_eq!(zone, query.question.map(|_| 0));
                assert!(query.opcode != 4 || client.grants.notify);
                assert!(query.opcode != 5 || client.grants.update);
                forwarded.push(now);
            }
            Verdict::Reply { truncated: false, .. } => errors[usize::from(client.transport.is_stream())].push(now),
            Verdict::Reply { rcode, .. } => assert_eq!(rcode, 0),
            Verdict::HandOver => {
                let query = check_query(message, client.transport, &Checks::default()).expect("it has passed");
                let name = query.question.expect("it has one").name;
                assert!(query.opcode == 4 && name.eq_ignore_ascii_case(NOTIFIED), "a NOTIFY for that zone");
                assert!(query.signed || KNOWN.contains(&client.address), "nobody else may send it");
            }
            Verdict::Drop(_) => {}
        }
    }
    let totals = layout.totals(&memory).expect("long enough");
    assert!(totals.balanced());
    let counted: u64 = Transport::ALL.iter().map(|&transport| totals.verdicts(transport, Act::Forward)).sum();
    assert_eq!(counted, forwarded.len() as u64);
    // With seven ways a debt can be forgotten; then the bounds do not hold, and it is counted.
    if totals.evictions() == 0 {
        assert!(most_in_a_second(&forwarded) <= (RATE + BURST) as usize);
        assert!(errors.iter().all(|times| most_in_a_second(times) <= 2 * ERRORS as usize));
    }
});

fn changed(pairs: &[u8]) -> Vec<u8> {
    let mut message = GOOD.to_vec();
    for [place, value] in pairs.as_chunks::<2>().0 {
        message[usize::from(*place) % GOOD.len()] = *value;
    }
    message
}

fn client(selector: u8, address: u8) -> Client<'static> {
    let last = match address {
        0..=199 => IpAddr::from([10, 0, 0, address]),
        _ => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(address)]),
    };
    Client {
        address: last,
        port: [40_000, 53, 464, 7][usize::from(selector >> 2 & 3)],
        local: IpAddr::from([192, 0, 2, 53]),
        local_port: 53,
        transport: Transport::ALL[usize::from(selector & 3) % Transport::COUNT],
        grants: Grants { transfer: selector & 16 != 0, notify: selector & 32 != 0, update: selector & 64 != 0 },
        listener: 0,
        tlvs: &[],
        server_name: &[],
    }
}

fn most_in_a_second(times: &[u64]) -> usize {
    let within =
        |(index, &start): (usize, &u64)| times[index..].iter().take_while(|&&at| at < start + 1_000_000_000).count();
    times.iter().enumerate().map(within).max().unwrap_or(0)
}
