//! The decision, step by step: source, wire check, grants, zones, limits, error budget.

mod common;

use common::{CLIENT, Engine, SECOND, client, limit, limited, message, name, over_tcp, prefix_limit, query};
use engine::{
    Action, Algorithm, Client, Condition, ErrorBudget, Grants, Key, Policy, PolicySpec, RateLimit, Rule, RuleAction,
    Verdict, is_mute,
};
use wire::{Checks, Reason};

fn open() -> Engine {
    Engine::new(limited(vec![]))
}

fn with_port(port: u16) -> Client<'static> {
    Client { port, ..client("198.51.100.7") }
}

#[test]
fn a_query_is_forwarded_as_it_is() {
    let message = query("www.example.com");
    let engine = open();
    let Verdict::Forward { query, zone, .. } = engine.decide(&message, &client("198.51.100.7"), 1) else {
        panic!("not forwarded");
    };
    assert_eq!((query.id, zone), (0x1234, None));
    assert_eq!(query.question.map(|question| question.name.to_vec()), Some(name("www.example.com")));
}

#[test]
fn sources_that_no_query_comes_from_are_dropped() {
    let engine = open();
    let message = query("a");
    for (address, expected) in [
        ("0.0.0.0", "drop source-address"),
        ("0.1.2.3", "drop source-address"),
        ("127.0.0.1", "drop source-address"),
        ("224.0.0.251", "drop source-address"),
        ("239.255.255.255", "drop source-address"),
        ("255.255.255.255", "drop source-address"),
        ("10.0.0.1", "forward ok"),
        ("240.0.0.1", "forward ok"),
        ("192.0.2.53", "forward ok"),
        ("::", "drop source-address"),
        ("::1", "drop source-address"),
        ("::192.0.2.1", "drop source-address"),
        ("::ffff:192.0.2.1", "drop source-address"),
        ("ff02::1", "drop source-address"),
        ("fe80::1", "forward ok"),
        ("2001:db8::1", "forward ok"),
    ] {
        assert_eq!(engine.says(&message, &client(address), 1), expected, "{address}");
    }
}

#[test]
fn loopback_may_talk_to_loopback_but_not_to_itself() {
    let engine = open();
    let local = |port| Client { local: [127, 0, 0, 1].into(), port, ..client("127.0.0.1") };
    assert_eq!(engine.says(&query("a"), &local(40_000), 1), "forward ok");
    assert_eq!(engine.says(&query("a"), &local(53), 1), "drop own-address");
    let unknown = Client { local: [0, 0, 0, 0].into(), ..client("127.0.0.1") };
    assert_eq!(engine.says(&query("a"), &unknown, 1), "forward ok", "nothing is known about where it arrived");
    let land = Client { port: 53, ..client("192.0.2.53") };
    assert_eq!(engine.says(&query("a"), &land, 1), "drop own-address");
}

#[test]
fn ports_of_services_that_would_answer_us() {
    let engine = open();
    for port in [0, 7, 13, 19, 37] {
        assert_eq!(engine.says(&query("a"), &with_port(port), 1), "drop source-port", "{port}");
    }
    for port in [7, 37] {
        assert_eq!(engine.says(&query("a"), &over_tcp(with_port(port)), 1), "forward ok", "a handshake proves it");
    }
    for port in [1, 53, 464, 65535] {
        assert_eq!(engine.says(&query("a"), &with_port(port), 1), "forward ok", "{port}");
    }
    let faulty = message(0, &name("a"), 0, 1);
    assert_eq!(engine.says(&faulty, &with_port(464), 1), "drop source-port", "kpasswd gets no error");
    assert_eq!(engine.says(&faulty, &with_port(465), 1), "reply qtype-zero 1");
}

#[test]
fn an_error_from_port_53_is_not_answered() {
    let engine = open();
    let mut with_rcode = query("a");
    with_rcode[3] = 1;
    assert_eq!(engine.says(&with_rcode, &with_port(53), 1), "drop rcode-set");
    assert_eq!(engine.says(&with_rcode, &over_tcp(with_port(53)), 1), "reply rcode-set 1");
    assert_eq!(engine.says(&with_rcode, &with_port(54), 1), "reply rcode-set 1");
    assert_eq!(engine.says(&with_rcode, &with_port(464), 1), "drop source-port", "no error goes there, whatever it is");
    assert_eq!(engine.says(&message(0, &name("a"), 0, 1), &with_port(53), 1), "reply qtype-zero 1");
}

