//! The TCP relay of one worker: DNS messages over streams (RFC 1035 section 4.2.2, RFC 7766), without the sockets.
//!
//! ```text
//! client bytes -> frames -> engine -> verdict
//!     Drop -> count   Reply -> client's out   Forward -> flow (keeps the query) -> link (new random ID) -> link's out
//! link bytes -> frames -> flow by link and ID -> question matches -> client's ID back -> client's out
//! ```
//!
//! The event loop owns the sockets. It reports what happened to them (opened, bytes, blocked, lost), and takes with
//! `flush` what is to be written and done. Nothing here waits or reads a clock: `now` is an argument, in nanoseconds of
//! the monotonic clock.
//!
//! A *client* is a client's connection, a *link* one to a backend. The queries of all clients share few links to each
//! backend, so that one write carries many queries; a transfer gets a link of its own, and so does each client towards
//! a backend that wants a PROXY header.
//!
//! Memory is bounded: what can't go on is left in the sockets. A client with its share of unanswered queries, one that
//! takes no answers, and every client while no backend takes queries, is not read.

mod answers;
mod client;
mod clients;
mod delays;
mod entrance;
mod flows;
mod flushing;
mod frames;
mod guarding;
mod link;
mod links;
mod notifies;
mod orders;
mod owned;
mod queries;
mod sending;
mod settings;
mod slab;
#[cfg(test)]
mod tests;
mod ticks;
mod transfers;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

use engine::{Blocks, Grants, Memory, Policy};

use crate::backends::Backends;
use crate::ids::Ids;
use crate::notified::Notifies;
use crate::question::Fingerprints;
use crate::samples::Samples;
use crate::tally::Tally;
use client::Client;
use flows::Flows;
use flushing::WRITE_AT_ONCE;
use guarding::Door;
use link::{Link, Way};
use orders::Outbox;
use slab::Slab;

pub use client::Ending;
pub use entrance::Proxies;
pub use flushing::Side;
pub use guarding::{GuardBounds, TimeAction};
pub use orders::{Kind as OrderKind, Order};
pub use settings::{Bounds, Status};
pub use slab::Token;

/// Bytes that may wait for all clients together; and for one of them that takes none: more than the answers to the
/// usual number of queries in flight.
const MOST_BUFFERED: usize = 64 << 20;
const MOST_BUFFERED_EACH: usize = 8 << 20;

/// Transfers that may run at the same time: of one worker, and of one client.
const MOST_TRANSFERS: usize = 64;
const MOST_TRANSFERS_EACH: usize = 2;

/// What the caller has to do with the connection whose bytes it has just brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signal {
    /// Don't read from it until the order `Resume` or `ResumeLink`.
    pub pause: bool,
    /// More is due on it: of a message that has begun, or answers.
    pub more_due: bool,
}

pub struct StreamRelay<M: Memory> {
    tally: Tally<M>,
    policy: Arc<Policy>,
    /// None while nothing is blocked.
    blocks: Option<Arc<Blocks>>,
    samples: Samples,
    /// Nanoseconds by which the calendar is ahead of the monotonic clock.
    offset: u64,
    bounds: Bounds,
    /// By number of the listener.
    grants: Vec<Grants>,
    proxies: Vec<Option<Proxies>>,
    clients: Slab<Client>,
    links: Slab<Link>,
    flows: Flows,
    backends: Backends,
    /// By slot of the backend.
    ways: Vec<Way>,
    door: Door,
    outbox: Outbox,
    /// Clients that wait for room towards the backends, first come first served.
    stalled: VecDeque<Token>,
    /// Clients whose held messages may go on now.
    revisit: Vec<Token>,
    /// No link of any backend has room.
    jammed: bool,
    /// Bytes in the buffers of all clients, and in those of their connections that take no more.
    buffered: usize,
    transfers: usize,
    /// Clients in the queues for a link of their own.
    waiting: usize,
    /// Forwarded queries that a rule delays, by the time when they go on.
    delayed: BinaryHeap<Reverse<(u64, Token)>>,
    draining: bool,
    /// NOTIFY messages that Python answers, and the clients that sent them.
    notifies: Notifies<Token>,
    fingerprints: Fingerprints,
    ids: Ids,
    endings: [u64; Ending::COUNT],
    /// Queries sent again because their link was lost, and queries answered SERVFAIL because sending again did not
    /// help.
    resent: u64,
    given_up: u64,
}

impl<M: Memory> StreamRelay<M> {
    /// # Errors
    /// When the kernel has no random bytes.
    pub fn new(tally: Tally<M>, policy: Arc<Policy>, bounds: Bounds) -> Result<Self, getrandom::Error> {
        tally.crowd().clear();
        Ok(StreamRelay {
            tally,
            policy,
            blocks: None,
            samples: Samples::new()?,
            offset: 0,
            bounds,
            grants: Vec::new(),
            proxies: Vec::new(),
            clients: Slab::default(),
            links: Slab::default(),
            flows: Flows::default(),
            backends: Backends::default(),
            ways: Vec::new(),
            door: Door::default(),
            outbox: Outbox::default(),
            stalled: VecDeque::new(),
            revisit: Vec::new(),
            jammed: false,
            buffered: 0,
            transfers: 0,
            waiting: 0,
            delayed: BinaryHeap::new(),
            draining: false,
            notifies: Notifies::default(),
            fingerprints: Fingerprints::new()?,
            ids: Ids::default(),
            endings: [0; Ending::COUNT],
            resent: 0,
            given_up: 0,
        })
    }

    /// Let the held messages go on for which there is room again. Every event ends with this.
    fn settle(&mut self, now: u64) {
        loop {
            while let Some(token) = self.revisit.pop() {
                self.pump(token, &[], now);
            }
            if self.waiting > 0 {
                self.take_turns(now);
                if !self.revisit.is_empty() {
                    continue;
                }
            }
            if self.jammed {
                self.look_for_jam(now);
            }
            if !self.has_room() {
                return;
            }
            let Some(token) = self.stalled.pop_front() else { return };
            if let Some(client) = self.clients.get_mut(token) {
                client.stalled = false;
                self.revisit.push(token);
            }
        }
    }
}
