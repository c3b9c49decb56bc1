//! Dynamic blocks: what they stop, what they let pass, and that one look-up says what a walk over all would.

mod common;

use std::net::{IpAddr, Ipv4Addr};

use common::{CLIENT, Engine, client, limit, limited, message, name, over_tcp, query, with_cookie};
use engine::{
    Action, BlockAction, BlockSpec, Blocks, Client, CookieSpec, Grants, MAX_ACCEPTED, Now, PolicySpec, Unverified,
    Verdict, decide_blocked,
};
use proptest::prelude::*;
use wire::Question;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn says(blocks: &Blocks, message: &[u8], client: &Client<'_>) -> String {
    let engine = Engine::new(limited(vec![]));
    let limits = engine.limits(0);
    let verdict = decide_blocked(&engine.policy, Some(blocks), &limits, message, client, Now::new(1, 0));
    let (act, reason) = verdict.cell();
    match verdict {
        Verdict::Reply { truncated: true, .. } => format!("{} {} tc", act.label(), reason.label()),
        _ => format!("{} {}", act.label(), reason.label()),
    }
}

#[test]
fn a_blocked_prefix_is_judged_before_the_wire_check() {
    let blocks = Blocks::new(BlockSpec {
        prefixes: vec![
            (ip("198.51.100.0"), 24, BlockAction::Drop, 1),
            (ip("203.0.113.7"), 32, BlockAction::Truncate, 2),
        ],
        names: vec![],
    })
    .expect("good blocks");
    let good = query("www.example.com");
    let mut bad = good.clone();
    bad.push(0);
    assert_eq!(says(&blocks, &good, &client("198.51.100.9")), "drop blocked");
    assert_eq!(says(&blocks, &bad, &client("198.51.100.9")), "drop blocked");
    assert_eq!(says(&blocks, &good, &over_tcp(client("198.51.100.9"))), "drop blocked");
    assert_eq!(says(&blocks, &good, &client("203.0.113.7")), "reply blocked tc");
    assert_eq!(says(&blocks, &bad, &client("203.0.113.7")), "drop blocked");
    assert_eq!(says(&blocks, &good, &over_tcp(client("203.0.113.7"))), "forward ok");
    assert_eq!(says(&blocks, &good, &client("203.0.113.8")), "forward ok");
    let mut hits = blocks.take_hits();
    hits.sort_unstable();
    assert_eq!(hits, [(1, 3), (2, 2)], "what passed over TCP is no hit");
    assert!(blocks.take_hits().is_empty());
}

#[test]
fn a_blocked_name_is_truncated_over_udp_and_answered_over_tcp() {
    let blocks = Blocks::new(BlockSpec {
        prefixes: vec![],
        names: vec![
            (name("Example.com"), BlockAction::Truncate, 7),
            (name("bad.example.com"), BlockAction::Drop, 8),
            (name("www.example.com"), BlockAction::Pass, 0),
        ],
    })
    .expect("good blocks");
    let who = client("192.0.2.1");
    for (asked, udp, tcp) in [
        ("x1.EXAMPLE.com", "reply blocked tc", "forward ok"),
        ("example.com", "reply blocked tc", "forward ok"),
        ("a.bad.example.com", "drop blocked", "drop blocked"),
        ("www.example.com", "forward ok", "forward ok"),
        ("a.www.example.com", "forward ok", "forward ok"),
        ("example.net", "forward ok", "forward ok"),
    ] {
        assert_eq!(says(&blocks, &query(asked), &who), udp, "{asked}");
        assert_eq!(says(&blocks, &query(asked), &over_tcp(who)), tcp, "{asked}");
    }
    assert_eq!(says(&blocks, &message(0, &name("x.example.com"), 0, 1), &who), "reply qtype-zero");
}

#[test]
fn a_valid_cookie_proves_what_truncation_asks_for() {
    let spec = |action| BlockSpec {
        prefixes: vec![(ip("203.0.113.0"), 24, action, 1)],
        names: vec![(name("bad.example"), action, 2)],
    };
    let cookies = CookieSpec {
        secret: [9; 16],
        accepted: [None; MAX_ACCEPTED],
        unverified: Unverified::Pass,
        slip: 1,
        forward: false,
    };
    let engine = Engine::new(PolicySpec { cookies: Some(cookies), ..limited(vec![]) });
    for (action, of_learner, of_verified) in
        [(BlockAction::Truncate, "reply blocked", "forward ok"), (BlockAction::Drop, "drop blocked", "drop blocked")]
    {
        let blocks = Blocks::new(spec(action)).expect("good blocks");
        let says = |message: &[u8], who: &Client<'_>| {
            let verdict =
                decide_blocked(&engine.policy, Some(&blocks), &engine.limits(0), message, who, Now::new(1, 0));
            let (act, reason) = verdict.cell();
            format!("{} {}", act.label(), reason.label())
        };
        for (who, asked) in [("203.0.113.7", "www.example"), ("192.0.2.1", "www.bad.example")] {
            let who = client(who);
            let first = with_cookie(&query(asked), b"clientck");
            assert_eq!(says(&first, &who), of_learner);
            let Verdict::Forward { treatment, .. } = engine.decide(&first, &who, 1) else { panic!("not forwarded") };
            let own = treatment.cookie.expect("it showed one").cookie.option();
            assert_eq!(says(&with_cookie(&query(asked), &own[4..]), &who), of_verified);
        }
        let hits = blocks.take_hits().iter().map(|&(_, hits)| hits).sum::<u64>();
        assert_eq!(hits, if action == BlockAction::Drop { 4 } else { 2 }, "what passed is no hit");
    }
}

