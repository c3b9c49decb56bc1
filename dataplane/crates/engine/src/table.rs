//! The buckets of all rate limits in shared memory: set-associative, exact over processes.
//!
//! ```text
//!  set: | lock | key 0 .. key 6 |      one cache line; the keyed hash of a bucket chooses its set
//!       |      | time 0 .. 6    |      another: when the debt of each bucket is over
//! ```
//! A bucket's state is one time, whatever its algorithm. To charge a bucket that is there takes one compare-and-swap of
//! it and waits for nobody. Only to claim a way for a new bucket a worker locks the set, for some nanoseconds, so that
//! no two ways are ever claimed for one bucket.
//!
//! A bucket whose time has passed is full, which is also what a new one is: it carries no information. The way with the
//! earliest time is taken, so debts are forgotten only when all seven of a set are in debt, and that is counted.
//!
//! A worker may be killed at any point. A set that it had locked is taken over by the next one that waits long enough;
//! the words it left are valid in any combination. One that was stopped for so long and goes on writes the two words of
//! one way at most: the debt of one bucket may be forgotten then, and nothing else.

use std::hash::Hasher;
use std::hint::spin_loop;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use std::thread::yield_now;

use siphasher::sip::SipHasher13;
use wire::{AnswerClass, Reason, Transport};

use crate::cookies::Shown;
use crate::counters::add;
use crate::layout::cells;
use crate::limits::{Limited, MAX_LIMITS, Meter};
use crate::rules::RULE_SLOTS;

/// Ways of a set.
pub(crate) const WAYS: usize = 7;
/// Words of a set: two cache lines.
pub(crate) const SET_WORDS: usize = 16;

/// How often a charge starts again because its way was taken over meanwhile. One restart is rare already.
const ATTEMPTS: usize = 16;
/// Looks at a locked set before the processor is given to others, who may include the holder.
const SPINS: u32 = 64;
/// Looks at a set that the same holder keeps locked until that holder counts as dead: some milliseconds, where
/// nanoseconds are normal.
const PATIENCE: u32 = 10_000;

/// The time of a way that is being given to another key. No clock gets there.
const BUSY: u64 = u64::MAX;

pub(crate) type Set = [AtomicU64; SET_WORDS];

/// The rate limits in shared memory, as one worker sees them.
#[derive(Clone, Copy)]
pub struct Limits<'w> {
    sets: &'w [Set],
    secret: [u64; 2],
    /// Of this worker: queries over each limit, evictions, what was shown of cookies, hits of each list, hits of each rule
    /// and how often each was over its own limit, answers over limits.
    counts: &'w [AtomicU64],
    /// Of this worker: messages that a row of the wire check only observed, by transport and reason.
    observed: &'w [AtomicU64],
}

impl<'w> Limits<'w> {
    pub(crate) const fn new(
        sets: &'w [Set],
        secret: [u64; 2],
        counts: &'w [AtomicU64],
        observed: &'w [AtomicU64],
    ) -> Self {
        Self { sets, secret, counts, observed }
    }

    /// The key of the bucket that `bytes` name.
    #[inline]
    pub(crate) fn key(&self, bytes: &[u8]) -> u64 {
        let [left, right] = self.secret;
        let mut hasher = SipHasher13::new_with_keys(left, right);
        hasher.write(bytes);
        // 0 marks a way that nobody has claimed.
        hasher.finish().max(1)
    }

    /// Counts a message that passes although it breaks a row of the wire check.
    #[cold]
    pub(crate) fn count_observed(&self, transport: Transport, reason: Reason) {
        if let Some(cell) = self.observed.get(transport as usize * Reason::COUNT + reason as usize) {
            add(cell, 1);
        }
    }

    /// Counts a query that was over the limit whose counter is `slot`; returns how many this worker has counted there.
    #[inline]
    pub(crate) fn count_over(&self, slot: usize) -> u64 {
        self.counts.get(slot).map_or(0, |cell| {
            add(cell, 1);
            cell.load(Relaxed)
        })
    }

    /// Counts what a message showed of a cookie.
    #[inline]
    pub(crate) fn count_cookie(&self, transport: Transport, shown: Shown) {
        if let Some(cell) = self.counts.get(cells::COOKIES - cells::LIMITS + shown.cell(transport)) {
            add(cell, 1);
        }
    }

    /// Counts a message that the list of this cell decided about.
    #[inline]
    pub(crate) fn count_listed(&self, cell: usize) {
        if let Some(cell) = self.counts.get(cells::LISTS - cells::LIMITS + cell) {
            add(cell, 1);
        }
    }

