//! The Simple Proxy Protocol of Cloudflare Spectrum: a fixed header before the payload of every UDP datagram, and before every answer
//! the same header, by which the proxy finds the client.
//!
//! ```text
//! off len
//!  0   2   56 EC
//!  2  16   client, IPv4 as ::ffff:a.b.c.d
//! 18  16   the address of the proxy that the client sent to
//! 34   2   client port
//! 36   2   proxy port
//! ```
//! It has no version, length or checksum, and its mark is a possible ID of a DNS message; so it is expected by configuration only.

use std::net::SocketAddr;

use super::{Fault, Header, as_v6, endpoint_v6};

/// Bytes of the header.
pub const SPP_LENGTH: usize = 38;

const MAGIC: [u8; 2] = [0x56, 0xec];

/// Reads an SPP header at the beginning of `bytes`; None while bytes are missing.
///
/// # Errors
/// [`Fault::Missing`].
#[inline]
pub fn parse_spp(bytes: &[u8]) -> Result<Option<Header<'_>>, Fault> {
    let there = bytes.len().min(MAGIC.len());
    if bytes[..there] != MAGIC[..there] {
        return Err(Fault::Missing);
    }
    Ok(read(bytes).map(|(source, destination)| Header {
        local: false,
        source: Some(source),
        destination: Some(destination),
        tlvs: &[],
        length: SPP_LENGTH,
    }))
}

#[inline]
fn read(bytes: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let (_, rest) = bytes.split_first_chunk::<2>()?;
    let (client, rest) = rest.split_first_chunk::<16>()?;
    let (proxy, rest) = rest.split_first_chunk::<16>()?;
    let (client_port, rest) = rest.split_first_chunk::<2>()?;
    let (proxy_port, _) = rest.split_first_chunk::<2>()?;
    Some((endpoint_v6(*client, *client_port), endpoint_v6(*proxy, *proxy_port)))
}

/// Writes a header at the beginning of `out`: its length, or 0 where it does not fit.
#[inline]
pub fn write_spp(out: &mut [u8], client: SocketAddr, proxy: SocketAddr) -> usize {
    let Some(out) = out.get_mut(..SPP_LENGTH) else { return 0 };
    out[..2].copy_from_slice(&MAGIC);
    out[2..18].copy_from_slice(&as_v6(client.ip()).octets());
    out[18..34].copy_from_slice(&as_v6(proxy.ip()).octets());
    out[34..36].copy_from_slice(&client.port().to_be_bytes());
    out[36..].copy_from_slice(&proxy.port().to_be_bytes());
    SPP_LENGTH
}
