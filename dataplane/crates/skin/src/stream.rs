//! The TCP relay of a worker.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use relay::stream::{self, Bounds, Ending, Order, Side, Signal, Token};
use relay::sys;
use relay::tally::Tally;
use wire::Transport;

use crate::blocks::Blocks;
use crate::door::{GuardRow, accept, guard};
use crate::memory::SharedMemory;
use crate::overload::{OverloadRow, WindowRow, aim, windows};
use crate::policy::Policy;
use crate::proxies::{ProxiesRow, proxies};
use crate::udp::{BackendRow, NotifiedRow, backend, grants, nanoseconds, notified_row};

/// Idle, read and write time-out in seconds; connections, connections of a client, queries in flight, connections to a
/// backend, and connections of one client each to a backend.
type BoundsRow = (f64, f64, f64, usize, usize, usize, usize, usize);

/// What to write to clients, what to write to links, and what to do then: kind, token, slot.
type Flush<'py> = (Bound<'py, PyList>, Bound<'py, PyList>, Vec<(&'static str, Token, usize)>);

/// Bits of what `client_data`, `client_blocked` and `link_data` return.
const FLUSH: u8 = 1;
const PAUSE: u8 = 2;
const MORE_DUE: u8 = 4;

#[pyclass(module = "dataplane")]
pub struct StreamRelay {
    relay: stream::StreamRelay<sys::SharedMemory>,
}

#[pymethods]
impl StreamRelay {
    #[new]
    #[pyo3(signature = (*, memory, worker, policy, bounds))]
    fn new(memory: &SharedMemory, worker: usize, policy: &Policy, bounds: BoundsRow) -> PyResult<Self> {
        let tally = Tally::new(Arc::clone(&memory.inner), worker, Transport::Tcp)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        let mut relay = stream::StreamRelay::new(tally, Arc::clone(&policy.inner), limits(bounds)?)
            .map_err(std::io::Error::other)?;
        relay.set_offset(sys::offset());
        Ok(StreamRelay { relay })
    }

    fn configure(
        &mut self,
        policy: &Policy,
        bounds: BoundsRow,
        backends: Vec<BackendRow>,
        allow: Vec<Vec<String>>,
        now: u64,
    ) -> PyResult<()> {
        let backends = backends.into_iter().map(backend).collect::<PyResult<_>>()?;
        let grants = allow.iter().map(|words| grants(words)).collect::<PyResult<Vec<_>>>()?;
        self.relay.configure(Arc::clone(&policy.inner), limits(bounds)?, backends, grants, now);
        Ok(())
    }

    /// What the guard of the door allows; see `door`.
    fn set_guard(&mut self, row: GuardRow) -> PyResult<()> {
        let (guard, bounds) = guard(&row)?;
        self.relay.set_guard(guard, bounds);
        Ok(())
    }

    fn set_proxies(&mut self, rows: Vec<ProxiesRow>) -> PyResult<()> {
        self.relay.set_proxies(rows.into_iter().map(proxies).collect::<PyResult<_>>()?);
        Ok(())
    }

    #[getter]
    fn overloaded(&self) -> bool {
        self.relay.is_overloaded()
    }

    fn set_overload(&mut self, row: OverloadRow) -> PyResult<()> {
        self.relay.set_aim(aim(&row)?);
        Ok(())
    }

    fn windows(&self) -> Vec<WindowRow> {
        windows(self.relay.backends())
    }

    fn accept(&mut self, fd: i32, listener: usize, now: u64, most: usize) -> (Vec<(i32, Token)>, u8) {
        accept(&mut self.relay, fd, listener, now, most)
    }

    fn client_data(&mut self, token: Token, data: &[u8], now: u64) -> u8 {
        if !self.relay.counts_time() {
            let signal = self.relay.client_data(token, data, now);
            return self.bits(signal);
        }
        let before = sys::door::thread_time();
        let mut signal = self.relay.client_data(token, data, now);
        signal.pause |= self.relay.spent(token, sys::door::thread_time().saturating_sub(before), now);
        self.bits(signal)
    }

    fn client_blocked(&mut self, token: Token, unsent: usize, now: u64) -> u8 {
        let signal = self.relay.client_blocked(token, unsent, now);
        self.bits(signal)
    }

    fn client_progressed(&mut self, token: Token, unsent: usize, now: u64) {
        self.relay.client_progressed(token, unsent, now);
    }

    fn client_ended(&mut self, token: Token, now: u64) {
        self.relay.client_ended(token, now);
    }

    fn client_lost(&mut self, token: Token, now: u64) {
        self.relay.client_lost(token, now);
    }