#[test]
fn grants() {
    let engine = open();
    let all = Grants { transfer: true, notify: true, update: true };
    let zone = name("example.com");
    for (what, message, without) in [
        ("AXFR", message(0, &zone, 252, 1), "reply transfer-refused 5"),
        ("IXFR", message(0, &zone, 251, 1), "reply transfer-refused 5"),
        ("NOTIFY", message(4, &zone, 6, 1), "reply notify-refused 5"),
        ("UPDATE", message(5, &zone, 6, 1), "reply update-refused 5"),
    ] {
        let stranger = over_tcp(client("198.51.100.7"));
        assert_eq!(engine.says(&message, &stranger, 1), without, "{what}");
        let friend = Client { grants: all, ..stranger };
        assert_eq!(engine.says(&message, &friend, 1), "forward ok", "{what}");
    }
    let udp = Client { grants: all, ..client("198.51.100.7") };
    assert_eq!(engine.says(&message(0, &zone, 251, 1), &udp, 1), "forward ok", "IXFR over UDP, granted");
    assert_eq!(engine.says(&message(0, &zone, 252, 1), &udp, 1), "reply axfr-over-udp 1");
}

#[test]
fn only_served_names_pass() {
    let zones = vec![name("Example.COM"), name("sub.example.com"), name("net")];
    let engine = Engine::new(PolicySpec { zones, ..PolicySpec::default() });
    let zone_of = |qname: &str| match engine.decide(&query(qname), &client("198.51.100.7"), 1) {
        Verdict::Forward { zone, .. } => zone,
        _ => None,
    };
    assert_eq!(zone_of("example.com"), Some(0));
    assert_eq!(zone_of("WWW.eXample.com"), Some(0));
    assert_eq!(zone_of("a.b.sub.example.com"), Some(1), "the deepest zone");
    assert_eq!(zone_of("x.net"), Some(2));
    assert_eq!(engine.policy.zone_name(0), name("example.com"));
    for outside in ["", "com", "notexample.com", "example.com.org", "example.org"] {
        assert_eq!(engine.says(&query(outside), &client("198.51.100.7"), 1), "reply not-served 5", "{outside}");
    }
}

fn choosing(reason: Reason, word: &str) -> Checks {
    let mut checks = Checks::default();
    checks.choose(reason, word).expect("the row has this choice");
    checks
}

/// A row that only observes lets its messages pass, whatever they lack, and counts them.
#[test]
fn an_observed_row_passes_and_counts() {
    let observing = |reason| {
        let checks = choosing(reason, "observe");
        Engine::new(PolicySpec { pass_all: true, checks, ..PolicySpec::default() })
    };
    let good = query("www.example.com");
    let cut = &good[..good.len() - 6];
    let other_opcode = message(2, &name("example.com"), 1, 1);
    let cases: [(&[u8], Reason); 3] =
        [(cut, Reason::NameCut), (&other_opcode, Reason::Opcode), (&good, Reason::SourcePort)];
    for (bytes, reason) in cases {
        let engine = observing(reason);
        let client = with_port(if reason == Reason::SourcePort { 19 } else { 40_000 });
        assert_eq!(engine.says(bytes, &client, 1), "forward ok", "{reason:?}");
        let totals = engine.layout.totals(&engine.memory).expect("laid out");
        assert_eq!(totals.observed(wire::Transport::Udp, reason), 1);
        assert!(
            Engine::new(PolicySpec { pass_all: true, ..PolicySpec::default() }).says(bytes, &client, 1) != "forward ok"
        );
    }
}

