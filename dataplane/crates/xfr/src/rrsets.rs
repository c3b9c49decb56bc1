//! How many records an RRset has, over a whole transfer, without keeping its names.
//!
//! Servers send an RRset in one piece, so its length is counted exactly while it goes on (the run). One that comes in
//! pieces is found by its traces: every record counts in one of 16,384 cells, and the RRsets of a cell that is half full
//! are counted by name from then on. Each of these numbers is at most the true one, so no RRset is ever rejected that
//! keeps the limit; one that comes in pieces may grow to twice the limit, and with more than 4,096 RRsets under suspicion
//! (zones of some 45 million records) the newest are not.
//!
//! A record that a primary sends twice, which it should not (RFC 5936 section 2.2), counts twice.
//!
//! Names are told apart by a seeded hash of 64 bits that is fast and not more: who could make its values meet would only
//! have a transfer of their own rejected.
//!
//! In an IXFR what is deleted is taken off, and never below nothing; the rest is at most what the RRset has in that
//! version.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};

use foldhash::fast::RandomState;

use crate::walk::Record;

const CELLS: usize = 1 << 14;
const SUSPECTS: usize = 4_096;

pub struct Rrsets {
    limit: u64,
    hasher: RandomState,
    owner: u64,
    known: bool,
    run: (u64, u16, u64),
    total: u64,
    cells: Vec<u32>,
    suspects: HashMap<u64, u64>,
}

impl Rrsets {
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self {
            limit,
            hasher: RandomState::default(),
            owner: 0,
            known: false,
            run: (0, 0, 0),
            total: 0,
            cells: Vec::new(),
            suspects: HashMap::new(),
        }
    }

    /// Counts a record that is added; whether its RRset is certainly larger than it may be.
    #[inline]
    pub fn add(&mut self, record: &Record) -> bool {
        let hash = self.key(record);
        self.total += 1;
        if self.run.0 == hash && self.run.1 == record.rtype {
            self.run.2 += 1;
        } else {
            self.run = (hash, record.rtype, 1);
        }
        if self.run.2 > self.limit {
            return true;
        }
        // Small transfers have no large RRset, and need no cells.
        self.total > self.limit / 2 && self.traced(hash)
    }

    /// Counts a record that is deleted.
    pub fn remove(&mut self, record: &Record) {
        let hash = self.key(record);
        self.run = (0, 0, 0);
        if let Some(count) = self.suspects.get_mut(&hash) {
            *count = count.saturating_sub(1);
        }
    }

    /// Records went by that were not counted: neither the run nor the last owner goes on.
    pub fn pause(&mut self) {
        (self.run, self.known) = ((0, 0, 0), false);
    }

    #[inline]
    fn key(&mut self, record: &Record) -> u64 {
        if !(record.same_owner && self.known) {
            let mut hasher = self.hasher.build_hasher();
            hasher.write(record.owner());
            (self.owner, self.known) = (hasher.finish(), true);
        }
        // The owner's hash is seeded, so the type may be mixed in plainly.
        self.owner ^ u64::from(record.rtype).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    #[inline]
    fn traced(&mut self, hash: u64) -> bool {
        if self.cells.is_empty() {
            self.cells = vec![0; CELLS];
        }
        let Some(cell) = self.cells.get_mut(hash as usize % CELLS) else { return false };
        *cell = cell.saturating_add(1);
        if u64::from(*cell) <= self.limit / 2 {
            return false;
        }
        let room = self.suspects.len() < SUSPECTS;
        match self.suspects.get_mut(&hash) {
            Some(count) => {
                *count += 1;
                *count > self.limit
            }
            None => {
                if room {
                    self.suspects.insert(hash, 1);
                }
                false
            }
        }
    }
}
