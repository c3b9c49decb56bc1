//! The proxies before a TCP listener, and the PROXY header that they send.

use std::net::IpAddr;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use relay::stream::Proxies;
use sets::PrefixSet;

use crate::udp::{nanoseconds, protocol};

/// The header ("off", "v1" or "v2"), whether it is required, its time-out in seconds, and the prefixes of the proxies.
pub type ProxiesRow = (String, bool, f64, Vec<(IpAddr, u8)>);

/// The proxies from their row; None where no header is expected.
pub fn proxies((header, required, timeout, from): ProxiesRow) -> PyResult<Option<Proxies>> {
    let Some(protocol) = protocol(&header)? else { return Ok(None) };
    let timeout = nanoseconds(timeout)?;
    let from = PrefixSet::new(from.into_iter().map(|(address, bits)| (address, bits, 0)))
        .map_err(|error| PyValueError::new_err(format!("proxies: {error}")))?;
    Ok(Some(Proxies { protocol, from, required, timeout }))
}
