//! The rows of rate limits.

use std::net::IpAddr;

use engine::{Action, Algorithm, Key, RateLimit, Unit};
use pyo3::prelude::*;

use super::unknown;

/// A rate limit as `filters.limits` writes it. Prefixes are bits and factor, and address and bits.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct LimitRow {
    key: Vec<String>,
    prefixes_v4: Vec<(u8, u32)>,
    prefixes_v6: Vec<(u8, u32)>,
    rate: u32,
    burst: u32,
    unit: String,
    algorithm: String,
    action: String,
    observe: bool,
    slip: u32,
    exempt: Vec<(IpAddr, u8)>,
    slot: usize,
}

impl LimitRow {
    pub fn read(self) -> PyResult<RateLimit> {
        let mut key = Key::GLOBAL;
        for part in &self.key {
            key = key | key_part(part)?;
        }
        Ok(RateLimit {
            key,
            prefixes_v4: self.prefixes_v4,
            prefixes_v6: self.prefixes_v6,
            rate: self.rate,
            burst: self.burst,
            unit: unit(&self.unit)?,
            algorithm: algorithm(&self.algorithm)?,
            action: action(&self.action)?,
            observe: self.observe,
            slip: self.slip,
            exempt: self.exempt,
            slot: self.slot,
        })
    }
}

fn key_part(word: &str) -> PyResult<Key> {
    match word {
        "client-prefix" => Ok(Key::CLIENT_PREFIX),
        "zone" => Ok(Key::ZONE),
        "qname" => Ok(Key::QNAME),
        "qtype" => Ok(Key::QTYPE),
        "opcode" => Ok(Key::OPCODE),
        "transport" => Ok(Key::TRANSPORT),
        "global" => Ok(Key::GLOBAL),
        _ => unknown("key of a rate limit", word),
    }
}

pub fn unit(word: &str) -> PyResult<Unit> {
    match word {
        "packets" => Ok(Unit::Packets),
        "bytes" => Ok(Unit::Bytes),
        _ => unknown("unit of a rate limit", word),
    }
}

pub fn algorithm(word: &str) -> PyResult<Algorithm> {
    match word {
        "bucket" => Ok(Algorithm::Bucket),
        "decay" => Ok(Algorithm::Decay),
        _ => unknown("algorithm of a rate limit", word),
    }
}

fn action(word: &str) -> PyResult<Action> {
    match word {
        "drop" => Ok(Action::Drop),
        "truncate" => Ok(Action::Truncate),
        "refuse" => Ok(Action::Refuse),
        "observe" => Ok(Action::Observe),
        _ => unknown("action of a rate limit", word),
    }
}
