//! The classes of answers, and how an answer is cut.

mod common;

use common::{Message, name, option};
use proptest::prelude::*;
use wire::name::{MAX_NAME, expand, labels, skip_owner};
use wire::{AnswerClass, HEADER_LEN, check_answer, classify, cut_answer};

const QR: u16 = 0x8000;
const AA: u16 = 0x0400;
const TC: u16 = 0x0200;
const DNSKEY: u16 = 48;
const RRSIG: u16 = 46;
/// The name of the question, and its parent.
const QNAME: [u8; 2] = [0xc0, 12];
const PARENT: [u8; 2] = [0xc0, 16];

/// An authoritative answer to `www.Example.com`.
fn answer(rcode: u16, qtype: u16) -> Message {
    Message::with_flags(QR | AA | rcode).question("www.Example.com", qtype, 1)
}

fn record(message: Message, section: usize, owner: &[u8], kind: u16) -> Message {
    message.record(section, owner, (kind, 1), 300, &[192, 0, 2, 1])
}

/// RRSIG of A by `count` labels.
fn signature(message: Message, section: usize, owner: &[u8], count: u8) -> Message {
    message.record(section, owner, (RRSIG, 1), 300, &[0, 1, 13, count, 0, 0, 1, 44, 0])
}

fn class_of(bytes: &[u8]) -> (AnswerClass, Vec<u8>) {
    let mut buffer = [0; MAX_NAME];
    let (class, name) = classify(bytes, &check_answer(bytes).expect("an answer"), &mut buffer);
    (class, name.to_vec())
}

#[test]
fn the_classes() {
    use AnswerClass::{Any, Dnskey, Error, Nodata, Nxdomain, Positive, Referral, Wildcard};
    let not_ours = |qtype| answer(0, qtype).flags(QR);
    let rows: Vec<(&str, Message, AnswerClass, &str)> = vec![
        ("an address", record(answer(0, 1), 1, &QNAME, 1), Positive, "www.example.com"),
        ("ANY", record(answer(0, 255), 1, &QNAME, 1), Any, "www.example.com"),
        ("DNSKEY", record(answer(0, DNSKEY), 1, &QNAME, DNSKEY), Dnskey, "www.example.com"),
        ("no data", record(answer(0, 1), 2, &PARENT, 6), Nodata, "example.com"),
        ("no data for ANY: the name is anybody's", record(answer(0, 255), 2, &PARENT, 6), Nodata, "example.com"),
        ("no data without SOA", answer(0, DNSKEY), Nodata, ""),
        ("signed no data", record(signature(answer(0, 1), 2, &PARENT, 2), 2, &PARENT, 6), Nodata, "example.com"),
        ("no such name", record(answer(3, 1), 2, &name("COM"), 6), Nxdomain, "com"),
        ("behind an alias", record(record(answer(3, 1), 1, &QNAME, 5), 2, &PARENT, 6), Nxdomain, "example.com"),
        ("no such name, no SOA", answer(3, 255), Nxdomain, ""),
        ("SERVFAIL", record(answer(2, 1), 2, &PARENT, 6), Error, ""),
        ("REFUSED", answer(5, 255), Error, ""),
        ("an error without question", Message::with_flags(QR | 1), Error, ""),
        ("a referral", record(not_ours(1), 2, &PARENT, 2), Referral, "example.com"),
        ("a signed referral", record(record(not_ours(1), 2, &QNAME, 43), 2, &QNAME, 2), Referral, "www.example.com"),
        ("NS and AA is no referral", record(answer(0, 1), 2, &PARENT, 2), Nodata, "example.com"),
        ("signed", signature(record(answer(0, 1), 1, &QNAME, 1), 1, &QNAME, 3), Positive, "www.example.com"),
        ("a wildcard", signature(record(answer(0, 1), 1, &QNAME, 1), 1, &QNAME, 2), Wildcard, "example.com"),
        ("a wildcard, ANY", signature(record(answer(0, 255), 1, &QNAME, 1), 1, &QNAME, 1), Wildcard, "com"),
        ("a wildcard below the root", signature(answer(0, 1), 1, &QNAME, 0), Wildcard, "."),
        ("the wildcard itself", signature(answer(0, 1), 1, &name("*.example"), 1), Positive, "www.example.com"),
        ("truncated by the node", answer(0, 1).flags(QR | AA | TC), Positive, "www.example.com"),
    ];
    for (what, message, class, shared) in rows {
        let wire = if shared.is_empty() { Vec::new() } else { name(shared) };
        assert_eq!(class_of(&message.bytes()), (class, wire), "{what}");
    }
}

