//! Invariant: whatever a primary sends, in whatever chunks, over TCP or in datagrams, to signed and unsigned queries, the
//! guard
//! - returns, and does not panic;
//! - gives each query at most one verdict while the connection lasts, and exactly one when it ended;
//! - passes nothing that was not sent, in the order in which it was sent for each query, and nothing behind a verdict;
//! - keeps what passes and what is said the same, however the bytes are cut.
//!
//! The first byte chooses the query and the transport, the second how the rest is cut: the answer, with the header of
//! the query's answer put before it unless a bit of the first byte says that it has its own.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use xfr::{Algorithm, Answers, Keys, Limits, Piece};

const NOW: f64 = 1_700_000_000.0;
const QUESTION: &[u8] = b"\x07example\x00";

fn query(kind: u8) -> Vec<u8> {
    let (qtype, authority) = match kind % 3 {
        0 => (252u16, false),
        1 => (251, true),
        _ => (6, false),
    };
    let mut wire = vec![0, 1, 0, 0, 0, 1, 0, 0, 0, u8::from(authority), 0, u8::from(kind & 0x80 != 0)];
    wire.extend_from_slice(QUESTION);
    wire.extend_from_slice(&qtype.to_be_bytes());
    wire.extend_from_slice(&[0, 1]);
    if authority {
        wire.extend_from_slice(&[0xc0, 12, 0, 6, 0, 1, 0, 0, 0, 0, 0, 22, 0, 0, 0, 0, 0, 5]);
        wire.extend_from_slice(&[0; 16]);
    }
    if kind & 0x80 != 0 {
        wire.extend_from_slice(b"\x03key\x00\x00\xfa\x00\xff\x00\x00\x00\x00\x00\x3d\x0bhmac-sha256\x00");
        wire.extend_from_slice(&[0, 0, 0x65, 0x53, 0xf1, 0, 1, 44, 0, 32]);
        wire.extend_from_slice(&[7; 32]);
        wire.extend_from_slice(&[0, 1, 0, 0, 0, 0]);
    }
    wire
}

fn guard(query: &[u8]) -> Answers {
    let keys = Keys::new([(b"\x03key\x00".to_vec(), Algorithm::Sha256, vec![1; 32])]);
    let limits = Limits { names: 1000, rrset: 3, records: 100, messages: 50, ..Limits::default() };
    let mut answers = Answers::new(Arc::new(limits), Arc::new(keys));
    answers.expect(query, NOW).expect("the query is good");
    answers
}

/// What passed, and what was said; nothing passes behind a verdict.
fn outcome(pieces: Vec<Piece>) -> (Vec<u8>, Vec<(&'static str, String)>) {
    let (mut passed, mut verdicts) = (Vec::new(), Vec::new());
    for piece in pieces {
        assert!(piece.id == 1 && verdicts.is_empty());
        passed.extend(piece.data);
        verdicts.extend(piece.verdict.map(|verdict| (verdict.reason.label(), verdict.detail)));
    }
    (passed, verdicts)
}

fuzz_target!(|data: &[u8]| {
    let [kind, cut, rest @ ..] = data else { return };
    let query = query(*kind);
    if kind & 0x40 != 0 {
        let mut answers = guard(&query);
        let (passed, verdicts) = outcome(answers.datagram(rest, NOW));
        assert!(passed.is_empty() || passed[2..] == *rest);
        assert_eq!(verdicts.len() + answers.outstanding(), 1);
        return;
    }
    let mut stream = Vec::new();
    if kind & 0x20 == 0 {
        // One message whose header, question and length are right.
        let question = &query[12..12 + QUESTION.len() + 4];
        let counts = [0, 1, 0x84, 0, 0, 1, 0, cut & 7, 0, 0, 0, kind >> 7];
        stream.extend_from_slice(&((counts.len() + question.len() + rest.len()) as u16).to_be_bytes());
        stream.extend_from_slice(&counts);
        stream.extend_from_slice(question);
    }
    stream.extend_from_slice(rest);
    let mut whole = guard(&query);
    let mut pieces = whole.feed(&stream, NOW);
    pieces.extend(whole.finish(NOW));
    let whole = outcome(pieces);
    assert!(whole.1.len() == 1 && stream.len() >= whole.0.len());
    let mut parts = guard(&query);
    let mut pieces: Vec<_> = stream.chunks(1 + usize::from(*cut)).flat_map(|chunk| parts.feed(chunk, NOW)).collect();
    pieces.extend(parts.finish(NOW));
    assert_eq!(outcome(pieces), whole);
});
