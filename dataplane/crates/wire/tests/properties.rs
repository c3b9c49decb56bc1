//! What holds for any bytes.

mod common;

use common::{Message, opcode, option};
use proptest::prelude::*;
use wire::name::{MAX_NAME, equal, labels, lowercase, skip_owner, skip_plain};
use wire::{
    COOKIE_OPTION, Checks, Cookie, EDE_TEXT_MAX, Echo, Edns, HEADER_LEN, OUR_UDP_SIZE, REPLY_EXTRA, Reaction, Reason,
    Transport, check_answer, check_query, extended_error, tsig_key, write_reply, write_reply_with,
};

/// An OPT record without options.
const OPT: usize = 11;

fn transports() -> impl Strategy<Value = Transport> {
    prop::sample::select(&Transport::ALL[..])
}

const WORDS: [&str; 8] = ["pass", "observe", "drop", "formerr", "notimp", "refuse", "badvers", "truncate"];

/// The usual checks with some rows chosen at random, as far as they leave that choice.
fn checks() -> impl Strategy<Value = Checks> {
    let row = (prop::sample::select(&Reason::ALL[..]), prop::sample::select(&WORDS[..]));
    prop::collection::vec(row, 0..6).prop_map(|rows| {
        let mut checks = Checks::default();
        for (reason, word) in rows {
            let _ = checks.choose(reason, word);
        }
        checks
    })
}

fn choosing(reason: Reason, word: &str) -> Checks {
    let mut checks = Checks::default();
    checks.choose(reason, word).expect("the row has this choice");
    checks
}

/// A name in wire form, of any bytes.
fn names() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 0..8).prop_map(|labels| {
        let mut wire = Vec::new();
        for label in labels {
            wire.push(u8::try_from(label.len()).expect("short"));
            wire.extend(label);
        }
        wire.push(0);
        wire
    })
}

/// Messages as honest clients send them.
fn valid_messages() -> impl Strategy<Value = Vec<u8>> {
    let kinds = prop::sample::select(&[(0, 1), (0, 6), (0, 28), (0, 251), (0, 65535), (4, 6), (5, 6)][..]);
    let options = prop::collection::vec((any::<u16>(), prop::collection::vec(any::<u8>(), 0..30)), 0..4);
    let flags = prop::sample::select(&[0_u16, 0x0100, 0x0110, 0x0400, 0x0120][..]);
    (names(), kinds, flags, prop::option::of(options), prop::bool::ANY).prop_map(
        |(name, (code, qtype), flags, options, signed)| {
            let mut message = Message::with_flags(flags | opcode(code)).raw_question(&name, qtype, 1);
            if qtype == 251 {
                message = message.soa(2);
            }
            if let Some(options) = options {
                let good = options.into_iter().filter(|(code, _)| *code != 10);
                let bytes: Vec<u8> = good.flat_map(|(code, value)| option(code, &value)).collect();
                message = message.opt(&[option(10, &[7; 24]), bytes].concat());
            }
            if signed { message.tsig() } else { message }.bytes()
        },
    )
}

/// Valid messages with a few bytes changed, and perhaps the end cut off or something behind it.
fn mutated_messages() -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let tail = prop::collection::vec(any::<u8>(), 0..3);
    (valid_messages(), changes, any::<prop::sample::Index>(), prop::bool::ANY, tail).prop_map(
        |(mut message, changes, end, cut, tail)| {
            for (index, byte) in changes {
                let at = index.index(message.len());
                message[at] = byte;
            }
            if cut {
                message.truncate(end.index(message.len() + 1));
            }
            message.extend(tail);
            message
        },
    )
}

