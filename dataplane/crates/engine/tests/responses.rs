//! Response limits: what shares a bucket, slip, observation, who is never limited, and their counters.

mod common;

use std::net::IpAddr;

use common::{CLIENT, Engine, SECOND, limit, limited, name};
use engine::{Action, Algorithm, Limited, Passage, PolicySpec, ResponseSpec, Treatment, Unit, decide_answer};
use wire::{AnswerClass, check_answer};

/// Two answers of each class a second, four at once, no slip.
fn spec() -> ResponseSpec {
    ResponseSpec {
        rates: [2; AnswerClass::COUNT],
        all: 0,
        window: 2,
        unit: Unit::Packets,
        algorithm: Algorithm::Bucket,
        prefixes: (24, 56),
        slip: 0,
        observe: false,
        exempt: Vec::new(),
    }
}

fn engine(responses: ResponseSpec) -> Engine {
    Engine::new(PolicySpec { responses: Some(responses), ..limited(vec![]) })
}

/// An authoritative answer to `qname` with this rcode; without an address it has the SOA of example.com.
fn answer(qname: &str, rcode: u8, has_address: bool) -> Vec<u8> {
    let counts = if has_address { [0, 1, 0, 1, 0, 0, 0, 0] } else { [0, 1, 0, 0, 0, 1, 0, 0] };
    let mut bytes = [&[0x12, 0x34, 0x84, rcode][..], &counts, &name(qname), &[0, 1, 0, 1]].concat();
    if has_address {
        bytes.extend(b"\xc0\x0c\0\x01\0\x01\0\0\0\0\0\x04abcd");
    } else {
        bytes.extend(name("example.com"));
        bytes.extend(b"\0\x06\0\x01\0\0\0\0\0\x04soa!");
    }
    bytes
}

fn decide(engine: &Engine, bytes: &[u8], client: &str, treatment: &Treatment, now: u64) -> Passage {
    let client: IpAddr = client.parse().expect("an address");
    let answer = check_answer(bytes).expect("an answer");
    decide_answer(&engine.policy, &engine.limits(0), bytes, &answer, client, treatment, now)
}

/// How many of ten of these answers at once pass.
fn passes(engine: &Engine, bytes: &[u8], client: &str, now: u64) -> usize {
    let passed = |_: &i32| decide(engine, bytes, client, &Treatment::default(), now) == Passage::Pass;
    (0..10).filter(passed).count()
}

#[test]
fn a_bucket_is_that_of_prefix_class_and_name() {
    let engine = engine(spec());
    let count = |qname, rcode, has_address, client| passes(&engine, &answer(qname, rcode, has_address), client, SECOND);
    let here = "198.51.100.7";
    assert_eq!(count("a.example.com", 0, true, here), 4);
    assert_eq!(count("A.Example.com", 0, true, "198.51.100.200"), 0, "the same prefix and name");
    assert_eq!(count("a.example.com", 0, true, "198.51.101.7"), 4, "another prefix");
    assert_eq!(count("b.example.com", 0, true, here), 4, "another name");
    assert_eq!(count("r1.example.com", 3, false, here), 4, "another class");
    assert_eq!(count("r2.example.com", 3, false, here), 0, "random names of a zone share a bucket");
    assert_eq!(count("r3.example.com", 0, false, here), 4, "no data");
    assert_eq!(count("x.example.com", 5, false, here), 4);
    assert_eq!(count("y.example.net", 2, false, here), 0, "errors share one bucket");
    assert_eq!(count("a.example.com", 0, true, "2001:db8::1"), 4);
    assert_eq!(count("a.example.com", 0, true, "2001:db8:0:ff::1"), 0, "the same /56");
    assert_eq!(passes(&engine, &answer("a.example.com", 0, true), here, 2 * SECOND), 2, "the rate");
}

#[test]
fn each_class_has_its_rate_and_0_is_none() {
    let mut spec = spec();
    spec.rates[AnswerClass::Nxdomain as usize] = 1;
    spec.rates[AnswerClass::Error as usize] = 0;
    let engine = engine(spec);
    let count =
        |rcode, has_address| passes(&engine, &answer("a.example.com", rcode, has_address), "198.51.100.7", SECOND);
    assert_eq!([count(0, true), count(3, false), count(5, false), count(0, false)], [4, 2, 10, 4]);
}

