//! The table of docs/guard.md as a test: for each reason an answer that is rejected for it, and for nothing else.

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;

use common::*;
use xfr::{Answers, Keys, Limits, Piece, Reason, Verdict};

/// A query and what the primary does.
struct Case {
    reason: Reason,
    query: Vec<u8>,
    messages: Vec<Vec<u8>>,
    limits: Limits,
    /// Whether the guard knows the key.
    keys: bool,
    /// How many of the messages may pass.
    pass: usize,
    datagram: bool,
}

fn case(reason: Reason, qtype: u16, messages: Vec<Vec<u8>>, pass: usize) -> Case {
    let limits = Limits::default();
    Case { reason, query: query(qtype, 5), messages, limits, keys: false, pass, datagram: false }
}

/// The record alone behind the SOA, in the one message of an AXFR.
fn with(reason: Reason, record: Vec<u8>) -> Case {
    case(reason, AXFR, vec![answer(AXFR, true, &[soa(7), record, soa(7)])], 0)
}

fn limited(reason: Reason, limits: Limits, pass: usize) -> Case {
    let records = [soa(7), a("a", 1), a("a", 2), a("a", 3), soa(7)];
    Case { limits, ..case(reason, AXFR, answers(AXFR, &records, 1), pass) }
}

fn signed(reason: Reason, pass: usize, make: impl Fn(&mut Signer, Vec<Vec<u8>>) -> Vec<Vec<u8>>) -> Case {
    let mut signer = Signer::new();
    let query = signer.sign(query(AXFR, 0));
    let mut records = vec![soa(7)];
    records.extend((0..120).map(|n| a(&format!("n{n}"), n)));
    records.push(soa(7));
    let messages = make(&mut signer, answers(AXFR, &records, 1));
    Case { query, keys: true, ..case(reason, AXFR, messages, pass) }
}

fn flags(flags: u16) -> Vec<u8> {
    message(flags, Some(&question(AXFR)), [&[soa(7), soa(7)], &[], &[]])
}

fn of_messages() -> Vec<Case> {
    let whole = answer(AXFR, true, &[soa(7), soa(7)]);
    let error = message(0x8405, None, [&[], &[], &[]]);
    vec![
        case(Reason::Accepted, AXFR, vec![whole.clone()], 1),
        case(Reason::NotResponse, AXFR, vec![flags(0x0400)], 0),
        case(Reason::Opcode, AXFR, vec![flags(0xa400)], 0),
        case(Reason::TcBit, AXFR, vec![flags(0x8600)], 0),
        case(Reason::Question, AXFR, vec![answer(IXFR, true, &[soa(7), soa(7)])], 0),
        case(Reason::LaterError, AXFR, vec![answer(AXFR, true, &[soa(7)]), error], 1),
        case(Reason::Section, AXFR, vec![message(0x8400, Some(&question(AXFR)), [&[soa(7)], &[soa(7)], &[]])], 0),
        case(Reason::TrailingBytes, AXFR, vec![[whole, vec![0]].concat()], 0),
        case(Reason::Cut, AXFR, vec![answer(AXFR, true, &[soa(7)])], 1),
    ]
}

fn of_records() -> Vec<Case> {
    let cut = {
        let mut message = answer(AXFR, true, &[soa(7), a("a", 1), soa(7)]);
        message.truncate(message.len() - 1);
        message
    };
    vec![
        with(Reason::RecordName, record(&[0xc0, 0xff], 1, &[192, 0, 2, 1])),
        case(Reason::RecordCut, AXFR, vec![cut], 0),
        with(Reason::Rdata, record(&name("a.example"), 1, &[192, 0, 2])),
        with(Reason::MetaType, record(ZONE, 41, &[])),
        with(Reason::Class, record_of(&name("a.example"), 1, 3, 300, &[192, 0, 2, 1])),
        with(Reason::OutOfZone, record(&name("a.test"), 1, &[192, 0, 2, 1])),
    ]
}

