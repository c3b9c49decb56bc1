//! DNS cookies in the decision: what a client shows, and what it gets.

mod common;

use common::{CLIENT, Engine, SECOND, client, limit, limited, message, name, over_tcp, query};
use engine::{Action, CookieSpec, MAX_ACCEPTED, PolicySpec, RateLimit, Shown, Treatment, Unverified, Verdict};
use wire::{Cookie, Transport};

const NOW: u64 = 1_800_000_000 * SECOND;
const HOUR: u64 = 3600 * SECOND;

fn spec(unverified: Unverified, slip: u32) -> CookieSpec {
    CookieSpec { secret: [9; 16], accepted: [None; MAX_ACCEPTED], unverified, slip, forward: false }
}

fn engine(unverified: Unverified, limits: Vec<RateLimit>) -> Engine {
    Engine::new(PolicySpec { cookies: Some(spec(unverified, 1)), ..limited(limits) })
}

fn with_options(mut message: Vec<u8>, options: &[u8]) -> Vec<u8> {
    message[11] += 1;
    message.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, options.len() as u8]);
    message.extend_from_slice(options);
    message
}

fn showing(server: &[u8]) -> Vec<u8> {
    showing_in(query("www.example.com"), server)
}

fn showing_in(message: Vec<u8>, server: &[u8]) -> Vec<u8> {
    let value = [b"12345678", server].concat();
    with_options(message, &[&[0, 10, 0, value.len() as u8], &value[..]].concat())
}

fn signed(mut message: Vec<u8>) -> Vec<u8> {
    message[11] += 1;
    message.extend_from_slice(b"\x01k\0\0\xfa\0\xff\0\0\0\0\0\x02hi");
    message
}

fn treatment(engine: &Engine, message: &[u8], address: &str, now: u64) -> Treatment {
    match engine.decide(message, &client(address), now) {
        Verdict::Forward { treatment, .. } => treatment,
        other => panic!("not forwarded: {other:?}"),
    }
}

/// The server part that the engine gives to a client.
fn learned(engine: &Engine, address: &str, now: u64) -> Vec<u8> {
    let due = treatment(engine, &showing(b""), address, now).cookie.expect("a cookie is due");
    due.cookie.option()[12..].to_vec()
}

fn reply_cookie(verdict: &Verdict<'_>) -> Option<Cookie> {
    match verdict {
        Verdict::Reply { echo, .. } => echo.cookie,
        _ => None,
    }
}

#[test]
fn without_a_secret_the_option_is_nobodys_business() {
    let engine = Engine::new(limited(vec![]));
    assert_eq!(treatment(&engine, &showing(b""), "198.51.100.7", NOW), Treatment::default());
    let totals = engine.layout.totals(&engine.memory).expect("long enough");
    assert!(Shown::ALL.iter().all(|&shown| totals.cookies(Transport::Udp, shown) == 0));
}

#[test]
fn each_state_is_counted_and_only_a_valid_cookie_verifies() {
    let engine = engine(Unverified::Pass, vec![]);
    let server = learned(&engine, "198.51.100.7", NOW);
    for (message, address, now, shown) in [
        (query("a"), "198.51.100.7", NOW, Shown::None),
        (showing(&server), "198.51.100.7", NOW, Shown::Valid),
        (showing(&server), "198.51.100.7", NOW + HOUR, Shown::Valid),
        (showing(&server), "198.51.100.7", NOW + HOUR + SECOND, Shown::Expired),
        (showing(&server), "198.51.100.8", NOW, Shown::Bad),
        (showing(&[1; 8]), "198.51.100.7", NOW, Shown::Bad),
    ] {
        let count = || engine.layout.totals(&engine.memory).expect("long enough").cookies(Transport::Udp, shown);
        let before = count();
        let treatment = treatment(&engine, &message, address, now);
        assert_eq!(count(), before + 1, "{shown:?}");
        assert_eq!(treatment.verified, shown == Shown::Valid, "{shown:?}");
        assert_eq!(treatment.cookie.is_some(), shown != Shown::None, "{shown:?}");
        assert_eq!(treatment.strip_cookie, shown != Shown::None, "{shown:?}");
    }
}

