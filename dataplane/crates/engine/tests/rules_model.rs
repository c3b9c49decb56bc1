//! The compiled rules decide as a slow and obvious reading of the same rules does, on random rules and messages.

mod common;

use common::{Engine, client, name};
use engine::{Client, Condition, PolicySpec, Rule, RuleAction, Section, Tlv, TlvValue, Verdict};
use proptest::prelude::*;
use wire::{Checks, Query, Reason, Transport, check_query};

const NAMES: [&str; 7] = ["", "com", "example.com", "www.example.com", "a.www.example.com", "net", "b.net"];
const PREFIXES: [(&str, u8); 6] =
    [("0.0.0.0", 0), ("10.0.0.0", 8), ("10.1.0.0", 16), ("10.1.2.3", 32), ("2001:db8::", 32), ("2001:db8::1", 128)];
const TYPES: [u16; 5] = [1, 28, 255, 256, 65_000];

fn subset<T: Clone + std::fmt::Debug + 'static>(items: Vec<T>) -> impl Strategy<Value = Vec<T>> {
    let most = items.len();
    prop::sample::subsequence(items, 0..=most)
}

fn names() -> impl Strategy<Value = Vec<Vec<u8>>> {
    subset(NAMES.iter().map(|text| name(text)).collect())
}

fn range(most: u16) -> impl Strategy<Value = std::ops::RangeInclusive<u16>> {
    (0..=most, 0..=most).prop_map(|(a, b)| a.min(b)..=a.max(b))
}

fn leaf() -> impl Strategy<Value = Condition> {
    let prefix = |&(text, bits): &(&str, u8)| (text.parse().expect("an address"), bits);
    let small = |range: std::ops::RangeInclusive<u16>| *range.start() as u8..=*range.end() as u8;
    let flags = prop::sample::select(vec![0_u16, 0x0100, 0x0010, 0x0110]);
    let tlv = |value| Tlv { kind: 2, value };
    prop_oneof![
        subset(PREFIXES.iter().map(prefix).collect()).prop_map(Condition::Client),
        subset(vec![0, 1, 2]).prop_map(Condition::Listener),
        subset(Transport::ALL.to_vec()).prop_map(Condition::Transport),
        names().prop_map(Condition::Qname),
        names().prop_map(Condition::QnameSuffix),
        subset(vec!["^w+\\.".to_owned(), "com$".to_owned(), "^\\.$".to_owned()]).prop_map(Condition::QnameRegex),
        range(5).prop_map(move |range| Condition::Labels(small(range))),
        subset(TYPES.to_vec()).prop_map(Condition::Qtype),
        subset(vec![1, 3]).prop_map(Condition::Qclass),
        subset(vec![0, 4]).prop_map(Condition::Opcode),
        (flags.clone(), flags).prop_map(|(set, unset)| Condition::Flags { set, unset }),
        any::<bool>().prop_map(Condition::Edns),
        subset(vec![8, 10]).prop_map(Condition::EdnsOption),
        range(2000).prop_map(Condition::EdnsSize),
        any::<bool>().prop_map(Condition::DnssecOk),
        range(2).prop_map(|range| Condition::Count(Section::Additional, range)),
        range(80).prop_map(Condition::Size),
        any::<bool>().prop_map(Condition::Trailing),
        any::<bool>().prop_map(Condition::Signed),
        names().prop_map(Condition::ServerNameSuffix),
        subset(vec![tlv(TlvValue::Any), tlv(TlvValue::Equal(b"ab".to_vec())), tlv(TlvValue::Begins(b"a".to_vec()))])
            .prop_map(Condition::Tlv),
        subset(vec![0, 1, 2]).prop_map(Condition::Tag),
    ]
}

fn condition() -> impl Strategy<Value = Condition> {
    leaf().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Condition::All),
            prop::collection::vec(inner.clone(), 0..4).prop_map(Condition::Any),
            inner.prop_map(|part| Condition::Not(Box::new(part))),
        ]
    })
}

fn action() -> impl Strategy<Value = RuleAction> {
    prop_oneof![
        Just(RuleAction::Allow),
        Just(RuleAction::Drop),
        Just(RuleAction::Reply(3, None)),
        Just(RuleAction::Truncate),
        (0..3_u8).prop_map(RuleAction::Tag),
        (1..4_u8).prop_map(RuleAction::Route),
        (1..4_u16).prop_map(RuleAction::Delay),
        Just(RuleAction::Observe),
    ]
}

