//! DNS cookies on the way through: the backend sees none, the client gets one.

use engine::{CookieSpec, MAX_ACCEPTED, Unverified};

use super::*;

fn with_cookies() -> Bench {
    let mut bench = Bench::new(1);
    let cookies = CookieSpec {
        secret: [9; 16],
        accepted: [None; MAX_ACCEPTED],
        unverified: Unverified::Pass,
        slip: 1,
        forward: false,
    };
    let spec = PolicySpec { zones: vec![b"\x04test\x00".to_vec()], cookies: Some(cookies), ..PolicySpec::default() };
    bench.relay.configure(
        Arc::new(Policy::new(spec).unwrap()),
        BOUNDS,
        vec![backend(0)],
        vec![ALL, Grants::default()],
        SECOND,
    );
    bench
}

/// `message` with an OPT of the UDP size 1232 or what is left of it for the backend.
fn with_opt(mut message: Vec<u8>, size: u16, options: &[u8]) -> Vec<u8> {
    message[11] = 1;
    message.extend_from_slice(&[0, 0, 41]);
    message.extend_from_slice(&size.to_be_bytes());
    message.extend_from_slice(&[0, 0, 0, 0, 0, options.len() as u8]);
    message.extend_from_slice(options);
    message
}

const OWN: &[u8] = b"\0\x0a\0\x08abcdefgh";

#[test]
fn a_cookie_is_taken_out_and_put_in() {
    let mut bench = with_cookies();
    let client = bench.client();
    bench.send(client, &with_opt(query(7, "a", 1), 1232, OWN));
    bench.open_all();
    let (link, sent) = bench.asked_once();
    assert_eq!(sent[2..], with_opt(query(7, "a", 1), 1204, b"")[2..]);
    bench.answer(link, &answer(&sent));
    let got = bench.got(client).remove(0);
    let bare = answer(&with_opt(query(7, "a", 1), 1204, b""));
    assert_eq!((got.len(), &got[..bare.len() - 2]), (bare.len() + 28, &bare[..bare.len() - 2]));
    assert_eq!(got[bare.len() - 2..bare.len() + 16], *b"\0\x1c\0\x0a\0\x18abcdefgh\x01\0\0\0");
    // With what it has learned the next one is known, and gets the same cookie again.
    bench.send(client, &with_opt(query(8, "a", 1), 1232, &got[bare.len()..]));
    let (link, sent) = bench.asked_once();
    bench.answer(link, &answer(&sent));
    assert_eq!(bench.got(client)[0][2..], got[2..]);
    let totals = bench.totals();
    let shown = [engine::Shown::Client, engine::Shown::Valid].map(|shown| totals.cookies(Transport::Tcp, shown));
    assert_eq!(shown, [1, 1]);
}

#[test]
fn an_answer_without_opt_is_passed_on_and_counted() {
    let mut bench = with_cookies();
    let client = bench.client();
    bench.send(client, &with_opt(query(7, "a", 1), 1232, OWN));
    bench.open_all();
    let (link, sent) = bench.asked_once();
    let plain = answer(&query(id(&sent), "a", 1));
    bench.answer(link, &plain);
    assert_eq!(bench.got(client)[0][2..], plain[2..]);
    assert_eq!(bench.io(Io::AnswersWithoutCookie), 1);
}

#[test]
fn a_transfer_gets_one_cookie() {
    let mut bench = with_cookies();
    let client = bench.client();
    bench.send(client, &with_opt(query(7, "", qtype::AXFR), 1232, OWN));
    bench.open_all();
    let (link, sent) = bench.asked_once();
    bench.answer(link, &answer(&sent));
    bench.answer(link, &answer(&sent));
    let lengths: Vec<usize> = bench.got(client).iter().map(Vec::len).collect();
    assert_eq!(lengths, [sent.len() + 28, sent.len()]);
    assert_eq!(bench.io(Io::AnswersWithoutCookie), 0);
}

#[test]
fn a_servfail_of_ours_has_it_too() {
    let mut bench = with_cookies();
    let client = bench.client();
    bench.send(client, &with_opt(query(7, "a", 1), 1232, OWN));
    bench.open_all();
    bench.asked_once();
    bench.wait(TIMEOUT);
    let got = bench.got(client).remove(0);
    assert_eq!((id(&got), rcode_of(&got)), (7, rcode::SERVFAIL));
    assert_eq!(got[got.len() - 28..got.len() - 12], *b"\0\x0a\0\x18abcdefgh\x01\0\0\0");
}