#[test]
fn slip_cuts_every_nth_answer_over_the_limit() {
    for (slip, cut) in [(0, 0), (1, 30), (2, 15), (3, 10)] {
        let engine = engine(ResponseSpec { slip, ..spec() });
        let bytes = answer("a.example.com", 0, true);
        let all: Vec<_> =
            (0..34).map(|_| decide(&engine, &bytes, "198.51.100.7", &Treatment::default(), SECOND)).collect();
        let count = |passage| all.iter().filter(|found| **found == passage).count();
        assert_eq!([Passage::Pass, Passage::Truncate, Passage::Drop].map(count), [4, cut, 30 - cut]);
        let totals = engine.layout.totals(&engine.memory).expect("good memory");
        let counted = Limited::ALL.map(|outcome| totals.limited_answers(AnswerClass::Positive, outcome));
        assert_eq!(counted, [30 - cut as u64, cut as u64, 0]);
        let others = AnswerClass::ALL.into_iter().filter(|&class| class != AnswerClass::Positive);
        let rest: u64 =
            others.map(|class| Limited::ALL.map(|what| totals.limited_answers(class, what)).iter().sum::<u64>()).sum();
        assert_eq!(rest, 0);
    }
}

#[test]
fn observed_limits_pass_all_and_count() {
    let engine = engine(ResponseSpec { observe: true, ..spec() });
    assert_eq!(passes(&engine, &answer("a.example.com", 3, false), "198.51.100.7", SECOND), 10);
    let totals = engine.layout.totals(&engine.memory).expect("good memory");
    assert_eq!(totals.limited_answers(AnswerClass::Nxdomain, Limited::Observe), 6);
}

#[test]
fn who_is_known_is_not_limited() {
    let prefix = |text: &str| text.parse().expect("an address");
    let engine = engine(ResponseSpec { exempt: vec![(prefix("198.51.100.0"), 28)], ..spec() });
    let bytes = answer("a.example.com", 0, true);
    assert_eq!(passes(&engine, &bytes, "198.51.100.15", SECOND), 10);
    assert_eq!(passes(&engine, &bytes, "198.51.100.16", SECOND), 4);
    let verified = Treatment { verified: true, ..Treatment::default() };
    assert_eq!(decide(&engine, &bytes, "198.51.100.16", &verified, SECOND), Passage::Pass, "a valid cookie");
    assert_eq!(passes(&engine, &bytes, "198.51.100.16", SECOND), 0);
}

#[test]
fn bytes_bound_amplification() {
    let bytes = answer("a.example.com", 0, true);
    let engine = engine(ResponseSpec { unit: Unit::Bytes, rates: [1000; AnswerClass::COUNT], window: 1, ..spec() });
    let expected = 1000 / bytes.len();
    let passed =
        (0..100).filter(|_| decide(&engine, &bytes, "198.51.100.7", &Treatment::default(), SECOND) == Passage::Pass);
    assert_eq!(passed.count(), expected);
}

#[test]
fn a_limit_of_all_bounds_what_many_names_and_classes_get_together() {
    let engine = engine(ResponseSpec { all: 5, ..spec() });
    let count = |qname, rcode, client| passes(&engine, &answer(qname, rcode, rcode == 0), client, SECOND);
    let here = "198.51.100.7";
    let passed = [count("a.example.com", 0, here), count("b.example.com", 0, here), count("c.example.com", 3, here)];
    assert_eq!(passed, [4, 4, 2], "ten together");
    assert_eq!(count("d.example.com", 0, here), 0);
    assert_eq!(count("d.example.com", 0, "198.51.101.7"), 4);
}

#[test]
fn without_limits_all_passes_and_queries_have_buckets_of_their_own() {
    let none = Engine::new(limited(vec![limit(CLIENT, 1, 1, Action::Drop)]));
    assert!(!none.policy.limits_answers());
    assert_eq!(passes(&none, &answer("a.example.com", 3, false), "198.51.100.7", SECOND), 10);
    assert_eq!(none.forwarded(&common::query("a"), &common::client("198.51.100.7"), SECOND, 9), 1);
}

#[test]
fn what_can_not_be_compiled_is_said_with_its_class() {
    let wrong = PolicySpec { responses: Some(ResponseSpec { prefixes: (33, 56), ..spec() }), ..limited(vec![]) };
    let error = engine::Policy::new(wrong).expect_err("is refused");
    assert_eq!(error, "response limit positive: a prefix of 33 bits: IPv4 has 32, IPv6 has 128");
}
