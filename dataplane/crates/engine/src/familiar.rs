//! Client prefixes that have been answered for a while: who they are is learned in calm times, and counts under pressure.
//!
//! ```text
//!  word: | keyed hash (24) | first seen (16) | last seen (16) | answers noted (8) |      times in units of 16 s; 0: free
//! ```
//! A set is one cache line of eight words; the table is shared by all workers and never grows. A newcomer takes the place
//! of the one with the fewest answers, never that of a known prefix that was seen within a day: a flood of forged sources
//! makes newcomers forget each other. A word changes by one compare-and-swap; a note that loses a race is not repeated,
//! because notes are samples anyway.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::limits::Prefix;
use crate::table::Limits;

const WAYS: usize = 8;
const SETS: usize = 8192;
/// Words of the table.
pub(crate) const WORDS: usize = SETS * WAYS;

/// Kind of the keys; see `guard` for those of others.
const KIND: u32 = 275;
const PREFIX: (u8, u8) = (32, 56);

/// A unit of time, and units after which a prefix that was not seen is a stranger again: a day.
const UNIT: u64 = 16_000_000_000;
const FORGOTTEN: u16 = 5400;

/// Units since it was first seen, and noted answers, that make a prefix known.
const AGE: u16 = 4;
const ANSWERS: u8 = 8;

/// How well a client prefix is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Seen for the first time, or a moment ago.
    New,
    Ordinary,
    /// Seen for a minute and more, and answered often.
    Known,
}

/// The prefixes, as all workers see them.
#[derive(Clone, Copy)]
pub struct Familiar<'w> {
    words: &'w [AtomicU64],
    limits: Limits<'w>,
    prefix: Prefix,
}

#[derive(Clone, Copy)]
struct Entry {
    tag: u64,
    first: u16,
    last: u16,
    answers: u8,
}

impl Entry {
    const fn read(word: u64) -> Self {
        Self { tag: word >> 40, first: (word >> 24) as u16, last: (word >> 8) as u16, answers: word as u8 }
    }

    const fn word(self) -> u64 {
        self.tag << 40 | (self.first as u64) << 24 | (self.last as u64) << 8 | self.answers as u64
    }

    const fn is_gone(self, now: u16) -> bool {
        self.answers == 0 || now.wrapping_sub(self.last) > FORGOTTEN
    }

    const fn standing(self, now: u16) -> Standing {
        let age = now.wrapping_sub(self.first);
        if self.is_gone(now) || age == 0 {
            Standing::New
        } else if age >= AGE && self.answers >= ANSWERS {
            Standing::Known
        } else {
            Standing::Ordinary
        }
    }
}

impl<'w> Familiar<'w> {
    pub(crate) fn new(words: &'w [AtomicU64], limits: Limits<'w>) -> Self {
        Self { words, limits, prefix: Prefix::new((KIND, 0), PREFIX, 0, 0) }
    }

    fn place(&self, address: IpAddr) -> (&'w [AtomicU64], u64) {
        let key = self.prefix.key(&self.limits, address);
        let set = (key >> 51) as usize * WAYS;
        (self.words.get(set..set + WAYS).unwrap_or_default(), key & 0xff_ffff)
    }

    /// An answer went to `address`.
    pub fn note(&self, address: IpAddr, now: u64) {
        let (set, tag) = self.place(address);
        let unit = (now / UNIT) as u16;
        let mut victim: Option<(u32, &AtomicU64, u64)> = None;
        for cell in set {
            let word = cell.load(Relaxed);
            let entry = Entry::read(word);
            if entry.tag == tag && !entry.is_gone(unit) {
                let next = Entry { last: unit, answers: entry.answers.saturating_add(1), ..entry };
                let _ = cell.compare_exchange(word, next.word(), Relaxed, Relaxed);
                return;
            }
            let worth = if entry.is_gone(unit) { 0 } else { 1 + u32::from(entry.answers) };
            let kept = entry.standing(unit) == Standing::Known;
            if !kept && victim.is_none_or(|(least, ..)| worth < least) {
                victim = Some((worth, cell, word));
            }
        }
        if let Some((_, cell, word)) = victim {
            let entry = Entry { tag, first: unit, last: unit, answers: 1 };
            let _ = cell.compare_exchange(word, entry.word(), Relaxed, Relaxed);
        }
    }

    /// How well `address` is known.
    #[must_use]
    pub fn standing(&self, address: IpAddr, now: u64) -> Standing {
        let (set, tag) = self.place(address);
        let unit = (now / UNIT) as u16;
        let mut entries = set.iter().map(|cell| Entry::read(cell.load(Relaxed)));
        let found = entries.find(|entry| entry.tag == tag && !entry.is_gone(unit));
        found.map_or(Standing::New, |entry| entry.standing(unit))
    }
}
