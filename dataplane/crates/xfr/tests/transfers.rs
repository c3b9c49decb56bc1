//! The grammar of transfers: kinds of answers, IXFR of every shape, serials, datagrams, several queries at once.

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::*;
use xfr::{Answers, Digest, Kind, Limits, Piece, Reason, Verdict, is_newer};

fn guard() -> Answers {
    Answers::new(Arc::new(Limits { names: 1 << 16, ..Limits::default() }), Arc::default())
}

fn verdict(pieces: Vec<Piece>) -> Verdict {
    let mut verdicts: Vec<_> = pieces.into_iter().filter_map(|piece| piece.verdict).collect();
    assert_eq!(verdicts.len(), 1, "one verdict");
    *verdicts.remove(0)
}

/// The verdict on an IXFR from serial 5, with so many records in each message.
fn ixfr_in(records: &[Vec<u8>], each: usize) -> Verdict {
    let mut answers = guard();
    answers.expect(&query(IXFR, 5), NOW).expect("a query");
    let mut pieces = answers.feed(&framed(&common::answers(IXFR, records, each)), NOW);
    pieces.extend(answers.finish(NOW));
    verdict(pieces)
}

fn ixfr(records: &[Vec<u8>]) -> Verdict {
    ixfr_in(records, records.len())
}

fn ixfr_datagram(records: &[Vec<u8>]) -> Verdict {
    let mut answers = guard();
    answers.expect(&query(IXFR, 5), NOW).expect("a query");
    verdict(answers.datagram(&answer(IXFR, true, records), NOW))
}

/// Two sequences from 5 to 7.
fn differences() -> Vec<Vec<u8>> {
    vec![soa(7), soa(5), a("a", 1), soa(6), a("b", 2), a("c", 3), soa(6), a("b", 2), soa(7), a("d", 4), soa(7)]
}

/// From 5 to 7 by large steps, past 0: each leads forward, and one on the way is not older than the last.
fn once_round() -> Vec<Vec<u8>> {
    let steps = [5, 0x7000_0000, 0xd000_0000, 7];
    let mut records = vec![soa(7)];
    steps.windows(2).for_each(|step| records.extend([soa(step[0]), a("a", 1), soa(step[1]), a("a", 2)]));
    records.push(soa(7));
    records
}

#[test]
fn every_kind_of_answer_to_an_ixfr_is_known_however_it_is_cut_into_messages() {
    let shapes = [
        (differences(), Kind::Ixfr),
        (vec![soa(7), soa(5), soa(7), soa(7)], Kind::Ixfr),
        (vec![soa(7), a("a", 1), soa(7)], Kind::AxfrStyle),
        (vec![soa(7), soa(7)], Kind::AxfrStyle),
        (vec![soa(5)], Kind::UpToDate),
        (vec![soa(4)], Kind::UpToDate),
        (once_round(), Kind::Ixfr),
    ];
    for (records, kind) in shapes {
        for each in 1..=records.len() {
            let verdict = ixfr_in(&records, each);
            assert_eq!((verdict.reason, verdict.kind), (Reason::Accepted, kind), "{}", verdict.detail);
            assert_eq!(verdict.from_serial, Some(5));
        }
    }
}

#[test]
fn differences_that_end_after_any_record_are_not_accepted() {
    for records in [differences(), vec![soa(7), a("a", 1), a("b", 1), soa(7)]] {
        for length in 0..records.len() {
            for each in 1..=3 {
                assert_eq!(ixfr_in(&records[..length], each).reason, Reason::Cut, "{length} records");
            }
        }
    }
}

#[test]
fn differences_that_lack_any_soa_are_not_accepted() {
    let whole = differences();
    for gone in (0..whole.len()).filter(|&n| whole[n] == soa(5) || whole[n] == soa(6) || whole[n] == soa(7)) {
        let mut records = whole.clone();
        records.remove(gone);
        assert_ne!(ixfr(&records).reason, Reason::Accepted, "without record {gone}");
    }
}

