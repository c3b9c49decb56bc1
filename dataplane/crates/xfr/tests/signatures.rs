//! TSIG over the messages of one answer (RFC 8945): what holds, and what must not.

mod common;

use std::sync::Arc;

use common::*;
use xfr::{Answers, Keys, Kind, Limits, MOST_UNSIGNED, Reason, Signature, Verdict};

fn judge(keys: Keys, query: &[u8], messages: &[Vec<u8>]) -> Verdict {
    let mut answers = Answers::new(Arc::default(), Arc::new(keys));
    answers.expect(query, NOW).expect("a query");
    let mut pieces = answers.feed(&framed(messages), NOW);
    pieces.extend(answers.finish(NOW));
    let mut verdicts: Vec<_> = pieces.into_iter().filter_map(|piece| piece.verdict).collect();
    assert_eq!(verdicts.len(), 1);
    *verdicts.remove(0)
}

fn zone(records: usize) -> Vec<Vec<u8>> {
    let mut all = vec![soa(7)];
    all.extend((0..records).map(|n| a(&format!("n{n}"), 1)));
    all.push(soa(7));
    answers(AXFR, &all, 1)
}

/// An answer of which each message is signed, or every so manieth and the last.
fn signed(change: impl Fn(&mut Signer), messages: Vec<Vec<u8>>, every: usize) -> (Vec<u8>, Vec<Vec<u8>>) {
    let mut signer = Signer::new();
    let query = signer.sign(query(AXFR, 0));
    change(&mut signer);
    let last = messages.len() - 1;
    let sign = |(n, message)| {
        if n % every == 0 || n == last { signer.sign(message) } else { signer.skip(message) }
    };
    (query, messages.into_iter().enumerate().map(sign).collect())
}

#[test]
fn a_signature_on_every_message_and_on_every_hundredth_holds() {
    for every in [1, 2, 7, MOST_UNSIGNED as usize + 1] {
        let (query, messages) = signed(|_| {}, zone(320), every);
        let verdict = judge(keys(), &query, &messages);
        assert_eq!((verdict.reason, verdict.signature), (Reason::Accepted, Signature::Verified), "{}", verdict.detail);
    }
}

#[test]
fn a_hundred_messages_without_a_signature_are_too_many() {
    let (query, messages) = signed(|_| {}, zone(320), MOST_UNSIGNED as usize + 2);
    assert_eq!(judge(keys(), &query, &messages).reason, Reason::TsigGap);
}

#[test]
fn the_last_message_is_signed() {
    let (query, mut messages) = signed(|_| {}, zone(5), 1);
    let last = messages.len() - 1;
    messages[last] = zone(5).remove(last);
    let verdict = judge(keys(), &query, &messages);
    assert_eq!(verdict.reason, Reason::TsigMissing);
    assert!(verdict.detail.contains("last"));
}

#[test]
fn messages_can_be_neither_left_out_nor_swapped_nor_changed() {
    let (query, messages) = signed(|_| {}, zone(8), 3);
    for n in 1..messages.len() - 1 {
        let mut without = messages.clone();
        without.remove(n);
        assert_eq!(judge(keys(), &query, &without).reason, Reason::TsigMac, "without {n}");
        let mut changed = messages.clone();
        changed[n][14] ^= 1;
        assert_eq!(judge(keys(), &query, &changed).reason, Reason::TsigMac, "another {n}");
    }
    let mut swapped = messages.clone();
    swapped.swap(1, 2);
    assert_eq!(judge(keys(), &query, &swapped).reason, Reason::TsigMac);
}

#[test]
fn an_answer_to_another_query_does_not_hold() {
    let (_, messages) = signed(|_| {}, zone(2), 1);
    let mut signer = Signer::new();
    signer.time += 1;
    let other = signer.sign(query(AXFR, 0));
    assert_eq!(judge(keys(), &other, &messages).reason, Reason::TsigMac);
}

#[test]
fn a_mac_may_be_cut_to_half() {
    for (length, reason) in
        [(32, Reason::Accepted), (16, Reason::Accepted), (15, Reason::TsigTruncated), (33, Reason::TsigTruncated)]
    {
        let (query, messages) = signed(|signer| signer.mac_length = length, zone(4), 2);
        assert_eq!(judge(keys(), &query, &messages).reason, reason, "{length} bytes");
    }
}

#[test]
fn time_may_be_off_by_the_fudge() {
    let now = NOW as u64;
    for (time, reason) in [
        (now - 300, Reason::Accepted),
        (now + 300, Reason::Accepted),
        (now - 301, Reason::Clock),
        (now + 301, Reason::Clock),
    ] {
        let (query, messages) = signed(|signer| signer.time = time, zone(1), 1);
        let verdict = judge(keys(), &query, &messages);
        assert_eq!(verdict.reason, reason, "{}", verdict.detail);
        let way = if time < now { "301 s behind our clock" } else { "301 s ahead of our clock" };
        assert!(reason == Reason::Accepted || verdict.detail.contains(way), "{}", verdict.detail);
    }
}

