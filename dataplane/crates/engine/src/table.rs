//! The buckets of all rate limits in shared memory: set-associative, lock-free, exact over processes.
//!
//! ```text
//!  set: | key 0 .. key 7 | arrival time 0 .. 7 |      8 ways, two cache lines; the keyed hash of a bucket chooses its set
//! ```
//! A bucket whose arrival time has passed is full, which is also what a new one is: it carries no information and is taken over
//! without loss. Only when all eight of a set are in debt is the smallest debt forgotten, and counted.
//!
//! Nobody waits for anybody, so a worker that is killed at any point leaves a usable table. The rules that keep it exact:
//! - a charge is one compare-and-swap of the arrival time, and holds only if the way still has the key afterwards;
//! - a way is claimed by a compare-and-swap of its key, never by a store, and brings no debt of its last owner along;
//! - who has claimed a way looks whether another worker has claimed one for the same key. The lower way stays, the debt of the
//!   higher one moves there.

use std::hash::Hasher;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use siphasher::sip::SipHasher13;

use crate::counters::add;
use crate::gcra::Bucket;
use crate::limits::MAX_LIMITS;

/// Ways of a set.
pub(crate) const WAYS: usize = 8;
/// How often a charge starts again because its way was taken over meanwhile. One restart is rare already.
const ATTEMPTS: usize = 16;

pub(crate) type Set = [AtomicU64; 2 * WAYS];

/// The rate limits in shared memory, as one worker sees them.
#[derive(Clone, Copy)]
pub struct Limits<'w> {
    sets: &'w [Set],
    secret: [u64; 2],
    /// Of this worker: queries over each limit, then evictions.
    counts: &'w [AtomicU64],
}

impl<'w> Limits<'w> {
    pub(crate) const fn new(sets: &'w [Set], secret: [u64; 2], counts: &'w [AtomicU64]) -> Self {
        Self { sets, secret, counts }
    }

    /// The key of a bucket that is named by `bytes`.
    #[inline]
    pub(crate) fn key(&self, bytes: &[u8]) -> u64 {
        let [left, right] = self.secret;
        let mut hasher = SipHasher13::new_with_keys(left, right);
        hasher.write(bytes);
        // 0 marks a way that nobody has claimed.
        hasher.finish().max(1)
    }

    /// Counts a query that was over the limit `index`.
    #[inline]
    pub(crate) fn count_over(&self, index: usize) {
        if let Some(cell) = self.counts.get(index) {
            add(cell, 1);
        }
    }

    /// Takes one query from the bucket of `key`. False: it is over the limit, and nothing was taken.
    #[inline]
    pub(crate) fn charge(&self, key: u64, bucket: &Bucket, now: u64) -> bool {
        // The upper half of the key, scaled to the number of sets.
        let index = (((key >> 32) * self.sets.len() as u64) >> 32) as usize;
        let Some(set) = self.sets.get(index) else {
            return true;
        };
        let ways = Ways::of(set);
        for _ in 0..ATTEMPTS {
            let Some(way) = ways.find(key).or_else(|| self.claim(ways, key, now)) else {
                continue;
            };
            let arrival = &ways.arrivals[way];
            let mut seen = arrival.load(SeqCst);
            let passed = loop {
                let Some(next) = bucket.charge(seen, now) else {
                    break false;
                };
                match arrival.compare_exchange_weak(seen, next, SeqCst, SeqCst) {
                    Ok(_) => break true,
                    Err(other) => seen = other,
                }
            };
            if ways.keys[way].load(SeqCst) == key {
                return passed;
            }
        }
        true
    }

    /// Claims a way for `key`. `None`: another worker was faster, look again.
    #[cold]
    fn claim(&self, ways: Ways<'_>, key: u64, now: u64) -> Option<usize> {
        let mut way = 0;
        let mut least = u64::MAX;
        for (other, arrival) in ways.arrivals.iter().enumerate() {
            let arrival = arrival.load(SeqCst);
            if arrival < least {
                (way, least) = (other, arrival);
            }
            if least <= now {
                break;
            }
        }
        let owner = ways.keys[way].load(SeqCst);
        if least > now {
            // The debt of the old owner goes before the key changes hands, so the new owner never pays for it.
            ways.arrivals[way].compare_exchange(least, now, SeqCst, SeqCst).ok()?;
            if let Some(cell) = self.counts.get(MAX_LIMITS) {
                add(cell, 1);
            }
        }
        ways.keys[way].compare_exchange(owner, key, SeqCst, SeqCst).ok()?;
        Some(ways.unite(key, way, now))
    }
}

#[derive(Clone, Copy)]
struct Ways<'s> {
    keys: &'s [AtomicU64],
    arrivals: &'s [AtomicU64],
}

impl<'s> Ways<'s> {
    #[inline]
    fn of(set: &'s Set) -> Self {
        let (keys, arrivals) = set.split_at(WAYS);
        Self { keys, arrivals }
    }

    #[inline]
    fn find(self, key: u64) -> Option<usize> {
        self.keys.iter().position(|word| word.load(SeqCst) == key)
    }

    /// Makes the lowest way that has `key` the only one.
    fn unite(self, key: u64, claimed: usize, now: u64) -> usize {
        let lowest = self.find(key).unwrap_or(claimed);
        for way in lowest + 1..WAYS {
            if self.keys[way].compare_exchange(key, 0, SeqCst, SeqCst).is_ok() {
                let debt = self.arrivals[way].swap(0, SeqCst).saturating_sub(now);
                if debt > 0 {
                    add_debt(&self.arrivals[lowest], debt, now);
                }
            }
        }
        lowest
    }
}

fn add_debt(arrival: &AtomicU64, debt: u64, now: u64) {
    let mut seen = arrival.load(SeqCst);
    while let Err(other) = arrival.compare_exchange_weak(seen, seen.max(now).saturating_add(debt), SeqCst, SeqCst) {
        seen = other;
    }
}
