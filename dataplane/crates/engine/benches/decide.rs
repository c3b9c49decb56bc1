//! The cost of a decision: source, wire check, zones and rate limits together. With one limit it should stay below 150 ns,
//! and a whole policy with 50 rules, 100,000 suffixes and five limits below 450 ns.

use std::hint::black_box;
use std::net::IpAddr;
use std::sync::atomic::AtomicU64;

use criterion::{Criterion, criterion_group, criterion_main};
use engine::{
    Action, Algorithm, BlockAction, BlockSpec, Blocks, Client, Condition, CookieSpec, Grants, Key, Layout, Limits,
    MAX_ACCEPTED, Memory, Now, Policy, PolicySpec, RateLimit, Rule, RuleAction, Unverified, Verdict, decide,
    decide_blocked,
};
use wire::Transport;

const QUERY: &[u8] = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01\x03wWw\x07example\x03com\x00\x00\x01\x00\x01\
    \x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x0c\x00\x0a\x00\x08abcdefgh";
const OTHER: &[u8] = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x03org\x00\x00\x01\x00\x01";

fn zone(label: &str) -> Vec<u8> {
    let mut wire = vec![label.len() as u8];
    wire.extend(label.as_bytes());
    wire.extend(b"\x03com\x00");
    wire
}

fn limit(key: Key, rate: u32, action: Action) -> RateLimit {
    RateLimit { key, rate, burst: rate.saturating_mul(2).min(100_000_000), action, ..RateLimit::default() }
}

fn client(address: u32) -> Client<'static> {
    Client {
        address: IpAddr::from(address.to_be_bytes()),
        port: 40_000,
        local: IpAddr::from([192, 0, 2, 53]),
        local_port: 53,
        transport: Transport::Udp,
        grants: Grants::default(),
        listener: 0,
        tlvs: &[],
        server_name: &[],
    }
}

fn measure(criterion: &mut Criterion, name: &str, spec: PolicySpec, message: &[u8], sources: u32) {
    let layout = Layout::new(1, 1 << 18).expect("sizes are in range");
    let memory: Vec<AtomicU64> = (0..layout.words()).map(|_| AtomicU64::new(0)).collect();
    layout.create(memory.words(), &[7; 32]).expect("the memory is long enough");
    let policy = Policy::new(spec).expect("the policy is good");
    let limits: Limits<'_> = layout.limits(&memory, 0).expect("worker 0 exists");
    let (mut now, mut source) = (1, 0_u32);
    criterion.bench_function(name, |bencher| {
        bencher.iter(|| {
            now += 1000;
            source = (source + 1) % sources;
            let client = client(0x0a00_0000 + source);
            black_box(matches!(
                decide(&policy, &limits, black_box(message), &client, Now::new(now, 0)),
                Verdict::Forward { .. }
            ))
        });
    });
}

/// QUERY with the cookie that the client in use would have learned.
fn with_valid_cookie(spec: PolicySpec) -> Vec<u8> {
    let layout = Layout::new(1, 1 << 10).expect("sizes are in range");
    let memory: Vec<AtomicU64> = (0..layout.words()).map(|_| AtomicU64::new(0)).collect();
    layout.create(memory.words(), &[7; 32]).expect("the memory is long enough");
    let policy = Policy::new(spec).expect("the policy is good");
    let limits = layout.limits(&memory, 0).expect("worker 0 exists");
    let Verdict::Forward { treatment, .. } = decide(&policy, &limits, QUERY, &client(0x0a00_0000), Now::new(1, 0))
    else {
        panic!("not forwarded");
    };
    let option = treatment.cookie.expect("QUERY has a client cookie").cookie.option();
    [&QUERY[..QUERY.len() - 14], &[0, option.len() as u8], &option[..]].concat()
}

fn with_cookies(unverified: Unverified) -> PolicySpec {
    let (secret, accepted) = ([9; 16], [None; MAX_ACCEPTED]);
    let cookies = Some(CookieSpec { secret, accepted, unverified, slip: 1, forward: false });
    PolicySpec { pass_all: true, cookies, ..PolicySpec::default() }
}

fn cookies(criterion: &mut Criterion) {
    measure(criterion, "decide/cookies, none shown", with_cookies(Unverified::Pass), OTHER, 1);
    measure(criterion, "decide/cookies, client cookie", with_cookies(Unverified::Pass), QUERY, 1);
    let valid = with_valid_cookie(with_cookies(Unverified::Pass));
    measure(criterion, "decide/cookies, valid", with_cookies(Unverified::Badcookie), &valid, 1);
}

/// Rules as operators write them, none of which matches the query that is measured; each kind in ten variations.
fn rules() -> Vec<Rule> {
    let of_kind = |n: u16| match n % 5 {
        0 => Condition::All(vec![Condition::Qtype(vec![255, 256 + n]), Condition::Transport(vec![Transport::Udp])]),
        1 => Condition::Client(vec![([10, 200, n as u8, 0].into(), 24), ([192, 0, 2, n as u8].into(), 32)]),
        2 => Condition::QnameSuffix(vec![zone(&format!("bad{n}")), zone(&format!("worse{n}"))]),
        3 => Condition::All(vec![Condition::Labels(10 + n as u8..=127), Condition::Edns(true)]),
        _ => Condition::Flags { set: 0, unset: 0x0100 },
    };
    (0..50).map(|slot| Rule { slot, when: of_kind(slot), action: RuleAction::Drop }).collect()
}