#[test]
fn a_clock_of_ours_that_is_wrong_rejects_nothing() {
    // The node judges by its own clock, and that agrees with the primary's.
    let (query, messages) = signed(|_| {}, zone(1), 1);
    for (ours, later, reason) in
        [(-9_000.0, 0.0, Reason::Accepted), (9_000.0, 300.0, Reason::Accepted), (9_000.0, 301.0, Reason::Clock)]
    {
        let mut answers = Answers::new(Arc::default(), Arc::new(keys()));
        answers.expect(&query, NOW + ours).expect("a query");
        let pieces = answers.feed(&framed(&messages), NOW + ours + later);
        let verdict = pieces[0].verdict.as_ref().expect("a verdict");
        assert_eq!(verdict.reason, reason, "{}", verdict.detail);
    }
}

#[test]
fn what_is_signed_with_an_unknown_key_passes_unverified() {
    let (query, mut messages) = signed(|_| {}, zone(3), 1);
    messages[2][14] ^= 1;
    let other = Keys::new([(KEY.to_vec(), xfr::Algorithm::Sha512, SECRET.to_vec())]);
    for keys in [Keys::default(), other] {
        let verdict = judge(keys, &query, &messages);
        assert_eq!((verdict.reason, verdict.signature), (Reason::Accepted, Signature::Unverified));
    }
}

fn refusal() -> Vec<u8> {
    message(0x8409, Some(&question(AXFR)), [&[], &[], &[]])
}

#[test]
fn a_primary_may_refuse_the_signature() {
    for (error, signature) in [(16, Signature::BadSig), (17, Signature::BadKey)] {
        let (query, messages) = signed(|signer| (signer.error, signer.mac_length) = (error, 0), vec![refusal()], 1);
        let verdict = judge(keys(), &query, &messages);
        assert_eq!((verdict.reason, verdict.kind, verdict.signature), (Reason::Accepted, Kind::Error, signature));
    }
    let late = |signer: &mut Signer| (signer.error, signer.other) = (18, vec![0; 6]);
    let (query, messages) = signed(late, vec![refusal()], 1);
    let verdict = judge(keys(), &query, &messages);
    assert_eq!((verdict.reason, verdict.signature, verdict.rcode), (Reason::Accepted, Signature::BadTime, 9));
    let (query, _) = signed(|_| {}, vec![refusal()], 1);
    let verdict = judge(keys(), &query, &[refusal()]);
    assert_eq!(verdict.reason, Reason::TsigMissing, "not without a signature");
    assert!(verdict.detail.contains("RCODE is 9"), "{}", verdict.detail);
}

#[test]
fn a_refused_signature_brings_no_zone() {
    let whole = answer(AXFR, true, &[soa(7), a("a", 1), soa(7)]);
    for (error, mac_length) in [(16, 0), (17, 0), (18, 32)] {
        let change = |signer: &mut Signer| (signer.error, signer.mac_length) = (error, mac_length);
        let (query, messages) = signed(change, vec![whole.clone()], 1);
        assert_eq!(judge(keys(), &query, &messages).reason, Reason::TsigForm);
    }
}

#[test]
fn limits_hold_for_signed_answers_too() {
    let (query, messages) = signed(|_| {}, zone(10), 1);
    let limits = Limits { messages: 5, ..Limits::default() };
    let mut answers = Answers::new(Arc::new(limits), Arc::new(keys()));
    answers.expect(&query, NOW).expect("a query");
    let pieces = answers.feed(&framed(&messages), NOW);
    let verdict = pieces[0].verdict.as_ref().expect("one verdict");
    assert_eq!((verdict.reason, pieces[0].data.as_slice()), (Reason::TooManyMessages, &framed(&messages[..5])[..]));
}

#[test]
fn a_datagram_that_is_not_signed_as_it_should_be_does_not_end_the_query() {
    let mut signer = Signer::new();
    let asked = signer.sign(query(IXFR, 5));
    let mut answers = Answers::new(Arc::default(), Arc::new(keys()));
    answers.expect(&asked, NOW).expect("a query");
    let plain = answer(IXFR, true, &[soa(7), soa(5), soa(7), soa(7)]);
    let good = signer.sign(plain.clone());
    let mut bad = good.clone();
    bad[50] ^= 0x20;
    assert!(answers.datagram(&plain, NOW).is_empty());
    assert!(answers.datagram(&bad, NOW).is_empty());
    let faults: Vec<_> = answers.faults().filter(|&(_, count)| count > 0).collect();
    assert_eq!(faults, [(xfr::Fault::UnsignedDatagram, 2)]);
    let pieces = answers.datagram(&good, NOW);
    let verdict = pieces[0].verdict.as_ref().expect("a verdict");
    assert_eq!((verdict.reason, verdict.kind, verdict.messages), (Reason::Accepted, Kind::Ixfr, 1));
    assert_eq!((verdict.added, verdict.signature), (1, Signature::Verified));
}