/// Whatever a rule, a limit or a list says, and whatever the operator lets pass: we say nothing to such a source.
#[test]
fn nothing_of_our_own_goes_where_it_would_be_answered() {
    let observing = ["source-port", "source-address", "own-address"]
        .map(|label| Reason::ALL.into_iter().find(|reason| reason.label() == label).expect("a reason"));
    let policy = |action| {
        let mut checks = Checks::default();
        observing.iter().for_each(|&reason| checks.choose(reason, "observe").expect("a choice"));
        let rules = vec![Rule { slot: 0, when: Condition::Qname(vec![name("bad")]), action }];
        Engine::new(PolicySpec { rules, checks, ..limited(vec![limit(Key::GLOBAL, 1, 3, Action::Truncate)]) })
    };
    let own = Client { local_port: 40_000, ..client("192.0.2.53") };
    let both = Client { port: 7, ..client("0.0.0.1") };
    let sources = [
        (with_port(0), "source-port"),
        (with_port(19), "source-port"),
        (with_port(464), "source-port"),
        (client("224.0.0.1"), "source-address"),
        (own, "own-address"),
        (both, "source-port"),
    ];
    for action in
        [RuleAction::Truncate, RuleAction::Reply(0, None), RuleAction::Reply(3, None), RuleAction::Reply(5, None)]
    {
        let engine = policy(action.clone());
        for (source, reason) in sources {
            assert!(is_mute(&source) && !is_mute(&over_tcp(with_port(464))) && !is_mute(&with_port(53)));
            assert_eq!(engine.says(&query("bad"), &source, 1), format!("drop {reason}"), "{action:?}");
        }
        assert!(engine.says(&query("bad"), &client("198.51.100.7"), 60 * SECOND).starts_with("reply rule"));
    }
    let engine = policy(RuleAction::Drop);
    let said: Vec<_> = (0..9).map(|_| engine.says(&query("good"), &with_port(7), 1)).collect();
    assert_eq!(said[2..4], ["forward ok", "drop source-port"], "over the limit it gets no TC");
}

#[test]
fn one_observed_fault_of_the_source_hides_no_other() {
    let checks = choosing(Reason::SourcePort, "observe");
    let engine = Engine::new(PolicySpec { pass_all: true, checks, ..PolicySpec::default() });
    assert_eq!(engine.says(&query("a"), &Client { port: 7, ..client("224.0.0.1") }, 1), "drop source-address");
    assert_eq!(engine.says(&query("a"), &with_port(7), 1), "forward ok");
}

#[test]
fn truncation_is_no_answer_to_notify_and_update() {
    let engine = Engine::new(limited(vec![limit(Key::OPCODE, 1, 1, Action::Truncate)]));
    let grants = Grants { notify: true, update: true, ..Grants::default() };
    let who = Client { grants, ..client("198.51.100.7") };
    for opcode in [4, 5] {
        let message = message(opcode, &name("example"), 6, 1);
        let said = [1, 2].map(|now| engine.says(&message, &who, now));
        assert_eq!(said, ["forward ok", "drop rate-limited"], "NOERROR would say that it was done");
    }
}

#[test]
fn chaos_lies_in_no_zone() {
    let version = message(0, &name("version.bind"), 16, 3);
    let spec = |chaos| PolicySpec {
        zones: vec![name("example.com")],
        checks: choosing(Reason::ChaosRefused, if chaos { "pass" } else { "refuse" }),
        ..PolicySpec::default()
    };
    assert_eq!(Engine::new(spec(true)).says(&version, &client("198.51.100.7"), 1), "forward ok");
    assert_eq!(Engine::new(spec(false)).says(&version, &client("198.51.100.7"), 1), "reply chaos-refused 5");
}

#[test]
fn a_cookie_only_query_passes() {
    let bytes = b"\x12\x34\0\0\0\0\0\0\0\0\0\x01\0\0\x29\x04\xd0\0\0\0\0\0\x0c\0\x0a\0\x08abcdefgh";
    let zones = vec![name("example.com")];
    let rate_limits = vec![limit(Key::QNAME, 1, 1, Action::Drop), limit(Key::GLOBAL, 1, 2, Action::Drop)];
    let engine = Engine::new(PolicySpec { zones, rate_limits, ..PolicySpec::default() });
    assert_eq!(engine.forwarded(bytes, &client("198.51.100.7"), 1, 9), 2, "it has no name, and counts for the total");
}

