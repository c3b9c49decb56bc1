//! The layout of the memory that all workers share: a header, counters of each worker, and the table of rate limits.
//!
//! ```text
//!  word 0      1         2         3       4                5..8     8..16
//!  | magic | version | workers | slots | words in all | unused | secret (4) and unused |
//!  | counters of worker 0 | counters of worker 1 | ...      each a whole number of cache lines
//!  | connections that worker 0 has | those of worker 1 | ...
//!  | client prefixes that are known, 8 a set
//!  | set 0: lock, 7 keys, 7 times | set 1 | ...     two cache lines a set
//! ```
//! Whoever attaches checks the header against the length of what it was given; the sizes of the enums are part of the
//! version, so a memory of another build is an error and never misread. The words are atomics, so nothing here can be
//! torn.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use wire::{AnswerClass, Reason, Transport};

use crate::cookies::Shown;
use crate::counters::{Act, BackendCount, Counters, Io, Totals};
use crate::crowd::{self, Crowd};
use crate::familiar::{self, Familiar};
use crate::limits::{Limited, MAX_LIMITS};
use crate::lists::MAX_LISTS;
use crate::rules::RULE_SLOTS;
use crate::table::{Limits, SET_WORDS, WAYS};

/// Memory that outlives a worker: shared between processes, or a plain vector in a test.
pub trait Memory: Send + Sync {
    fn words(&self) -> &[AtomicU64];
}

impl Memory for Vec<AtomicU64> {
    fn words(&self) -> &[AtomicU64] {
        self
    }
}

/// Places for counters of backends; the number of backends a gateway can have.
pub const BACKEND_SLOTS: usize = 64;

/// "zonegate" in ASCII.
const MAGIC: u64 = 0x7a6f_6e65_6761_7465;
/// Raised with every change of the layout; the numbers of counters make it differ between builds that count
/// differently.
const VERSION: u64 = 3 << 48 | (Reason::COUNT as u64) << 32 | (Io::COUNT as u64) << 16 | MAX_LIMITS as u64;
const HEADER: usize = 16;
const SECRET: usize = 8;
/// 64-bit words of a cache line; the counters of two workers never share one.
const LINE: usize = 8;
const MAX_WORKERS: usize = 1024;
const MAX_SLOTS: usize = 1 << 28;

/// Offsets within the counters of one worker, in words.
pub(crate) mod cells {
    use super::{
        Act, AnswerClass, BACKEND_SLOTS, BackendCount, Io, LINE, Limited, MAX_LIMITS, MAX_LISTS, RULE_SLOTS, Reason,
        Shown, Transport,
    };

    pub const RECEIVED: usize = 0;
    pub const VERDICTS: usize = RECEIVED + Transport::COUNT;
    pub const ANSWERS: usize = VERDICTS + Transport::COUNT * Act::COUNT * Reason::COUNT;
    pub const OBSERVED: usize = ANSWERS + Transport::COUNT * Reason::COUNT;
    pub const IO: usize = OBSERVED + Transport::COUNT * Reason::COUNT;
    pub const BACKENDS: usize = IO + Io::COUNT;
    pub const LIMITS: usize = BACKENDS + BACKEND_SLOTS * BackendCount::COUNT;
    pub const COOKIES: usize = LIMITS + MAX_LIMITS + 1;
    /// Hits of each list.
    pub const LISTS: usize = COOKIES + Transport::COUNT * Shown::COUNT;
    /// Hits of each rule, then how often each was over its own limit.
    pub const RULES: usize = LISTS + MAX_LISTS;
    pub const RESPONSES: usize = RULES + 2 * RULE_SLOTS;
    pub const END: usize = RESPONSES + AnswerClass::COUNT * Limited::COUNT;
    /// Words that the counters of a worker take.
    pub const SIZE: usize = END.next_multiple_of(LINE);
}

/// Why a memory can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayoutError {
    /// The number of workers or of slots is out of range.
    Size,
    /// Shorter than the layout needs.
    Short,
    /// Not written by this build of the gateway, or not written at all.
    Foreign,
    /// There is no such worker.
    Worker,
}

impl fmt::Display for LayoutError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Size => "shared memory can be laid out for 1 to 1024 workers and 7 to 2^28 buckets",
            Self::Short => "the shared memory is shorter than its layout",
            Self::Foreign => "the shared memory was not laid out by this version of the gateway",
            Self::Worker => "the shared memory has no counters for a worker of this number",
        })
    }
}

impl std::error::Error for LayoutError {}

/// Where everything lies. Small and `Copy`: checked once, kept beside the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    workers: usize,
    sets: usize,
}

impl Layout {
    /// For `workers` processes and `slots` buckets of rate limits, rounded up to whole sets of seven.
    ///
    /// # Errors
    /// [`LayoutError::Size`].
    pub fn new(workers: usize, slots: usize) -> Result<Self, LayoutError> {
        if !(1..=MAX_WORKERS).contains(&workers) || !(WAYS..=MAX_SLOTS).contains(&slots) {
            return Err(LayoutError::Size);
        }
        Ok(Self { workers, sets: slots.div_ceil(WAYS) })
    }

