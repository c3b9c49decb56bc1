//! What nodes would commit before the guard has said that it is good. Each was seen with the real servers: BIND 9.18
//! commits an IXFR sequence by sequence, PowerDNS 4.7 takes a SOA in any section for the end of an AXFR and records from
//! all of them into the zone, and NSD 4.6 and PowerDNS do not see the upper bits of an RCODE.

mod common;

use std::sync::Arc;

use common::*;
use xfr::{Answers, Kind, Limits, Piece, Reason};

fn guard(limits: Limits, query: &[u8]) -> Answers {
    let mut answers = Answers::new(Arc::new(limits), Arc::new(keys()));
    answers.expect(query, NOW).expect("a query");
    answers
}

/// How many bytes pass with each message, a moment apart, and the verdict.
fn passed(answers: &mut Answers, messages: &[Vec<u8>], moment: f64) -> (Vec<usize>, Option<Reason>) {
    let mut verdict = None;
    let mut now = NOW;
    let mut take = |pieces: Vec<Piece>| {
        verdict = verdict.or(pieces.iter().find_map(|piece| Some(piece.verdict.as_ref()?.reason)));
        pieces.iter().map(|piece| piece.data.len()).sum()
    };
    let mut lengths = Vec::new();
    for message in messages {
        lengths.push(take(answers.feed(&framed(std::slice::from_ref(message)), now)));
        now += moment;
    }
    take(answers.finish(now));
    (lengths, verdict)
}

/// Three sequences from 5 to 8, a record in each message: the first is complete with message 6.
fn sequences() -> Vec<Vec<u8>> {
    let mut records = vec![soa(8)];
    for serial in 5..8 {
        records.extend([soa(serial), a("a", serial as u8), soa(serial + 1), a("a", serial as u8 + 1)]);
    }
    records.push(soa(8));
    answers(IXFR, &records, 1)
}

fn sizes(messages: &[Vec<u8>]) -> Vec<usize> {
    messages.iter().map(|message| message.len() + 2).collect()
}

#[test]
fn sequences_behind_the_first_wait_for_the_end() {
    let messages = sequences();
    let sizes = sizes(&messages);
    let (passed, verdict) = passed(&mut guard(Limits::default(), &query(IXFR, 5)), &messages, 0.0);
    assert_eq!(verdict, Some(Reason::Accepted));
    let mut wanted = sizes.clone();
    wanted[5..].fill(0);
    wanted[13] = sizes[5..].iter().sum();
    assert_eq!(passed, wanted);
}

#[test]
fn no_sequence_of_an_ixfr_that_is_bad_later_is_complete_for_a_node() {
    for end in 6..13 {
        let mut messages = sequences();
        messages.truncate(end);
        messages.push(answer(IXFR, false, &[record(&name("a.test"), 1, &[192, 0, 2, 1])]));
        let whole = sizes(&messages)[..5].iter().sum::<usize>();
        let (passed, verdict) = passed(&mut guard(Limits::default(), &query(IXFR, 5)), &messages, 0.0);
        assert_eq!(
            (passed.iter().sum::<usize>(), verdict),
            (whole, Some(Reason::OutOfZone)),
            "bad behind message {end}"
        );
    }
}

#[test]
fn one_sequence_passes_as_it_comes() {
    let messages = answers(IXFR, &[soa(6), soa(5), a("a", 1), soa(6), a("a", 2), soa(6)], 1);
    let (passed, verdict) = passed(&mut guard(Limits::default(), &query(IXFR, 5)), &messages, 0.0);
    assert_eq!((passed, verdict), (sizes(&messages), Some(Reason::Accepted)));
}

#[test]
fn what_takes_long_or_is_large_goes_on() {
    let messages = sequences();
    let sizes = sizes(&messages);
    let slow = passed(&mut guard(Limits::default(), &query(IXFR, 5)), &messages, 0.9).0;
    assert_eq!((&slow[5..8], slow[8]), (&[0, 0, 0][..], sizes[5..9].iter().sum()));
    let small = Limits { held: sizes[5] + sizes[6], ..Limits::default() };
    let large = passed(&mut guard(small, &query(IXFR, 5)), &messages, 0.0).0;
    assert_eq!((&large[5..7], large[7]), (&[0, 0][..], sizes[5..8].iter().sum()));
    for passed in [slow, large] {
        assert_eq!(passed.iter().sum::<usize>(), sizes.iter().sum());
        assert_eq!(passed[9..], sizes[9..]);
    }
}

