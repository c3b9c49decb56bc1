//! Queries and answers for tests and the bench: written by hand, so that every fault can be.

#![allow(dead_code)] // each test, and the bench, uses its own part

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

pub const ZONE: &[u8] = b"\x07example\x00";
pub const KEY: &[u8] = b"\x03key\x00";
pub const ALGORITHM: &[u8] = b"\x0bhmac-sha256\x00";
pub const SECRET: &[u8] = b"a secret of some length, shared";
pub const NOW: f64 = 1_700_000_000.0;
pub const ID: u16 = 0x1234;

pub const AXFR: u16 = 252;
pub const IXFR: u16 = 251;
pub const SOA: u16 = 6;

/// A name in wire form from its text, without the last dot.
pub fn name(text: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in text.split('.').filter(|label| !label.is_empty()) {
        wire.push(label.len() as u8);
        wire.extend_from_slice(label.as_bytes());
    }
    wire.push(0);
    wire
}

/// A record in class IN with TTL 300.
pub fn record(owner: &[u8], rtype: u16, rdata: &[u8]) -> Vec<u8> {
    record_of(owner, rtype, 1, 300, rdata)
}

pub fn record_of(owner: &[u8], rtype: u16, class: u16, ttl: u32, rdata: &[u8]) -> Vec<u8> {
    let length = (rdata.len() as u16).to_be_bytes();
    [owner, &rtype.to_be_bytes(), &class.to_be_bytes(), &ttl.to_be_bytes(), &length, rdata].concat()
}

/// The SOA record of the zone.
pub fn soa(serial: u32) -> Vec<u8> {
    let numbers = [serial, 3600, 600, 86400, 300].map(u32::to_be_bytes).concat();
    record(ZONE, SOA, &[name("ns").as_slice(), &name("hostmaster"), &numbers].concat())
}

/// An A record of a name below the zone.
pub fn a(label: &str, last: u8) -> Vec<u8> {
    record(&name(&format!("{label}.example")), 1, &[192, 0, 2, last])
}

pub fn question(qtype: u16) -> Vec<u8> {
    [ZONE, &qtype.to_be_bytes(), &[0, 1]].concat()
}

/// A message from its parts.
pub fn message(flags: u16, question: Option<&[u8]>, sections: [&[Vec<u8>]; 3]) -> Vec<u8> {
    let mut wire = [ID, flags, u16::from(question.is_some())].map(u16::to_be_bytes).concat();
    for section in sections {
        wire.extend_from_slice(&(section.len() as u16).to_be_bytes());
    }
    wire.extend_from_slice(question.unwrap_or_default());
    for section in sections {
        wire.extend_from_slice(&section.concat());
    }
    wire
}

/// A query; an IXFR has the serial that the node has.
pub fn query(qtype: u16, serial: u32) -> Vec<u8> {
    let authority = if qtype == IXFR { vec![soa(serial)] } else { Vec::new() };
    message(0, Some(&question(qtype)), [&[], &authority, &[]])
}

/// An answer message with these records; the first one repeats the question.
pub fn answer(qtype: u16, first: bool, records: &[Vec<u8>]) -> Vec<u8> {
    let question = question(qtype);
    message(0x8400, first.then_some(question.as_slice()), [records, &[], &[]])
}

/// The records in messages of so many each.
pub fn answers(qtype: u16, records: &[Vec<u8>], each: usize) -> Vec<Vec<u8>> {
    records.chunks(each).enumerate().map(|(n, records)| answer(qtype, n == 0, records)).collect()
}

pub fn framed(messages: &[Vec<u8>]) -> Vec<u8> {
    let mut stream = Vec::new();
    for message in messages {
        stream.extend_from_slice(&(message.len() as u16).to_be_bytes());
        stream.extend_from_slice(message);
    }
    stream
}

/// Signs a query and its answer as a primary does (RFC 8945), with every choice open to be made wrongly.
pub struct Signer {
    pub key: Vec<u8>,
    pub algorithm: Vec<u8>,
    pub secret: Vec<u8>,
    pub time: u64,
    pub fudge: u16,
    pub error: u16,
    pub other: Vec<u8>,
    pub mac_length: usize,
    last: Option<Vec<u8>>,
    first: bool,
    unsigned: Vec<u8>,
}

impl Signer {
    pub fn new() -> Self {
        Self {
            key: KEY.to_vec(),
            algorithm: ALGORITHM.to_vec(),
            secret: SECRET.to_vec(),
            time: NOW as u64,
            fudge: 300,
            error: 0,
            other: Vec::new(),
            mac_length: 32,
            last: None,
            first: true,
            unsigned: Vec::new(),
        }
    }

    /// A message that stays unsigned and counts in the next MAC.
    pub fn skip(&mut self, message: Vec<u8>) -> Vec<u8> {
        self.unsigned.extend_from_slice(&message);
        message
    }

    pub fn sign(&mut self, mut message: Vec<u8>) -> Vec<u8> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("any length is a key");
        let is_query = self.last.is_none();
        if let Some(last) = &self.last {
            mac.update(&(last.len() as u16).to_be_bytes());
            mac.update(last);
        }
        mac.update(&self.unsigned);
        mac.update(&message);
        let timers = [&self.time.to_be_bytes()[2..], &self.fudge.to_be_bytes()].concat();
        let error = self.error.to_be_bytes();
        let other = [&(self.other.len() as u16).to_be_bytes(), self.other.as_slice()].concat();
        if is_query || self.first {
            let class_and_ttl: &[u8] = &[0, 255, 0, 0, 0, 0];
            mac.update(&[&self.key, class_and_ttl, &self.algorithm, &timers, &error, &other].concat());
        } else {
            mac.update(&timers);
        }
        self.first = is_query;
        self.unsigned.clear();
        let mut mac = mac.finalize().into_bytes().to_vec();
        mac.resize(self.mac_length, 0);
        let length = (mac.len() as u16).to_be_bytes();
        let id = &message[..2];
        let rdata = [&self.algorithm, timers.as_slice(), &length, &mac, id, &error, &other].concat();
        let record = record_of(&self.key, 250, 255, 0, &rdata);
        self.last = Some(mac);
        let count = u16::from_be_bytes([message[10], message[11]]) + 1;
        message[10..12].copy_from_slice(&count.to_be_bytes());
        message.extend_from_slice(&record);
        message
    }
}

/// The keys that the guard is given.
pub fn keys() -> xfr::Keys {
    xfr::Keys::new([(KEY.to_vec(), xfr::Algorithm::Sha256, SECRET.to_vec())])
}