#[test]
fn sequences_must_chain() {
    for (records, what) in [
        (vec![soa(7), soa(4), soa(7), soa(7)], "from another serial than the query's"),
        (vec![soa(7), soa(5), soa(8), soa(8), soa(7), soa(7)], "beyond the last"),
        (vec![soa(7), soa(5), soa(5), soa(5), soa(7), soa(7)], "on the spot"),
        (vec![soa(7), soa(5), soa(6), soa(7)], "a gap at the end"),
    ] {
        assert_eq!(ixfr(&records).reason, Reason::IxfrChain, "{what}");
    }
    let mut other = soa(7);
    let last = other.len() - 1;
    other[last] ^= 1;
    assert_eq!(ixfr(&[soa(7), soa(5), soa(7), other]).reason, Reason::SoaChanged);
}

#[test]
fn serials_wrap_and_equal_distance_is_not_newer() {
    assert!(is_newer(0, u32::MAX) && is_newer(1, u32::MAX) && is_newer(6, 5));
    assert!(!is_newer(5, 5) && !is_newer(5, 6) && !is_newer(1 << 31, 0) && !is_newer(0, 1 << 31));
    let mut answers = guard();
    answers.expect(&query(IXFR, u32::MAX), NOW).expect("a query");
    let records = [soa(1), soa(u32::MAX), soa(0), soa(0), soa(1), soa(1)];
    let verdict = verdict(answers.feed(&framed(&common::answers(IXFR, &records, 2)), NOW));
    assert_eq!((verdict.reason, verdict.kind, verdict.serial), (Reason::Accepted, Kind::Ixfr, Some(1)));
}

#[test]
fn an_older_zone_passes_where_primaries_may_be_behind() {
    let mut answers = Answers::new(Arc::new(Limits { allow_older: true, ..Limits::default() }), Arc::default());
    answers.expect(&query(IXFR, 5), NOW).expect("a query");
    let records = [soa(4), a("a", 1), soa(4)];
    let verdict = verdict(answers.feed(&framed(&common::answers(IXFR, &records, 3)), NOW));
    assert_eq!((verdict.reason, verdict.kind), (Reason::Accepted, Kind::AxfrStyle));
}

#[test]
fn records_outside_the_zone_pass_where_they_may_and_are_none_of_it() {
    let foreign = || record(&name("ns.test"), 1, &[192, 0, 2, 1]);
    let judged = |records: &[Vec<u8>]| {
        let limits = Limits { allow_out_of_zone: true, names: 1000, ..Limits::default() };
        let mut answers = Answers::new(Arc::new(limits), Arc::default());
        answers.expect(&query(IXFR, 5), NOW).expect("a query");
        verdict(answers.feed(&framed(&common::answers(IXFR, records, records.len())), NOW))
    };
    let with = judged(&[soa(7), foreign(), a("a", 1), foreign(), foreign(), a("b", 2), soa(7)]);
    let without = judged(&[soa(7), a("a", 1), a("b", 2), soa(7)]);
    assert_eq!((with.reason, with.kind, with.records), (Reason::Accepted, Kind::AxfrStyle, 7));
    assert_eq!((with.plus, with.counts, with.names), (without.plus, without.counts, without.names));
    let changes = judged(&[soa(7), soa(5), foreign(), a("a", 1), soa(7), foreign(), soa(7)]);
    assert_eq!((changes.reason, changes.added, changes.removed), (Reason::Accepted, 1, 2));
    assert_eq!(judged(&[foreign(), soa(7), soa(7)]).reason, Reason::NoSoa);
    let other = record(&name("test"), SOA, &soa(7)[ZONE.len() + 10..]);
    assert_eq!(judged(&[soa(7), a("a", 1), other, soa(7)]).reason, Reason::SoaOwner, "Knot DNS would end there");
}

