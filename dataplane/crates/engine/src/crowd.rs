//! How many TCP connections there are, of each client prefix and in total: exact over all workers, and gone with a worker that dies.
//!
//! ```text
//!  worker's region: | connections | not counted by prefix | unused | set 0: 8 words | set 1 | ...     a set is one cache line
//!  word of a set:   | keyed hash of the prefix (44 bits) | connections (20 bits) |                    0: free
//! ```
//! Each worker writes its own region alone, and adds up all of them when a connection comes. It enters first and adds up
//! then, so two workers that let in at the same moment both see both: the bounds are never exceeded, but at a bound both
//! may be refused. A worker clears its region when it starts, so a killed one leaves nothing behind.
//!
//! The memory is fixed. A prefix whose set is full is counted in the total only, and that is counted. The key of the hash
//! is secret, so nobody can choose prefixes that share a set.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// Words of a set.
const WAYS: usize = 8;
const SETS: usize = 8192;
const HEAD: usize = 8;
/// Words of one worker's region.
pub(crate) const REGION: usize = HEAD + SETS * WAYS;

const TOTAL: usize = 0;
const UNCOUNTED: usize = 1;

const COUNT_BITS: u32 = 20;
const COUNT: u64 = (1 << COUNT_BITS) - 1;
/// The most connections of a prefix that a word can count.
pub const MOST_OF_PREFIX: usize = COUNT as usize;

/// The bounds of a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    pub total: usize,
    pub prefix: usize,
}

/// Which bound a new connection exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crowded {
    Total,
    Prefix,
}

/// The connections of all workers, as one worker sees and counts them.
#[derive(Clone, Copy)]
pub struct Crowd<'w> {
    regions: &'w [AtomicU64],
    own: &'w [AtomicU64],
}

impl<'w> Crowd<'w> {
    /// `regions` are those of all workers. None if there is none of this number.
    pub(crate) fn new(regions: &'w [AtomicU64], worker: usize) -> Option<Self> {
        Some(Self { regions, own: regions.chunks_exact(REGION).nth(worker)? })
    }

    /// Forget all connections of this worker: it has just started.
    pub fn clear(&self) {
        self.own.iter().filter(|word| word.load(SeqCst) != 0).for_each(|word| word.store(0, SeqCst));
    }

    /// Count a connection of the prefix with this keyed hash.
    ///
    /// # Errors
    /// Which bound has no room for it; nothing was counted.
    pub fn enter(&self, key: u64, room: Room) -> Result<(), Crowded> {
        self.own[TOTAL].fetch_add(1, SeqCst);
        if self.total() > room.total as u64 {
            self.own[TOTAL].fetch_sub(1, SeqCst);
            return Err(Crowded::Total);
        }
        let set = set_of(key);
        let tag = tag_of(key);
        let own = &self.own[set..set + WAYS];
        let Some(word) = find(own, tag).or_else(|| own.iter().find(|word| word.load(SeqCst) & COUNT == 0)) else {
            self.own[UNCOUNTED].fetch_add(1, SeqCst);
            return Ok(());
        };
        let before = word.load(SeqCst) & COUNT;
        word.store(tag | (before + 1).min(COUNT), SeqCst);
        if self.of_prefix(key) > room.prefix as u64 {
            word.store(if before == 0 { 0 } else { tag | before }, SeqCst);
            self.own[TOTAL].fetch_sub(1, SeqCst);
            return Err(Crowded::Prefix);
        }
        Ok(())
    }

    /// A connection that was counted under `key` by this worker is gone.
    pub fn leave(&self, key: u64) {
        self.own[TOTAL].fetch_sub(1, SeqCst);
        let set = set_of(key);
        let tag = tag_of(key);
        match find(&self.own[set..set + WAYS], tag) {
            Some(word) => {
                let left = (word.load(SeqCst) & COUNT).saturating_sub(1);
                word.store(if left == 0 { 0 } else { tag | left }, SeqCst);
            }
            // It came when the set was full.
            None => {
                let left = self.own[UNCOUNTED].load(SeqCst).saturating_sub(1);
                self.own[UNCOUNTED].store(left, SeqCst);
            }
        }
    }

    /// Connections of all workers.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.regions.chunks_exact(REGION).map(|region| region[TOTAL].load(SeqCst)).sum()
    }

    /// Connections of the prefix with this keyed hash, of all workers.
    #[must_use]
    pub fn of_prefix(&self, key: u64) -> u64 {
        let (set, tag) = (set_of(key), tag_of(key));
        let of_region =
            |region: &[AtomicU64]| find(&region[set..set + WAYS], tag).map_or(0, |word| word.load(SeqCst) & COUNT);
        self.regions.chunks_exact(REGION).map(of_region).sum()
    }

    /// Connections of all workers that no prefix is charged for, because its set was full.
    #[must_use]
    pub fn uncounted(&self) -> u64 {
        self.regions.chunks_exact(REGION).map(|region| region[UNCOUNTED].load(SeqCst)).sum()
    }
}

/// The upper bits choose the set, the lower ones are the tag.
const fn set_of(key: u64) -> usize {
    HEAD + (key >> (64 - SETS.trailing_zeros())) as usize * WAYS
}

const fn tag_of(key: u64) -> u64 {
    key << COUNT_BITS
}

fn find(set: &[AtomicU64], tag: u64) -> Option<&AtomicU64> {
    set.iter().find(|word| {
        let word = word.load(SeqCst);
        word & !COUNT == tag && word & COUNT != 0
    })
}
