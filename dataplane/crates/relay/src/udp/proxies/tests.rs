//! Who may say what, in each of the ways that headers come.

use wire::Transport;
use wire::proxy::{write_local_v2, write_spp, write_v2};

use super::*;

const IDLE: u64 = 30;

fn socket(text: &str) -> SocketAddr {
    text.parse().expect("an address and a port")
}

fn proxies(required: bool, placing: Placing) -> Proxies {
    let from = PrefixSet::new([("192.0.2.0".parse().expect("an address"), 24, 0)]).expect("a small set");
    Proxies::new(from, required, placing)
}

fn with_header(message: &[u8]) -> Vec<u8> {
    let mut out = [0; 64];
    let length = write_v2(&mut out, Transport::Udp, socket("198.51.100.7:4000"), socket("203.0.113.9:53"), &[], false);
    [&out[..length], message].concat()
}

fn from(proxy: &str) -> Origin {
    Origin::direct(socket(proxy), socket("203.0.113.5:53"))
}

fn inner(header: usize) -> Origin {
    Origin { header, ..Origin::direct(socket("198.51.100.7:4000"), socket("203.0.113.9:53")) }
}

#[test]
fn a_header_before_each_datagram_is_taken_from_listed_proxies_only() {
    let mut proxies = proxies(true, Placing::Each(Protocol::V2));
    let (listed, other) = (from("192.0.2.1:999"), from("192.0.3.1:999"));
    assert_eq!(proxies.origin(listed, &with_header(b"message"), 0), Ok(inner(28)));
    assert_eq!(proxies.origin(other, &with_header(b"message"), 0), Err(Reason::ProxySource));
    assert_eq!(proxies.origin(other, b"message", 0), Err(Reason::ProxySource));
    assert_eq!(proxies.origin(listed, b"message", 0), Err(Reason::ProxyMissing));
    assert_eq!(proxies.origin(listed, &with_header(b"")[..27], 0), Err(Reason::ProxyMalformed));
    let mut local = [0; 18];
    write_local_v2(&mut local);
    assert_eq!(proxies.origin(listed, &local, 0), Ok(Origin { header: 16, ..listed }));
}

#[test]
fn where_no_header_is_required_others_are_clients_and_still_may_not_send_one() {
    let mut proxies = proxies(false, Placing::Each(Protocol::V2));
    let (listed, other) = (from("192.0.2.1:999"), from("192.0.3.1:999"));
    assert_eq!(proxies.origin(listed, &with_header(b"message"), 0), Ok(inner(28)));
    assert_eq!(proxies.origin(other, &with_header(b"message"), 0), Err(Reason::ProxySource));
    assert_eq!(proxies.origin(other, &with_header(b"")[..20], 0), Err(Reason::ProxySource));
    assert_eq!(proxies.origin(other, b"message", 0), Ok(other));
    assert_eq!(proxies.origin(listed, b"message", 0), Ok(listed));
}

#[test]
fn an_spp_header_is_marked_to_go_back() {
    let mut proxies = proxies(true, Placing::Each(Protocol::Spp));
    let mut datagram = [0; 50];
    write_spp(&mut datagram, socket("198.51.100.7:4000"), socket("203.0.113.9:53"));
    let listed = from("192.0.2.1:999");
    assert_eq!(proxies.origin(listed, &datagram, 0), Ok(Origin { returns: true, ..inner(38) }));
    assert_eq!(proxies.origin(listed, &datagram[..37], 0), Err(Reason::ProxyMalformed));
    assert_eq!(proxies.origin(listed, &datagram[2..], 0), Err(Reason::ProxyMissing));
}

#[test]
fn a_header_once_holds_for_what_follows_from_the_same_port() {
    let mut proxies = proxies(true, Placing::Once { idle: IDLE, sessions: 2 });
    let (listed, port, door) = (
        from("192.0.2.1:999"),
        from("192.0.2.1:998"),
        Origin { asked: socket("203.0.113.6:53"), ..from("192.0.2.1:999") },
    );
    assert_eq!(proxies.origin(listed, b"message", 0), Err(Reason::ProxyMissing));
    assert_eq!(proxies.origin(listed, &with_header(b""), 0), Err(Reason::ProxySession));
    assert_eq!(proxies.origin(listed, b"message", IDLE), Ok(inner(0)));
    assert_eq!(proxies.origin(port, b"message", IDLE), Err(Reason::ProxyMissing));
    assert_eq!(proxies.origin(door, b"message", IDLE), Err(Reason::ProxyMissing), "another address of ours");
    assert_eq!(proxies.origin(listed, b"message", 2 * IDLE + 1), Err(Reason::ProxyMissing));
    assert_eq!(proxies.origin(port, &with_header(b"message"), 0), Ok(inner(28)));
    assert_eq!(proxies.origin(port, b"message", 1), Ok(inner(0)));
    assert_eq!(proxies.origin(from("192.0.3.1:998"), &with_header(b"message"), 0), Err(Reason::ProxySource));
}

#[test]
fn a_reload_keeps_the_sessions() {
    let mut old = proxies(true, Placing::Once { idle: IDLE, sessions: 2 });
    assert_eq!(old.origin(from("192.0.2.1:999"), &with_header(b""), 0), Err(Reason::ProxySession));
    let mut new = proxies(true, Placing::Once { idle: IDLE + 5, sessions: 2 });
    new.inherit(old);
    assert_eq!(new.origin(from("192.0.2.1:999"), b"message", IDLE + 5), Ok(inner(0)));
}