#[derive(Clone, Debug)]
struct Sent {
    message: Vec<u8>,
    address: &'static str,
    transport: Transport,
    listener: u16,
    tlvs: &'static [u8],
    server_name: &'static [u8],
}

fn sent() -> impl Strategy<Value = Sent> {
    let who = (
        prop::sample::select(vec!["10.1.2.3", "10.1.9.9", "10.9.9.9", "192.0.2.1", "2001:db8::1", "2001:db8::2"]),
        prop::sample::select(Transport::ALL.to_vec()),
        0..4_u16,
        prop::sample::select(vec![&b""[..], b"\x02\0\x02ab", b"\x02\0\x01b\xe0\0\0"]),
        prop::sample::select(vec![&b""[..], b"WWW.example.com", b"net"]),
    );
    let what = (
        prop::sample::select(NAMES.to_vec()),
        prop::sample::select([&TYPES[..], &[2]].concat()),
        prop::sample::select(vec![0_u8, 0x01]),
        prop::option::of((
            prop::sample::select(vec![512_u16, 1232]),
            prop::sample::select(vec![0, 0x80_u8]),
            0..3_usize,
        )),
        0..2_usize,
    );
    (who, what).prop_map(|((address, transport, listener, tlvs, server_name), (qname, qtype, rd, opt, extra))| {
        let mut message = common::message(0, &name(qname), qtype, 1);
        message[2] |= rd;
        if let Some((size, flags, option)) = opt {
            message[11] = 1;
            message.extend_from_slice(&[0, 0, 41, (size >> 8) as u8, size as u8, 0, 0, flags, 0]);
            let options: &[u8] = [&b""[..], b"\0\x08\0\x04\0\x01\0\0", b"\0\x0a\0\x08abcdefgh"][option];
            message.extend_from_slice(&[0, options.len() as u8]);
            message.extend_from_slice(options);
        }
        message.extend(std::iter::repeat_n(b'x', extra));
        Sent { message, address, transport, listener, tlvs, server_name }
    })
}

/// Everything that the model looks at.
struct Seen<'s> {
    sent: &'s Sent,
    query: Query<'s>,
    tags: Vec<u8>,
}

impl Seen<'_> {
    fn holds(&self, condition: &Condition) -> bool {
        let query = &self.query;
        let question = query.question;
        let lower = |name: &[u8]| name.to_ascii_lowercase();
        let below = |asked: &[u8], name: &[u8]| {
            let (asked, name) = (lower(asked), lower(name));
            let mut rest = &asked[..];
            loop {
                if rest == name {
                    return true;
                }
                match rest {
                    [0] | [] => return false,
                    [length, tail @ ..] => rest = &tail[usize::from(*length)..],
                }
            }
        };
        match condition {
            Condition::All(parts) => parts.iter().all(|part| self.holds(part)),
            Condition::Any(parts) => parts.iter().any(|part| self.holds(part)),
            Condition::Not(part) => !self.holds(part),
            Condition::Client(list) => list.iter().any(|(prefix, bits)| in_prefix(self.sent.address, *prefix, *bits)),
            Condition::Listener(list) => list.contains(&self.sent.listener),
            Condition::Transport(list) => list.contains(&self.sent.transport),
            Condition::Qname(list) => question.is_some_and(|it| list.iter().any(|name| lower(name) == lower(it.name))),
            Condition::QnameSuffix(list) => question.is_some_and(|it| list.iter().any(|name| below(it.name, name))),
            Condition::QnameRegex(list) => question.is_some_and(|it| list.iter().any(|text| by_hand(text, it.name))),
            Condition::Labels(range) => question.is_some_and(|it| range.contains(&it.labels)),
            Condition::Qtype(list) => question.is_some_and(|it| list.contains(&it.qtype)),
            Condition::Qclass(list) => question.is_some_and(|it| list.contains(&it.qclass)),
            Condition::Opcode(list) => list.contains(&query.opcode),
            Condition::Flags { set, unset } => query.flags & set == *set && query.flags & unset == 0,
            Condition::Edns(wanted) => query.edns.is_some() == *wanted,
            Condition::EdnsOption(list) => query.options().any(|(code, _)| list.contains(&code)),
            Condition::EdnsSize(range) => query.edns.is_some_and(|edns| range.contains(&edns.udp_size)),
            Condition::DnssecOk(wanted) => query.edns.is_some_and(|edns| edns.dnssec_ok) == *wanted,
            Condition::Count(_, range) => range.contains(&u16::from(self.sent.message[11])),
            Condition::Size(range) => range.contains(&(self.sent.message.len() as u16)),
            Condition::Trailing(wanted) => self.sent.message.ends_with(b"x") == *wanted,
            Condition::Signed(wanted) => !wanted,
            Condition::ServerNameSuffix(list) => {
                let asked = std::str::from_utf8(self.sent.server_name).expect("text");
                !asked.is_empty() && list.iter().any(|suffix| below(&name(asked), suffix))
            }
            Condition::Tlv(list) => list.iter().any(|tlv| match (&tlv.value, self.sent.tlvs.get(3..)) {
                (_, None) => false,
                (TlvValue::Any, Some(_)) => true,
                (TlvValue::Equal(bytes), Some(rest)) => self.sent.tlvs[2] == 2 && rest == bytes,
                (TlvValue::Begins(bytes), Some(rest)) => rest.starts_with(bytes),
            }),
            Condition::Tag(list) => list.iter().any(|tag| self.tags.contains(tag)),
            other => panic!("not made here: {other:?}"),
        }
    }
}