#[test]
fn what_is_broken_has_a_class_too() {
    let whole = signature(record(record(answer(0, 1), 1, &QNAME, 1), 2, &PARENT, 6), 2, &PARENT, 2).bytes();
    let question_end = HEADER_LEN + name("www.example.com").len() + 4;
    for length in question_end..whole.len() {
        assert_eq!(class_of(&whole[..length]).0, AnswerClass::Positive, "{length}");
    }
    let lying = answer(3, 1).counts([1, 0xffff, 0xffff, 0]);
    assert_eq!(class_of(&lying.bytes()), (AnswerClass::Nxdomain, Vec::new()));
}

#[test]
fn names_with_pointers() {
    let mut message = vec![0; 12];
    message.extend(name("example.com"));
    let at = message.len();
    message.extend(b"\x03www\xc0\x0c");
    let chained = message.len();
    message.extend([&b"\x01a\xc0"[..], &[u8::try_from(at).expect("short")]].concat());
    let mut into = [0; MAX_NAME];
    let mut expanded = |start: usize| expand(&message, start, &mut into).map(|length| into[..length].to_vec());
    assert_eq!(expanded(12), Some(name("example.com")));
    assert_eq!(expanded(at), Some(name("www.example.com")));
    assert_eq!(expanded(chained), Some(name("a.www.example.com")));
    assert_eq!(expanded(message.len()), None);
    for bad in [&b"\xc0\x0c"[..], b"\xc0\x0e", b"\x01a\xc0\x0d", b"\xc0\x0b", b"\xc0\x00", b"\x40", b"\x05ab", b"\xc0"]
    {
        let bytes = [&[0; 12][..], bad].concat();
        assert_eq!(expand(&bytes, 12, &mut into), None, "{bad:?}");
    }
}

#[test]
fn names_may_chain_a_pointer_for_each_label() {
    // As NSD writes the names below ip6.arpa: each label of one is a label and a pointer to the rest.
    let mut message = [vec![0; 12], name("arpa")].concat();
    let (mut at, mut text) = (12, "arpa".to_owned());
    for digit in (0..33).map(|n| char::from_digit(n % 16, 16).expect("a digit")) {
        let pointer = [0xc0, u8::try_from(at).expect("short")];
        at = message.len();
        message.extend([&[1, digit as u8], &pointer[..]].concat());
        text = format!("{digit}.{text}");
    }
    let mut into = [0; MAX_NAME];
    let length = expand(&message, at, &mut into).expect("a name");
    assert_eq!(into[..length], name(&text));
}

#[test]
fn a_cut_answer_has_its_question_and_opt() {
    let whole = record(record(answer(3, 1), 1, &QNAME, 1), 2, &PARENT, 6).opt(&option(3, b"an id of the node"));
    let mut bytes = whole.bytes();
    let whole = bytes.len();
    bytes.extend([0xee; 50]);
    let length = cut_answer(&mut bytes, whole).expect("can be cut");
    let expected = Message::with_flags(QR | TC).question("www.Example.com", 1, 1).opt(b"").bytes();
    assert_eq!(bytes[..length], expected, "NOERROR, TC, no AA");
    let mut plain = record(answer(0, 1), 1, &QNAME, 1).bytes();
    let whole = plain.len();
    let length = cut_answer(&mut plain, whole).expect("can be cut");
    assert_eq!(plain[..length], Message::with_flags(QR | TC).question("www.Example.com", 1, 1).bytes());
}

