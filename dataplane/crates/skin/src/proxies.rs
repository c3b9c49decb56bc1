//! The proxies before a TCP listener, the PROXY header that they send, and one that a health check sends.

use std::net::{IpAddr, SocketAddr};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use relay::stream::Proxies;
use sets::PrefixSet;
use wire::Transport;
use wire::proxy::{HEADROOM, write_local_v2, write_spp, write_v2};

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

#[pyfunction]
#[pyo3(signature = (kind, source, destination, *, checksum=false))]
fn proxy_header(kind: &str, source: (IpAddr, u16), destination: (IpAddr, u16), checksum: bool) -> PyResult<Vec<u8>> {
    let (source, destination) = (SocketAddr::from(source), SocketAddr::from(destination));
    let mut out = [0; HEADROOM];
    let length = match kind {
        "local" => write_local_v2(&mut out),
        "v2" => write_v2(&mut out, Transport::Udp, source, destination, &[], checksum),
        "spp" => write_spp(&mut out, source, destination),
        _ => return Err(PyValueError::new_err(format!("{kind:?} is not one of local, v2, spp"))),
    };
    Ok(out[..length].to_vec())
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(proxy_header, module)?)
}
