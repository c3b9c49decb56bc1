//! NOTIFY for the zones that take it: who may send it, and how much.

mod common;

use common::{Engine, SECOND, client, message, name, over_tcp};
use engine::{Client, ErrorBudget, Grants, NotifySpec, PolicySpec};

const PRIMARY: &str = "198.51.100.5";
const ELSEWHERE: &str = "203.0.113.7";
const LATER: u64 = 1000 * SECOND;

fn engine() -> Engine {
    let zone = |dotted: &str| NotifySpec {
        zone: name(dotted),
        from: vec![(PRIMARY.parse().expect("an address"), 32), ("2001:db8:5::".parse().expect("an address"), 48)],
        keys: vec![name("Transfer.KEY")],
    };
    Engine::new(PolicySpec {
        zones: vec![name("example.com")],
        error_budget: ErrorBudget { rate: 1000, prefix_rate: 1000 },
        notifies: vec![zone("Example.com"), zone("two.example.com")],
        ..PolicySpec::default()
    })
}

fn notify(dotted: &str) -> Vec<u8> {
    message(4, &name(dotted), 6, 1)
}

/// The message with a TSIG record of this owner, in wire form, which nobody has verified.
fn signed(mut message: Vec<u8>, owner: &[u8]) -> Vec<u8> {
    message[11] += 1;
    message.extend_from_slice(owner);
    message.extend_from_slice(&[0, 250, 0, 255, 0, 0, 0, 0, 0, 3, 1, 2, 3]);
    message
}

#[test]
fn it_is_taken_from_whom_the_zone_names() {
    let engine = engine();
    for who in [PRIMARY, "2001:db8:5::1"] {
        assert_eq!(engine.says(&notify("example.com"), &client(who), LATER), "reply notify");
        assert_eq!(engine.says(&notify("EXAMPLE.com"), &over_tcp(client(who)), LATER), "reply notify");
        assert_eq!(engine.says(&signed(notify("example.com"), &name("other")), &client(who), LATER), "reply notify");
    }
    assert_eq!(engine.says(&notify("example.com"), &client(ELSEWHERE), LATER), "reply notify-refused 5");
    let by_key = signed(notify("example.com"), &name("transfer.Key"));
    assert_eq!(engine.says(&by_key, &client(ELSEWHERE), LATER), "reply notify");
    let by_stranger = signed(notify("example.com"), &name("another.key"));
    assert_eq!(engine.says(&by_stranger, &client(ELSEWHERE), LATER), "reply notify", "it is told that the key is bad");
}

#[test]
fn the_name_of_a_key_may_be_compressed() {
    // "x" and a pointer to "example.com" of the question; and one to a name that is no key.
    let keys = vec![name("x.example.com")];
    let spec = NotifySpec { zone: name("example.com"), from: vec![], keys };
    let engine = Engine::new(PolicySpec { pass_all: true, notifies: vec![spec], ..PolicySpec::default() });
    let message = signed(notify("example.com"), &[1, b'X', 0xc0, 12]);
    for _ in 0..40 {
        assert_eq!(engine.says(&message, &client(ELSEWHERE), LATER), "reply notify", "more than strangers may");
    }
}

#[test]
fn what_is_not_about_such_a_zone_goes_the_way_of_before() {
    let engine = engine();
    let granted = |who| Client { grants: Grants { notify: true, ..Grants::default() }, ..client(who) };
    assert_eq!(engine.says(&notify("www.example.com"), &granted(ELSEWHERE), LATER), "forward ok");
    assert_eq!(engine.says(&notify("www.example.com"), &client(PRIMARY), LATER), "reply notify-refused 5");
    let of_cds = message(4, &name("example.com"), 59, 1);
    assert_eq!(engine.says(&of_cds, &granted(PRIMARY), LATER), "forward ok", "it is not about the SOA");
    assert_eq!(engine.says(&notify("example.com"), &granted(ELSEWHERE), LATER), "reply notify-refused 5");
    let query = message(0, &name("example.com"), 6, 1);
    assert_eq!(engine.says(&query, &client(ELSEWHERE), LATER), "forward ok");
}

#[test]
fn each_kind_of_sender_has_its_own_pace() {
    let engine = engine();
    let taken = |message: &[u8], who: &str, count: usize| {
        (0..count).filter(|_| engine.says(message, &client(who), LATER) == "reply notify").count()
    };
    assert_eq!(taken(&notify("example.com"), PRIMARY, 100), 20);
    assert_eq!(engine.says(&notify("example.com"), &client(PRIMARY), LATER), "drop notify-limited");
    assert_eq!(taken(&notify("two.example.com"), PRIMARY, 100), 20, "another zone is not held up");
    assert_eq!(taken(&signed(notify("example.com"), &name("transfer.key")), ELSEWHERE, 1000), 200);
    assert_eq!(taken(&signed(notify("example.com"), &name("nobody")), ELSEWHERE, 1000), 10);
    assert_eq!(engine.says(&notify("example.com"), &client(PRIMARY), LATER + SECOND), "reply notify", "it comes back");
}

#[test]
fn a_flood_of_forged_sources_is_bounded_in_total() {
    let engine = engine();
    let strange = signed(notify("example.com"), &name("nobody"));
    let taken = (0..20_000_u32)
        .filter(|n| {
            let who = format!("10.{}.{}.1", n >> 8 & 255, n & 255);
            engine.says(&strange, &client(&who), LATER) == "reply notify"
        })
        .count();
    assert_eq!(taken, 100);
}

#[test]
fn nothing_is_said_to_a_source_that_can_not_be_one() {
    let engine = engine();
    let nobody = Client { port: 0, ..client(PRIMARY) };
    assert_eq!(engine.says(&notify("example.com"), &nobody, LATER), "drop source-port");
}