    /// Counts a message that the rule in `slot` matched.
    #[inline]
    pub(crate) fn count_rule(&self, slot: u16) {
        if let Some(cell) = self.counts.get(cells::RULES - cells::LIMITS + usize::from(slot)) {
            add(cell, 1);
        }
    }

    fn answer_cell(&self, class: AnswerClass, outcome: Limited) -> Option<&AtomicU64> {
        let place = class as usize * Limited::COUNT + outcome as usize;
        self.counts.get(cells::RESPONSES - cells::LIMITS + place)
    }

    /// Counts an answer over the response limit of its class.
    #[inline]
    pub(crate) fn count_answer(&self, class: AnswerClass, outcome: Limited) {
        if let Some(cell) = self.answer_cell(class, outcome) {
            add(cell, 1);
        }
    }

    /// Counts a message that was over the limit of the rule in `slot`, and returns how many were.
    #[inline]
    pub(crate) fn count_rule_over(&self, slot: u16) -> u64 {
        self.count_over(cells::RULES - cells::LIMITS + RULE_SLOTS + usize::from(slot))
    }

    /// How many answers of a class this worker has dropped or truncated.
    pub(crate) fn limited_answers(&self, class: AnswerClass) -> u64 {
        let count = |outcome| self.answer_cell(class, outcome).map_or(0, |cell| cell.load(Relaxed));
        count(Limited::Drop).wrapping_add(count(Limited::Truncate))
    }

    #[inline]
    fn set(&self, key: u64) -> Option<Ways<'w>> {
        // The upper half of the key, scaled to the number of sets.
        let index = (((key >> 32) * self.sets.len() as u64) >> 32) as usize;
        self.sets.get(index).map(Ways::of)
    }

    /// Whether the bucket of `key` has `units` left. Nothing is taken; a message longer than the burst passes when the
    /// bucket is full, as a new one is.
    #[inline]
    pub(crate) fn would_pass(&self, key: u64, meter: &Meter, units: u64, now: u64) -> bool {
        let Some(set) = self.set(key) else { return true };
        let Some(way) = set.find(key) else { return true };
        let time = set.times[way].load(SeqCst);
        // A way that changes hands meanwhile says nothing about the key; the charge looks again.
        time == BUSY || set.keys[way].load(SeqCst) != key || meter.charge(time, units, now).is_some()
    }

    /// Takes `units` from the bucket of `key`. False: it is over the limit, and nothing was taken.
    #[inline]
    pub(crate) fn charge(&self, key: u64, meter: &Meter, units: u64, now: u64) -> bool {
        let Some(set) = self.set(key) else { return true };
        for _ in 0..ATTEMPTS {
            let Some(way) = set.find(key) else {
                if self.claim_first(set, key, (meter, units), now) {
                    return true;
                }
                continue;
            };
            match set.charge(way, key, (meter, units), now) {
                Charge::Passed => return true,
                Charge::Over => return false,
                Charge::Busy => set.settle(way),
                Charge::Gone => {}
            }
        }
        true
    }

    /// Adds `cost` nanoseconds to the debt of `key`, whatever it owes already. Returns the debt.
    pub(crate) fn debit(&self, key: u64, cost: u64, now: u64) -> u64 {
        let Some(set) = self.set(key) else { return 0 };
        for _ in 0..ATTEMPTS {
            let Some(way) = set.find(key) else {
                if self.claim(set, key, now.saturating_add(cost), now) {
                    return cost;
                }
                continue;
            };
            match set.debit(way, key, cost, now) {
                Ok(debt) => return debt,
                Err(Charge::Busy) => set.settle(way),
                Err(_) => {}
            }
        }
        0
    }

    /// Claims a way for `key` with its first charge. Never inlined: the compiler would take the arithmetic of that, a
    /// logarithm for one, out of the loop, and every charge would pay it.
    #[cold]
    #[inline(never)]
    fn claim_first(&self, set: Ways<'_>, key: u64, (meter, units): (&Meter, u64), now: u64) -> bool {
        self.claim(set, key, meter.first(units, now), now)
    }

    /// Claims a way for `key`, whose first charge leads to `time`. False: another worker has just claimed one for it.
    fn claim(&self, set: Ways<'_>, key: u64, time: u64, now: u64) -> bool {
        let held = set.lock();
        let missing = set.find(key).is_none();
        if missing && set.take_earliest(key, time) > now {
            self.count_eviction();
        }
        set.unlock(held);
        missing
    }

    fn count_eviction(&self) {
        if let Some(cell) = self.counts.get(MAX_LIMITS) {
            add(cell, 1);
        }
    }
}

/// What became of a charge.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Charge {
    Passed,
    /// Over the limit; nothing was taken.
    Over,
    /// The way is being given away.
    Busy,
    /// The way is another bucket's by now.
    Gone,
}

