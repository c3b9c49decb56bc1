//! PROXY v1 (haproxy, proxy-protocol.txt section 2.1): one line of text, for streams only.
//!
//! ```text
//! PROXY TCP4 192.0.2.1 203.0.113.5 40000 53\r\n
//! PROXY TCP6 2001:db8::1 2001:db8::5 40000 53\r\n
//! PROXY UNKNOWN anything\r\n
//! ```

use std::io::{Cursor, Write};
use std::net::{IpAddr, SocketAddr};
use std::str::{self, FromStr};

use super::{Fault, Header, as_v6};

/// The longest line, with its end.
pub const V1_MAX: usize = 107;

pub(super) const MARK: [u8; 6] = *b"PROXY ";

/// Reads a v1 header at the beginning of `bytes`; None while its end is missing.
///
/// # Errors
/// A [`Fault`], as soon as no further bytes could mend it; what stands within the line is read when it is whole.
pub fn parse_v1(bytes: &[u8]) -> Result<Option<Header<'_>>, Fault> {
    let there = bytes.len().min(MARK.len());
    if bytes[..there] != MARK[..there] {
        return Err(Fault::Missing);
    }
    let line = &bytes[..bytes.len().min(V1_MAX)];
    let Some(end) = line.windows(2).position(|pair| pair == b"\r\n") else {
        return if line.len() == V1_MAX { Err(Fault::Length) } else { Ok(None) };
    };
    let header = Header { local: false, source: None, destination: None, tlvs: &[], length: end + 2 };
    let line = str::from_utf8(&line[MARK.len()..end]).map_err(|_| Fault::Address)?;
    let (family, rest) = line.split_once(' ').unwrap_or((line, ""));
    let (source, destination) = match family {
        "UNKNOWN" => return Ok(Some(header)),
        "TCP4" => ends::<std::net::Ipv4Addr>(rest)?,
        "TCP6" => ends::<std::net::Ipv6Addr>(rest)?,
        _ => return Err(Fault::Family),
    };
    Ok(Some(Header { source: Some(source), destination: Some(destination), ..header }))
}

/// Source address, destination address, source port, destination port, with one space between.
fn ends<A: FromStr + Into<IpAddr>>(text: &str) -> Result<(SocketAddr, SocketAddr), Fault> {
    let mut words = text.split(' ');
    let mut word = || words.next().ok_or(Fault::Address);
    let (source, destination, from, to) = (word()?, word()?, word()?, word()?);
    if words.next().is_some() {
        return Err(Fault::Address);
    }
    Ok((endpoint::<A>(source, from)?, endpoint::<A>(destination, to)?))
}

fn endpoint<A: FromStr + Into<IpAddr>>(address: &str, port: &str) -> Result<SocketAddr, Fault> {
    let address: IpAddr = address.parse::<A>().map_err(|_| Fault::Address)?.into();
    // "+53" and "053" are numbers to Rust, but not to the specification.
    if !port.bytes().all(|byte| byte.is_ascii_digit()) || (port.len() > 1 && port.starts_with('0')) {
        return Err(Fault::Address);
    }
    let port = port.parse().map_err(|_| Fault::Address)?;
    Ok(SocketAddr::new(address.to_canonical(), port))
}

/// Writes a header at the beginning of `out` and returns its length; 0 where it does not fit ([`V1_MAX`] bytes always do). Of two families
/// IPv4 is written as `::ffff:a.b.c.d`.
pub fn write_v1(out: &mut [u8], source: SocketAddr, destination: SocketAddr) -> usize {
    let mut cursor = Cursor::new(out);
    let ports = (source.port(), destination.port());
    let written = match (source.ip(), destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            write!(cursor, "PROXY TCP4 {source} {destination} {} {}\r\n", ports.0, ports.1)
        }
        (source, destination) => {
            let (source, destination) = (as_v6(source), as_v6(destination));
            write!(cursor, "PROXY TCP6 {source} {destination} {} {}\r\n", ports.0, ports.1)
        }
    };
    if written.is_ok() { cursor.position() as usize } else { 0 }
}
