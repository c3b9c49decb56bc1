//! Admission under overload, as Python sets it.

use std::net::IpAddr;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use relay::backends::Backend;
use relay::overload::ShedReply;
use relay::window::Aim;
use sets::PrefixSet;

use crate::udp::nanoseconds;

#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct OverloadRow {
    target: f64,
    window_min: u32,
    window_max: u32,
    /// Address and bits of each prefix that counts as verified.
    verified: Vec<(IpAddr, u8)>,
    reply: String,
}

/// Slot, size of the window, queries in it, and nanoseconds of the fastest answer lately.
pub type WindowRow = (usize, u32, u32, u64);

/// The aim of a row; a target of 0 bounds nothing.
pub fn aim(row: &OverloadRow) -> PyResult<Aim> {
    if row.window_min < 1 || row.window_min > row.window_max {
        return Err(PyValueError::new_err(format!("a window of {} to {} is none", row.window_min, row.window_max)));
    }
    Ok(Aim { target: nanoseconds(row.target)?, least: row.window_min, most: row.window_max })
}

/// The listed prefixes and the reply of a row.
pub fn shedding(row: &OverloadRow) -> PyResult<(PrefixSet, ShedReply)> {
    let reply = match row.reply.as_str() {
        "drop" => ShedReply::Drop,
        "truncate" => ShedReply::Truncate,
        "servfail" => ShedReply::Servfail,
        other => return Err(PyValueError::new_err(format!("{other:?} is no reply; drop, truncate or servfail is"))),
    };
    let listed = PrefixSet::new(row.verified.iter().map(|&(address, bits)| (address, bits, 1)));
    Ok((listed.map_err(|error| PyValueError::new_err(error.to_string()))?, reply))
}

pub fn windows(backends: &[Backend]) -> Vec<WindowRow> {
    let row = |backend: &Backend| {
        let window = &backend.window;
        (backend.slot, window.size(), window.live(), window.delay())
    };
    backends.iter().map(row).collect()
}