#[test]
fn truncation_stays_within_the_limits_and_is_no_answer_to_an_update() {
    let spec = BlockSpec { prefixes: vec![(ip("203.0.113.0"), 24, BlockAction::Truncate, 1)], names: vec![] };
    let blocks = Blocks::new(spec).expect("good blocks");
    let engine = Engine::new(limited(vec![limit(CLIENT, 1, 3, Action::Drop)]));
    let granted = Grants { update: true, notify: true, ..Grants::default() };
    let who = Client { grants: granted, ..client("203.0.113.7") };
    let cell = |message: &[u8]| {
        decide_blocked(&engine.policy, Some(&blocks), &engine.limits(0), message, &who, Now::new(1, 0)).cell()
    };
    for opcode in [4, 5] {
        let (act, reason) = cell(&message(opcode, &name("example"), 6, 1));
        assert_eq!((act.label(), reason.label()), ("drop", "blocked"), "NOERROR would say that it was done");
    }
    let replies = (0..10).filter(|_| cell(&query("www.example")).0.label() == "reply").count();
    assert_eq!(replies, 3);
}

#[test]
fn what_is_no_prefix_and_no_name_is_refused() {
    let bits = BlockSpec { prefixes: vec![(ip("192.0.2.0"), 33, BlockAction::Drop, 1)], names: vec![] };
    assert!(Blocks::new(bits).is_err());
    for bytes in [&b""[..], b"\x03www", b"\xc0\x0c", b"\x03www\0\0"] {
        let spec = BlockSpec { prefixes: vec![], names: vec![(bytes.to_vec(), BlockAction::Drop, 1)] };
        assert!(Blocks::new(spec).is_err(), "{bytes:?}");
    }
}

fn action() -> impl Strategy<Value = BlockAction> {
    prop_oneof![Just(BlockAction::Pass), Just(BlockAction::Truncate), Just(BlockAction::Drop)]
}

proptest! {
    /// The one look-up gives what a walk over all entries would: exempt if any exempt prefix holds the address, else the
    /// strongest.
    #[test]
    fn a_look_up_is_a_walk(
        entries in prop::collection::vec((0u32..64, 26u8..=32, action()), 0..24),
        asked in 0u32..64,
    ) {
        let address = |low: u32| Ipv4Addr::from_bits(0xc000_0200 | low);
        let prefixes = entries
            .iter()
            .enumerate()
            .map(|(index, &(low, bits, action))| (address(low).into(), bits, action, index as u64));
        let blocks = Blocks::new(BlockSpec { prefixes: prefixes.collect(), names: vec![] }).expect("good blocks");
        let within = |low: u32, bits: u8| (low ^ asked) >> (32 - bits) == 0;
        let over: Vec<BlockAction> =
            entries.iter().filter(|&&(low, bits, _)| within(low, bits)).map(|&(_, _, action)| action).collect();
        let expected = if over.contains(&BlockAction::Pass) { None } else { over.into_iter().max() };
        prop_assert_eq!(blocks.of_client(address(asked).into()).map(|hit| hit.action()), expected);
    }

    /// The same for names.
    #[test]
    fn a_look_up_of_a_name_is_a_walk(
        entries in prop::collection::vec((prop::collection::vec(0u8..2, 0..4), action()), 0..12),
        asked in prop::collection::vec(0u8..2, 0..5),
    ) {
        let wire = |labels: &[u8]| {
            let mut wire: Vec<u8> = labels.iter().flat_map(|label| [1, b'a' + label]).collect();
            wire.push(0);
            wire
        };
        let names = entries.iter().enumerate().map(|(index, (labels, action))| (wire(labels), *action, index as u64));
        let blocks = Blocks::new(BlockSpec { prefixes: vec![], names: names.collect() }).expect("good blocks");
        let over: Vec<BlockAction> =
            entries.iter().filter(|(labels, _)| asked.ends_with(labels)).map(|&(_, action)| action).collect();
        let expected = if over.contains(&BlockAction::Pass) { None } else { over.into_iter().max() };
        let name = wire(&asked);
        let question = Question { name: &name, labels: asked.len() as u8, qtype: 1, qclass: 1 };
        prop_assert_eq!(blocks.of_name(&question).map(|hit| hit.action()), expected);
    }
}
