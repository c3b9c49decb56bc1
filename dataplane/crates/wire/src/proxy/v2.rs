//! PROXY v2 (haproxy, proxy-protocol.txt section 2.2).
//!
//! ```text
//! off len
//!  0  12   0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A
//! 12   1   21 PROXY, 20 LOCAL
//! 13   1   11 TCP/IPv4  12 UDP/IPv4  21 TCP/IPv6  22 UDP/IPv6  00 unknown
//! 14   2   bytes behind this: 12 or 36, and the TLVs
//! 16       source (4 or 16), destination (4 or 16), source port, destination port
//!          TLVs: type, length (2), value
//! ```
//! Reading is as strict as the receivers in DNS software and no stricter: the transport within the family byte is not compared with the
//! real one, because senders are known that write STREAM for UDP. LOCAL is skipped whatever it holds. A CRC32C TLV that is there must hold.

use std::net::{IpAddr, SocketAddr};

use super::crc32c::Crc32c;
use super::{Fault, Header, as_v6, endpoint_v6};
use crate::Transport;

/// The longest header that is read, that of PowerDNS (`proxy-protocol-maximum-size`).
pub const V2_MAX: usize = 512;
/// Bytes of a LOCAL header.
pub const LOCAL_LENGTH: usize = FIXED;
/// Bytes of the CRC32C TLV.
pub const CHECKSUM_LENGTH: usize = 7;

pub(super) const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
const FIXED: usize = 16;
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
const V4_BLOCK: usize = 12;
const V6_BLOCK: usize = 36;
/// PP2_TYPE_CRC32C.
const CRC32C: u8 = 3;

/// Reads a v2 header at the beginning of `bytes`; None while bytes are missing.
///
/// # Errors
/// A [`Fault`], as soon as no further bytes could mend it.
#[inline]
pub fn parse_v2(bytes: &[u8]) -> Result<Option<Header<'_>>, Fault> {
    let there = bytes.len().min(SIGNATURE.len());
    if bytes[..there] != SIGNATURE[..there] {
        return Err(Fault::Missing);
    }
    let Some(&command) = bytes.get(12) else { return Ok(None) };
    if command & 0xf0 != 0x20 {
        return Err(Fault::Version);
    }
    if command != LOCAL && command != PROXY {
        return Err(Fault::Command);
    }
    let Some(&family) = bytes.get(13) else { return Ok(None) };
    let block = match family {
        _ if command == LOCAL => 0,
        0x00 => 0,
        0x11 | 0x12 => V4_BLOCK,
        0x21 | 0x22 => V6_BLOCK,
        _ => return Err(Fault::Family),
    };
    let Some(&[high, low]) = bytes.get(14..FIXED) else { return Ok(None) };
    let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if length < FIXED + block || length > V2_MAX {
        return Err(Fault::Length);
    }
    let Some(header) = bytes.get(..length) else { return Ok(None) };
    if block == 0 {
        return Ok(Some(Header { local: command == LOCAL, source: None, destination: None, tlvs: &[], length }));
    }
    let (addresses, tlvs) = header[FIXED..].split_at(block);
    let Some((source, destination)) = endpoints(addresses) else { return Err(Fault::Length) };
    if !tlvs.is_empty() {
        check_tlvs(header, FIXED + block)?;
    }
    Ok(Some(Header { local: false, source: Some(source), destination: Some(destination), tlvs, length }))
}

/// Both ends from an address block of 12 or 36 bytes.
#[inline]
fn endpoints(block: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    if let Ok(&[a, b, c, d, e, f, g, h, s1, s0, d1, d0]) = <&[u8; V4_BLOCK]>::try_from(block) {
        let end = |address: [u8; 4], port| SocketAddr::new(IpAddr::from(address), u16::from_be_bytes(port));
        return Some((end([a, b, c, d], [s1, s0]), end([e, f, g, h], [d1, d0])));
    }
    let (source, rest) = block.split_first_chunk::<16>()?;
    let (destination, ports) = rest.split_first_chunk::<16>()?;
    let &[s1, s0, d1, d0] = <&[u8; 4]>::try_from(ports).ok()?;
    Some((endpoint_v6(*source, [s1, s0]), endpoint_v6(*destination, [d1, d0])))
}