#[test]
fn what_is_not_verified_yet_does_not_go_on() {
    let mut signer = Signer::new();
    let asked = signer.sign(query(IXFR, 5));
    let sign = |(n, message)| if matches!(n, 0 | 9 | 13) { signer.sign(message) } else { signer.skip(message) };
    let messages: Vec<_> = sequences().into_iter().enumerate().map(sign).collect();
    let sizes = sizes(&messages);
    let limits = Limits { held: 0, ..Limits::default() };
    let (passed, verdict) = passed(&mut guard(limits, &asked), &messages, 3.0);
    assert_eq!(verdict, Some(Reason::Accepted));
    assert_eq!((&passed[5..9], passed[9]), (&[0, 0, 0, 0][..], sizes[5..10].iter().sum()));
    assert_eq!((&passed[10..13], passed[13]), (&[0, 0, 0][..], sizes[10..].iter().sum()));
}

#[test]
fn a_transfer_stands_in_the_answer_section_alone() {
    let opt = record_of(&[0], 41, 1232, 0, &[]);
    let sig = record_of(&[0], 24, 255, 0, &[[0; 18].as_slice(), ZONE, &[1]].concat());
    let zone = [soa(7), a("a", 1), soa(7)];
    for qtype in [AXFR, IXFR] {
        for (authority, additional, reason) in [
            (vec![], vec![opt.clone(), sig.clone()], Reason::Accepted),
            (vec![soa(7)], vec![], Reason::Section),
            (vec![], vec![soa(7)], Reason::Section),
            (vec![a("evil", 1)], vec![], Reason::Section),
            (vec![], vec![opt.clone(), a("evil", 1)], Reason::Section),
            (vec![opt.clone()], vec![], Reason::Section),
        ] {
            let message = message(0x8400, Some(&question(qtype)), [&zone, &authority, &additional]);
            let (_, verdict) = passed(&mut guard(Limits::default(), &query(qtype, 5)), &[message], 0.0);
            assert_eq!(verdict, Some(reason));
        }
    }
    let message = message(0x8405, Some(&question(AXFR)), [&[], &[soa(7)], &[]]);
    let (_, verdict) = passed(&mut guard(Limits::default(), &query(AXFR, 0)), &[message], 0.0);
    assert_eq!(verdict, Some(Reason::Accepted), "a refusal is no transfer");
}

#[test]
fn records_with_an_extended_rcode_are_judged_as_a_transfer() {
    let badvers = record_of(&[0], 41, 1232, 0x0100_0000, &[]);
    let part = message(0x8400, Some(&question(AXFR)), [&[soa(7), a("a", 1)], &[], &[badvers]]);
    let whole = [part, answer(AXFR, false, &[soa(7)])];
    for (messages, reason) in [(&whole[..1], Reason::Cut), (&whole[..], Reason::Accepted)] {
        let mut answers = guard(Limits::default(), &query(AXFR, 0));
        let mut pieces = answers.feed(&framed(messages), NOW);
        pieces.extend(answers.finish(NOW));
        let verdict = pieces.iter().find_map(|piece| piece.verdict.as_ref()).expect("a verdict");
        assert_eq!((verdict.reason, verdict.kind), (reason, Kind::Axfr));
    }
}

#[test]
fn empty_messages_pass_and_do_not_go_on_for_ever() {
    for (empty, reason) in [(1_000, Reason::Accepted), (1_001, Reason::TooManyMessages)] {
        let mut messages = answers(AXFR, &[soa(7), a("a", 1)], 2);
        messages.extend((0..empty).map(|_| answer(AXFR, false, &[])));
        messages.push(answer(AXFR, false, &[soa(7)]));
        let (_, verdict) = passed(&mut guard(Limits::default(), &query(AXFR, 0)), &messages, 0.0);
        assert_eq!(verdict, Some(reason));
    }
}

#[test]
fn a_whole_zone_of_the_serial_that_the_node_has_is_no_fault() {
    for each in 2..4 {
        let messages = answers(IXFR, &[soa(5), a("a", 1), soa(5)], each);
        let (passed, verdict) = passed(&mut guard(Limits::default(), &query(IXFR, 5)), &messages, 0.0);
        assert_eq!((passed, verdict), (sizes(&messages), Some(Reason::Accepted)));
    }
    let messages = answers(IXFR, &[soa(4), a("a", 1), soa(4)], 3);
    let (_, verdict) = passed(&mut guard(Limits::default(), &query(IXFR, 5)), &messages, 0.0);
    assert_eq!(verdict, Some(Reason::SerialNotNewer));
}
