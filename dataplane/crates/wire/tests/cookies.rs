//! The edits of the COOKIE option: what comes out is what would have been written in the first place.

mod common;

use common::{Message, option};
use proptest::prelude::*;
use wire::{
    COOKIE_OPTION, Checks, Cookie, Put, Reason, Transport, check_query, put_cookie, spare_cookie, strip_cookies,
};

const COOKIE: Cookie = Cookie { client: *b"12345678", stamp: [1, 2, 3, 4], tag: *b"87654321" };
const A: (u16, u16) = (1, 1);
const POINTER: [u8; 2] = [0xc0, 12];

type Options = Vec<(u16, Vec<u8>)>;

/// Options of any kind, COOKIE options of any number and place among them.
fn options() -> impl Strategy<Value = Options> {
    let code = prop_oneof![2 => Just(10), 3 => 11_u16..70];
    let of = |code| {
        let sizes = if code == 10 { vec![8, 16, 24, 40] } else { (0..30).collect() };
        (Just(code), prop::sample::select(sizes).prop_flat_map(|size| prop::collection::vec(any::<u8>(), size)))
    };
    prop::collection::vec(code.prop_flat_map(of), 0..5)
}

fn written(options: &[(u16, Vec<u8>)]) -> Vec<u8> {
    options.iter().flat_map(|(code, value)| option(*code, value)).collect()
}

fn without_cookies(options: &[(u16, Vec<u8>)]) -> Vec<u8> {
    options.iter().filter(|(code, _)| *code != 10).flat_map(|(code, value)| option(*code, value)).collect()
}

/// What stands around OPT in an answer: records of each section, and addresses behind OPT.
#[derive(Clone, Debug)]
struct Around {
    records: Vec<(usize, Vec<u8>)>,
    behind: usize,
}

fn around() -> impl Strategy<Value = Around> {
    let record = (1_usize..4, prop::collection::vec(any::<u8>(), 0..40));
    (prop::collection::vec(record, 0..6), 0_usize..3).prop_map(|(mut records, behind)| {
        records.sort_by_key(|(section, _)| *section);
        Around { records, behind }
    })
}

fn answer(around: &Around, options: &[u8]) -> Vec<u8> {
    let mut message = Message::with_flags(0x8400).question("www.example.com", 1, 1);
    for (section, rdata) in &around.records {
        message = message.record(*section, &POINTER, (16, 1), 300, rdata);
    }
    message = message.opt(options);
    for _ in 0..around.behind {
        message = message.record(3, &POINTER, A, 300, &[192, 0, 2, 1]);
    }
    message.bytes()
}

/// Everything passes that may.
fn lax() -> Checks {
    let mut checks = Checks::default();
    for reason in Reason::ALL {
        let _ = checks.choose(reason, "observe");
    }
    checks
}

fn put(message: &[u8], room: usize) -> (Put, Vec<u8>) {
    let mut buffer = message.to_vec();
    buffer.resize(message.len() + COOKIE_OPTION, 0xee);
    let put = put_cookie(&mut buffer, message.len(), &COOKIE, room);
    match put {
        Put::Done(length) | Put::Truncated(length) => buffer.truncate(length),
        Put::Unable => buffer.truncate(message.len()),
    }
    (put, buffer)
}