fn messages() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..600),
        mutated_messages(),
        mutated_messages(),
        mutated_messages(),
        valid_messages(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// No bytes bring the pass down, and what it returns lies within the message.
    #[test]
    fn any_bytes_get_a_verdict(message in messages(), transport in transports(), checks in checks()) {
        match check_query(&message, transport, &checks) {
            Ok(query) => {
                prop_assert!(message[2] & 0x80 == 0);
                if let Some(question) = query.question {
                    prop_assert_eq!(question.name, &message[HEADER_LEN..HEADER_LEN + question.name.len()]);
                    prop_assert_eq!(labels(question.name).count(), usize::from(question.labels));
                    prop_assert!(question.name.len() <= MAX_NAME && question.name.ends_with(&[0]));
                }
                prop_assert!(query.edns.is_none_or(|edns| edns.udp_size >= 512));
                if query.observed.is_none() {
                    prop_assert!(message[3] & 0x0f == 0 && query.edns.is_none_or(|edns| edns.version == 0));
                    prop_assert_eq!(query.question.is_none(), message[4..6] == [0, 0]);
                }
            }
            Err(fault) => {
                prop_assert_ne!(fault.reason, Reason::Ok);
                prop_assert!(HEADER_LEN + usize::from(fault.question_len) <= message.len().max(HEADER_LEN));
                if message.get(2).is_none_or(|flags| flags & 0x80 != 0) {
                    prop_assert_eq!(fault.reaction, Reaction::Drop, "a response is never answered");
                }
            }
        }
    }

    #[test]
    fn what_honest_clients_send_passes(message in valid_messages(), transport in transports()) {
        prop_assert!(check_query(&message, transport, &Checks::default()).is_ok());
    }

    /// The verdict is the same wherever the message lies in a buffer; nothing behind it is read.
    #[test]
    fn a_cut_message_never_passes_as_another(message in valid_messages(), at in any::<prop::sample::Index>()) {
        let cut = &message[..at.index(message.len())];
        let checks = choosing(Reason::TrailingBytes, "pass");
        prop_assert!(check_query(cut, Transport::Udp, &checks).is_err());
    }

    /// Any bytes have no key, or one whose name is a name in lower case.
    #[test]
    fn the_key_of_any_bytes_is_a_name_or_none(message in prop_oneof![messages(), valid_messages()]) {
        let mut into = [0; MAX_NAME];
        if let Some(key) = tsig_key(&message, &mut into) {
            prop_assert_eq!(skip_plain(key, 0).map(|(end, _)| end), Ok(key.len()));
            prop_assert_eq!(key.to_ascii_lowercase(), key);
        }
    }

    /// Where every row only observes, all passes that has a header and is no response, and the first fault is named.
    #[test]
    fn what_is_observed_passes_and_is_named(message in messages(), transport in transports()) {
        let mut lax = Checks::default();
        for reason in Reason::ALL {
            let _ = lax.choose(reason, if reason == Reason::TcBit { "pass" } else { "observe" });
        }
        match (check_query(&message, transport, &Checks::default()), check_query(&message, transport, &lax)) {
            (Ok(strict), Ok(observed)) => prop_assert_eq!(strict, observed),
            (Err(fault), Ok(observed)) => prop_assert_eq!(observed.observed, Some(fault.reason)),
            (Err(fault), Err(same)) => {
                prop_assert_eq!(fault, same);
                prop_assert!(matches!(fault.reason, Reason::TooShort | Reason::TooLarge | Reason::IsResponse
                    | Reason::ChaosRefused));
            }
            (Ok(_), Err(_)) => prop_assert!(false, "a choice to observe refuses nothing"),
        }
    }

    /// Every reply that the check asks for can be written, is a response to the message, and passes as an answer.
    #[test]
    fn replies_are_answers(
        message in messages(),
        transport in transports(),
        checks in checks(),
        room in 0_usize..60,
        cookie in prop::option::of(Just(Cookie { client: *b"12345678", stamp: [1, 2, 3, 4], tag: *b"87654321" })),
    ) {
        let Err(fault) = check_query(&message, transport, &checks) else { return Ok(()) };
        let Reaction::Reply { rcode, truncated } = fault.reaction else { return Ok(()) };
        let mut buffer = message.clone();
        buffer.resize(message.len() + room, 0xee);
        let echo = Echo { cookie, ..fault.echo() };
        let length = write_reply(&mut buffer, echo, rcode, truncated);
        let extra = match (fault.edns, cookie) {
            (None, _) => 0,
            (Some(_), None) => OPT,
            (Some(_), Some(_)) => OPT + COOKIE_OPTION,
        };
        let needed = HEADER_LEN + usize::from(fault.question_len) + extra;
        if length == 0 {
            prop_assert!(buffer.len() < needed);
            prop_assert!(buffer.starts_with(&message), "what does not fit leaves the buffer alone");
            return Ok(());
        }
        prop_assert_eq!(length, needed);
        let answer = check_answer(&buffer[..length]).expect("our own reply parses");
        prop_assert_eq!(answer.id.to_be_bytes(), [message[0], message[1]]);
        prop_assert_eq!(answer.opcode, message[2] >> 3 & 0x0f);
        prop_assert_eq!((u16::from(answer.rcode), answer.truncated), (rcode & 0x0f, truncated));
        prop_assert_eq!(answer.question.map_or(0, |question| question.wire_len()), fault.question_len);
        if let Some(cookie) = cookie.filter(|_| fault.edns.is_some()) {
            prop_assert!(buffer[..length].ends_with(&cookie.option()));
        }
        if let Some(question) = answer.question {
            prop_assert_eq!(question.name, &message[HEADER_LEN..HEADER_LEN + question.name.len()], "0x20 case is kept");
        }
    }

    /// A reason that goes with a reply stands in its OPT, and the reply fits into 512 bytes.
    #[test]
    fn extended_errors(qname in names(), code in any::<u16>(), text in "[ -~]{0,96}") {
        let mut message = Message::query(1).bytes();
        message.truncate(HEADER_LEN);
        message.extend_from_slice(&qname);
        message.extend_from_slice(&[0, 1, 0, 1]);
        let question_len = qname.len() as u16 + 4;
        let edns = Some(Edns { udp_size: 512, version: 0, dnssec_ok: true });
        let reason = extended_error(code, &text).expect("short enough");
        let mut buffer = message.clone();
        buffer.resize(message.len() + REPLY_EXTRA, 0);
        let length = write_reply_with(&mut buffer, Echo { question_len, edns, ..Echo::default() }, 5, false, &reason);
        prop_assert!(length <= 512);
        // Read by the check for queries: with QR and RCODE taken out, the reply is one.
        buffer[2] &= 0x7f;
        buffer[3] = 0;
        let read = check_query(&buffer[..length], Transport::Udp, &Checks::default()).expect("well formed");
        prop_assert_eq!(read.edns.map(|edns| (edns.udp_size, edns.dnssec_ok)), Some((OUR_UDP_SIZE, true)));
        let value = [&code.to_be_bytes(), text.as_bytes()].concat();
        prop_assert_eq!(read.options().collect::<Vec<_>>(), vec![(15, &value[..])]);
        prop_assert_eq!(extended_error(code, &"x".repeat(EDE_TEXT_MAX + 1)), None);
    }

    /// A reply never passes as a query, so that two gateways can't talk to each other for ever.
    #[test]
    fn replies_are_no_queries(message in messages(), checks in checks()) {
        let Err(fault) = check_query(&message, Transport::Udp, &checks) else { return Ok(()) };
        let Reaction::Reply { rcode, truncated } = fault.reaction else { return Ok(()) };
        let mut buffer = message;
        buffer.resize(buffer.len() + REPLY_EXTRA, 0);
        let length = write_reply(&mut buffer, fault.echo(), rcode, truncated);
        let again = check_query(&buffer[..length], Transport::Udp, &checks);
        prop_assert_eq!(again.map_err(|fault| fault.reaction), Err(Reaction::Drop));
    }

    #[test]
    fn answers_of_any_bytes(message in messages(), response in prop::bool::ANY) {
        let mut message = message;
        if response && message.len() > 2 {
            message[2] |= 0x80;
        }
        match check_answer(&message) {
            Ok(answer) => {
                prop_assert!(message.len() >= HEADER_LEN && message[2] & 0x80 != 0);
                if let Some(question) = answer.question {
                    prop_assert_eq!(question.name, &message[HEADER_LEN..HEADER_LEN + question.name.len()]);
                }
            }
            Err(reason) => prop_assert!(reason.label().starts_with("answer-")),
        }
    }

    /// Names: reading over one plainly and as an owner agree, labels put together are the name, case does not matter.
    #[test]
    fn names_hold_together(name in names(), before in prop::collection::vec(any::<u8>(), 0..30)) {
        let message = [&before[..], &name].concat();
        let (end, count) = skip_plain(&message, before.len()).expect("a good name");
        prop_assert_eq!(end, message.len());
        prop_assert_eq!(skip_owner(&message, before.len()), Ok(end));
        prop_assert_eq!(usize::from(count), labels(&name).count());
        prop_assert_eq!(labels(&name).map(|label| label.len() + 1).sum::<usize>() + 1, name.len());
        let mut buffer = [0; MAX_NAME];
        let lower = lowercase(&name, &mut buffer).expect("fits");
        prop_assert!(equal(lower, &name) && equal(&name, &name.to_ascii_uppercase()));
        prop_assert!(lower.iter().all(|byte| !byte.is_ascii_uppercase()));
    }

    #[test]
    fn any_bytes_may_be_taken_for_a_name(bytes in prop::collection::vec(any::<u8>(), 0..300), start in 0_usize..310) {
        if let Ok((end, count)) = skip_plain(&bytes, start) {
            prop_assert!(end <= bytes.len() && end - start <= MAX_NAME);
            prop_assert_eq!(labels(&bytes[start..end]).count(), usize::from(count));
            prop_assert_eq!(skip_owner(&bytes, start), Ok(end));
        }
        if let Ok(end) = skip_owner(&bytes, start) {
            prop_assert!(end <= bytes.len() && end - start <= MAX_NAME + 1);
        }
        prop_assert!(labels(&bytes).map(|label| label.len() + 1).sum::<usize>() <= bytes.len());
    }
}

#[test]
fn labels_of_reasons_are_distinct_metric_labels() {
    let mut seen = std::collections::BTreeSet::new();
    for (index, reason) in Reason::ALL.into_iter().enumerate() {
        assert_eq!(reason as usize, index);
        let label = reason.label();
        assert!(label.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{label}");
        assert!(seen.insert(label), "{label} twice");
    }
    assert_eq!(seen.len(), Reason::COUNT);
}

#[test]
fn a_longer_name_than_there_can_be_is_not_copied() {
    assert_eq!(lowercase(&[b'A'; 256], &mut [0; MAX_NAME]), None);
}