fn of_transfers() -> Vec<Case> {
    let mut elsewhere = soa(7);
    elsewhere.splice(0..0, *b"\x01a");
    let ixfr = |reason, records: &[Vec<u8>]| case(reason, IXFR, vec![answer(IXFR, true, records)], 0);
    let chain = [soa(7), soa(5), soa(6), soa(5), soa(7), soa(7)];
    vec![
        case(Reason::NoSoa, AXFR, vec![answer(AXFR, true, &[a("a", 1), soa(7)])], 0),
        with(Reason::SoaOwner, elsewhere),
        with(Reason::SoaChanged, soa(8)),
        case(Reason::AfterEnd, AXFR, vec![answer(AXFR, true, &[soa(7), soa(7), a("a", 1)])], 0),
        ixfr(Reason::IxfrChain, &chain),
        ixfr(Reason::SerialNotNewer, &[soa(4), a("a", 1), soa(4)]),
        Case {
            datagram: true,
            ..case(Reason::DatagramIncomplete, IXFR, vec![answer(IXFR, true, &[soa(7), soa(5), soa(7)])], 0)
        },
    ]
}

fn of_signatures() -> Vec<Case> {
    let all = |signer: &mut Signer, messages: Vec<Vec<u8>>| -> Vec<Vec<u8>> {
        messages.into_iter().map(|message| signer.sign(message)).collect()
    };
    vec![
        signed(Reason::TsigForm, 0, |signer, messages| {
            let mut twice = signer.sign(messages[0].clone());
            let tsig = twice[messages[0].len()..].to_vec();
            twice.extend_from_slice(&tsig);
            twice[11] += 1;
            vec![twice]
        }),
        signed(Reason::TsigMissing, 0, |_, messages| messages),
        signed(Reason::TsigGap, 100, |signer, messages| {
            let mut messages = messages.into_iter();
            let first = messages.next().map(|message| signer.sign(message));
            first.into_iter().chain(messages).collect()
        }),
        signed(Reason::TsigKey, 0, |signer, messages| {
            signer.key = name("other");
            all(signer, messages)
        }),
        signed(Reason::TsigMac, 3, |signer, messages| {
            let mut messages = all(signer, messages);
            messages[3][20] ^= 0x20; // the letter case of an owner: the records stay good
            messages
        }),
        signed(Reason::TsigTruncated, 0, |signer, messages| {
            signer.mac_length = 15;
            all(signer, messages)
        }),
        signed(Reason::Clock, 0, |signer, messages| {
            signer.time -= 301;
            all(signer, messages)
        }),
    ]
}

fn of_limits() -> Vec<Case> {
    let limits = Limits::default;
    vec![
        limited(Reason::TooManyBytes, Limits { bytes: 190, ..limits() }, 3),
        limited(Reason::TooManyRecords, Limits { records: 4, ..limits() }, 4),
        limited(Reason::TooManyMessages, Limits { messages: 2, ..limits() }, 2),
        limited(Reason::RrsetTooLarge, Limits { rrset: 2, ..limits() }, 3),
    ]
}

fn run(case: &Case) -> (Vec<u8>, Verdict) {
    let keys = if case.keys { keys() } else { Keys::default() };
    let mut answers = Answers::new(Arc::new(case.limits.clone()), Arc::new(keys));
    answers.expect(&case.query, NOW).expect("a query");
    let mut pieces: Vec<Piece> = if case.datagram {
        case.messages.iter().flat_map(|message| answers.datagram(message, NOW)).collect()
    } else {
        answers.feed(&framed(&case.messages), NOW)
    };
    pieces.extend(answers.finish(NOW));
    let passed = pieces.iter().flat_map(|piece| piece.data.clone()).collect();
    let mut verdicts: Vec<_> = pieces.into_iter().filter_map(|piece| piece.verdict).collect();
    assert_eq!(verdicts.len(), 1, "one query, one verdict");
    (passed, *verdicts.remove(0))
}

#[test]
fn every_reason_has_an_answer_that_is_rejected_for_it() {
    let cases = [of_messages(), of_records(), of_transfers(), of_signatures(), of_limits()];
    let mut seen: BTreeSet<&str> = ["too-long", "too-slow", "idle"].into(); // of time: tests/pace.rs
    for case in cases.into_iter().flatten() {
        let (passed, verdict) = run(&case);
        let label = case.reason.label();
        assert_eq!(verdict.reason.label(), label, "{}", verdict.detail);
        assert_eq!(passed, framed(&case.messages[..case.pass]), "what passes before {label}");
        assert_eq!(verdict.detail.is_empty(), case.reason == Reason::Accepted, "{label} is said in words");
        assert!(seen.insert(label), "{label} twice");
    }
    assert_eq!(seen, Reason::ALL.into_iter().map(Reason::label).collect());
}
