//! The UDP relay of a worker.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use engine::{BACKEND_SLOTS, Grants};
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use relay::backends::{Backend, Header};
use relay::notified::Notified;
use relay::overload::Class;
use relay::sys;
use relay::tally::Tally;
use relay::udp::proxies::{Placing, Proxies};
use relay::udp::{self, BackendSocket, Bounds, Listener};
use sets::PrefixSet;
use wire::Transport;
use wire::proxy::Protocol;

use crate::blocks::Blocks;
use crate::memory::SharedMemory;
use crate::overload::{OverloadRow, WindowRow, aim, shedding, windows};
use crate::policy::Policy;

/// Slot, address, port, weight, bits of its pools, time-out in seconds, the PROXY header ("off", "v1", "v2" or "spp") and
/// whether it has a checksum.
pub type BackendRow = (usize, IpAddr, u16, u32, u32, f64, String, bool);

/// What names it, the client, the address of ours that was asked, the number of the listener, and the message.
pub type NotifiedRow<'py> = (u64, (IpAddr, u16), (IpAddr, u16), u16, Bound<'py, PyBytes>);

/// A NOTIFY as Python takes it.
pub fn notified_row<'py>(py: Python<'py>, notified: &Notified) -> NotifiedRow<'py> {
    let Notified { id, client, asked, listener, message } = notified;
    let pair = |address: &SocketAddr| (address.ip(), address.port());
    (*id, pair(client), pair(asked), *listener, PyBytes::new(py, message))
}

/// The longest time-out in seconds, some thirty years: far from where nanoseconds overflow.
const LONGEST: f64 = 1e9;

#[pyclass(module = "dataplane")]
pub struct UdpRelay {
    relay: udp::UdpRelay<sys::SharedMemory>,
    /// Called when NOTIFY messages wait to be taken.
    notified: Option<Py<PyAny>>,
}

#[pymethods]
impl UdpRelay {
    #[new]
    #[pyo3(signature = (*, memory, worker, policy, sockets, flows, segmentation))]
    fn new(
        memory: &SharedMemory,
        worker: usize,
        policy: &Policy,
        sockets: Vec<(i32, bool)>,
        flows: usize,
        segmentation: bool,
    ) -> PyResult<Self> {
        let tally = Tally::new(Arc::clone(&memory.inner), worker, Transport::Udp)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        let sockets = sockets.into_iter().map(|(fd, ipv6)| BackendSocket { fd, ipv6 }).collect();
        let mut relay = udp::UdpRelay::new(tally, Arc::clone(&policy.inner), sockets, Bounds { flows, segmentation })
            .map_err(std::io::Error::other)?;
        relay.set_offset(sys::offset());
        Ok(UdpRelay { relay, notified: None })
    }

    #[pyo3(signature = (fd, address, port, *, allow, number=0))]
    fn add_listener(
        &mut self,
        fd: i32,
        address: IpAddr,
        port: u16,
        allow: Vec<String>,
        number: u16,
    ) -> PyResult<usize> {
        let address = SocketAddr::new(address, port);
        Ok(self.relay.add_listener(Listener { fd, number, address, grants: grants(&allow)? }))
    }

    /// The proxies by which the clients of a listener come, and what they send.
    #[pyo3(signature = (listener, accept, proxies, *, required, idle, sessions))]
    fn set_proxies(
        &mut self,
        listener: usize,
        accept: &str,
        proxies: Vec<(IpAddr, u8)>,
        required: bool,
        idle: f64,
        sessions: usize,
    ) -> PyResult<()> {
        check_number("listener", listener, self.relay.listeners())?;
        let placing = match accept {
            "spectrum" => Some(Placing::Once { idle: nanoseconds(idle)?, sessions }),
            word => protocol(word)?.map(Placing::Each),
        };
        let known = PrefixSet::new(proxies.into_iter().map(|(address, bits)| (address, bits, 0)))
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        self.relay.set_proxies(listener, placing.map(|placing| Proxies::new(known, required, placing)));
        Ok(())
    }

    fn add_socket(&mut self, fd: i32, ipv6: bool) -> usize {
        self.relay.add_socket(BackendSocket { fd, ipv6 })
    }

    fn set_mirrors(&mut self, ipv4: Option<i32>, ipv6: Option<i32>) {
        self.relay.set_mirrors([ipv4, ipv6]);
    }

    fn set_policy(&mut self, policy: &Policy) {
        self.relay.set_policy(Arc::clone(&policy.inner));
    }

    fn set_blocks(&mut self, blocks: &Blocks) {
        self.relay.set_blocks(blocks.inner.clone());
    }

    fn set_samples(&mut self, most: usize) {
        self.relay.samples().set_most(most);
    }

