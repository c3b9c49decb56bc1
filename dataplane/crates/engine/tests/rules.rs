//! One test for each selector and each action of the rules.

mod common;

use common::{CLIENT, Engine, SECOND, client, limit, limited, message, name, over_tcp, query};
use engine::{
    Action, Client, Condition, ErrorBudget, Key, Now, Passed, PolicySpec, Rule, RuleAction, Section, Tlv, TlvValue,
    Trace, Treatment, Verdict, Window, decide_traced,
};
use wire::{Checks, Reason, Transport};

fn rules(list: Vec<(Condition, RuleAction)>) -> PolicySpec {
    let rule = |(slot, (when, action))| Rule { slot: slot as u16, when, action };
    PolicySpec { rules: list.into_iter().enumerate().map(rule).collect(), ..limited(vec![]) }
}

/// Whether a rule with this condition matches.
fn holds(when: &Condition, message: &[u8], client: &Client<'_>) -> bool {
    holds_in(when, PolicySpec { pass_all: true, ..PolicySpec::default() }, message, client)
}

fn holds_in(when: &Condition, spec: PolicySpec, message: &[u8], client: &Client<'_>) -> bool {
    let mut checks = Checks::default();
    for reason in [Reason::TrailingBytes, Reason::AnyOverUdp] {
        checks.choose(reason, "pass").expect("a choice");
    }
    let said = |when: Condition| {
        let spec = PolicySpec { checks: checks.clone(), ..spec.clone() };
        let rules = vec![Rule { slot: 0, when, action: RuleAction::Drop }];
        Engine::new(PolicySpec { rules, ..spec }).says(message, client, SECOND) == "drop rule"
    };
    let plain = said(when.clone());
    assert_eq!(said(Condition::Not(Box::new(Condition::Not(Box::new(when.clone()))))), plain, "not twice: {when:?}");
    assert_ne!(said(Condition::Not(Box::new(when.clone()))), plain, "the index and the program agree: {when:?}");
    plain
}

fn here() -> Client<'static> {
    client("198.51.100.7")
}

/// A query with an OPT record.
fn with_opt(udp_size: u16, flags: u8, options: &[u8]) -> Vec<u8> {
    let mut bytes = query("www.example.com");
    bytes[11] = 1;
    bytes.extend_from_slice(&[0, 0, 41]);
    bytes.extend_from_slice(&udp_size.to_be_bytes());
    bytes.extend_from_slice(&[0, 0, flags, 0]);
    bytes.extend_from_slice(&(options.len() as u16).to_be_bytes());
    bytes.extend_from_slice(options);
    bytes
}

