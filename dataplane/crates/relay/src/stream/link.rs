//! A connection to a backend, and the connections that one backend has.
//!
//! Queries of many clients share a link (RFC 7766 section 6.2.1.1): each leaves under an ID that is random and unlike
//! all others that wait there. The ID of a query that was given up stays taken until its late answer or the end of the
//! link, so that the late answer can't be taken for another one.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::net::SocketAddr;

use super::frames::Frames;
use super::slab::Token;
use crate::backends::Header;

/// Queries that may wait on one link. Far below 65,536, so that a random ID is found at once.
const MOST_PENDING: usize = 8192;

/// Bytes that may wait to be written to a link, or for its connection to stand.
const MOST_UNSENT: usize = 512 << 10;

/// Answers that may be overdue on a link before it gets no more queries.
const MOST_LATE: usize = 256;

/// The pause after the second failure in a row, and the longest; it doubles in between. The first failure costs none.
const FIRST_PAUSE: u64 = 100_000_000;
const LONGEST_PAUSE: u64 = 5_000_000_000;

/// IDs are random already: they are their own hash.
#[derive(Default)]
pub struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0 << 8 | u64::from(*byte));
    }

    fn write_u16(&mut self, id: u16) {
        // The table uses the upper bits too.
        self.0 = u64::from(id).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

/// What an ID on a link stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    Flow(Token),
    /// The query was given up; its answer may still come.
    Late,
}

impl Waiting {
    pub fn flow(&self) -> Option<Token> {
        if let Waiting::Flow(token) = self { Some(*token) } else { None }
    }
}

pub struct Link {
    pub slot: usize,
    pub address: SocketAddr,
    pub frames: Frames,
    pub pending: HashMap<u16, Waiting, BuildHasherDefault<IdHasher>>,
    /// How many of `pending` are late.
    pub late: usize,
    /// Queries on their way to the socket.
    pub out: Vec<u8>,
    pub dirty: bool,
    /// The connection stands. Before, queries gather in `out`.
    pub open: bool,
    /// The socket takes no more.
    pub blocked: bool,
    /// Gets no more queries; closes when none waits.
    pub retiring: bool,
    /// Answers that were passed on.
    pub answered: u64,
    /// When it last brought bytes; before the first, when it was begun.
    pub heard: u64,
    /// The client that alone uses this link; all share it without one.
    pub owner: Option<Token>,
    /// It carries a transfer for its owner, and nothing else.
    pub transfer: bool,
    /// The header that it began with.
    pub proxy: Option<Header>,
    /// The client of the transfer takes no more: the link is not read.
    pub paused: bool,
    /// What the transfer has brought is being written: the link is not read until it is known whether the client took
    /// it.
    pub full: bool,
}

impl Link {
    pub fn new(slot: usize, address: SocketAddr, owner: Option<Token>, now: u64) -> Self {
        Link {
            slot,
            address,
            frames: Frames::default(),
            pending: HashMap::default(),
            late: 0,
            out: Vec::new(),
            dirty: false,
            open: false,
            blocked: false,
            retiring: false,
            answered: 0,
            heard: now,
            owner,
            transfer: false,
            proxy: None,
            paused: false,
            full: false,
        }
    }

    /// Queries whose answer is still wanted.
    pub fn live(&self) -> usize {
        self.pending.len() - self.late
    }

    pub fn has_room(&self) -> bool {
        !self.blocked && self.pending.len() < MOST_PENDING && self.out.len() < MOST_UNSENT
    }

    /// Give up the query under `id`. True when the link has so many late answers that it is better replaced.
    pub fn give_up(&mut self, id: u16) -> bool {
        if self.pending.insert(id, Waiting::Late) != Some(Waiting::Late) {
            self.late += 1;
        }
        self.late >= MOST_LATE
    }
}

/// The links of one backend but those of transfers, and its record of failures.
#[derive(Debug, Default)]
pub struct Way {
    /// Links that all clients share.
    pub links: Vec<Token>,
    /// Links of one client each that take more queries, the oldest first, and how many there are that take no more.
    pub owned: Vec<Token>,
    pub leaving: usize,
    /// Clients with parked queries, who wait for a place.
    pub waiting: VecDeque<Token>,
    /// Failures since the last good answer.
    failures: u32,
    /// No connection is opened before this.
    retry_at: u64,
}

impl Way {
    /// A connection could not be opened, or ended without one answer while queries waited.
    pub fn failed(&mut self, now: u64) {
        self.failures = self.failures.saturating_add(1);
        if self.failures > 1 {
            let pause = FIRST_PAUSE << (self.failures - 2).min(16);
            self.retry_at = now.saturating_add(pause.min(LONGEST_PAUSE));
        }
    }

    pub fn answered(&mut self) {
        self.failures = 0;
        self.retry_at = 0;
    }

    /// Places that links of one client take.
    pub fn places(&self) -> usize {
        self.owned.len() + self.leaving
    }

    pub fn may_connect(&self, now: u64) -> bool {
        now >= self.retry_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_grows_with_failures_and_ends_with_an_answer() {
        let mut way = Way::default();
        way.failed(0);
        assert!(way.may_connect(0));
        way.failed(0);
        assert!(!way.may_connect(FIRST_PAUSE - 1) && way.may_connect(FIRST_PAUSE));
        way.failed(0);
        assert!(!way.may_connect(2 * FIRST_PAUSE - 1) && way.may_connect(2 * FIRST_PAUSE));
        (0..100).for_each(|_| way.failed(0));
        assert!(!way.may_connect(LONGEST_PAUSE - 1) && way.may_connect(LONGEST_PAUSE));
        way.answered();
        assert!(way.may_connect(0));
    }

    #[test]
    fn late_ids_stay_taken_and_are_counted_once() {
        let mut link = Link::new(0, SocketAddr::from(([127, 0, 0, 1], 53)), None, 0);
        link.pending.insert(7, Waiting::Flow(1));
        assert_eq!(link.live(), 1);
        assert!(!link.give_up(7));
        assert!(!link.give_up(7));
        assert_eq!((link.live(), link.late, link.pending.len()), (0, 1, 1));
    }
}
