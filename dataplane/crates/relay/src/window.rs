//! How many unanswered queries a backend may have: as many as it answers within the time that we aim at.
//!
//! What waits at a backend that is slower than its clients waits in its queue, and a full queue drops whatever comes
//! last. The window keeps that queue short, so that what is let in is answered, and who has to go without is our choice.
//!
//! ```text
//! aim  = quiet delay of the backend + target
//! late: the fastest answer of a turn came after the aim      -> window = rate of answers x aim   (Little's law)
//! lost: many queries of a turn got no answer within twice it -> the same, at most x 3/4 of what was in use
//! used: a quarter of the window or more was in use           -> window x 2; after a first loss x 17/16
//! ```
//! A window in use grows as long as answers come within half of the target, because half of a window is what a flood of
//! strangers may fill: the other half fits behind it. Beyond that it grows slowly, until answers are late. A backend that
//! loses queries before it is late has a short buffer: for a while the window does not grow beyond what was in use then,
//! and for longer each time that it turns out to be true.
//!
//! The fastest answer tells a standing queue from a few slow answers. The quiet delay is the least that was seen. It follows a way that
//! has become longer while the window is little used, or when nothing is gained by a window at its minimum.
//!
//! A query that is older than twice the aim is taken for lost and holds no place: after a burst that a backend dropped,
//! those to come need not wait for the time-outs. So places are counted by the epoch that a query left in.

/// Nanoseconds of the shortest and the longest turn, and the answers that make one in between.
const TURN: u64 = 20_000_000;
const LONG_TURN: u64 = 100_000_000;
const ENOUGH: u32 = 16;

/// After so long without a look nothing is concluded.
const PAUSE: u64 = 1_000_000_000;

/// An epoch is 2^24 ns, some 17 ms.
const EPOCH_BITS: u32 = 24;
const EPOCHS: usize = 128;

/// The longest aim: twice it fits into the epochs.
const LONGEST_AIM: u64 = 500_000_000;

/// The window of a backend that nothing is known of.
const START: u32 = 2048;

/// Fewer lost queries in a turn are an accident.
const LOSSES: u32 = 4;

/// For so long a window does not grow beyond what was in use at a loss: at first, and after many.
const HOLD: u64 = 4_000_000_000;
const LONGEST_HOLD: u64 = 32_000_000_000;

/// Where answers come late but not too late, a window grows once in 2^28 ns, some 270 ms, and a small one by more of itself:
/// so the windows of several workers for one backend become more alike.
const SLOWLY: u32 = 28;
const STEP: u32 = 4;

/// Turns at the minimum after which a late backend counts as a far one.
const TURNS_AT_LEAST: u32 = 10;

/// What the windows of a relay aim at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aim {
    /// Nanoseconds beyond the quiet delay. 0: the windows bound nothing.
    pub target: u64,
    /// Bounds of the window.
    pub least: u32,
    pub most: u32,
}

impl Default for Aim {
    fn default() -> Self {
        Self { target: 0, least: 1, most: u32::MAX }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    size: u32,
    /// Half of it: up to there everybody is let in.
    half: u32,
    /// Unanswered queries that are not taken for lost.
    live: u32,
    /// By epoch modulo `EPOCHS`; queries of epochs before `first` are no longer counted.
    epochs: [u32; EPOCHS],
    first: u64,
    /// Of this turn: its beginning, answers, losses, the shortest delay, and the most that was in use.
    began: u64,
    answers: u32,
    lost: u32,
    shortest: u64,
    peak: u32,
    /// The quiet delay; none is known yet with `u64::MAX`.
    quiet: u64,
    /// The shortest delay of the last turn with answers.
    delay: u64,
    /// From this size on the window grows slowly.
    knee: u32,
    /// What was in use at the last loss, until when it bounds the window, and for how long that was.
    ceiling: u32,
    ceiling_ends: u64,
    hold: u64,
    /// No loss is counted against the window before this: what was sent earlier was sent by a larger one.
    forgiven: u64,
    at_least: u32,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            size: u32::MAX,
            half: u32::MAX,
            live: 0,
            epochs: [0; EPOCHS],
            first: 0,
            began: 0,
            answers: 0,
            lost: 0,
            shortest: u64::MAX,
            peak: 0,
            quiet: u64::MAX,
            delay: 0,
            knee: u32::MAX,
            ceiling: u32::MAX,
            ceiling_ends: 0,
            hold: 0,
            forgiven: 0,
            at_least: 0,
        }
    }
}