proptest! {
    /// An answer with the cookie is the answer that a server would have written with it, whatever stood there before.
    #[test]
    fn a_cookie_is_put_in(around in around(), options in options(), short in 0_usize..80) {
        let expected = answer(&around, &[without_cookies(&options), COOKIE.option().to_vec()].concat());
        let given = answer(&around, &written(&options));
        prop_assert_eq!(put(&given, expected.len()), (Put::Done(expected.len()), expected.clone()));
        let room = expected.len() - 1 - short.min(expected.len() - 1);
        let truncated = Message::with_flags(0x8600).question("www.example.com", 1, 1).opt(&COOKIE.option()).bytes();
        if room >= truncated.len() {
            prop_assert_eq!(put(&given, room), (Put::Truncated(truncated.len()), truncated));
        } else {
            prop_assert_eq!(put(&given, room), (Put::Unable, given));
        }
    }

    /// A query without its cookies is the query that a client without them would have sent.
    #[test]
    fn cookies_are_taken_out(first in prop::sample::select(&[8_usize, 16, 24, 40][..]), options in options()) {
        let all = [vec![(10, vec![7; first])], options].concat();
        let with = |options: &[u8]| Message::query(1).opt(options).bytes();
        let mut message = with(&written(&all));
        let query = check_query(&message, Transport::Udp, &Checks::default()).expect("good");
        let place = query.cookie.expect("has one");
        prop_assert_eq!(place.read(&message).map(|(client, server)| (client.len(), server.len())), Some((8, first - 8)));
        let length = strip_cookies(&mut message, place);
        prop_assert_eq!(&message[..length], &with(&without_cookies(&all))[..]);
    }

    /// Any bytes: nothing panics, nothing grows beyond its bounds, and what can't be done leaves the message alone.
    #[test]
    fn any_bytes(
        head in prop::collection::vec(0_u8..4, 12),
        body in prop::collection::vec(any::<u8>(), 0..200),
        around in around(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        (random, room) in (any::<bool>(), 0_usize..400),
    ) {
        let mut message = if random { [head, body].concat() } else { answer(&around, &option(10, &[7; 24])) };
        for (index, byte) in changes {
            let at = index.index(message.len());
            message[at] = byte;
        }
        let (put, result) = put(&message, room);
        match put {
            Put::Done(length) => prop_assert!(length <= room && length <= message.len() + COOKIE_OPTION),
            Put::Truncated(length) => prop_assert!(length <= room && result.ends_with(&COOKIE.option())),
            Put::Unable => prop_assert_eq!(result, message.clone()),
        }
        let checks = lax();
        if let Ok(query) = check_query(&message, Transport::Tcp, &checks)
            && let Some(place) = query.cookie
        {
            let mut edited = message.clone();
            spare_cookie(&mut edited, place);
            let length = strip_cookies(&mut edited, place);
            prop_assert!(length <= message.len());
            let again = check_query(&edited[..length], Transport::Tcp, &checks);
            prop_assert!(length == message.len() || again.is_ok_and(|again| again.cookie.is_none()));
        }
    }
}

/// What points into the part that moves, is signed, or has no OPT, stays as it was.
#[test]
fn what_cannot_be_changed_is_not() {
    let base = || Message::with_flags(0x8400).question("www.example.com", 1, 1);
    let opt_end = base().opt(&[]).bytes().len() as u8;
    let names = base().opt(&[]).record(3, b"\x01a\0", A, 0, &[1; 4]);
    for message in [
        base(),
        base().opt(&[]).tsig(),
        base().opt(&[]).opt(&[]),
        base().opt(&[0, 1]),
        base().record(3, b"\x01a\0", (41, 1232), 0, &[]),
        base().opt(&[]).record(3, &POINTER, (2, 1), 0, &POINTER),
        names.clone().record(3, &[0xc0, opt_end], A, 0, &[1; 4]),
        names.clone().record(3, &[1, b'b', 0xc0, opt_end], A, 0, &[1; 4]),
        base().opt(&[]).raw(b"x"),
    ] {
        let bytes = message.bytes();
        assert_eq!(put(&bytes, 1232), (Put::Unable, bytes.clone()), "{bytes:?}");
    }
    assert!(matches!(put(&names.bytes(), 1232).0, Put::Done(_)));
}

/// A query in which something stands behind OPT keeps its cookie: nothing there is moved.
#[test]
fn a_query_that_goes_on_behind_opt_is_kept() {
    let mut message = Message::query(1).opt(&option(10, &[7; 8])).record(3, &POINTER, A, 0, &[1; 4]).bytes();
    let place = check_query(&message, Transport::Udp, &Checks::default()).expect("good").cookie.expect("has one");
    let before = message.clone();
    assert_eq!(strip_cookies(&mut message, place), before.len());
    assert_eq!(message, before);
}

#[test]
fn room_for_the_cookie_is_asked_for_where_512_are_left() {
    for (size, expected) in [(1232, 1204), (540, 512), (539, 539), (512, 512), (0, 0), (65_535, 65_507)] {
        let mut message = Message::query(1).record(3, &[0], (41, size), 0, &option(10, &[7; 8])).bytes();
        let place = check_query(&message, Transport::Udp, &Checks::default()).expect("good").cookie.expect("has one");
        spare_cookie(&mut message, place);
        let at = usize::from(place.opt) + 3;
        assert_eq!(u16::from_be_bytes([message[at], message[at + 1]]), expected, "{size}");
    }
}
