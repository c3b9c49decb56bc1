//! The cost of the wire check. The house allows 100 ns a message.
//!
//! The messages are what clients really send: a query of a resolver with EDNS and a cookie, a bare query, and one that is refused.

use std::hint::black_box;
use std::net::SocketAddr;

use criterion::{Criterion, criterion_group, criterion_main};
use wire::proxy::{HEADROOM, parse_v2, write_v2};
use wire::{Checks, Echo, Transport, check_answer, check_query, write_reply};

const HEADER_ONE_OPT: &[u8] = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01";
const HEADER_BARE: &[u8] = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00";
const QUESTION: &[u8] = b"\x03wWw\x07example\x03com\x00\x00\x01\x00\x01";
const ANY_QUESTION: &[u8] = b"\x07example\x03com\x00\x00\xff\x00\x01";
/// UDP size 1232, DO, a client cookie.
const OPT_COOKIE: &[u8] = b"\x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x0c\x00\x0a\x00\x08abcdefgh";

fn check(criterion: &mut Criterion) {
    let checks = Checks::default();
    let typical = [HEADER_ONE_OPT, QUESTION, OPT_COOKIE].concat();
    let bare = [HEADER_BARE, QUESTION].concat();
    let refused = [HEADER_ONE_OPT, ANY_QUESTION, OPT_COOKIE].concat();
    let longest = [HEADER_BARE, &b"\x01a".repeat(127), b"\x00\x00\x01\x00\x01"].concat();
    for (name, message, passes) in [
        ("edns and cookie", &typical, true),
        ("bare", &bare, true),
        ("any over udp", &refused, false),
        ("127 labels", &longest, true),
    ] {
        assert_eq!(check_query(message, Transport::Udp, &checks).is_ok(), passes);
        criterion.bench_function(&format!("check_query/{name}"), |bencher| {
            bencher.iter(|| black_box(check_query(black_box(message), Transport::Udp, black_box(&checks))));
        });
    }
}

fn answer(criterion: &mut Criterion) {
    let mut message = [HEADER_ONE_OPT, QUESTION, OPT_COOKIE].concat();
    let query = check_query(&message, Transport::Udp, &Checks::default());
    let echo = query.map(|query| Echo::of(&query)).unwrap_or_default();
    criterion.bench_function("write_reply", |bencher| {
        bencher.iter(|| write_reply(black_box(&mut message), black_box(echo), 5, false));
    });
    assert!(check_answer(&message).is_ok());
    criterion.bench_function("check_answer", |bencher| {
        bencher.iter(|| black_box(check_answer(black_box(&message))));
    });
}

fn proxy(criterion: &mut Criterion) {
    let source = SocketAddr::from(([192, 0, 2, 1], 40000));
    let v6 = SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 53));
    let mut out = [0; HEADROOM];
    for (name, destination, checksum) in [("v4", source, false), ("mixed", v6, false), ("mixed, crc32c", v6, true)] {
        criterion.bench_function(&format!("write_v2/{name}"), |bencher| {
            bencher
                .iter(|| write_v2(black_box(&mut out), Transport::Udp, source, black_box(destination), &[], checksum));
        });
        assert!(matches!(parse_v2(&out), Ok(Some(_))));
        criterion.bench_function(&format!("parse_v2/{name}"), |bencher| {
            bencher.iter(|| black_box(parse_v2(black_box(&out)).is_ok()));
        });
    }
}

criterion_group!(benches, check, answer, proxy);
criterion_main!(benches);