    fn take_samples<'py>(&mut self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let mut bytes = Vec::new();
        self.relay.samples().take(&mut bytes);
        PyBytes::new(py, &bytes)
    }

    fn set_backends(&mut self, backends: Vec<BackendRow>) -> PyResult<()> {
        self.relay.set_backends(backends.into_iter().map(backend).collect::<PyResult<_>>()?, sys::now());
        Ok(())
    }

    fn set_overload(&mut self, row: OverloadRow) -> PyResult<()> {
        let (listed, reply) = shedding(&row)?;
        self.relay.set_overload(aim(&row)?, listed, reply);
        Ok(())
    }

    fn windows(&self) -> Vec<WindowRow> {
        windows(self.relay.backends())
    }

    fn admitted(&self) -> Vec<(&'static str, u64)> {
        let counts = self.relay.admitted();
        Class::ALL.iter().map(|&class| (class.label(), counts[class as usize])).collect()
    }

    fn set_health(&mut self, slot: usize, healthy: bool) {
        self.relay.set_health(slot, healthy);
    }

    fn listener_ready(&mut self, py: Python<'_>, listener: usize) -> PyResult<()> {
        check_number("listener", listener, self.relay.listeners())?;
        self.relay.listener_ready(listener, sys::now());
        if self.relay.has_notifies()
            && let Some(notified) = &self.notified
        {
            notified.call0(py)?;
        }
        Ok(())
    }

    fn set_notified(&mut self, notified: Py<PyAny>) {
        self.notified = Some(notified);
    }

    fn take_notifies<'py>(&mut self, py: Python<'py>) -> Vec<NotifiedRow<'py>> {
        self.relay.take_notifies().iter().map(|each| notified_row(py, each)).collect()
    }

    fn answer_notify(&mut self, number: u64, answer: Option<&[u8]>) {
        self.relay.answer_notify(number, answer);
    }

    fn backend_ready(&mut self, socket: usize) -> PyResult<bool> {
        check_number("backend socket", socket, self.relay.sockets())?;
        Ok(self.relay.backend_ready(socket, sys::now()))
    }

    fn expire(&mut self) -> Vec<usize> {
        self.relay.set_offset(sys::offset());
        self.relay.expire(sys::now());
        self.relay.take_silent()
    }

    #[getter]
    fn in_flight(&self) -> usize {
        self.relay.in_flight()
    }

    fn answered(&self, slot: usize) -> u64 {
        self.relay.backends().iter().find(|backend| backend.slot == slot).map_or(0, |backend| backend.answered)
    }

    fn outstanding(&self) -> Vec<(usize, u32)> {
        self.relay.backends().iter().map(|backend| (backend.slot, backend.outstanding)).collect()
    }
}

fn check_number(what: &str, number: usize, count: usize) -> PyResult<()> {
    if number < count { Ok(()) } else { Err(PyIndexError::new_err(format!("there is no {what} {number}"))) }
}

/// Nanoseconds of a time-out in seconds.
pub fn nanoseconds(seconds: f64) -> PyResult<u64> {
    if !(0.0..=LONGEST).contains(&seconds) {
        return Err(PyValueError::new_err(format!("a time-out of {seconds} s is not between 0 and {LONGEST}")));
    }
    Ok((seconds * 1e9) as u64)
}

/// A backend from its row.
pub fn backend((slot, address, port, weight, pools, timeout, header, checksum): BackendRow) -> PyResult<Backend> {
    if slot >= BACKEND_SLOTS {
        return Err(PyValueError::new_err(format!("there is no slot {slot}; the last is {}", BACKEND_SLOTS - 1)));
    }
    let address = SocketAddr::new(address, port);
    let timeout = nanoseconds(timeout)?;
    let proxy = protocol(&header)?.map(|protocol| Header { protocol, checksum });
    Ok(Backend {
        slot,
        address,
        weight,
        pools,
        proxy,
        timeout,
        healthy: true,
        outstanding: 0,
        answered: 0,
        missed: 0,
        window: Box::default(),
    })
}

/// The protocol of a PROXY header from the word of the configuration.
pub fn protocol(word: &str) -> PyResult<Option<Protocol>> {
    match word {
        "off" => Ok(None),
        "v1" => Ok(Some(Protocol::V1)),
        "v2" => Ok(Some(Protocol::V2)),
        "spp" => Ok(Some(Protocol::Spp)),
        _ => Err(PyValueError::new_err(format!("{word:?} is not one of off, v1, v2, spp"))),
    }
}

/// The grants of a listener from the words of the configuration.
pub fn grants(allow: &[String]) -> PyResult<Grants> {
    let mut grants = Grants::default();
    for word in allow {
        match word.as_str() {
            "transfer" => grants.transfer = true,
            "notify" => grants.notify = true,
            "update" => grants.update = true,
            _ => {
                return Err(PyValueError::new_err(format!(
                    "{word:?} can't be allowed; transfer, notify or update can"
                )));
            }
        }
    }
    Ok(grants)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<UdpRelay>()
}