/// A policy with fifty rules, one of them with 100,000 suffixes, and five rate limits.
fn whole() -> PolicySpec {
    let mut rules = rules();
    rules[2].when = Condition::QnameSuffix((0..100_000).map(|n| zone(&format!("listed{n}"))).collect());
    let limits = [Key::CLIENT_PREFIX, Key::CLIENT_PREFIX | Key::QTYPE, Key::ZONE, Key::QTYPE, Key::GLOBAL];
    let rate_limits = limits.map(|key| limit(key, 100_000_000, Action::Drop)).to_vec();
    PolicySpec { zones: vec![zone("example")], rules, rate_limits, ..PolicySpec::default() }
}

fn decisions(criterion: &mut Criterion) {
    let prefix = |rate, action| limit(Key::CLIENT_PREFIX, rate, action);
    let all = || PolicySpec { pass_all: true, ..PolicySpec::default() };
    let one = || PolicySpec { zones: vec![zone("example")], ..PolicySpec::default() };
    let limited = |limits| PolicySpec { rate_limits: limits, ..one() };
    let mut many: Vec<_> = (0..100_000).map(|n| zone(&format!("zone{n}"))).collect();
    many.push(zone("example"));
    measure(criterion, "decide/no limit, all names", all(), QUERY, 1);
    measure(criterion, "decide/no limit, one zone", one(), QUERY, 1);
    measure(criterion, "decide/no limit, 100k zones", PolicySpec { zones: many, ..all() }, QUERY, 1);
    measure(criterion, "decide/client limit", limited(vec![prefix(100_000_000, Action::Drop)]), QUERY, 1);
    measure(criterion, "decide/client limit, 1000 clients", limited(vec![prefix(1000, Action::Drop)]), QUERY, 1000);
    measure(criterion, "decide/client limit, 16M clients", limited(vec![prefix(1000, Action::Drop)]), QUERY, 1 << 24);
    measure(criterion, "decide/client limit, over it", limited(vec![prefix(1, Action::Drop)]), QUERY, 1);
    let three = vec![
        prefix(1000, Action::Truncate),
        limit(Key::ZONE, 1_000_000, Action::Drop),
        limit(Key::QNAME, 1_000_000, Action::Drop),
    ];
    measure(criterion, "decide/three limits, 1000 clients", limited(three), QUERY, 1000);
    let five = vec![
        prefix(1000, Action::Truncate),
        limit(Key::CLIENT_PREFIX | Key::QNAME, 1000, Action::Drop),
        limit(Key::ZONE, 100_000_000, Action::Drop),
        limit(Key::QNAME | Key::QTYPE, 100_000_000, Action::Drop),
        limit(Key::TRANSPORT, 100_000_000, Action::Observe),
    ];
    measure(criterion, "decide/five limits, 1000 clients", limited(five.clone()), QUERY, 1000);
    let decaying = five.into_iter().map(|limit| RateLimit { algorithm: Algorithm::Decay, ..limit }).collect();
    measure(criterion, "decide/five limits with decay, 1000 clients", limited(decaying), QUERY, 1000);
    let scaled = RateLimit {
        prefixes_v4: vec![(32, 1), (24, 32), (20, 256), (18, 768)],
        algorithm: Algorithm::Decay,
        ..prefix(1000, Action::Truncate)
    };
    measure(criterion, "decide/one limit as Knot scales it, 1000 clients", limited(vec![scaled]), QUERY, 1000);
    measure(criterion, "decide/50 rules", PolicySpec { rules: rules(), ..one() }, QUERY, 1000);
    measure(criterion, "decide/50 rules, 100k suffixes, five limits", whole(), QUERY, 1000);
    measure(criterion, "decide/not served", one(), OTHER, 1000);
}

/// What blocks cost a client that lies in none: nothing while there are none, one look-up however many there are.
fn blocks(criterion: &mut Criterion) {
    let layout = Layout::new(1, 1 << 10).expect("sizes are in range");
    let memory: Vec<AtomicU64> = (0..layout.words()).map(|_| AtomicU64::new(0)).collect();
    layout.create(memory.words(), &[7; 32]).expect("the memory is long enough");
    let policy = Policy::new(PolicySpec { pass_all: true, ..PolicySpec::default() }).expect("the policy is good");
    let limits: Limits<'_> = layout.limits(&memory, 0).expect("worker 0 exists");
    for count in [0_u32, 1, 10_000] {
        let prefixes =
            (0..count).map(|n| (IpAddr::from((0xc600_0000 | n << 8).to_be_bytes()), 24, BlockAction::Drop, 1));
        let names = (0..count).map(|n| (zone(&format!("bad{n}")), BlockAction::Truncate, 2));
        let spec = BlockSpec { prefixes: prefixes.collect(), names: names.collect() };
        let blocks = (count > 0).then(|| Blocks::new(spec).expect("good blocks"));
        criterion.bench_function(&format!("decide/{count} blocked prefixes and names"), |bencher| {
            bencher.iter(|| {
                let client = client(0x0a00_0001);
                let verdict =
                    decide_blocked(&policy, blocks.as_ref(), &limits, black_box(QUERY), &client, Now::new(1, 0));
                black_box(matches!(verdict, Verdict::Forward { .. }))
            });
        });
    }
}

criterion_group!(benches, decisions, cookies, blocks);
criterion_main!(benches);