    /// Reads the header of a memory that [`Layout::create`] has written.
    ///
    /// # Errors
    /// [`LayoutError::Short`] or [`LayoutError::Foreign`].
    pub fn read(memory: &[AtomicU64]) -> Result<Self, LayoutError> {
        let header = memory.get(..HEADER).ok_or(LayoutError::Short)?;
        let word = |index: usize| header[index].load(Ordering::Acquire);
        if word(0) != MAGIC || word(1) != VERSION {
            return Err(LayoutError::Foreign);
        }
        let number = |index| usize::try_from(word(index)).unwrap_or(usize::MAX);
        let layout = Self::new(number(2), number(3)).map_err(|_| LayoutError::Foreign)?;
        if number(4) != layout.words() {
            return Err(LayoutError::Foreign);
        }
        if memory.len() < layout.words() {
            return Err(LayoutError::Short);
        }
        Ok(layout)
    }

    /// Writes the header into fresh (zero) memory. `secret` is 32 random bytes: it keys the hash of the limits, so that
    /// nobody outside can choose clients or names that share a bucket.
    ///
    /// # Errors
    /// [`LayoutError::Short`].
    pub fn create(&self, memory: &[AtomicU64], secret: &[u8; 32]) -> Result<(), LayoutError> {
        if memory.len() < self.words() {
            return Err(LayoutError::Short);
        }
        let (parts, _) = secret.as_chunks::<8>();
        for (word, part) in memory[SECRET..].iter().zip(parts) {
            word.store(u64::from_ne_bytes(*part), Ordering::Relaxed);
        }
        memory[4].store(self.words() as u64, Ordering::Relaxed);
        memory[3].store(self.slots() as u64, Ordering::Relaxed);
        memory[2].store(self.workers as u64, Ordering::Relaxed);
        memory[1].store(VERSION, Ordering::Relaxed);
        // Last, so that who sees it sees the rest.
        memory[0].store(MAGIC, Ordering::Release);
        Ok(())
    }

    /// How many workers count.
    #[must_use]
    pub const fn workers(&self) -> usize {
        self.workers
    }

    /// How many buckets the limits have.
    #[must_use]
    pub const fn slots(&self) -> usize {
        self.sets * WAYS
    }

    /// The size in 64-bit words.
    #[must_use]
    pub const fn words(&self) -> usize {
        self.table() + self.sets * SET_WORDS
    }

    /// The size in bytes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.words() * 8
    }

    const fn familiars(&self) -> usize {
        self.crowds() + self.workers * crowd::REGION
    }

    const fn crowds(&self) -> usize {
        HEADER + self.workers * cells::SIZE
    }

    const fn table(&self) -> usize {
        self.familiars() + familiar::WORDS
    }

    /// The counters of one worker. Only that worker may write to them.
    ///
    /// # Errors
    /// [`LayoutError::Worker`] or [`LayoutError::Short`].
    #[inline]
    pub fn counters<'w>(&self, memory: &'w [AtomicU64], worker: usize) -> Result<Counters<'w>, LayoutError> {
        Ok(Counters::new(self.cells(memory, worker)?))
    }

    #[inline]
    fn cells<'w>(&self, memory: &'w [AtomicU64], worker: usize) -> Result<&'w [AtomicU64; cells::SIZE], LayoutError> {
        if worker >= self.workers {
            return Err(LayoutError::Worker);
        }
        let start = HEADER + worker * cells::SIZE;
        memory.get(start..).and_then(|rest| rest.first_chunk()).ok_or(LayoutError::Short)
    }

    /// The rate limits, as `worker` sees them: the buckets are shared, what it counts about them is its own.
    ///
    /// # Errors
    /// [`LayoutError::Worker`] or [`LayoutError::Short`].
    #[inline]
    pub fn limits<'w>(&self, memory: &'w [AtomicU64], worker: usize) -> Result<Limits<'w>, LayoutError> {
        let (sets, _) = memory.get(self.table()..self.words()).ok_or(LayoutError::Short)?.as_chunks();
        let cells = self.cells(memory, worker)?;
        let (counts, observed) = (&cells[cells::LIMITS..cells::END], &cells[cells::OBSERVED..cells::IO]);
        let secret = [0, 1].map(|index| memory[SECRET + index].load(Ordering::Relaxed));
        Ok(Limits::new(sets, secret, counts, observed))
    }

    /// The TCP connections of all workers, as `worker` counts them.
    ///
    /// # Errors
    /// [`LayoutError::Worker`] or [`LayoutError::Short`].
    pub fn crowd<'w>(&self, memory: &'w [AtomicU64], worker: usize) -> Result<Crowd<'w>, LayoutError> {
        let start = self.crowds();
        let regions = memory.get(start..start + self.workers * crowd::REGION).ok_or(LayoutError::Short)?;
        Crowd::new(regions, worker).ok_or(LayoutError::Worker)
    }

    /// The client prefixes that are known.
    ///
    /// # Errors
    /// [`LayoutError::Worker`] or [`LayoutError::Short`].
    pub fn familiar<'w>(&self, memory: &'w [AtomicU64], worker: usize) -> Result<Familiar<'w>, LayoutError> {
        let start = self.familiars();
        let words = memory.get(start..start + familiar::WORDS).ok_or(LayoutError::Short)?;
        Ok(Familiar::new(words, self.limits(memory, worker)?))
    }

    /// All counters of all workers, added up.
    ///
    /// # Errors
    /// [`LayoutError::Short`].
    pub fn totals(&self, memory: &[AtomicU64]) -> Result<Totals, LayoutError> {
        let mut totals = Totals::default();
        for worker in 0..self.workers {
            totals.add(self.cells(memory, worker)?);
        }
        Ok(totals)
    }
}