#[track_caller]
fn check(when: Condition, rows: &[(&[u8], Client<'_>, bool)]) {
    for (index, (message, client, expected)) in rows.iter().enumerate() {
        assert_eq!(holds(&when, message, client), *expected, "row {index} of {when:?}");
    }
}

#[test]
fn clients() {
    let when = Condition::Client(vec![("198.51.100.0".parse().unwrap(), 24), ("2001:db8::".parse().unwrap(), 32)]);
    let message = query("a");
    check(
        when,
        &[
            (&message, here(), true),
            (&message, client("198.51.101.7"), false),
            (&message, client("2001:db8::7"), true),
            (&message, client("2001:db9::7"), false),
        ],
    );
}

#[test]
fn overlapping_prefixes_of_several_rules() {
    let prefix = |text: &str, bits| Condition::Client(vec![(text.parse().unwrap(), bits)]);
    let engine = Engine::new(rules(vec![
        (prefix("198.51.100.7", 32), RuleAction::Tag(0)),
        (prefix("198.51.0.0", 16), RuleAction::Tag(1)),
        (
            Condition::All(vec![Condition::Tag(vec![0]), Condition::Tag(vec![1]), prefix("0.0.0.0", 0)]),
            RuleAction::Drop,
        ),
    ]));
    assert_eq!(engine.says(&query("a"), &here(), 1), "drop rule");
    assert_eq!(engine.says(&query("a"), &client("198.51.100.8"), 1), "forward ok");
}

#[test]
fn listeners_and_transports() {
    let message = query("a");
    let at = |listener| Client { listener, ..here() };
    check(
        Condition::Listener(vec![0, 2]),
        &[(&message, at(0), true), (&message, at(1), false), (&message, at(9), false)],
    );
    let tls = Client { transport: Transport::Tls, ..here() };
    check(
        Condition::Transport(vec![Transport::Udp, Transport::Tls]),
        &[(&message, here(), true), (&message, over_tcp(here()), false), (&message, tls, true)],
    );
}

#[test]
fn names() {
    let exact = Condition::Qname(vec![name("www.Example.com"), name("net")]);
    let suffix = Condition::QnameSuffix(vec![name("Example.com")]);
    let regex = Condition::QnameRegex(vec![r"^w+\.example\.com$".to_owned()]);
    for (qname, exactly, below, matches) in [
        ("WWW.example.COM", true, true, true),
        ("example.com", false, true, false),
        ("a.www.example.com", false, true, false),
        ("badexample.com", false, false, false),
        ("net", true, false, false),
        ("", false, false, false),
    ] {
        let message = query(qname);
        assert_eq!(holds(&exact, &message, &here()), exactly, "{qname}");
        assert_eq!(holds(&suffix, &message, &here()), below, "{qname}");
        assert_eq!(holds(&regex, &message, &here()), matches, "{qname}");
    }
}

#[test]
fn one_name_in_lists_of_several_rules() {
    let tag = |when, number| (when, RuleAction::Tag(number));
    let drop_if = |tags: &[u8]| Condition::All(tags.iter().map(|&tag| Condition::Tag(vec![tag])).collect());
    let engine = Engine::new(rules(vec![
        tag(Condition::QnameSuffix(vec![name("com")]), 0),
        tag(Condition::QnameSuffix(vec![name("example.com"), name("net")]), 1),
        tag(Condition::Qname(vec![name("example.com")]), 2),
        (drop_if(&[0, 1, 2]), RuleAction::Drop),
        (drop_if(&[0, 1]), RuleAction::Reply(5, None)),
        (drop_if(&[0]), RuleAction::Truncate),
    ]));
    for (qname, expected) in [
        ("example.com", "drop rule"),
        ("www.example.com", "reply rule 5"),
        ("example2.com", "reply rule tc 0"),
        ("com", "reply rule tc 0"),
        ("net", "forward ok"),
    ] {
        assert_eq!(engine.says(&query(qname), &here(), 1), expected, "{qname}");
    }
}

#[test]
fn labels_types_and_classes() {
    check(
        Condition::Labels(2..=3),
        &[
            (&query("com"), here(), false),
            (&query("a.com"), here(), true),
            (&query("a.b.com"), here(), true),
            (&query("a.b.c.com"), here(), false),
            (&query(""), here(), false),
        ],
    );
    let typed = |qtype| message(0, &name("a"), qtype, 1);
    check(
        Condition::Qtype(vec![1, 255, 64_000]),
        &[
            (&typed(1), here(), true),
            (&typed(2), here(), false),
            (&typed(255), here(), true),
            (&typed(64_000), here(), true),
            (&typed(64_001), here(), false),
        ],
    );
    let chaos = message(0, &name("a"), 16, 3);
    let mut checks = Checks::default();
    checks.choose(Reason::ChaosRefused, "pass").expect("a choice");
    let spec = PolicySpec { checks, ..limited(vec![]) };
    let says = |when| {
        let rules = vec![Rule { slot: 0, when, action: RuleAction::Drop }];
        Engine::new(PolicySpec { rules, ..spec.clone() }).says(&chaos, &here(), 1)
    };
    assert_eq!(says(Condition::Qclass(vec![3])), "drop rule");
    assert_eq!(says(Condition::Qclass(vec![1])), "forward ok");
}

#[test]
fn opcodes_and_flags() {
    let grants = engine::Grants { transfer: true, notify: true, update: true };
    let friend = Client { grants, ..here() };
    let with = |opcode| message(opcode, &name("a"), 6, 1);
    check(
        Condition::Opcode(vec![4]),
        &[(&with(4), friend, true), (&with(5), friend, false), (&with(0), friend, false)],
    );
    let mut recursive = query("a");
    recursive[2] |= 1;
    recursive[3] |= 0x10;
    let flags = |set, unset| Condition::Flags { set, unset };
    check(flags(0x0100, 0), &[(&recursive, here(), true), (&query("a"), here(), false)]);
    check(flags(0, 0x0100), &[(&recursive, here(), false), (&query("a"), here(), true)]);
    check(flags(0x0110, 0x0020), &[(&recursive, here(), true)]);
    check(flags(0x0130, 0), &[(&recursive, here(), false)]);
}

#[test]
fn edns() {
    let plain = query("www.example.com");
    let ecs = with_opt(1232, 0, b"\0\x08\0\x04\0\x01\0\0");
    let secure = with_opt(4096, 0x80, b"\0\x03\0\0\0\x0a\0\x08abcdefgh");
    let rows = |on_plain, on_ecs, on_secure| {
        [(&plain[..], here(), on_plain), (&ecs[..], here(), on_ecs), (&secure[..], here(), on_secure)]
    };
    check(Condition::Edns(true), &rows(false, true, true));
    check(Condition::Edns(false), &rows(true, false, false));
    check(Condition::EdnsVersion(0..=0), &rows(false, true, true));
    check(Condition::EdnsVersion(1..=255), &rows(false, false, false));
    check(Condition::EdnsOption(vec![8]), &rows(false, true, false));
    check(Condition::EdnsOption(vec![3, 10, 11]), &rows(false, false, true));
    check(Condition::EdnsSize(1233..=65_535), &rows(false, false, true));
    check(Condition::DnssecOk(true), &rows(false, false, true));
    check(Condition::DnssecOk(false), &rows(true, true, false));
}

#[test]
fn counts_sizes_and_what_trails() {
    let plain = query("a");
    let opt = with_opt(1232, 0, b"");
    let longer = [&plain[..], b"x"].concat();
    let count = |section, range| Condition::Count(section, range);
    check(count(Section::Additional, 1..=2), &[(&opt, here(), true), (&plain, here(), false)]);
    check(count(Section::Question, 1..=1), &[(&opt, here(), true)]);
    check(count(Section::Answer, 0..=0), &[(&opt, here(), true)]);
    check(count(Section::Authority, 1..=9), &[(&opt, here(), false)]);
    let size = plain.len() as u16;
    check(Condition::Size(0..=size), &[(&plain, here(), true), (&opt, here(), false), (&longer, here(), false)]);
    check(Condition::Trailing(true), &[(&longer, here(), true), (&plain, here(), false), (&opt, here(), false)]);
    check(Condition::Trailing(false), &[(&longer, here(), false), (&plain, here(), true)]);
}

#[test]
fn signatures() {
    let mut signed = query("a");
    signed[11] = 1;
    signed.extend_from_slice(&[0, 0, 250, 0, 255, 0, 0, 0, 0, 0, 0]);
    check(Condition::Signed(true), &[(&signed, here(), true), (&query("a"), here(), false)]);
    check(Condition::Signed(false), &[(&signed, here(), false), (&query("a"), here(), true)]);
}

#[test]
fn server_names() {
    let message = query("a");
    let asked = |server_name| Client { transport: Transport::Tls, server_name, ..here() };
    let exact = Condition::ServerName(vec![name("dns.example.com")]);
    check(
        exact,
        &[
            (&message, asked(b"DNS.example.com"), true),
            (&message, asked(b"x.dns.example.com"), false),
            (&message, asked(b""), false),
            (&message, asked(b"dns..example.com"), false),
            (&message, asked(&[b'x'; 300]), false),
        ],
    );
    let suffix = Condition::ServerNameSuffix(vec![name("example.com")]);
    check(suffix, &[(&message, asked(b"a.b.example.com"), true), (&message, asked(b"anexample.com"), false)]);
}

#[test]
fn tlvs() {
    let message = query("a");
    let tlv = |kind, value| Condition::Tlv(vec![Tlv { kind, value }]);
    let with = |tlvs| Client { tlvs, ..here() };
    let both = with(b"\x02\0\x03abc\xe0\0\x01x");
    check(tlv(0xe0, TlvValue::Any), &[(&message, both, true), (&message, here(), false)]);
    check(tlv(0xe1, TlvValue::Any), &[(&message, both, false)]);
    check(tlv(2, TlvValue::Equal(b"abc".to_vec())), &[(&message, both, true)]);
    check(tlv(2, TlvValue::Equal(b"ab".to_vec())), &[(&message, both, false)]);
    check(tlv(2, TlvValue::Begins(b"ab".to_vec())), &[(&message, both, true)]);
    check(tlv(2, TlvValue::Any), &[(&message, with(b"\x02\0\x04abc"), false)]);
}

#[test]
fn probability_is_the_share_of_all_messages() {
    let engine = Engine::new(rules(vec![
        (Condition::Probability(1 << 31), RuleAction::Tag(0)),
        (Condition::Probability(1 << 30), RuleAction::Tag(1)),
        (Condition::All(vec![Condition::Tag(vec![0]), Condition::Tag(vec![1])]), RuleAction::Drop),
    ]));
    let message = query("a");
    let dropped = (0..8000).filter(|&n| engine.says(&message, &here(), n * 1000) == "drop rule").count();
    assert!((900..1100).contains(&dropped), "an eighth of 8000, for two rules draw apart: {dropped}");
    for (share, expected) in [(0, "forward ok"), (1 << 32, "drop rule")] {
        let sure = Engine::new(rules(vec![(Condition::Probability(share), RuleAction::Drop)]));
        assert!((0..100).all(|n| sure.says(&message, &here(), n) == expected));
    }
}

#[test]
fn times() {
    // 2024-01-01 00:00 UTC was a Monday.
    const MONDAY: u32 = 1_704_067_200;
    let at = |window, minute: u32| {
        let engine = Engine::new(rules(vec![(Condition::Time(window), RuleAction::Drop)]));
        let now = Now { clock: 1, unix: MONDAY + minute * 60 + 59 };
        matches!(engine.decide_at(&query("a"), &here(), now), Verdict::Drop(_))
    };
    let day = 24 * 60;
    let office = Window { days: 0b001_1111, from: 8 * 60, to: 17 * 60 };
    for (minute, expected) in [
        (8 * 60 - 1, false),
        (8 * 60, true),
        (17 * 60 - 1, true),
        (17 * 60, false),
        (4 * day + 600, true),
        (5 * day + 600, false),
    ] {
        assert_eq!(at(office, minute), expected, "minute {minute}");
    }
    let sunday_night = Window { days: 0b100_0000, from: 22 * 60, to: 6 * 60 };
    for (minute, expected) in
        [(6 * day + 22 * 60 - 1, false), (6 * day + 22 * 60, true), (0, true), (6 * 60, false), (6 * day, false)]
    {
        assert_eq!(at(sunday_night, minute), expected, "minute {minute}");
    }
    let tuesdays = Window { days: 0b000_0010, from: 0, to: 0 };
    assert_eq!([day - 1, day, 2 * day - 1, 2 * day].map(|minute| at(tuesdays, minute)), [false, true, true, false]);
}

#[test]
fn zones() {
    let served = || PolicySpec { zones: vec![name("com"), name("example.com"), name("net")], ..PolicySpec::default() };
    let when = Condition::Zone(vec![name("Example.com"), name("net")]);
    for (qname, expected) in [("a.example.com", true), ("a.com", false), ("net", true)] {
        assert_eq!(holds_in(&when, served(), &query(qname), &here()), expected, "{qname}");
    }
    let rules = vec![Rule { slot: 0, when: Condition::Zone(vec![name("org")]), action: RuleAction::Drop }];
    let error = engine::Policy::new(PolicySpec { rules, ..served() }).expect_err("not served");
    assert!(error.starts_with("rule 0: no served zone"), "{error}");
}

#[test]
fn all_any_and_not() {
    let (yes, no) = (Condition::Edns(false), Condition::Edns(true));
    let message = query("a");
    for (when, expected) in [
        (Condition::All(vec![]), true),
        (Condition::Any(vec![]), false),
        (Condition::All(vec![yes.clone(), no.clone()]), false),
        (Condition::Any(vec![yes.clone(), no.clone()]), true),
        (Condition::All(vec![yes.clone(), Condition::Any(vec![no.clone(), yes.clone()])]), true),
        (Condition::Any(vec![no.clone(), Condition::All(vec![yes, Condition::Not(Box::new(no))])]), true),
    ] {
        assert_eq!(holds(&when, &message, &here()), expected, "{when:?}");
    }
}

fn always() -> Condition {
    Condition::All(vec![])
}

#[test]
fn a_query_without_a_question_has_neither_name_nor_type() {
    let mut cookie = vec![0x12, 0x34, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    cookie.extend_from_slice(b"\0\0\x29\x04\xd0\0\0\0\0\0\x0c\0\x0a\0\x08abcdefgh");
    for when in [
        Condition::QnameSuffix(vec![name("")]),
        Condition::Qtype(vec![1]),
        Condition::Qclass(vec![1]),
        Condition::Labels(0..=127),
        Condition::QnameRegex(vec![String::new()]),
    ] {
        assert!(!holds(&when, &cookie, &here()), "{when:?}");
    }
    assert!(holds(&always(), &cookie, &here()));
}

#[test]
fn final_actions() {
    let says = |action, client: Client<'_>| Engine::new(rules(vec![(always(), action)])).says(&query("a"), &client, 1);
    assert_eq!(says(RuleAction::Drop, here()), "drop rule");
    assert_eq!(says(RuleAction::Reply(5, None), here()), "reply rule 5");
    assert_eq!(says(RuleAction::Reply(3, None), here()), "reply rule 3");
    assert_eq!(says(RuleAction::Truncate, here()), "reply rule tc 0");
    assert_eq!(says(RuleAction::Truncate, over_tcp(here())), "forward ok", "over a stream it means nothing");
    assert_eq!(says(RuleAction::Reply(23, None), here()), "reply rule 2", "BADCOOKIE can't be said without OPT");
    let engine = Engine::new(rules(vec![(always(), RuleAction::Reply(23, None))]));
    assert_eq!(engine.says(&with_opt(1232, 0, b""), &here(), 1), "reply rule 23");
}

#[test]
fn the_first_that_matches_wins_and_allow_passes_the_limits() {
    let list = vec![
        (Condition::Client(vec![("198.51.100.7".parse().unwrap(), 32)]), RuleAction::Allow),
        (Condition::Client(vec![("198.51.100.8".parse().unwrap(), 32)]), RuleAction::Route(3)),
        (Condition::Client(vec![("198.51.100.0".parse().unwrap(), 24)]), RuleAction::Drop),
    ];
    let rate_limits = vec![limit(CLIENT, 1, 1, Action::Drop)];
    let engine = Engine::new(PolicySpec { rate_limits, ..rules(list) });
    let says = |address| [1, 2].map(|now| engine.says(&query("a"), &client(address), now));
    assert_eq!(says("198.51.100.7"), ["forward ok", "forward ok"]);
    assert_eq!(says("198.51.100.8"), ["forward ok", "drop rate-limited"], "routed queries are limited");
    assert_eq!(says("198.51.100.9"), ["drop rule", "drop rule"]);
    assert_eq!(says("203.0.113.1"), ["forward ok", "drop rate-limited"]);
}

#[test]
fn replies_with_an_error_stay_within_the_budget_and_others_within_the_limits() {
    let spec = |rcode| PolicySpec {
        error_budget: ErrorBudget { rate: 2, prefix_rate: 2 },
        rate_limits: vec![limit(Key::GLOBAL, 3, 3, Action::Drop)],
        ..rules(vec![(always(), RuleAction::Reply(rcode, None))])
    };
    let says = |rcode| {
        let engine = Engine::new(spec(rcode));
        [1, 2, 3, 4].map(|now| engine.says(&query("a"), &here(), now))
    };
    assert_eq!(says(5), ["reply rule 5", "reply rule 5", "drop error-budget", "drop error-budget"]);
    assert_eq!(says(3), ["reply rule 3", "reply rule 3", "reply rule 3", "drop rate-limited"]);
    assert_eq!(says(0), ["reply rule 0", "reply rule 0", "reply rule 0", "drop rate-limited"]);
}

#[test]
fn a_reply_says_why_to_who_asked_with_edns() {
    let why = Some((15, "on our list".to_owned()));
    let engine = Engine::new(rules(vec![(always(), RuleAction::Reply(3, why))]));
    for (message, expected) in
        [(with_opt(1232, 0, b""), &b"\0\x0f\0\x0d\0\x0fon our list"[..]), (query("www.example.com"), &b""[..])]
    {
        let Verdict::Reply { echo, rcode, .. } = engine.decide(&message, &here(), 1) else { panic!("no reply") };
        let mut buffer = message.clone();
        buffer.resize(message.len() + wire::REPLY_EXTRA, 0);
        let length = wire::write_reply_with(&mut buffer, echo, rcode, false, engine.policy.options(echo.note));
        assert!(buffer[..length].ends_with(expected));
        assert_eq!(length, 33 + if expected.is_empty() { 0 } else { 11 + expected.len() });
    }
}

fn treatment(engine: &Engine, client: &Client<'_>) -> Treatment {
    match engine.decide(&query("a"), client, 1) {
        Verdict::Forward { treatment, .. } => treatment,
        other => panic!("not forwarded: {other:?}"),
    }
}

#[test]
fn actions_that_go_on() {
    let mut spec = rules(vec![
        (always(), RuleAction::Delay(250)),
        (always(), RuleAction::Mirror(1)),
        (always(), RuleAction::Observe),
        (always(), RuleAction::Route(2)),
        (always(), RuleAction::Drop),
    ]);
    spec.mirrors = vec!["192.0.2.1:53".parse().unwrap(), "192.0.2.2:53".parse().unwrap()];
    let engine = Engine::new(spec);
    assert_eq!(
        treatment(&engine, &here()),
        Treatment { pool: 2, delay: 0, mirror: 2, ..Treatment::default() },
        "no delay over UDP"
    );
    let over_stream = treatment(&engine, &over_tcp(here()));
    assert_eq!(over_stream, Treatment { pool: 2, delay: 250, mirror: 2, ..Treatment::default() });
    assert_eq!(engine.policy.mirror(over_stream), Some("192.0.2.2:53".parse().unwrap()));
}

#[test]
fn an_observed_limit_of_a_rule_marks_who_is_over_it() {
    let observe = |key| RuleAction::Limit(limit(key, 1, 1, Action::Observe));
    let engine = Engine::new(rules(vec![(always(), observe(CLIENT)), (always(), RuleAction::Allow)]));
    assert_eq!([(); 3].map(|()| treatment(&engine, &here()).limited), [false, true, true]);
    let engine = Engine::new(rules(vec![(always(), observe(Key::GLOBAL))]));
    assert_eq!([(); 3].map(|()| treatment(&engine, &here()).limited), [false; 3]);
}

#[test]
fn a_limit_is_final_for_what_is_over_it() {
    let of = |key, action| RuleAction::Limit(limit(key, 1, 1, action));
    let type_a = || Condition::Qtype(vec![1]);
    let engine = Engine::new(rules(vec![
        (type_a(), of(CLIENT, Action::Refuse)),
        (type_a(), of(CLIENT, Action::Drop)),
        (Condition::Client(vec![("203.0.113.1".parse().unwrap(), 32)]), RuleAction::Truncate),
    ]));
    let says = |address, now| engine.says(&query("a"), &client(address), now);
    assert_eq!(says("198.51.100.7", 1), "forward ok");
    assert_eq!(says("198.51.100.7", 2), "reply rate-limited 5", "the second rule has a bucket of its own");
    assert_eq!(says("203.0.113.1", 3), "reply rule tc 0", "under the limit, so on with the next rule");
    assert_eq!(engine.says(&message(0, &name("a"), 2, 1), &here(), 4), "forward ok");
    let totals = engine.layout.totals(&engine.memory).expect("long enough");
    assert_eq!([0, 1, 2].map(|slot| (totals.rule_hits(slot), totals.rule_over(slot))), [(3, 1), (2, 0), (1, 0)]);
}

#[derive(Default)]
struct Told(Vec<String>);

impl Trace for Told {
    fn passed(&mut self, step: Passed) {
        self.0.push(format!("{step:?}"));
    }

    fn looked(&mut self, place: usize) {
        self.0.push(format!("looked {place}"));
    }

    fn rule(&mut self, place: usize, what: &'static str) {
        self.0.push(format!("rule {place} {what}"));
    }

    fn over_limit(&mut self, place: usize) {
        self.0.push(format!("limit {place}"));
    }
}

#[test]
fn a_trace_says_what_a_decision_came_past() {
    let list = vec![
        (Condition::Edns(true), RuleAction::Drop),
        (always(), RuleAction::Tag(7)),
        (always(), RuleAction::Limit(limit(CLIENT, 1, 1, Action::Observe))),
        (always(), RuleAction::Route(1)),
        (always(), RuleAction::Drop),
    ];
    let engine = Engine::new(PolicySpec { rate_limits: vec![limit(CLIENT, 1, 1, Action::Drop)], ..rules(list) });
    let told = |now| {
        let mut trace = Told::default();
        decide_traced(&engine.policy, None, &engine.limits(0), &query("a"), &here(), Now::new(now, 0), &mut trace);
        trace.0
    };
    let before = ["Source", "WireCheck(None)", "Cookie(None)", "Grants", "Zone(None)", "Lists", "looked 0"];
    let first = ["looked 1", "rule 1 tag", "looked 2", "rule 2 under-limit", "looked 3", "rule 3 route"];
    assert_eq!(told(1), [&before[..], &first, &["Rules", "Limits"]].concat());
    let second = ["looked 1", "rule 1 tag", "looked 2", "rule 2 over-limit", "looked 3", "rule 3 route"];
    assert_eq!(told(2), [&before[..], &second, &["Rules", "limit 0"]].concat());
}

#[test]
fn what_can_not_be_compiled() {
    let error = |when, action| engine::Policy::new(rules(vec![(always(), RuleAction::Observe), (when, action)])).err();
    let says = |when, action, expected: &str| {
        let error = error(when, action).unwrap_or_default();
        assert!(error.contains(expected), "{error}");
    };
    says(Condition::QnameRegex(vec!["(".to_owned()]), RuleAction::Drop, "rule 1: the pattern \"(\" is wrong");
    says(Condition::Client(vec![("10.0.0.0".parse().unwrap(), 33)]), RuleAction::Drop, "more prefix bits");
    says(always(), RuleAction::Mirror(0), "rule 1: there is no mirror 0");
    says(always(), RuleAction::Tag(64), "rule 1: tag 64");
    says(always(), RuleAction::Reply(5, Some((0, "x".repeat(97)))), "more than 96 bytes");
    let many = vec![(always(), RuleAction::Observe); engine::RULE_SLOTS + 1];
    assert_eq!(engine::Policy::new(rules(many)).err(), Some("1025 rules are more than 1024".to_owned()));
}

#[test]
fn a_policy_over_its_memory_bound_is_refused_with_the_figure() {
    let names = (0..10_000).map(|n| name(&format!("host{n}.example"))).collect();
    let spec = rules(vec![(Condition::QnameSuffix(names), RuleAction::Drop)]);
    let bytes = engine::Policy::new(spec.clone()).expect("unbounded").bytes();
    assert!((200_000..2_000_000).contains(&bytes), "{bytes}");
    let error = engine::Policy::new(PolicySpec { memory: Some(65_536), ..spec }).expect_err("too large");
    assert_eq!(error, format!("the policy takes {bytes} bytes, more than the 65536 that it may"));
}

#[test]
fn a_thousand_rules() {
    let numbered =
        |n: usize| (Condition::Qname(vec![name(&format!("n{n}"))]), RuleAction::Reply((n % 16) as u16, None));
    let engine = Engine::new(rules((0..engine::RULE_SLOTS).map(numbered).collect()));
    for n in [0, 63, 64, 700, 1023] {
        let said = engine.says(&query(&format!("n{n}")), &client("198.51.100.7"), n as u64 * SECOND);
        assert_eq!(said, format!("reply rule {}", n % 16));
    }
    assert_eq!(engine.says(&query("n1024"), &here(), 1), "forward ok");
}