    fn link_opened(&mut self, token: Token) {
        self.relay.link_opened(token);
    }

    fn link_data(&mut self, token: Token, data: &[u8], now: u64) -> u8 {
        let signal = self.relay.link_data(token, data, now);
        self.bits(signal)
    }

    fn link_blocked(&mut self, token: Token, blocked: bool, now: u64) {
        self.relay.link_blocked(token, blocked, now);
    }

    fn link_failed(&mut self, token: Token, now: u64) {
        self.relay.link_failed(token, now);
    }

    fn link_lost(&mut self, token: Token, now: u64) {
        self.relay.link_lost(token, now);
    }

    fn set_blocks(&mut self, blocks: &Blocks, now: u64) {
        self.relay.set_blocks(blocks.inner.clone(), now);
    }

    fn set_samples(&mut self, most: usize) {
        self.relay.samples().set_most(most);
    }

    fn take_samples<'py>(&mut self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let mut bytes = Vec::new();
        self.relay.samples().take(&mut bytes);
        PyBytes::new(py, &bytes)
    }

    fn set_health(&mut self, slot: usize, healthy: bool, now: u64) {
        self.relay.set_health(slot, healthy, now);
    }

    fn drain(&mut self, now: u64) {
        self.relay.drain(now);
    }

    fn tick(&mut self, now: u64) {
        self.relay.set_offset(sys::offset());
        self.relay.tick(now);
    }

    #[getter]
    fn wants_flush(&self) -> bool {
        self.relay.wants_flush()
    }

    fn flush<'py>(&mut self, py: Python<'py>, now: u64) -> PyResult<Flush<'py>> {
        let (clients, links) = (PyList::empty(py), PyList::empty(py));
        let mut problem = Ok(());
        let orders = self.relay.flush(now, |side, token, bytes| {
            let list = if side == Side::Client { &clients } else { &links };
            let pair = (token, PyBytes::new(py, bytes)).into_pyobject(py);
            if let Err(error) = pair.and_then(|pair| list.append(pair)) {
                problem = Err(error);
            }
        });
        problem?;
        let orders = orders.into_iter().map(|Order { kind, token, slot }| (kind.label(), token, slot)).collect();
        Ok((clients, links, orders))
    }

    fn take_copies<'py>(&mut self, py: Python<'py>) -> Vec<(IpAddr, u16, Bound<'py, PyBytes>)> {
        let copies = self.relay.take_copies().into_iter();
        copies.map(|(to, bytes)| (to.ip(), to.port(), PyBytes::new(py, &bytes))).collect()
    }

    fn take_notifies<'py>(&mut self, py: Python<'py>) -> Vec<NotifiedRow<'py>> {
        self.relay.take_notifies().iter().map(|each| notified_row(py, each)).collect()
    }

    fn answer_notify(&mut self, number: u64, answer: Option<&[u8]>, now: u64) {
        self.relay.answer_notify(number, answer, now);
    }

    fn mirrored(&self, sent: u64, failed: u64) {
        self.relay.mirrored(sent, failed);
    }

    fn endings(&self) -> BTreeMap<&'static str, u64> {
        let counts = self.relay.status().endings;
        Ending::ALL.iter().map(|&ending| (ending.label(), counts[ending as usize])).collect()
    }

    fn status(&self) -> BTreeMap<&'static str, u64> {
        let status = self.relay.status();
        BTreeMap::from([
            ("clients", status.clients as u64),
            ("links", status.links as u64),
            ("in-flight", status.in_flight as u64),
            ("transfers", status.transfers as u64),
            ("buffered", status.buffered as u64),
            ("resent", status.resent),
            ("given-up", status.given_up),
            ("over-time", status.over_time),
            ("overloaded", u64::from(status.overloaded)),
            ("uncounted", status.uncounted),
        ])
    }
}

impl StreamRelay {
    fn bits(&self, signal: Signal) -> u8 {
        [(self.relay.wants_flush(), FLUSH), (signal.pause, PAUSE), (signal.more_due, MORE_DUE)]
            .into_iter()
            .fold(0, |bits, (is_set, bit)| if is_set { bits | bit } else { bits })
    }
}

fn limits(
    (
        idle,
        read,
        write,
        connections,
        connections_per_client,
        in_flight,
        backend_connections,
        proxied_connections,
    ): BoundsRow,
) -> PyResult<Bounds> {
    Ok(Bounds {
        idle: nanoseconds(idle)?,
        read: nanoseconds(read)?,
        write: nanoseconds(write)?,
        connections,
        connections_per_client,
        in_flight,
        backend_connections,
        proxied_connections,
    })
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<StreamRelay>()
}