/// Whether the TLVs of `header`, which start at `at`, add up, and the checksum among them holds.
fn check_tlvs(header: &[u8], mut at: usize) -> Result<(), Fault> {
    let mut checksum = None;
    while let Some(head) = header.get(at..).filter(|rest| !rest.is_empty()) {
        let &[kind, high, low, ..] = head else { return Err(Fault::Tlvs) };
        let start = at + 3;
        at = start + usize::from(u16::from_be_bytes([high, low]));
        if at > header.len() {
            return Err(Fault::Tlvs);
        }
        if kind == CRC32C && (at - start != 4 || checksum.replace(start).is_some()) {
            return Err(Fault::Tlvs);
        }
    }
    match checksum {
        Some(start) if header[start..start + 4] != checksum_of(header, start) => Err(Fault::Checksum),
        _ => Ok(()),
    }
}

/// The checksum of `header`, in which the four bytes at `start` count as zero.
fn checksum_of(header: &[u8], start: usize) -> [u8; 4] {
    Crc32c::new().update(&header[..start]).update(&[0; 4]).update(&header[start + 4..]).finish().to_be_bytes()
}

/// Bytes of the header that [`write_v2`] writes for these.
#[must_use]
#[inline]
pub const fn v2_length(source: SocketAddr, destination: SocketAddr, tlvs: usize, checksum: bool) -> usize {
    let block = if source.is_ipv4() && destination.is_ipv4() { V4_BLOCK } else { V6_BLOCK };
    FIXED + block + tlvs + if checksum { CHECKSUM_LENGTH } else { 0 }
}

/// Writes a PROXY header at the beginning of `out` and returns its length; 0, with `out` left alone, where it does not fit.
///
/// The two addresses must share a family: where they do not, IPv4 is written as `::ffff:a.b.c.d`. `tlvs` are written as they are, with
/// `checksum` a CRC32C TLV follows them.
#[inline]
pub fn write_v2(
    out: &mut [u8],
    transport: Transport,
    source: SocketAddr,
    destination: SocketAddr,
    tlvs: &[u8],
    checksum: bool,
) -> usize {
    let length = v2_length(source, destination, tlvs.len(), checksum);
    let (Some(out), Ok(behind)) = (out.get_mut(..length), u16::try_from(length - FIXED)) else { return 0 };
    let stream = if transport.is_stream() { 1 } else { 2 };
    out[..12].copy_from_slice(&SIGNATURE);
    out[12] = PROXY;
    out[14..16].copy_from_slice(&behind.to_be_bytes());
    let (source_port, destination_port) = (source.port().to_be_bytes(), destination.port().to_be_bytes());
    let mut at = match (source.ip(), destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            out[13] = 0x10 | stream;
            out[16..20].copy_from_slice(&source.octets());
            out[20..24].copy_from_slice(&destination.octets());
            24
        }
        (source, destination) => {
            out[13] = 0x20 | stream;
            out[16..32].copy_from_slice(&as_v6(source).octets());
            out[32..48].copy_from_slice(&as_v6(destination).octets());
            48
        }
    };
    out[at..at + 2].copy_from_slice(&source_port);
    out[at + 2..at + 4].copy_from_slice(&destination_port);
    at += 4;
    out[at..at + tlvs.len()].copy_from_slice(tlvs);
    if checksum {
        at += tlvs.len();
        out[at..at + 3].copy_from_slice(&[CRC32C, 0, 4]);
        let sum = checksum_of(out, at + 3);
        out[at + 3..at + CHECKSUM_LENGTH].copy_from_slice(&sum);
    }
    length
}

/// Writes a LOCAL header, which says that the sender speaks for itself; its length, or 0 where it does not fit.
pub fn write_local_v2(out: &mut [u8]) -> usize {
    let Some(out) = out.get_mut(..LOCAL_LENGTH) else { return 0 };
    out[..12].copy_from_slice(&SIGNATURE);
    out[12..].copy_from_slice(&[LOCAL, 0, 0, 0]);
    LOCAL_LENGTH
}