#[test]
fn each_action_of_a_limit() {
    for (action, udp, tcp) in [
        (Action::Drop, "drop rate-limited", "drop rate-limited"),
        (Action::Truncate, "reply rate-limited tc 0", "forward ok"),
        (Action::Refuse, "reply rate-limited 5", "reply rate-limited 5"),
        (Action::Observe, "forward ok", "forward ok"),
    ] {
        let engine = Engine::new(limited(vec![limit(CLIENT, 1, 1, action)]));
        let client = client("198.51.100.7");
        assert_eq!(engine.says(&query("a"), &client, 1), "forward ok");
        assert_eq!(engine.says(&query("a"), &client, 1), udp);
        assert_eq!(engine.says(&query("a"), &over_tcp(client), 1), tcp);
        let over = engine.layout.totals(&engine.memory).expect("good memory").over_limit(0);
        assert_eq!(over, if action == Action::Truncate { 1 } else { 2 }, "{action:?}");
    }
}

#[test]
fn who_is_over_an_observed_limit_of_its_prefix_is_marked() {
    let is_marked = |engine: &Engine, client: Client<'_>| match engine.decide(&query("a"), &client, 1) {
        Verdict::Forward { treatment, .. } => treatment.limited,
        other => panic!("not forwarded: {other:?}"),
    };
    let engine = Engine::new(limited(vec![
        limit(CLIENT, 1, 1, Action::Observe),
        RateLimit { observe: true, ..limit(CLIENT, 1, 2, Action::Refuse) },
        limit(CLIENT, 1, 3, Action::Drop),
    ]));
    let [busy, other] = [client("198.51.100.7"), client("203.0.113.7")];
    assert_eq!([is_marked(&engine, busy), is_marked(&engine, busy), is_marked(&engine, busy)], [false, true, true]);
    assert!(!is_marked(&engine, other));
    assert_eq!(engine.says(&query("a"), &busy, 1), "drop rate-limited", "marked or not, the next limit acts");

    let engine = Engine::new(limited(vec![limit(Key::GLOBAL, 1, 1, Action::Observe)]));
    assert_eq!(
        [is_marked(&engine, busy), is_marked(&engine, other)],
        [false, false],
        "all together are no one's fault"
    );
}

#[test]
fn the_first_limit_that_is_exceeded_decides() {
    let limits = vec![
        limit(CLIENT, 1, 3, Action::Observe),
        limit(CLIENT, 1, 2, Action::Refuse),
        limit(CLIENT, 1, 1, Action::Truncate),
    ];
    let engine = Engine::new(limited(limits));
    let says = || engine.says(&query("a"), &client("198.51.100.7"), 1);
    assert_eq!(says(), "forward ok");
    assert_eq!(says(), "reply rate-limited tc 0");
    assert_eq!(says(), "reply rate-limited 5");
    assert_eq!(says(), "reply rate-limited 5");
    let totals = engine.layout.totals(&engine.memory).expect("good memory");
    assert_eq!([0, 1, 2, 3].map(|index| totals.over_limit(index)), [1, 2, 1, 0]);
}

#[test]
fn any_over_udp_stays_within_the_limits_of_clients() {
    let any = message(0, &name("a"), 255, 1);
    let dropping = Engine::new(limited(vec![limit(CLIENT, 1, 2, Action::Drop)]));
    let says = || dropping.says(&any, &client("198.51.100.7"), 1);
    assert_eq!([says(), says(), says()], ["reply any-over-udp tc 0", "reply any-over-udp tc 0", "drop rate-limited"]);
    let no_errors = ErrorBudget { rate: 0, prefix_rate: 0 };
    let silent = Engine::new(PolicySpec { error_budget: no_errors, ..limited(vec![]) });
    assert_eq!(silent.says(&any, &client("198.51.100.7"), 1), "reply any-over-udp tc 0", "it is no error");
}

#[test]
fn the_error_budget_of_a_prefix_and_in_total() {
    let spec = PolicySpec { error_budget: ErrorBudget { rate: 30, prefix_rate: 10 }, ..limited(vec![]) };
    let engine = Engine::new(spec);
    let faulty = message(2, &name("a"), 1, 1);
    let replies = |address: &str, now| {
        let client = client(address);
        (0..50).filter(|_| engine.says(&faulty, &client, now) == "reply opcode 4").count()
    };
    assert_eq!(replies("198.51.100.7", 1), 10);
    assert_eq!(replies("198.51.100.200", 1), 0, "the same /24");
    assert_eq!(engine.says(&faulty, &client("198.51.100.7"), 1), "drop error-budget");
    assert_eq!(engine.says(&query("a"), &client("198.51.100.7"), 1), "forward ok", "good queries do not need it");
    assert_eq!(replies("2001:db8:0:100::1", 1), 10);
    assert_eq!(replies("2001:db8:0:1ff::1", 1), 0, "the same /56");
    assert_eq!(replies("2001:db8:0:200::1", 1), 10);
    assert_eq!(replies("203.0.113.1", 1), 0, "the total is spent");
    assert_eq!(engine.says(&faulty, &over_tcp(client("203.0.113.1")), 1), "reply opcode 4", "streams have their own");
    assert_eq!(replies("198.51.100.7", 1 + SECOND), 10, "a second later");
}