impl Window {
    /// Take new bounds, at the beginning and after a reload.
    pub fn configure(&mut self, aim: &Aim) {
        let size = match (aim.target, self.size) {
            (0, _) => u32::MAX,
            (_, u32::MAX) => START,
            (_, size) => size,
        };
        self.resize(size, aim);
    }

    fn resize(&mut self, size: u32, aim: &Aim) {
        self.size = if aim.target == 0 { u32::MAX } else { size.clamp(aim.least, aim.most) };
        self.half = self.size / 2;
    }

    pub fn size(&self) -> u32 {
        self.size
    }

    pub fn live(&self) -> u32 {
        self.live
    }

    /// Nanoseconds of the fastest answer lately.
    pub fn delay(&self) -> u64 {
        self.delay
    }

    /// Whether so much is in use that not everybody is let in.
    #[inline]
    pub fn is_tight(&self) -> bool {
        self.live >= self.half
    }

    #[inline]
    pub fn is_full(&self) -> bool {
        self.live >= self.size
    }

    /// Whether less than so many percent are in use.
    pub fn has_room(&self, percent: u32) -> bool {
        u64::from(self.live) * 100 < u64::from(self.size) * u64::from(percent)
    }

    /// A query leaves at `now`.
    #[inline]
    pub fn sent(&mut self, now: u64) {
        let epoch = now >> EPOCH_BITS;
        if epoch >= self.first + EPOCHS as u64 {
            self.forget_before(epoch + 1 - EPOCHS as u64);
        }
        // A clock that goes back a little, as between two batches, finds its epoch closed.
        self.epochs[epoch.max(self.first) as usize % EPOCHS] += 1;
        self.live += 1;
        self.peak = self.peak.max(self.live);
    }

    /// The query that left at `sent` waits no longer: it was answered at `answered`, or it has ended without an answer.
    #[inline]
    pub fn ended(&mut self, sent: u64, answered: Option<u64>, aim: &Aim) {
        let epoch = sent >> EPOCH_BITS;
        let place = &mut self.epochs[epoch as usize % EPOCHS];
        if epoch >= self.first && *place > 0 {
            *place -= 1;
            self.live -= 1;
        }
        if let Some(now) = answered {
            self.answers += 1;
            self.shortest = self.shortest.min(now.saturating_sub(sent));
            if now >= self.began.saturating_add(TURN) {
                self.look(now, aim);
            }
        }
    }

    /// The time within which answers should come.
    pub fn aim(&self, aim: &Aim) -> u64 {
        let quiet = if self.quiet == u64::MAX { LONGEST_AIM } else { self.quiet };
        quiet.saturating_add(aim.target).min(LONGEST_AIM)
    }

    /// Judge the turn if it is over. To be called a few times a second as well, for backends that answer nothing.
    pub fn look(&mut self, now: u64, aim: &Aim) {
        let elapsed = now.saturating_sub(self.began);
        if elapsed < TURN || (self.answers < ENOUGH && elapsed < LONG_TURN) {
            return;
        }
        self.forget_before(now.saturating_sub(2 * self.aim(aim)) >> EPOCH_BITS);
        if aim.target > 0 && elapsed < PAUSE {
            self.judge(elapsed, now, aim);
        }
        if self.answers > 0 {
            self.quiet = self.quiet.min(self.shortest);
            self.delay = self.shortest;
        }
        (self.began, self.answers, self.lost) = (now, 0, 0);
        (self.shortest, self.peak) = (u64::MAX, self.live);
    }