#[test]
fn a_datagram_is_whole_or_says_use_tcp() {
    assert_eq!(ixfr_datagram(&differences()).kind, Kind::Ixfr);
    assert_eq!(ixfr_datagram(&[soa(5)]).kind, Kind::UpToDate);
    let lone = ixfr_datagram(&[soa(7)]);
    assert_eq!((lone.reason, lone.kind), (Reason::Accepted, Kind::Truncated));
    let records = differences();
    for length in 2..records.len() {
        assert_eq!(ixfr_datagram(&records[..length]).reason, Reason::DatagramIncomplete);
    }
    let mut answers = guard();
    answers.expect(&query(IXFR, 5), NOW).expect("a query");
    let truncated = message(0x8600, Some(&question(IXFR)), [&[], &[], &[]]);
    assert_eq!(verdict(answers.datagram(&truncated, NOW)).kind, Kind::Truncated);
}

#[test]
fn a_forged_datagram_does_not_end_the_query() {
    let mut answers = guard();
    answers.expect(&query(IXFR, 5), NOW).expect("a query");
    assert!(answers.datagram(&answer(AXFR, true, &[soa(5)]), NOW).is_empty());
    assert!(answers.datagram(&query(IXFR, 5), NOW).is_empty());
    assert!(answers.datagram(b"short", NOW).is_empty());
    let faults: BTreeMap<_, _> = answers.faults().map(|(fault, count)| (fault.label(), count)).collect();
    assert_eq!(
        faults,
        [("short-message", 1), ("unknown-id", 0), ("unsigned-datagram", 0), ("wrong-datagram", 2)].into()
    );
    assert_eq!(verdict(answers.datagram(&answer(IXFR, true, &[soa(5)]), NOW)).kind, Kind::UpToDate);
}

#[test]
fn rcodes_pass_and_end_the_query() {
    let badvers = record_of(&[0], 41, 1232, 0x0100_0000, &[]);
    for (flags, question, additional, rcode) in [
        (0x8405, Some(question(AXFR)), vec![], 5),
        (0x8401, None, vec![], 1),
        (0x8400, Some(question(AXFR)), vec![badvers], 16),
    ] {
        let mut answers = guard();
        answers.expect(&query(AXFR, 0), NOW).expect("a query");
        let stream = framed(&[message(flags, question.as_deref(), [&[], &[], &additional])]);
        let pieces = answers.feed(&stream, NOW);
        assert_eq!(pieces[0].data, stream);
        let verdict = verdict(pieces);
        assert_eq!((verdict.reason, verdict.kind, verdict.rcode), (Reason::Accepted, Kind::Error, rcode));
    }
}

#[test]
fn the_serial_of_an_answer_to_a_soa_query_is_read() {
    let mut answers = guard();
    answers.expect(&query(SOA, 0), NOW).expect("a query");
    let verdict = verdict(answers.feed(&framed(&[answer(SOA, true, &[soa(9)])]), NOW));
    assert_eq!((verdict.reason, verdict.kind, verdict.serial), (Reason::Accepted, Kind::Soa, Some(9)));
}

#[test]
fn queries_share_a_connection_and_one_that_is_wrong_leaves_the_others_alone() {
    let mut answers = guard();
    let with_id = |mut message: Vec<u8>, id: u8| {
        message[1] = id;
        message
    };
    for id in 1..=3 {
        answers.expect(&with_id(query(AXFR, 0), id), NOW).expect("a query");
    }
    assert!(answers.expect(&with_id(query(SOA, 0), 2), NOW).is_err(), "an ID in use");
    answers.forget(0x1203);
    let parts =
        |last: Vec<u8>| [answer(AXFR, true, &[soa(7)]), answer(AXFR, false, &[last]), answer(AXFR, false, &[soa(7)])];
    let (good, bad) = (parts(a("a", 1)), parts(soa(8)));
    let mut messages = Vec::new();
    for (good, bad) in good.iter().zip(&bad) {
        messages.extend([with_id(good.clone(), 1), with_id(bad.clone(), 2), with_id(good.clone(), 3)]);
        messages.push(with_id(good.clone(), 9));
    }
    let pieces = answers.feed(&framed(&messages), NOW);
    let reasons: Vec<_> =
        pieces.iter().map(|piece| (piece.id, piece.verdict.as_ref().map(|verdict| verdict.reason))).collect();
    assert_eq!(reasons, [(0x1201, Some(Reason::Accepted)), (0x1202, Some(Reason::SoaChanged))]);
    assert_eq!(pieces[0].data, framed(&good.map(|message| with_id(message, 1))));
    assert_eq!(pieces[1].data, framed(&[with_id(bad[0].clone(), 2)]));
    assert_eq!(answers.faults().map(|(_, count)| count).sum::<u64>(), 3, "the ID that nobody used");
    assert!(answers.expect(&with_id(query(SOA, 0), 2), NOW).is_err(), "more of it may come");
    assert!(answers.expect(&with_id(query(SOA, 0), 1), NOW).is_ok(), "its answer was complete");
}

