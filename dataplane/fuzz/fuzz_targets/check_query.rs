//! Invariant: whatever bytes a client sends, over whatever transport and under whatever settings, the wire check
//! - returns, and does not panic;
//! - finds the name of a key only where it is one whole name;
//! - lets nothing pass that has QR or an RCODE set, or a name that is not one whole uncompressed name of at most 255
//!   bytes;
//! - never asks for a reply to a response;
//! - asks only for replies that can be written, are no longer than the message and an OPT, and pass as answers with the
//!   same ID, opcode and question. Such a reply is never taken for a query.
//!
//! The first byte of the input chooses transport and settings, the second what the rest is: the message itself, or
//! pairs of place and value that change a good one.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::name::{MAX_NAME, labels, skip_plain};
use wire::{
    Checks, Fault, HEADER_LEN, Query, REPLY_EXTRA, Reaction, Reason, Transport, check_answer, check_query, tsig_key,
    write_reply,
};

/// A query with EDNS and a cookie, an IXFR, a NOTIFY with its SOA, an UPDATE; the last three signed.
const GOOD: [&[u8]; 4] = [
    b"\x12\x34\x01\0\0\x01\0\0\0\0\0\x01\x01a\x07eXample\0\0\x01\0\x01\0\0\x29\x04\xd0\0\0\x80\0\0\x10\0\x0a\0\x08abcdefgh\0\x03\0\0",
    b"\x12\x34\0\0\0\x01\0\0\0\x01\0\x01\x01a\0\0\xfb\0\x01\xc0\x0c\0\x06\0\x01\0\0\0\0\0\x04soa!\x01k\0\0\xfa\0\xff\0\0\0\0\0\x02hi",
    b"\x12\x34\x24\0\0\x01\0\x01\0\0\0\x02\x01a\0\0\x06\0\x01\xc0\x0c\0\x06\0\x01\0\0\0\0\0\x04soa!\0\0\x29\x04\xd0\0\0\0\0\0\0\x01k\0\0\xfa\0\xff\0\0\0\0\0\x02hi",
    b"\x12\x34\x28\0\0\x01\0\x01\0\x01\0\x01\x01a\0\0\x06\0\x01\xc0\x0c\0\xff\0\xfe\0\0\0\0\0\0\x01b\xc0\x0c\0\x01\0\x01\0\0\0\0\0\x041234\0\0\x18\0\xff\0\0\0\0\0\x02\0\0",
];

fn changed(good: &[u8], pairs: &[u8]) -> Vec<u8> {
    let mut message = good.to_vec();
    for [place, value] in pairs.as_chunks::<2>().0 {
        match message.get_mut(usize::from(*place)) {
            Some(byte) => *byte = *value,
            None => message.push(*value),
        }
    }
    message
}

fuzz_target!(|input: &[u8]| {
    let [selector, kind, bytes @ ..] = input else { return };
    let owned = GOOD.get(usize::from(*kind)).map(|good| changed(good, bytes));
    let message = owned.as_deref().unwrap_or(bytes);
    let mut key = [0; MAX_NAME];
    if let Some(key) = tsig_key(message, &mut key) {
        assert_eq!(skip_plain(key, 0).map(|(end, _)| end), Ok(key.len()), "the key has a name");
    }
    let transport = Transport::ALL[usize::from(*selector) % Transport::COUNT];
    let mut checks = Checks::default();
    let choice = |bits: u8| ["pass", "formerr", "drop", "observe"][usize::from(bits & 3)];
    let any = ["pass", "truncate", "refuse"][usize::from(selector >> 6) % 3];
    let chaos = if selector & 0x80 != 0 { "pass" } else { "refuse" };
    let rows = [
        (Reason::TcBit, choice(selector >> 2)),
        (Reason::TrailingBytes, choice(selector >> 4)),
        (Reason::AnyOverUdp, any),
        (Reason::ChaosRefused, chaos),
        (Reason::ALL[usize::from(*kind) % Reason::COUNT], if kind & 0x80 != 0 { "observe" } else { "drop" }),
    ];
    for (reason, word) in rows {
        let _ = checks.choose(reason, word);
    }
    match check_query(message, transport, &checks) {
        Ok(query) => passed(message, &query),
        Err(fault) => refused(message, &fault, transport, &checks),
    }
});

fn passed(message: &[u8], query: &Query<'_>) {
    assert!(message[2] & 0x80 == 0);
    if let Some(question) = &query.question {
        let end = HEADER_LEN + question.name.len();
        assert_eq!(question.name, &message[HEADER_LEN..end]);
        assert!(question.name.len() <= 255 && question.name.ends_with(&[0]));
        assert_eq!(labels(question.name).count(), usize::from(question.labels));
        assert!(message.len() >= end + 4);
    }
    assert!(query.edns.is_none_or(|edns| edns.udp_size >= 512));
    if query.observed.is_none() {
        assert!(message[3] & 0x0f == 0 && query.edns.is_none_or(|edns| edns.version == 0));
    }
}

fn refused(message: &[u8], fault: &Fault, transport: Transport, checks: &Checks) {
    let Reaction::Reply { rcode, truncated } = fault.reaction else { return };
    assert!(message[2] & 0x80 == 0, "a response is never answered");
    let mut buffer = message.to_vec();
    buffer.resize(message.len() + REPLY_EXTRA, 0xee);
    let length = write_reply(&mut buffer, fault.echo(), rcode, truncated);
    assert!((HEADER_LEN..=message.len() + REPLY_EXTRA).contains(&length));
    let reply = &buffer[..length];
    let answer = check_answer(reply).expect("our own reply parses");
    assert_eq!(reply[..2], message[..2], "the ID");
    assert_eq!(reply[2] & 0x78, message[2] & 0x78, "the opcode");
    assert_eq!((u16::from(answer.rcode), answer.truncated), (rcode & 0x0f, truncated));
    let echoed = usize::from(fault.question_len);
    assert_eq!(reply[HEADER_LEN..HEADER_LEN + echoed], message[HEADER_LEN..HEADER_LEN + echoed]);
    assert!(matches!(check_query(reply, transport, checks), Err(Fault { reaction: Reaction::Drop, .. })));
}