#[test]
fn the_answer_may_be_as_long_as_the_client_says() {
    let engine = engine(Unverified::Pass, vec![]);
    let room = |treatment: Treatment| treatment.cookie.expect("due").room.get();
    assert_eq!(room(treatment(&engine, &showing(b""), "198.51.100.7", NOW)), 1232);
    let message = showing(b"");
    let Verdict::Forward { treatment, .. } = engine.decide(&message, &over_tcp(client("198.51.100.7")), NOW) else {
        panic!("not forwarded");
    };
    assert_eq!(room(treatment), 65_535);
}

#[test]
fn a_signed_query_is_verified_and_never_changed() {
    let engine = engine(Unverified::Badcookie, vec![]);
    let server = learned_over_tcp(&engine);
    let good = treatment(&engine, &signed(showing(&server)), "198.51.100.7", NOW);
    assert_eq!(good, Treatment { verified: true, ..Treatment::default() });
    assert_eq!(treatment(&engine, &signed(showing(b"")), "198.51.100.7", NOW), Treatment::default());
}

fn learned_over_tcp(engine: &Engine) -> Vec<u8> {
    let message = showing(b"");
    match engine.decide(&message, &over_tcp(client("198.51.100.7")), NOW) {
        Verdict::Forward { treatment, .. } => treatment.cookie.expect("due").cookie.option()[12..].to_vec(),
        other => panic!("not forwarded: {other:?}"),
    }
}

#[test]
fn badcookie_teaches_a_cookie_that_is_good() {
    let engine = engine(Unverified::Badcookie, vec![]);
    let (address, first) = (client("198.51.100.7"), showing(b""));
    assert_eq!(engine.says(&first, &address, NOW), "reply cookie-required 23");
    assert_eq!(engine.says(&query("a"), &address, NOW), "forward ok", "who has no cookies can't be asked for one");
    assert_eq!(engine.says(&first, &over_tcp(address), NOW), "forward ok");
    let cookie = reply_cookie(&engine.decide(&first, &address, NOW)).expect("a fresh cookie");
    let second = showing(&cookie.option()[12..]);
    assert_eq!(engine.says(&second, &address, NOW), "forward ok");
    assert_eq!(engine.says(&second, &client("198.51.100.8"), NOW), "reply cookie-required 23");
}

#[test]
fn truncate_sends_all_others_to_tcp() {
    let engine = engine(Unverified::Truncate, vec![]);
    let address = client("2001:db8::7");
    for message in [query("a"), showing(b""), showing(&[1; 16]), signed(query("a"))] {
        assert_eq!(engine.says(&message, &address, NOW), "reply cookie-required tc 0");
        assert_eq!(engine.says(&message, &over_tcp(address), NOW), "forward ok");
    }
    let cookie = reply_cookie(&engine.decide(&showing(b""), &address, NOW)).expect("a fresh cookie");
    assert_eq!(engine.says(&showing(&cookie.option()[12..]), &address, NOW), "forward ok");
}

#[test]
fn slip_drops_the_others() {
    let cookies = Some(spec(Unverified::Truncate, 3));
    let engine = Engine::new(PolicySpec { cookies, ..limited(vec![]) });
    let says = |now| engine.says(&query("a"), &client("198.51.100.7"), NOW + now);
    let replies = (0..900).filter(|&now| says(now) == "reply cookie-required tc 0").count();
    assert!((200..400).contains(&replies), "{replies} of 900");
    assert_eq!((0..900).filter(|&now| says(now) == "drop cookie-required").count(), 900 - replies);
}