#[derive(Clone, Copy)]
struct Ways<'s> {
    lock: &'s AtomicU64,
    keys: &'s [AtomicU64],
    times: &'s [AtomicU64],
}

impl<'s> Ways<'s> {
    #[inline]
    fn of(set: &'s Set) -> Self {
        Self { lock: &set[0], keys: &set[1..1 + WAYS], times: &set[SET_WORDS - WAYS..] }
    }

    #[inline]
    fn find(self, key: u64) -> Option<usize> {
        self.keys.iter().position(|word| word.load(SeqCst) == key)
    }

    /// Charges the bucket in `way`, if it is still that of `key`.
    ///
    /// The time is read first and the key after it. A way changes hands by way of `BUSY`, so an time that is still
    /// there at the end was that of the key all the time, and no charge is ever lost or put on another's account.
    #[inline]
    fn charge(self, way: usize, key: u64, (meter, units): (&Meter, u64), now: u64) -> Charge {
        let cell = &self.times[way];
        let mut seen = cell.load(SeqCst);
        loop {
            if seen == BUSY {
                return Charge::Busy;
            }
            if self.keys[way].load(SeqCst) != key {
                return Charge::Gone;
            }
            let Some(next) = meter.charge(seen, units, now) else {
                match cell.load(SeqCst) {
                    same if same == seen => return Charge::Over,
                    other => seen = other,
                }
                continue;
            };
            match cell.compare_exchange_weak(seen, next, SeqCst, SeqCst) {
                Ok(_) => return Charge::Passed,
                Err(other) => seen = other,
            }
        }
    }

    /// Adds to the debt in `way`, if it is still that of `key`, and returns it; see `charge` for the order of the loads.
    fn debit(self, way: usize, key: u64, cost: u64, now: u64) -> Result<u64, Charge> {
        let cell = &self.times[way];
        let mut seen = cell.load(SeqCst);
        loop {
            if seen == BUSY {
                return Err(Charge::Busy);
            }
            if self.keys[way].load(SeqCst) != key {
                return Err(Charge::Gone);
            }
            let next = seen.max(now).saturating_add(cost).min(BUSY - 1);
            match cell.compare_exchange_weak(seen, next, SeqCst, SeqCst) {
                Ok(_) => return Ok(next - now),
                Err(other) => seen = other,
            }
        }
    }

    /// Waits until nobody gives the way away any more. One that a dead holder left busy becomes a full bucket.
    fn settle(self, way: usize) {
        let held = self.lock();
        let _ = self.times[way].compare_exchange(BUSY, 0, SeqCst, SeqCst);
        self.unlock(held);
    }

    /// Gives the way with the earliest time to `key`, and returns that time. Only under the lock.
    fn take_earliest(self, key: u64, first: u64) -> u64 {
        loop {
            let mut way = 0;
            let mut earliest = u64::MAX;
            for (other, time) in self.times.iter().enumerate() {
                let time = time.load(SeqCst);
                // Under the lock only a dead holder can have left one busy.
                if time == BUSY || time < earliest {
                    (way, earliest) = (other, time);
                }
                if time == BUSY {
                    break;
                }
            }
            // Fails if the bucket was charged meanwhile: then it is in debt, and another one is earlier.
            if self.times[way].compare_exchange(earliest, BUSY, SeqCst, SeqCst).is_ok() {
                self.keys[way].store(key, SeqCst);
                self.times[way].store(first, SeqCst);
                return if earliest == BUSY { 0 } else { earliest };
            }
        }
    }

    /// Waits for the lock and takes it; returns what `unlock` needs. The word is odd while the set is locked, and each
    /// holder leaves another value, so that a waiter can tell one patient holder from many brisk ones.
    fn lock(self) -> u64 {
        let mut seen = self.lock.load(SeqCst);
        let mut looks = 0;
        loop {
            let is_locked = seen & 1 != 0;
            if is_locked && looks < PATIENCE {
                looks += 1;
                if looks < SPINS {
                    spin_loop()
                } else {
                    yield_now()
                }
                let now = self.lock.load(SeqCst);
                if now != seen {
                    (seen, looks) = (now, 0);
                }
                continue;
            }
            let held = if is_locked { seen.wrapping_add(2) } else { seen.wrapping_add(1) };
            match self.lock.compare_exchange(seen, held, SeqCst, SeqCst) {
                Ok(_) => return held,
                Err(other) => (seen, looks) = (other, 0),
            }
        }
    }

    /// If the set was taken over meanwhile, the word is another one, and it stays the new holder's.
    fn unlock(self, held: u64) {
        let _ = self.lock.compare_exchange(held, held.wrapping_add(1), SeqCst, SeqCst);
    }
}