fn in_prefix(address: &str, prefix: std::net::IpAddr, bits: u8) -> bool {
    let number = |address: std::net::IpAddr| match address {
        std::net::IpAddr::V4(v4) => (4, u128::from(v4.to_bits()) << 96),
        std::net::IpAddr::V6(v6) => (6, v6.to_bits()),
    };
    let ((family, ours), (other, theirs)) = (number(address.parse().expect("an address")), number(prefix));
    family == other && (bits == 0 || (ours ^ theirs) >> (128 - u32::from(bits)) == 0)
}

/// The three patterns of this test, read by hand.
fn by_hand(pattern: &str, qname: &[u8]) -> bool {
    match pattern {
        "^\\.$" => qname == [0],
        "com$" => qname.ends_with(b"\x03com\0"),
        _ => qname[0] == 3 && qname.len() > 5 && qname[1..4].eq_ignore_ascii_case(b"www"),
    }
}

/// What the rules say, in words.
fn model(rules: &[Rule], sent: &Sent, query: Query<'_>) -> String {
    let mut seen = Seen { sent, query, tags: Vec::new() };
    let (mut pool, mut delay) = (0, 0);
    for rule in rules {
        let stream = sent.transport.is_stream();
        if !seen.holds(&rule.when) {
            continue;
        }
        match &rule.action {
            RuleAction::Drop => return "drop".to_owned(),
            RuleAction::Reply(rcode, _) => return format!("reply {rcode}"),
            RuleAction::Truncate if stream => {}
            RuleAction::Truncate => return "tc".to_owned(),
            RuleAction::Allow => break,
            RuleAction::Route(to) => {
                pool = *to;
                break;
            }
            RuleAction::Tag(tag) => seen.tags.push(*tag),
            RuleAction::Delay(time) if stream => delay = *time,
            _ => {}
        }
    }
    format!("forward {pool} {delay}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_compiled_rules_decide_as_the_model(
        list in prop::collection::vec((condition(), action()), 0..12),
        messages in prop::collection::vec(sent(), 1..12),
        filler in prop::sample::select(vec![0_usize, 70]),
    ) {
        let mut checks = Checks::default();
        for reason in [Reason::TrailingBytes, Reason::AnyOverUdp] {
            checks.choose(reason, "pass").expect("a choice");
        }
        // Rules that match nothing push the others behind the first word of the bitmaps.
        let never = (0..filler).map(|_| (Condition::Any(vec![]), RuleAction::Drop));
        let rules: Vec<_> =
            never.chain(list).enumerate().map(|(slot, (when, action))| Rule { slot: slot as u16, when, action }).collect();
        let spec = PolicySpec { pass_all: true, rules: rules.clone(), checks: checks.clone(), ..PolicySpec::default() };
        let engine = Engine::new(spec);
        for sent in &messages {
            let client = Client {
                transport: sent.transport,
                listener: sent.listener,
                tlvs: sent.tlvs,
                server_name: sent.server_name,
                ..client(sent.address)
            };
            let query = check_query(&sent.message, sent.transport, &checks).expect("well formed");
            let found = match engine.decide(&sent.message, &client, 1) {
                Verdict::Forward { treatment, .. } => format!("forward {} {}", treatment.pool, treatment.delay),
                Verdict::Drop(Reason::Rule) => "drop".to_owned(),
                Verdict::Reply { reason: Reason::Rule, truncated: true, .. } => "tc".to_owned(),
                Verdict::Reply { reason: Reason::Rule, rcode, .. } => format!("reply {rcode}"),
                other => format!("{other:?}"),
            };
            prop_assert_eq!(found, model(&rules, sent, query), "{:?}", sent);
        }
    }
}