#[test]
fn a_query_for_a_cookie_alone_is_answered_here() {
    let engine = engine(Unverified::Pass, vec![]);
    let alone = |server: &[u8]| showing_in(vec![0x12, 0x34, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], server);
    let address = client("198.51.100.7");
    assert_eq!(engine.says(&alone(b""), &address, NOW), "reply cookie-only 0");
    let cookie = reply_cookie(&engine.decide(&alone(b""), &address, NOW)).expect("a fresh cookie");
    assert_eq!(engine.says(&alone(&cookie.option()[12..]), &address, NOW), "reply cookie-only 0");
    assert_eq!(engine.says(&alone(&[1; 16]), &over_tcp(address), NOW), "reply cookie-only 23");
    assert_eq!(Engine::new(limited(vec![])).says(&alone(b""), &address, NOW), "forward ok");
}

#[test]
fn a_valid_cookie_passes_limits_that_truncate_and_no_others() {
    let one = |action| engine(Unverified::Pass, vec![limit(CLIENT, 1, 1, action)]);
    let address = client("198.51.100.7");
    for (action, without, first, valid) in [
        (Action::Truncate, "reply rate-limited tc 0", "reply rate-limited 23", "forward ok"),
        (Action::Drop, "drop rate-limited", "drop rate-limited", "drop rate-limited"),
        (Action::Refuse, "reply rate-limited 5", "reply rate-limited 5", "reply rate-limited 5"),
    ] {
        let engine = one(action);
        let server = learned(&engine, "198.51.100.7", NOW);
        assert_eq!(engine.says(&query("a"), &address, NOW), without);
        assert_eq!(engine.says(&showing(b""), &address, NOW), first);
        assert_eq!(engine.says(&signed(showing(b"")), &address, NOW), without, "nobody takes an unsigned BADCOOKIE");
        assert_eq!(engine.says(&showing(&server), &address, NOW), valid);
    }
}

/// Whatever the gateway answers by itself has a cookie for whoever sent one.
#[test]
fn every_reply_has_the_cookie() {
    let cookies = Some(spec(Unverified::Pass, 1));
    let zones = vec![name("example.com")];
    let engine = Engine::new(PolicySpec { zones, cookies, ..PolicySpec::default() });
    let address = client("198.51.100.7");
    let trailing = [showing(b""), vec![0]].concat();
    for (bytes, says) in [
        (showing_in(query("elsewhere.test"), b""), "reply not-served 5"),
        (showing_in(message(0, &name("example.com"), 252, 1), b""), "reply axfr-over-udp 1"),
        (showing_in(message(0, &name("example.com"), 255, 1), b""), "reply any-over-udp tc 0"),
        (showing_in(message(0, &name("example.com"), 1, 3), b""), "reply chaos-refused 5"),
        (showing_in(message(4, &name("example.com"), 6, 1), b""), "reply notify-refused 5"),
        (trailing, "reply trailing-bytes 1"),
    ] {
        assert_eq!(engine.says(&bytes, &address, NOW), says);
        assert!(reply_cookie(&engine.decide(&bytes, &address, NOW)).is_some(), "{says}");
    }
    let alone = query("elsewhere.test");
    assert_eq!(reply_cookie(&engine.decide(&alone, &address, NOW)), None);
}

#[test]
fn rotation_loses_no_client() {
    let with = |secret: u8, accepted: &[u8]| {
        let mut cookies = CookieSpec { secret: [secret; 16], ..spec(Unverified::Badcookie, 1) };
        for (place, other) in cookies.accepted.iter_mut().zip(accepted) {
            *place = Some([*other; 16]);
        }
        Engine::new(PolicySpec { cookies: Some(cookies), ..limited(vec![]) })
    };
    // One server of the fleet is a step ahead of the other, at each step.
    for (ahead, behind) in
        [(with(1, &[2]), with(1, &[])), (with(2, &[1]), with(1, &[2])), (with(2, &[]), with(2, &[1]))]
    {
        for (giver, taker) in [(&ahead, &behind), (&behind, &ahead)] {
            let server = learned_over_tcp(giver);
            assert_eq!(taker.says(&showing(&server), &client("198.51.100.7"), NOW), "forward ok");
        }
    }
    let server = learned_over_tcp(&with(1, &[]));
    assert_eq!(with(2, &[]).says(&showing(&server), &client("198.51.100.7"), NOW), "reply cookie-required 23");
}
