//! The header before a query that tells its backend who the client is.

use std::net::SocketAddr;

use wire::Transport;
use wire::proxy::{Protocol, SPP_LENGTH, v2_length, write_spp, write_v2};

use crate::backends::Header;

/// Bytes of a datagram that Ethernet carries in one piece, over IPv4 and IPv6. Fragments of one query get lost together, and Spectrum
/// and others drop them.
const ONE_PIECE: [usize; 2] = [1500 - 28, 1500 - 48];

/// Bytes of the header for a query.
#[inline]
fn length(header: Header, client: SocketAddr, asked: SocketAddr) -> usize {
    match header.protocol {
        Protocol::V2 => v2_length(client, asked, 0, header.checksum),
        Protocol::Spp => SPP_LENGTH,
        // Text, for streams only.
        Protocol::V1 => 0,
    }
}

/// Whether a query of `message` bytes with its header fits a datagram to `backend`.
#[inline]
pub fn fits(header: Header, client: SocketAddr, asked: SocketAddr, message: usize, backend: SocketAddr) -> bool {
    length(header, client, asked) + message <= ONE_PIECE[usize::from(backend.is_ipv6())]
}

/// Write the header in front of the message that begins at `start` of `whole`, and return where the datagram begins now. There is room:
/// that before a received datagram is made for it.
#[inline]
pub fn write(header: Header, whole: &mut [u8], start: usize, client: SocketAddr, asked: SocketAddr) -> usize {
    let begin = start.saturating_sub(length(header, client, asked));
    let out = &mut whole[begin..start];
    match header.protocol {
        Protocol::V2 => write_v2(out, Transport::Udp, client, asked, &[], header.checksum),
        Protocol::Spp => write_spp(out, client, asked),
        Protocol::V1 => 0,
    };
    begin
}
