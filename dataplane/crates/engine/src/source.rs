//! Where a query can't come from (rows 18 and 19 of the wire check).
//!
//! The address is the real one: on a socket for both families the kernel shows IPv4 as `::ffff:a.b.c.d`, and the relay
//! has unwrapped that. What still looks like IPv4 within IPv6 here was forged on the wire.

use std::net::{IpAddr, Ipv6Addr};

use wire::Reason;

use crate::decide::Client;

/// echo, daytime, chargen, time: services that answer whatever we send. The list is that of BIND.
const REFLECTING: [u16; 4] = [7, 13, 19, 37];
/// kpasswd answers errors with errors.
const KPASSWD: u16 = 464;
/// DNS itself.
const DOMAIN: u16 = 53;

/// Why nothing from this client is read, if so.
#[inline]
pub(crate) fn fault(client: &Client<'_>) -> Option<Reason> {
    if client.port == 0 || (!client.transport.is_stream() && REFLECTING.contains(&client.port)) {
        return Some(Reason::SourcePort);
    }
    if !is_possible(client.address) {
        return Some(Reason::SourceAddress);
    }
    if client.address.is_loopback() && !client.local.is_loopback() && !client.local.is_unspecified() {
        return Some(Reason::SourceAddress);
    }
    if client.address == client.local && client.port == client.local_port {
        return Some(Reason::OwnAddress);
    }
    None
}

#[inline]
fn is_possible(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.octets()[0] != 0 && !v4.is_multicast() && !v4.is_broadcast(),
        IpAddr::V6(v6) => !v6.is_multicast() && !holds_v4(v6),
    }
}

/// `::ffff:0:0/96` (mapped) and `::/96` (compatible, with the unspecified address), but not `::1`.
#[inline]
fn holds_v4(address: Ipv6Addr) -> bool {
    let upper = address.to_bits() >> 32;
    upper == 0xffff || (upper == 0 && !address.is_loopback())
}

/// Whether no error reply may go to this client (row 20): its service would answer with another one, or the message,
/// itself an error, may be the reply of a server to a forged query.
#[inline]
pub(crate) fn is_deaf_to_errors(client: &Client<'_>, reason: Reason) -> bool {
    !client.transport.is_stream() && (client.port == KPASSWD || (client.port == DOMAIN && reason == Reason::RcodeSet))
}
