//! What a core does: the AXFR of a zone of a million A records, in messages of 16 KiB as BIND fills them (the zone's name
//! spelt out once in a message, then pointed to), read in chunks of 64 KiB. Unsigned, and with TSIG (HMAC-SHA256) on
//! every message; with an RRSIG of ECDSA P-256 behind every A record; and one record in each message, as the least
//! considerate primaries send. In records a second.

#[path = "../tests/common/mod.rs"]
mod common;

use std::hint::black_box;
use std::sync::Arc;

use common::{AXFR, ID, NOW, Signer, ZONE, framed, keys, query, question, record, soa};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use xfr::{Answers, Limits};

const RECORDS: u32 = 1_000_000;
const CHUNK: usize = 65_536;

/// The RDATA of a signature by P-256 of a zone's A record.
fn rrsig() -> Vec<u8> {
    [&[0, 1, 13, 3, 0, 0, 14, 16, 106, 0, 0, 0, 105, 0, 0, 0, 18, 52], ZONE, &[7; 64]].concat()
}

/// The messages of the zone, at most `most` bytes each. `secure`: every other record is a signature.
fn messages(records: u32, most: usize, secure: bool) -> Vec<Vec<u8>> {
    let (mut messages, mut current, mut count) = (Vec::new(), Vec::new(), 0u16);
    let begin = |first: bool| -> Vec<u8> {
        let mut wire = [ID, 0x8400, u16::from(first), 0, 0, 0].map(u16::to_be_bytes).concat();
        wire.extend_from_slice(&if first { question(AXFR) } else { Vec::new() });
        wire
    };
    let mut close = |current: &mut Vec<u8>, count: &mut u16| {
        current[6..8].copy_from_slice(&count.to_be_bytes());
        messages.push(std::mem::replace(current, begin(false)));
        *count = 0;
    };
    current.extend(begin(true));
    let mut zone = 12u16; // where the zone's name stands in this message
    let mut last = 12u16; // where the last owner stands
    let signature = rrsig();
    for n in 0..records + 2 {
        let is_soa = n == 0 || n == records + 1;
        let label = format!("host{n:07}");
        let mut owner = vec![label.len() as u8];
        owner.extend_from_slice(label.as_bytes());
        let [a, b, c, d] = n.to_be_bytes();
        if count > 0 && current.len() + 200 > most {
            close(&mut current, &mut count);
        }
        if is_soa {
            current.extend_from_slice(&soa(1));
        } else if secure && n % 2 == 0 && count > 0 {
            current.extend_from_slice(&record(&(0xc000 | last).to_be_bytes(), 46, &signature));
        } else if count == 0 {
            last = current.len() as u16;
            zone = (current.len() + owner.len()) as u16;
            current.extend_from_slice(&record(&[owner.as_slice(), ZONE].concat(), 1, &[a, b, c, d]));
        } else {
            last = current.len() as u16;
            let pointer = (0xc000 | zone).to_be_bytes();
            current.extend_from_slice(&record(&[owner.as_slice(), &pointer].concat(), 1, &[a, b, c, d]));
        }
        count += 1;
    }
    close(&mut current, &mut count);
    messages
}

fn run(query: &[u8], stream: &[u8]) {
    let mut answers = Answers::new(Arc::new(Limits::default()), Arc::new(keys()));
    answers.expect(query, NOW).expect("a query");
    let mut verdicts = 0;
    for chunk in stream.chunks(CHUNK) {
        for piece in black_box(answers.feed(chunk, NOW)) {
            if let Some(verdict) = piece.verdict {
                assert!(verdict.is_accepted(), "{}: {}", verdict.reason.label(), verdict.detail);
                verdicts += 1;
            }
        }
    }
    assert_eq!(verdicts, 1);
}

fn guard(c: &mut Criterion) {
    let mut group = c.benchmark_group("guard");
    group.sample_size(10);
    let plain = messages(RECORDS, 16_384, false);
    let mut signer = Signer::new();
    let signed_query = signer.sign(query(AXFR, 0));
    let signed: Vec<_> = plain.iter().map(|message| signer.sign(message.clone())).collect();
    let (plain, signed) = (framed(&plain), framed(&signed));
    let secure = framed(&messages(RECORDS, 16_384, true));
    let single = framed(&messages(RECORDS / 10, 1, false));
    group.throughput(Throughput::Elements(u64::from(RECORDS)));
    group.bench_function("unsigned", |b| b.iter(|| run(&query(AXFR, 0), &plain)));
    group.bench_function("TSIG", |b| b.iter(|| run(&signed_query, &signed)));
    group.bench_function("every other record an RRSIG", |b| b.iter(|| run(&query(AXFR, 0), &secure)));
    group.throughput(Throughput::Elements(u64::from(RECORDS / 10)));
    group.bench_function("one record a message", |b| b.iter(|| run(&query(AXFR, 0), &single)));
    group.finish();
}

criterion_group!(benches, guard);
criterion_main!(benches);