#[test]
fn counts_names_and_digests_are_those_of_the_differences() {
    let verdict = ixfr(&differences());
    assert_eq!(verdict.counts, [(1, 5), (6, 4)]);
    assert_eq!((verdict.added, verdict.removed), (5, 4));
    let sum = |records: &[Vec<u8>]| {
        let mut sum = Digest::default();
        records.iter().for_each(|record| sum.add(Digest::of(record)));
        sum
    };
    assert_eq!(verdict.plus, sum(&[soa(6), a("b", 2), a("c", 3), soa(7), a("d", 4)]));
    assert_eq!(verdict.minus, sum(&[soa(5), a("a", 1), soa(6), a("b", 2)]));
    let names = [ZONE.to_vec(), name("b.example"), name("c.example"), name("d.example")].concat();
    assert_eq!(verdict.names, Some(names));
}

#[test]
fn names_are_kept_up_to_a_limit_that_counts_what_finds_them_again() {
    let whole = [ZONE.to_vec(), name("a.example"), name("b.example")].concat();
    for (limit, names) in [(whole.len() + 2 * 16 + 16, Some(whole.clone())), (whole.len() + 16, None)] {
        let mut answers = Answers::new(Arc::new(Limits { names: limit, ..Limits::default() }), Arc::default());
        answers.expect(&query(AXFR, 0), NOW).expect("a query");
        let records = [soa(7), a("a", 1), a("b", 2), soa(7)];
        let verdict = verdict(answers.feed(&framed(&common::answers(AXFR, &records, 4)), NOW));
        assert_eq!((verdict.reason, verdict.names), (Reason::Accepted, names));
    }
}

#[test]
fn an_axfr_style_answer_counts_as_the_axfr_does() {
    let records = [soa(7), a("a", 1), a("b", 2), soa(7)];
    let mut answers = guard();
    answers.expect(&query(AXFR, 0), NOW).expect("a query");
    let axfr = verdict(answers.feed(&framed(&common::answers(AXFR, &records, 3)), NOW));
    for each in 1..=4 {
        let style = ixfr_in(&records, each);
        assert_eq!((style.plus, &style.counts, &style.names), (axfr.plus, &axfr.counts, &axfr.names));
    }
}

#[test]
fn an_ixfr_takes_the_digest_of_the_old_zone_to_that_of_the_new() {
    let axfr = |records: &[Vec<u8>]| {
        let mut answers = guard();
        answers.expect(&query(AXFR, 0), NOW).expect("a query");
        verdict(answers.feed(&framed(&common::answers(AXFR, records, 2)), NOW)).plus
    };
    let old = axfr(&[soa(5), a("z", 9), a("a", 1), soa(5)]);
    let new = axfr(&[soa(7), a("d", 4), a("z", 9), a("c", 3), soa(7)]);
    let change = ixfr(&differences());
    let mut after = old;
    after.add(change.plus);
    after.remove(change.minus);
    assert_eq!(after, new);
    assert_eq!(Digest::from_bytes(after.to_bytes()), new);
    assert_ne!(old, new);
}
