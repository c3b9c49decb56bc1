//! The set of served zones against the plain rule: the longest zone whose labels end the name.

mod common;

use common::{Engine, client, message, name};
use engine::{PolicySpec, Verdict};
use proptest::prelude::*;

/// Few distinct labels, so that names and zones meet often; all octets that could be confused are there.
fn labels() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let label = prop::sample::select(vec![
        b"a".to_vec(),
        b"A".to_vec(),
        b"b".to_vec(),
        b"example".to_vec(),
        b"EXAMPLE".to_vec(),
        b"com".to_vec(),
        vec![0],
        vec![b'@'],
        vec![b'`'],
        vec![b'['],
        vec![b'{'],
        vec![0xff],
        b"a.b".to_vec(),
        vec![1, b'a'],
    ]);
    prop::collection::vec(label, 0..6)
}

fn wire(labels: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in labels {
        bytes.push(u8::try_from(label.len()).expect("short"));
        bytes.extend_from_slice(label);
    }
    bytes.push(0);
    bytes
}

fn expected(zones: &[Vec<Vec<u8>>], qname: &[Vec<u8>]) -> Option<Vec<u8>> {
    let lower = |labels: &[Vec<u8>]| labels.iter().map(|label| label.to_ascii_lowercase()).collect::<Vec<_>>();
    let qname = lower(qname);
    let suffixes = zones.iter().map(|zone| lower(zone)).filter(|zone| qname.ends_with(zone));
    suffixes.max_by_key(Vec::len).map(|zone| wire(&zone))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn the_deepest_zone_is_found(
        zones in prop::collection::vec(labels(), 1..20),
        qnames in prop::collection::vec(labels(), 1..20),
        pass_all in prop::bool::ANY,
    ) {
        let wires = zones.iter().map(|zone| wire(zone)).collect();
        let engine = Engine::with_slots(PolicySpec { zones: wires, pass_all, ..PolicySpec::default() }, 7);
        for qname in qnames {
            let message = message(0, &wire(&qname), 1, 1);
            let expected = expected(&zones, &qname);
            match engine.decide(&message, &client("198.51.100.7"), 1) {
                Verdict::Forward { zone, .. } => {
                    prop_assert!(pass_all || expected.is_some());
                    prop_assert_eq!(zone.map(|index| engine.policy.zone_name(index).to_vec()), expected);
                }
                other => {
                    prop_assert_eq!(other.cell().1.label().replace("error-budget", "not-served"), "not-served");
                    prop_assert!(!pass_all && expected.is_none());
                }
            }
        }
    }
}

#[test]
fn a_hundred_thousand_zones() {
    let zones: Vec<_> = (0..100_000).map(|n| name(&format!("zone{n}.example"))).collect();
    let engine = Engine::new(PolicySpec { zones, ..PolicySpec::default() });
    for n in (0..100_000).step_by(97) {
        let bytes = message(0, &name(&format!("www.ZONE{n}.example")), 1, 1);
        let verdict = engine.decide(&bytes, &client("198.51.100.7"), 1);
        assert!(matches!(verdict, Verdict::Forward { zone: Some(index), .. } if index == n), "{n}");
    }
    assert_eq!(engine.says(&common::query("zone100000.example"), &client("198.51.100.7"), 1), "reply not-served 5");
}

#[test]
fn a_zone_listed_twice_keeps_its_first_place() {
    let zones = vec![name("a"), name("A"), name("b")];
    let engine = Engine::new(PolicySpec { zones, ..PolicySpec::default() });
    let zone_of = |qname: &str| match engine.decide(&common::query(qname), &client("198.51.100.7"), 1) {
        Verdict::Forward { zone, .. } => zone.map(|index| engine.policy.zone_name(index).to_vec()),
        _ => None,
    };
    assert_eq!((zone_of("x.a"), zone_of("x.b")), (Some(name("a")), Some(name("b"))));
}

#[test]
fn the_root_as_a_zone_serves_all() {
    let engine = Engine::new(PolicySpec { zones: vec![name(""), name("com")], ..PolicySpec::default() });
    let longest = [&b"\x01a".repeat(127)[..], &[0]].concat();
    for (qname, zone) in [(name(""), 0), (name("a.org"), 0), (name("a.com"), 1), (longest, 0)] {
        let bytes = message(0, &qname, 1, 1);
        let verdict = engine.decide(&bytes, &client("198.51.100.7"), 1);
        assert!(matches!(verdict, Verdict::Forward { zone: Some(index), .. } if index == zone));
    }
}
