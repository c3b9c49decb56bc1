//! Queries that were forwarded and wait for their answer. Each keeps its bytes, so that it can be sent again when a
//! backend closes the connection that carried it, as backends may at any time (RFC 7766 section 6.2.4).

use std::net::SocketAddr;

use engine::Treatment;
use wire::Echo;

use super::slab::{Slab, Token};

/// Queries of one worker that may wait, and the bytes that they may hold. At a bound, clients are read later.
const MOST_FLOWS: usize = 65_536;
const MOST_BYTES: usize = 64 << 20;

/// Empty buffers kept for the next queries.
const SPARE: usize = 1024;
const SPARE_SIZE: usize = 512;

#[derive(Debug)]
pub struct Flow {
    pub client: Token,
    pub client_id: u16,
    /// The fingerprint of its question.
    pub question: u64,
    pub treatment: Treatment,
    pub echo: Echo,
    /// The whole message; its ID is overwritten with each sending.
    pub query: Vec<u8>,
    pub kind: Kind,
    /// The link that it was last sent on, and the ID that it left with.
    pub link: Token,
    pub id: u16,
    /// The backend that counts it as outstanding.
    pub backend: Option<(usize, SocketAddr)>,
    pub sent: u64,
    pub deadline: u64,
    /// Links that were lost under it without having answered anything.
    pub failures: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Query,
    /// An UPDATE: not sent twice, because the first may have been carried out.
    Update,
    /// AXFR or IXFR: many messages answer it.
    Transfer {
        /// The first message of the answer has come.
        started: bool,
    },
}

#[derive(Default)]
pub struct Flows {
    flows: Slab<Flow>,
    bytes: usize,
    spare: Vec<Vec<u8>>,
}

impl Flows {
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    pub fn has_room(&self) -> bool {
        self.flows.len() < MOST_FLOWS && self.bytes < MOST_BYTES
    }

    /// A copy of a message, in a used buffer where there is one.
    pub fn copy(&mut self, message: &[u8]) -> Vec<u8> {
        let mut copy = self.spare.pop().unwrap_or_default();
        copy.extend_from_slice(message);
        copy
    }

    /// Take back the buffer of a flow that has ended.
    pub fn recycle(&mut self, mut query: Vec<u8>) {
        if self.spare.len() < SPARE && query.capacity() <= SPARE_SIZE {
            query.clear();
            self.spare.push(query);
        }
    }

    pub fn insert(&mut self, flow: Flow) -> Token {
        self.bytes += flow.query.len();
        self.flows.insert(flow)
    }

    pub fn remove(&mut self, token: Token) -> Option<Flow> {
        let flow = self.flows.remove(token)?;
        self.bytes -= flow.query.len();
        Some(flow)
    }

    pub fn get(&self, token: Token) -> Option<&Flow> {
        self.flows.get(token)
    }

    pub fn get_mut(&mut self, token: Token) -> Option<&mut Flow> {
        self.flows.get_mut(token)
    }

    pub fn iter(&self) -> impl Iterator<Item = (Token, &Flow)> {
        self.flows.iter()
    }
}