#[test]
fn a_signed_or_broken_answer_is_not_cut() {
    let signed = record(answer(0, 1), 1, &QNAME, 1).tsig().bytes();
    let cut = record(answer(0, 1), 1, &QNAME, 1).counts([1, 2, 0, 0]).bytes();
    for mut bytes in [signed, cut, b"short".to_vec(), Vec::new()] {
        let (before, length) = (bytes.clone(), bytes.len());
        assert_eq!(cut_answer(&mut bytes, length), None);
        assert_eq!(cut_answer(&mut bytes, length + 1), None, "longer than the buffer");
        assert_eq!(bytes, before);
    }
}

/// Bytes that begin as an answer does, and others.
fn answers() -> impl Strategy<Value = Vec<u8>> {
    let tail = || prop::collection::vec(any::<u8>(), 0..120);
    let likely = (0_u16..6, 0_u16..4, 0_u16..4, 0_u16..3, tail())
        .prop_map(|(rcode, a, n, r, tail)| answer(rcode, 1).counts([1, a, n, r]).raw(&tail).bytes());
    let sections =
        (0_u16..6, prop::collection::vec((1_usize..4, 0_usize..5, 0_u8..5), 0..8)).prop_map(|(rcode, rows)| {
            let kinds = [1, 2, 6, RRSIG, 41];
            rows.into_iter()
                .fold(answer(rcode, 1), |message, (section, kind, count)| match kinds[kind] {
                    RRSIG => signature(message, section, &QNAME, count),
                    kind => record(message, section, &PARENT, kind),
                })
                .bytes()
        });
    prop_oneof![likely, sections, tail()]
}

proptest! {
    #[test]
    fn any_answer_has_a_class_and_a_name(bytes in answers()) {
        let Ok(answer) = check_answer(&bytes) else { return Ok(()) };
        let mut buffer = [0; MAX_NAME];
        let (class, shared) = classify(&bytes, &answer, &mut buffer);
        prop_assert!(shared.iter().all(|byte| !byte.is_ascii_uppercase()));
        let walked: usize = labels(shared).map(|label| label.len() + 1).sum();
        prop_assert!(shared.is_empty() || walked + 1 == shared.len(), "one whole name: {:?}", shared);
        match answer.rcode {
            0 => prop_assert!(!matches!(class, AnswerClass::Nxdomain | AnswerClass::Error)),
            3 => prop_assert_eq!(class, AnswerClass::Nxdomain),
            _ => prop_assert_eq!((class, shared), (AnswerClass::Error, &b""[..])),
        }
    }

    #[test]
    fn any_answer_is_cut_to_less_or_left_alone(bytes in answers(), slack in 0_usize..30) {
        let mut cut = bytes.clone();
        cut.resize(bytes.len() + slack, 0xee);
        let before = cut.clone();
        match cut_answer(&mut cut, bytes.len()) {
            None => prop_assert_eq!(cut, before),
            Some(length) => {
                prop_assert!((HEADER_LEN..=bytes.len()).contains(&length));
                prop_assert_eq!(&cut[bytes.len()..], &before[bytes.len()..]);
                let (whole, short) = (check_answer(&bytes).expect("good"), check_answer(&cut[..length]).expect("good"));
                prop_assert_eq!((short.id, short.question, short.rcode, short.truncated), (whole.id, whole.question, 0, true));
                prop_assert_eq!(cut_answer(&mut cut, length), Some(length), "a second cut changes nothing");
            }
        }
    }

    /// A name that was expanded is one that can be read over, whatever the bytes.
    #[test]
    fn any_bytes_may_be_expanded(bytes in prop::collection::vec(any::<u8>(), 0..300), start in 0_usize..310) {
        let mut into = [0; MAX_NAME];
        if let Some(length) = expand(&bytes, start, &mut into) {
            prop_assert!(skip_owner(&bytes, start).is_ok());
            prop_assert_eq!(skip_owner(&into[..length], 0), Ok(length));
        }
    }
}
