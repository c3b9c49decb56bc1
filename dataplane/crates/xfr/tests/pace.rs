//! Limits of time and rate, on a clock of the test's own.

mod common;

use std::sync::Arc;

use common::*;
use xfr::{Answers, Limits, Piece};

fn answers() -> Answers {
    let limits = Limits { seconds: 1_000.0, idle: 60.0, rate_bytes: 100, rate_seconds: 300.0, ..Limits::default() };
    let mut answers = Answers::new(Arc::new(limits), Arc::default());
    answers.expect(&query(AXFR, 0), NOW).expect("a query");
    answers
}

fn reasons(pieces: &[Piece]) -> Vec<&'static str> {
    pieces.iter().filter_map(|piece| Some(piece.verdict.as_ref()?.reason.label())).collect()
}

#[test]
fn silence_is_idle_and_only_after_its_time() {
    let mut answers = answers();
    for second in 1..=60 {
        assert!(answers.tick(NOW + f64::from(second)).is_empty());
    }
    assert_eq!(reasons(&answers.tick(NOW + 60.1)), ["idle"]);
    assert_eq!(answers.outstanding(), 0);
}

#[test]
fn a_byte_a_second_is_too_slow() {
    let mut answers = answers();
    let stream = framed(&answers_of_many());
    for second in 1..300 {
        let at = NOW + f64::from(second);
        // Every fourth second one byte: 74 bytes in the interval.
        if second % 4 == 0 {
            answers.feed(&stream[second as usize / 4..][..1], at);
        }
        assert!(answers.tick(at).is_empty());
    }
    assert_eq!(reasons(&answers.tick(NOW + 300.0)), ["too-slow"]);
}

fn answers_of_many() -> Vec<Vec<u8>> {
    common::answers(AXFR, &[soa(7), a("a", 1), a("b", 2), a("c", 3)], 1)
}

#[test]
fn fast_enough_and_for_ever_is_too_long() {
    let mut answers = answers();
    let stream = framed(&[answer(AXFR, true, &[soa(7)])]);
    answers.feed(&stream, NOW);
    let more = framed(&[answer(AXFR, false, &[a("a", 1)])]);
    for second in (10..=1_000).step_by(10) {
        let at = NOW + f64::from(second);
        assert_eq!(answers.feed(&more, at).len(), 1);
        assert!(answers.tick(at).is_empty());
    }
    assert_eq!(reasons(&answers.tick(NOW + 1_000.1)), ["too-long"]);
    assert!(answers.feed(&more, NOW + 1_001.0).is_empty(), "nothing of it passes any more");
}

#[test]
fn who_came_within_the_interval_is_not_blamed_for_it() {
    let mut answers = answers();
    let mut second = query(AXFR, 0);
    second[1] ^= 1;
    for second in 1..290 {
        let chunk: &[u8] = if second % 50 == 0 { &[0] } else { &[] };
        answers.feed(chunk, NOW + f64::from(second));
    }
    answers.expect(&second, NOW + 290.0).expect("another ID");
    assert_eq!(reasons(&answers.tick(NOW + 300.0)), ["too-slow"]);
    assert_eq!(answers.outstanding(), 1);
}

#[test]
fn a_clock_that_is_set_and_a_machine_that_slept_reject_nothing() {
    for jump in [3_600.0, 86_400.0, -3_600.0, f64::NAN] {
        let mut answers = answers();
        assert!(answers.tick(NOW + 1.0).is_empty());
        assert!(answers.tick(NOW + jump).is_empty());
        let since = if jump.is_nan() { NOW + 1.0 } else { NOW + jump };
        let last = (1..).find(|&second| !answers.tick(since + f64::from(second)).is_empty());
        assert!(last.is_some_and(|second| (48..=61).contains(&second)), "idle all the same: {last:?}");
    }
}
