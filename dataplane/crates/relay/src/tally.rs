//! The shared memory as one worker's relay uses it: its counters, and the rate limits.

use std::sync::Arc;

use engine::{Act, BackendCount, Counters, Crowd, Familiar, Io, Layout, LayoutError, Limits, Memory};
use wire::{Reason, Transport};

pub struct Tally<M: Memory> {
    memory: Arc<M>,
    layout: Layout,
    worker: usize,
    transport: Transport,
}

impl<M: Memory> Tally<M> {
    /// For the messages of one transport in one worker.
    ///
    /// # Errors
    /// The memory was not laid out by this build, or has no such worker.
    pub fn new(memory: Arc<M>, worker: usize, transport: Transport) -> Result<Self, LayoutError> {
        let layout = Layout::read(memory.words())?;
        layout.counters(memory.words(), worker)?;
        Ok(Tally { memory, layout, worker, transport })
    }

    fn counters(&self) -> Counters<'_> {
        match self.layout.counters(self.memory.words(), self.worker) {
            Ok(counters) => counters,
            Err(_) => unreachable!("checked when the tally was made, and the memory never changes its size"),
        }
    }

    pub fn limits(&self) -> Limits<'_> {
        match self.layout.limits(self.memory.words(), self.worker) {
            Ok(limits) => limits,
            Err(_) => unreachable!("checked when the tally was made, and the memory never changes its size"),
        }
    }

    pub fn crowd(&self) -> Crowd<'_> {
        match self.layout.crowd(self.memory.words(), self.worker) {
            Ok(crowd) => crowd,
            Err(_) => unreachable!("checked when the tally was made, and the memory never changes its size"),
        }
    }

    pub fn familiar(&self) -> Familiar<'_> {
        match self.layout.familiar(self.memory.words(), self.worker) {
            Ok(familiar) => familiar,
            Err(_) => unreachable!("checked when the tally was made, and the memory never changes its size"),
        }
    }

    pub fn received(&self, n: u64) {
        self.counters().received(self.transport, n);
    }

    pub fn verdict(&self, act: Act, reason: Reason) {
        self.counters().add(self.transport, act, reason, 1);
    }

    pub fn verdicts(&self, act: Act, reason: Reason, n: u64) {
        self.counters().add(self.transport, act, reason, n);
    }

    pub fn answer_dropped(&self, reason: Reason) {
        self.counters().answer_dropped(self.transport, reason);
    }

    pub fn io(&self, what: Io, n: u64) {
        self.counters().io(what, n);
    }

    pub fn backend(&self, slot: usize, what: BackendCount) {
        self.counters().backend(slot, what, 1);
    }
}
