//! The guard of the TCP door: its bounds as Python gives them, and taking connections.

use std::net::SocketAddr;

use engine::{Client, Guard, GuardSpec};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use relay::stream::{self, GuardBounds, TimeAction, Token};
use relay::sys;
use wire::Transport;

use crate::udp::nanoseconds;

/// What became of the connections that waited: none waits any more, more may wait, or nothing can be taken for now.
const DRY: u8 = 0;
const MORE: u8 = 1;
const SHORTAGE: u8 = 2;

#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct GuardRow {
    prefix_v4: u8,
    prefix_v6: u8,
    connection_rate: u32,
    connection_burst: u32,
    time_limit: u32,
    time_burst: u32,
    time_action: String,
    connections_of_worker: usize,
    queries_per_connection: u32,
    lifetime: f64,
    reads_per_message: u32,
    overload_threshold: usize,
    overload_idle_timeout: f64,
    overload_lifetime: f64,
    overload_in_flight: usize,
}

/// The guard from its row.
pub fn guard(row: &GuardRow) -> PyResult<(Guard, GuardBounds)> {
    let guard = Guard::new(&GuardSpec {
        v4: row.prefix_v4,
        v6: row.prefix_v6,
        rate: row.connection_rate,
        burst: row.connection_burst,
        time: row.time_limit,
        time_burst: row.time_burst,
    })
    .map_err(PyValueError::new_err)?;
    let time_action = match row.time_action.as_str() {
        "wait" => TimeAction::Wait,
        "close" => TimeAction::Close,
        "observe" => TimeAction::Observe,
        other => return Err(PyValueError::new_err(format!("{other:?} is no action; wait, close or observe is"))),
    };
    let bounds = GuardBounds {
        of_worker: row.connections_of_worker,
        queries: row.queries_per_connection,
        lifetime: nanoseconds(row.lifetime)?,
        reads: row.reads_per_message,
        time_action,
        overload: row.overload_threshold,
        overload_idle: nanoseconds(row.overload_idle_timeout)?,
        overload_lifetime: nanoseconds(row.overload_lifetime)?,
        overload_in_flight: row.overload_in_flight,
    };
    Ok((guard, bounds))
}

/// Take up to `most` connections. Those that are refused are reset here, before anything is made for them.
pub fn accept(
    relay: &mut stream::StreamRelay<sys::SharedMemory>,
    fd: i32,
    listener: usize,
    now: u64,
    most: usize,
) -> (Vec<(i32, Token)>, u8) {
    let mut taken = Vec::new();
    for _ in 0..most {
        match sys::door::accept(fd) {
            Ok(None) => return (taken, DRY),
            Ok(Some((accepted, from))) => match open(relay, accepted, from, listener, now) {
                Some(token) => taken.push((accepted, token)),
                None => sys::door::reset(accepted),
            },
            Err(error) if sys::door::is_shortage(&error) => return (taken, SHORTAGE),
            // Of that one connection, such as one that was reset while it waited.
            Err(_) => {}
        }
    }
    (taken, MORE)
}

fn open(
    relay: &mut stream::StreamRelay<sys::SharedMemory>,
    fd: i32,
    from: SocketAddr,
    listener: usize,
    now: u64,
) -> Option<Token> {
    let local = sys::door::local_address(fd)?;
    let client = Client {
        address: from.ip().to_canonical(),
        port: from.port(),
        local: local.ip().to_canonical(),
        local_port: local.port(),
        transport: Transport::Tcp,
        grants: Default::default(),
        listener: listener as u16,
        tlvs: &[],
        server_name: &[],
    };
    relay.open(client, listener, now).ok()
}
