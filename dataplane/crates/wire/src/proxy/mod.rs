//! Who the client really is, when a proxy stands before us or we stand before a backend: PROXY v1 and v2 (haproxy, proxy-protocol.txt) and
//! the Simple Proxy Protocol of Cloudflare Spectrum (SPP).
//!
//! Parsers read the beginning of what came, without a clock or a socket. A fault is found at the first byte that shows it, and that byte
//! alone decides which fault it is; so a stream may be cut into any pieces and gives the same header, or the same fault.
//!
//! ```text
//! v1    PROXY TCP4 192.0.2.1 203.0.113.5 40000 53\r\n                                           streams only
//! v2    signature (12) | 2, command | family, transport | length (2) | addresses, ports | TLVs
//! SPP   56 EC | client (16) | proxy (16) | client port | proxy port                              datagrams only
//! ```
//! Nothing is guessed: whoever calls knows by its settings which protocol to expect from whom.

mod crc32c;
mod spp;
mod v1;
mod v2;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

pub use spp::{SPP_LENGTH, parse_spp, write_spp};
pub use v1::{V1_MAX, parse_v1, write_v1};
pub use v2::{CHECKSUM_LENGTH, LOCAL_LENGTH, V2_MAX, parse_v2, v2_length, write_local_v2, write_v2};

/// The bytes that any header that we write without TLVs takes at most: PROXY v2 of IPv6 with its checksum.
pub const HEADROOM: usize = 64;

/// Which header stands before a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    V1,
    V2,
    Spp,
}

impl Protocol {
    /// Reads a header at the beginning of `bytes`.
    ///
    /// # Errors
    /// None while more bytes are needed; a [`Fault`] as soon as no further bytes could make it a header. In a datagram, where no more can
    /// come, None is a fault too: [`missing_or_cut`].
    #[inline]
    pub fn parse(self, bytes: &[u8]) -> Result<Option<Header<'_>>, Fault> {
        match self {
            Self::V1 => parse_v1(bytes),
            Self::V2 => parse_v2(bytes),
            Self::Spp => parse_spp(bytes),
        }
    }
}

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// LOCAL of v2: the proxy speaks for itself, as in a health check.
    pub local: bool,
    /// The client as the proxy saw it; None with LOCAL and unknown families, where the real endpoints hold. IPv4 is IPv4 also where it
    /// stood there as `::ffff:a.b.c.d`.
    pub source: Option<SocketAddr>,
    /// What the client asked.
    pub destination: Option<SocketAddr>,
    /// The TLVs of v2, checked to add up, as they stand there.
    pub tlvs: &'a [u8],
    /// Bytes of the header: the message starts behind them.
    pub length: usize,
}

/// Why something is no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It does not begin like one.
    Missing,
    /// Not version 2.
    Version,
    /// Neither LOCAL nor PROXY.
    Command,
    /// A Unix socket, or a family or transport that is not assigned.
    Family,
    /// Shorter than its addresses, or longer than any sender needs.
    Length,
    /// The addresses or ports of v1 do not parse.
    Address,
    /// The TLVs do not add up.
    Tlvs,
    /// The checksum does not hold.
    Checksum,
}

impl Fault {
    /// The reason under which it is counted.
    #[must_use]
    pub const fn reason(self) -> crate::Reason {
        match self {
            Self::Missing => crate::Reason::ProxyMissing,
            _ => crate::Reason::ProxyMalformed,
        }
    }
}

/// The fault of a datagram in which a header of `protocol` is cut: one of which not even the mark at its beginning is whole was never there.
#[must_use]
pub const fn missing_or_cut(protocol: Protocol, bytes: &[u8]) -> Fault {
    let mark = match protocol {
        Protocol::V1 => v1::MARK.len(),
        Protocol::V2 => v2::SIGNATURE.len(),
        Protocol::Spp => 2,
    };
    if bytes.len() < mark { Fault::Missing } else { Fault::Length }
}

/// IPv4 as `::ffff:a.b.c.d`, for headers that hold two addresses of one family.
#[inline]
const fn as_v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

/// An address and a port from 16 and 2 bytes of the wire.
#[inline]
fn endpoint_v6(address: [u8; 16], port: [u8; 2]) -> SocketAddr {
    SocketAddr::new(Ipv6Addr::from(address).to_canonical(), u16::from_be_bytes(port))
}
