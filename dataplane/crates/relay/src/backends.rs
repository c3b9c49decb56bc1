//! The backends of one relay and the choice among them: weighted least outstanding.
//!
//! Of the healthy backends the one with the fewest unanswered queries per unit of weight gets the next query. Equals take turns, so that
//! an idle gateway does not load the first of its list only. A rule may send a query to a pool of the backends.

use std::net::SocketAddr;

use wire::proxy::Protocol;

use crate::window::{Aim, Window};

/// What stands before the queries for a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub protocol: Protocol,
    /// v2 with its CRC32C.
    pub checksum: bool,
}

/// A backend as the relay knows it. `slot` is its place in the shared counters; it keeps it over reloads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    pub slot: usize,
    pub address: SocketAddr,
    pub weight: u32,
    /// Bit n: it is in pool n. Pool 0 is that of the queries that no rule routes.
    pub pools: u32,
    /// The header by which it learns of the client.
    pub proxy: Option<Header>,
    /// Nanoseconds until a query to it is given up.
    pub timeout: u64,
    pub healthy: bool,
    pub outstanding: u32,
    /// When the youngest of the queries that it answered was sent, and of those that it did not answer in time.
    pub answered: u64,
    pub missed: u64,
    /// How many unanswered queries it may have.
    pub window: Box<Window>,
}

impl Backend {
    /// Whether it is healthy and in the pool.
    pub fn serves(&self, pool: u8) -> bool {
        self.healthy && self.pools.checked_shr(u32::from(pool)).is_some_and(|pools| pools & 1 != 0)
    }
}

/// How a query leaves a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Answered,
    TimedOut,
    /// What says nothing about the backend: its link was lost, its client is gone, or our own socket took no more.
    Moved,
}

/// The place in its backend's window that a query leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seat {
    /// It had none: a transfer, whose time says nothing of the backend's queue.
    None,
    Free,
    /// Its answer came at this time.
    Answered(u64),
}

#[derive(Debug, Default)]
pub struct Backends {
    list: Vec<Backend>,
    turn: usize,
    aim: Aim,
}

impl Backends {
    /// Take a new list. Health and outstanding counts of backends that stay (same slot and address) are kept.
    pub fn replace(&mut self, new: Vec<Backend>) {
        let old = std::mem::take(&mut self.list);
        self.list = new
            .into_iter()
            .map(|mut backend| {
                if let Some(known) = old.iter().find(|b| b.slot == backend.slot && b.address == backend.address) {
                    backend.healthy = known.healthy;
                    backend.outstanding = known.outstanding;
                    backend.answered = known.answered;
                    backend.missed = known.missed;
                    backend.window.clone_from(&known.window);
                }
                backend.window.configure(&self.aim);
                backend
            })
            .collect();
        self.turn = 0;
    }

    /// What the windows aim at from now on.
    pub fn set_aim(&mut self, aim: Aim) {
        self.aim = aim;
        self.list.iter_mut().for_each(|backend| backend.window.configure(&aim));
    }

    /// Judge the windows of backends that answer nothing.
    pub fn look(&mut self, now: u64) {
        self.list.iter_mut().for_each(|backend| backend.window.look(now, &self.aim));
    }

    pub fn list(&self) -> &[Backend] {
        &self.list
    }

    pub fn by_slot(&mut self, slot: usize) -> Option<&mut Backend> {
        self.list.iter_mut().find(|backend| backend.slot == slot)
    }

    /// Note that a query, sent at `sent`, has left its backend: slot and address, because another one may have the slot by now.
    pub fn ended(&mut self, (slot, address): (usize, SocketAddr), outcome: Outcome, sent: u64, seat: Seat) {
        let aim = self.aim;
        let Some(backend) = self.by_slot(slot).filter(|backend| backend.address == address) else { return };
        match seat {
            Seat::None => {}
            Seat::Free => backend.window.ended(sent, None, &aim),
            Seat::Answered(now) => backend.window.ended(sent, Some(now), &aim),
        }
        backend.outstanding = backend.outstanding.saturating_sub(1);
        match outcome {
            Outcome::Answered => backend.answered = sent.max(backend.answered),
            Outcome::TimedOut => backend.missed = sent.max(backend.missed),
            Outcome::Moved => {}
        }
    }

    /// The slots of the backends that have missed a query since the last look, and answered none that was sent with it or later.
    ///
    /// A backend that dropped part of a burst is not among them: it answered the rest.
    pub fn take_silent(&mut self) -> Vec<usize> {
        let silent =
            |backend: &mut Backend| (std::mem::take(&mut backend.missed) > backend.answered).then_some(backend.slot);
        self.list.iter_mut().filter_map(silent).collect()
    }

    /// The backend of a pool for the next query, or None when none is healthy. The caller counts it as outstanding.
    #[inline]
    pub fn pick(&mut self, pool: u8) -> Option<&mut Backend> {
        let index = self.choose(|backend| backend.serves(pool))?;
        Some(&mut self.list[index])
    }

    pub fn at(&mut self, index: usize) -> &mut Backend {
        &mut self.list[index]
    }

