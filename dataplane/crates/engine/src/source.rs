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

/// Whether anything from this client is read. `lets_pass` says of a fault whether the operator lets it in all the same;
/// the first such fault is returned, because nothing that we say ourselves may go there.
///
/// # Errors
/// The first fault that is not let in.
#[inline]
pub(crate) fn check(client: &Client<'_>, mut lets_pass: impl FnMut(Reason) -> bool) -> Result<Option<Reason>, Reason> {
    let mut observed = None;
    let mut fault = |reason| {
        observed.get_or_insert(reason);
        if lets_pass(reason) { Ok(()) } else { Err(reason) }
    };
    if client.port == 0 || (!client.transport.is_stream() && REFLECTING.contains(&client.port)) {
        fault(Reason::SourcePort)?;
    }
    let from_outside = !client.local.is_loopback() && !client.local.is_unspecified();
    if !is_possible(client.address) || (client.address.is_loopback() && from_outside) {
        fault(Reason::SourceAddress)?;
    }
    if client.address == client.local && client.port == client.local_port {
        fault(Reason::OwnAddress)?;
    }
    Ok(observed)
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

/// Whether the service at the client's port would answer a reply with an error of its own (row 18).
#[inline]
pub(crate) fn answers_errors(client: &Client<'_>) -> bool {
    client.port == KPASSWD && !client.transport.is_stream()
}

/// Whether the message, itself an error, may be the reply of a server to a forged query (row 20).
#[inline]
pub(crate) fn is_backscatter(client: &Client<'_>, reason: Reason) -> bool {
    reason == Reason::RcodeSet && client.port == DOMAIN && !client.transport.is_stream()
}