#[test]
fn without_error_budget_faults_are_silent() {
    for error_budget in [ErrorBudget { rate: 0, prefix_rate: 10 }, ErrorBudget { rate: 10, prefix_rate: 0 }] {
        let engine = Engine::new(PolicySpec { error_budget, ..limited(vec![]) });
        assert_eq!(engine.says(&message(2, &name("a"), 1, 1), &client("198.51.100.7"), 1), "drop error-budget");
    }
}

#[test]
fn faulty_messages_take_nothing_from_the_limits() {
    let engine = Engine::new(limited(vec![limit(CLIENT, 1, 1, Action::Drop)]));
    let client = client("198.51.100.7");
    for _ in 0..20 {
        engine.decide(&message(0, &name("a"), 0, 1), &client, 1);
    }
    assert_eq!(engine.says(&query("a"), &client, 1), "forward ok");
}

#[test]
fn a_bad_specification_is_refused_in_words() {
    let refusal = |spec: PolicySpec| Policy::new(spec).expect_err("is refused");
    assert_eq!(refusal(PolicySpec::default()), "no zone is served");
    let zone = |bytes: &[u8]| PolicySpec { zones: vec![bytes.to_vec()], ..PolicySpec::default() };
    for bytes in [&b""[..], b"\x01a", b"\x01a\0\0", b"\xc0\x0c", b"\x41a\0"] {
        assert_eq!(refusal(zone(bytes)), "zone 0 is not one whole name in wire form");
    }
    let bad = |key, rate, burst| limited(vec![limit(key, rate, burst, Action::Drop)]);
    assert_eq!(refusal(bad(Key::GLOBAL, 0, 1)), "rate limit 0: a rate of 0 is not between 1 and 100000000");
    assert_eq!(refusal(bad(Key::GLOBAL, 1, 0)), "rate limit 0: a burst of 0 is not between 1 and 100000000");
    let lengths = |v4: &[(u8, u32)]| RateLimit { prefixes_v4: v4.to_vec(), ..prefix_limit(32, 64, 1, 1) };
    let refused = |limit| refusal(limited(vec![limit]));
    assert_eq!(refused(lengths(&[(33, 1)])), "rate limit 0: a prefix of 33 bits: IPv4 has 32, IPv6 has 128");
    assert_eq!(refused(lengths(&[])), "rate limit 0: 0 prefix lengths are not between 1 and 8");
    assert_eq!(refused(lengths(&[(24, 1); 9])), "rate limit 0: 9 prefix lengths are not between 1 and 8");
    assert_eq!(refused(lengths(&[(24, 0)])), "rate limit 0: a factor of 0 is not between 1 and 1000000");
    let decaying = RateLimit { algorithm: Algorithm::Decay, ..limit(Key::GLOBAL, 1_000_000, 9, Action::Drop) };
    assert_eq!(
        refused(decaying),
        "rate limit 0: with decay a burst of 9 is too small for a rate of 1000000: write at least 10"
    );
    let slotless = PolicySpec { rate_limits: vec![RateLimit { slot: 32, ..RateLimit::default() }], ..limited(vec![]) };
    assert_eq!(refusal(slotless), "rate limit 0: there is no counter 32; the last is 31");
    let many = limited(vec![limit(Key::GLOBAL, 1, 1, Action::Drop); 33]);
    assert_eq!(refusal(many), "33 rate limits are more than 32");
    let budget = ErrorBudget { rate: u32::MAX, prefix_rate: 1 };
    assert!(refusal(PolicySpec { error_budget: budget, ..limited(vec![]) }).starts_with("a rate of 4294967295"));
}
