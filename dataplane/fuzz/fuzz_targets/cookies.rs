//! Invariant: whatever a backend answers and whatever a client sends, the edits of the COOKIE option
//! - return, and do not panic;
//! - never make a message longer than its room and its buffer, and write nothing behind what they return;
//! - leave a message alone that they can't edit;
//! - make of an answer one that parses as the same answer, and in which a second edit changes nothing;
//! - make of a query one that the wire check passes, without a cookie.
//!
//! The first two bytes of the input are the room, the rest is the message.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::{
    COOKIE_OPTION, Checks, Cookie, Put, Reason, Transport, check_answer, check_query, put_cookie, spare_cookie,
    strip_cookies,
};

const COOKIE: Cookie = Cookie { client: *b"12345678", stamp: [1, 2, 3, 4], tag: *b"87654321" };

fuzz_target!(|input: &[u8]| {
    let [high, low, message @ ..] = input else { return };
    let room = usize::from(u16::from_be_bytes([*high, *low]));
    answer(message, room);
    query(message);
});

fn answer(message: &[u8], room: usize) {
    let mut buffer = message.to_vec();
    buffer.resize(message.len() + COOKIE_OPTION, 0xee);
    let length = match put_cookie(&mut buffer, message.len(), &COOKIE, room) {
        Put::Unable => {
            assert_eq!(buffer[..message.len()], *message);
            return;
        }
        Put::Done(length) => length,
        Put::Truncated(length) => {
            assert!(buffer[..length].ends_with(&COOKIE.option()) && buffer[2] & 2 != 0);
            length
        }
    };
    assert!(length <= room && length <= buffer.len());
    if let Ok(before) = check_answer(message) {
        let after = check_answer(&buffer[..length]).expect("still an answer");
        assert_eq!((before.id, before.rcode, before.question), (after.id, after.rcode, after.question));
    }
    let once = buffer[..length].to_vec();
    assert_eq!(put_cookie(&mut buffer, length, &COOKIE, room), Put::Done(length));
    assert_eq!(buffer[..length], once);
}

fn query(message: &[u8]) {
    let mut checks = Checks::default();
    for reason in Reason::ALL {
        // Those that leave no choice stay as they are.
        let _ = checks.choose(reason, "observe");
    }
    let Ok(query) = check_query(message, Transport::Tcp, &checks) else { return };
    let Some(place) = query.cookie else { return };
    let (client, server) = place.read(message).expect("where the check found it");
    assert!(client.len() == 8 && (server.is_empty() || (8..=32).contains(&server.len())));
    let mut edited = message.to_vec();
    spare_cookie(&mut edited, place);
    let length = strip_cookies(&mut edited, place);
    if length < message.len() {
        let after = check_query(&edited[..length], Transport::Tcp, &checks).expect("still good");
        assert_eq!((after.question, after.cookie), (query.question, None));
    }
}
