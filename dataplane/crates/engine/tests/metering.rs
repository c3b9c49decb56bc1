//! How limits count: several prefix lengths at once, bytes, decay, slip, exemptions, observation.

mod common;

use common::{CLIENT, Engine, SECOND, client, limit, limited, message, name, over_tcp, prefix_limit, query};
use engine::{Action, Algorithm, Key, RateLimit, Unit};

/// Passes of one query from each of `last`, the last numbers of addresses in 198.51.`third`.0/24.
fn passes(engine: &Engine, third: u8, last: std::ops::Range<u8>, now: u64) -> usize {
    last.map(|last| engine.forwarded(&query("a"), &client(&format!("198.51.{third}.{last}")), now, 1)).sum()
}

#[test]
fn over_at_any_length_is_over() {
    let scaled = RateLimit { prefixes_v4: vec![(32, 1), (24, 4), (16, 6)], ..prefix_limit(32, 64, 1, 2) };
    let engine = Engine::new(limited(vec![scaled]));
    let one = |address: &str, tries| engine.forwarded(&query("a"), &client(address), 1, tries);
    assert_eq!(one("198.51.100.1", 9), 2, "the address");
    assert_eq!(passes(&engine, 100, 2..100, 1), 6, "the /24 has eight");
    assert_eq!(passes(&engine, 101, 1..100, 1), 4, "the /16 has twelve");
    assert_eq!(one("198.52.0.1", 1), 1, "another /16");
    assert_eq!(one("2001:db8::1", 9), 2, "one length for IPv6");
}

#[test]
fn what_is_over_at_one_length_takes_nothing_at_the_others() {
    for algorithm in [Algorithm::Bucket, Algorithm::Decay] {
        let scaled = RateLimit { algorithm, prefixes_v4: vec![(24, 3), (32, 1)], ..prefix_limit(32, 64, 1, 2) };
        let engine = Engine::new(limited(vec![scaled]));
        let one = |address: &str, tries| engine.forwarded(&query("a"), &client(address), 1, tries);
        assert_eq!(one("198.51.100.1", 1000), 2);
        assert_eq!(passes(&engine, 100, 2..50, 1), 4, "a neighbour's flood took two of the six");
    }
}

#[test]
fn bytes_of_queries() {
    let bytes = RateLimit { unit: Unit::Bytes, ..limit(CLIENT, 100, 1000, Action::Drop) };
    let engine = Engine::new(limited(vec![bytes]));
    let who = client("198.51.100.7");
    // 12 of the header, 4 of type and class, 3 of the name.
    let short = query("a");
    assert_eq!(short.len(), 19);
    assert_eq!(engine.forwarded(&short, &who, 1, 100), 52, "988 bytes");
    assert_eq!(engine.forwarded(&short, &who, 1 + SECOND, 100), 5, "112 more but 17");
    let long = message(0, &name(&"abcdefgh.".repeat(20)), 1, 1);
    assert_eq!(long.len(), 197);
    assert_eq!(engine.forwarded(&long, &client("198.51.100.8"), 1, 100), 5);
    let tight = RateLimit { unit: Unit::Bytes, ..limit(CLIENT, 10, 100, Action::Drop) };
    let engine = Engine::new(limited(vec![tight]));
    assert_eq!(engine.forwarded(&long, &who, 1, 9), 1, "one longer than the burst needs a full bucket");
    assert_eq!(engine.forwarded(&long, &who, 1 + 9 * SECOND, 9), 0);
    assert_eq!(engine.forwarded(&long, &who, 1 + 10 * SECOND, 9), 1);
}

#[test]
fn decay_gives_back_by_a_constant_share() {
    let decaying = RateLimit { algorithm: Algorithm::Decay, ..limit(CLIENT, 50, 125, Action::Drop) };
    let engine = Engine::new(limited(vec![decaying]));
    let who = client("198.51.100.7");
    assert_eq!(engine.forwarded(&query("a"), &who, SECOND, 999), 125);
    // ln 2 * 125 / 50 seconds: half of the load is gone.
    assert_eq!(engine.forwarded(&query("a"), &who, SECOND + 1_732_900_000, 999), 62);
    let steady: usize =
        (1..=1000).map(|tick| engine.forwarded(&query("a"), &who, 3 * SECOND + tick * 10_000_000, 1)).sum();
    assert!((490..=510).contains(&steady), "100 a second for ten seconds: {steady}");
}

#[test]
fn every_slipth_query_over_a_truncate_limit_gets_a_reply() {
    for (slip, replies) in [(0, 0), (1, 60), (2, 30), (3, 20)] {
        let truncating = RateLimit { slip, ..limit(CLIENT, 1, 1, Action::Truncate) };
        let engine = Engine::new(limited(vec![truncating]));
        let says: Vec<_> = (0..61).map(|_| engine.says(&query("a"), &client("198.51.100.7"), 1)).collect();
        let count = |word: &str| says.iter().filter(|said| *said == word).count();
        let found = ["forward ok", "reply rate-limited tc 0", "drop rate-limited"].map(count);
        assert_eq!(found, [1, replies, 60 - replies], "slip {slip}");
        assert_eq!(engine.forwarded(&query("a"), &over_tcp(client("198.51.100.7")), 1, 5), 5);
    }
}

#[test]
fn exempt_clients_pass_and_take_nothing() {
    let prefix = |text: &str| text.parse().expect("an address");
    let exempt = vec![(prefix("198.51.100.0"), 25), (prefix("2001:db8:1::"), 48), (prefix("203.0.113.9"), 32)];
    let engine = Engine::new(limited(vec![RateLimit { exempt, ..limit(Key::GLOBAL, 1, 3, Action::Drop) }]));
    let count = |address: &str| engine.forwarded(&query("a"), &client(address), 1, 5);
    for address in ["198.51.100.1", "198.51.100.127", "2001:db8:1:ffff::1", "203.0.113.9"] {
        assert_eq!(count(address), 5, "{address}");
    }
    assert_eq!(count("198.51.100.128"), 3);
    assert_eq!(count("2001:db8:2::1") + count("203.0.113.8"), 0);
}

#[test]
fn an_observed_limit_counts_what_its_action_would_meet() {
    for action in [Action::Drop, Action::Truncate, Action::Refuse, Action::Observe] {
        let observed = RateLimit { observe: true, ..limit(CLIENT, 1, 2, action) };
        let engine = Engine::new(limited(vec![observed]));
        let who = client("198.51.100.7");
        assert_eq!(engine.forwarded(&query("a"), &who, 1, 10), 10);
        assert_eq!(engine.forwarded(&query("a"), &over_tcp(who), 1, 10), 10);
        let over = engine.layout.totals(&engine.memory).expect("good memory").over_limit(0);
        assert_eq!(over, if action == Action::Truncate { 8 } else { 18 }, "{action:?}");
    }
}

#[test]
fn counters_are_those_of_the_slot() {
    let first = RateLimit { slot: 31, observe: true, ..limit(CLIENT, 1, 1, Action::Drop) };
    let second = RateLimit { slot: 4, ..limit(Key::GLOBAL, 1, 2, Action::Drop) };
    let engine = Engine::new(engine::PolicySpec { rate_limits: vec![first, second], ..limited(vec![]) });
    assert_eq!(engine.forwarded(&query("a"), &client("198.51.100.7"), 1, 10), 2);
    let totals = engine.layout.totals(&engine.memory).expect("good memory");
    let counts: Vec<_> = (0..32).map(|slot| totals.over_limit(slot)).collect();
    assert_eq!((counts[31], counts[4], counts.iter().sum::<u64>()), (9, 8, 17));
}