    fn judge(&mut self, elapsed: u64, now: u64, aim: &Aim) {
        let limit = self.aim(aim);
        let late = self.answers > 0 && self.quiet != u64::MAX && self.shortest > limit;
        let used = self.answers > 0 && self.peak >= self.size / 4;
        if late && self.size == aim.least {
            self.at_least += 1;
        } else if self.answers > 0 {
            self.at_least = 0;
        }
        if self.at_least >= TURNS_AT_LEAST {
            self.quiet = self.shortest.min(LONGEST_AIM);
        } else if late {
            self.shrink(self.fitting(limit, elapsed).clamp(self.size / 2, self.size), aim);
        } else if self.overflows() && now >= self.forgiven {
            self.forgiven = now.saturating_add(2 * limit + TURN);
            self.lose(self.fitting(limit, elapsed), now, aim);
        } else if used {
            self.grow(now, aim);
        } else if self.answers > 0 && self.shortest > self.quiet {
            self.quiet = self.quiet.saturating_add((self.shortest - self.quiet) / 64);
        }
    }

    /// Queries that are answered within `limit`, by the rate of this turn.
    fn fitting(&self, limit: u64, elapsed: u64) -> u32 {
        u32::try_from(u64::from(self.answers) * limit / elapsed.max(1)).unwrap_or(u32::MAX)
    }

    /// Whether the backend lost so many of what it was sent that its buffer must be full. Where the fastest answers are as
    /// fast as in quiet times nothing waits in it; then it takes more losses to blame it and not the way.
    fn overflows(&self) -> bool {
        let queued = self.quiet == u64::MAX || self.shortest > self.quiet + self.quiet / 8 + TURN / 64;
        let many = if queued { self.answers / 32 } else { self.answers / 2 };
        self.lost >= LOSSES && self.lost > many
    }

    fn lose(&mut self, fitting: u32, now: u64, aim: &Aim) {
        let held = self.size.min(self.peak.max(1));
        if self.answers == 0 {
            // It stands still, and that says nothing of its buffer.
            return self.resize(held / 4 * 3, aim);
        }
        let soon = now < self.ceiling_ends.saturating_add(self.hold);
        self.hold = if soon { (2 * self.hold).min(LONGEST_HOLD) } else { HOLD };
        self.ceiling_ends = now.saturating_add(self.hold);
        self.ceiling = held;
        self.shrink(fitting.clamp(self.size / 4, (held / 4 * 3).max(self.size / 4)), aim);
    }

    fn grow(&mut self, now: u64, aim: &Aim) {
        if now >= self.ceiling_ends {
            self.ceiling = u32::MAX;
        }
        let soon = self.quiet == u64::MAX || self.shortest <= self.quiet.saturating_add(aim.target / 2);
        let size = if soon && self.size < self.knee {
            self.size.saturating_mul(2).min(self.knee.max(self.size + 1))
        } else if soon {
            self.size.saturating_add(self.size / 16 + 1)
        } else if now >> SLOWLY != self.began >> SLOWLY {
            self.size.saturating_add(STEP.max(self.size / 32))
        } else {
            return;
        };
        self.resize(size.min(self.ceiling.max(self.size)), aim);
    }

    fn shrink(&mut self, size: u32, aim: &Aim) {
        self.resize(size, aim);
        self.knee = self.size;
    }

    /// Take what left before this epoch for lost.
    fn forget_before(&mut self, epoch: u64) {
        let passed = epoch.saturating_sub(self.first).min(EPOCHS as u64);
        for past in self.first..self.first + passed {
            let gone = std::mem::take(&mut self.epochs[past as usize % EPOCHS]);
            self.live -= gone;
            self.lost += gone;
        }
        self.first = self.first.max(epoch);
    }
}

#[cfg(test)]
mod tests;