    /// The place in the list of the best of those that are candidates.
    #[inline]
    pub fn choose(&mut self, is_candidate: impl Fn(&Backend) -> bool) -> Option<usize> {
        let count = self.list.len();
        let mut best: Option<usize> = None;
        for step in 0..count {
            let index = (self.turn + step) % count;
            let candidate = &self.list[index];
            if is_candidate(candidate) && best.is_none_or(|b| lighter(candidate, &self.list[b])) {
                best = Some(index);
            }
        }
        let index = best?;
        self.turn = (index + 1) % count;
        Some(index)
    }
}

/// Whether `a` has fewer queries outstanding per unit of weight, the next query included.
fn lighter(a: &Backend, b: &Backend) -> bool {
    u64::from(a.outstanding + 1) * u64::from(b.weight) < u64::from(b.outstanding + 1) * u64::from(a.weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(slot: usize, weight: u32) -> Backend {
        let address = SocketAddr::from(([127, 0, 0, 1], 5300 + slot as u16));
        Backend {
            slot,
            address,
            weight,
            pools: 1,
            proxy: None,
            timeout: 1,
            healthy: true,
            outstanding: 0,
            answered: 0,
            missed: 0,
            window: Box::default(),
        }
    }

    fn shares(backends: &mut Backends, queries: usize) -> Vec<u32> {
        for _ in 0..queries {
            backends.pick(0).unwrap().outstanding += 1;
        }
        backends.list().iter().map(|b| b.outstanding).collect()
    }

    #[test]
    fn weights_share_the_queries() {
        let mut backends = Backends::default();
        backends.replace(vec![backend(0, 1), backend(1, 3)]);
        assert_eq!(shares(&mut backends, 400), [100, 300]);
    }

    #[test]
    fn equals_take_turns_when_idle() {
        let mut backends = Backends::default();
        backends.replace(vec![backend(0, 1), backend(1, 1)]);
        let order: Vec<usize> = (0..4).map(|_| backends.pick(0).unwrap().slot).collect();
        assert_eq!(order, [0, 1, 0, 1]);
    }

    #[test]
    fn a_backend_is_silent_when_it_answers_nothing_that_came_with_or_after_what_it_missed() {
        let mut backends = Backends::default();
        backends.replace(vec![backend(0, 1)]);
        let ended = |backends: &mut Backends, outcome, sent| {
            let address = backends.list()[0].address;
            backends.ended((0, address), outcome, sent, Seat::None);
        };
        let (answer, miss) = (Outcome::Answered, Outcome::TimedOut);
        ended(&mut backends, answer, 10);
        ended(&mut backends, miss, 10);
        assert!(backends.take_silent().is_empty(), "part of a burst was lost");
        ended(&mut backends, miss, 11);
        ended(&mut backends, miss, 9);
        assert_eq!(backends.take_silent(), [0]);
        assert!(backends.take_silent().is_empty(), "told once");
        ended(&mut backends, answer, 12);
        ended(&mut backends, miss, 11);
        assert!(backends.take_silent().is_empty());
        ended(&mut backends, Outcome::Moved, 13);
        assert!(backends.take_silent().is_empty(), "what never left, such as from a full socket, is nobody's silence");
    }

    #[test]
    fn another_backend_in_the_slot_does_not_answer_for_the_one_before() {
        let mut backends = Backends::default();
        backends.replace(vec![backend(0, 1)]);
        let old = backends.list()[0].address;
        assert_eq!(shares(&mut backends, 2), [2]);
        backends.replace(vec![Backend { address: SocketAddr::from(([127, 0, 0, 2], 53)), ..backend(0, 1) }]);
        assert_eq!(shares(&mut backends, 1), [1]);
        backends.ended((0, old), Outcome::TimedOut, 5, Seat::None);
        assert_eq!(backends.list()[0].outstanding, 1);
        assert!(backends.take_silent().is_empty());
    }

    #[test]
    fn a_pool_is_served_by_its_own_backends() {
        let mut backends = Backends::default();
        let pooled = |slot, pools| Backend { pools, ..backend(slot, 1) };
        backends.replace(vec![pooled(0, 0b01), pooled(1, 0b10), pooled(2, 0b11)]);
        let slots = |backends: &mut Backends, pool| {
            let mut slots: Vec<usize> = (0..4).filter_map(|_| backends.pick(pool).map(|b| b.slot)).collect();
            slots.sort_unstable();
            slots
        };
        assert_eq!(slots(&mut backends, 0), [0, 0, 2, 2]);
        assert_eq!(slots(&mut backends, 1), [1, 1, 2, 2]);
        for pool in [2, 31, 32, 33, 255] {
            assert!(slots(&mut backends, pool).is_empty(), "nobody is in this pool");
        }
    }

    #[test]
    fn the_unhealthy_get_nothing_and_a_reload_keeps_what_is_known() {
        let mut backends = Backends::default();
        backends.replace(vec![backend(0, 1), backend(1, 1)]);
        backends.by_slot(0).unwrap().healthy = false;
        assert_eq!(shares(&mut backends, 10), [0, 10]);
        backends.replace(vec![backend(1, 2), backend(0, 1)]);
        assert_eq!(backends.list()[0].outstanding, 10);
        assert!(!backends.list()[1].healthy);
        backends.by_slot(1).unwrap().healthy = false;
        assert!(backends.pick(0).is_none());
    }
}
