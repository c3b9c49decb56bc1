//! What is counted, per worker, in shared memory.
//!
//! One identity holds at rest, for each transport: received = forwarded + replied + dropped + shed. The received cell
//! is counted apart from the verdicts, so that the identity can fail and be tested.
//!
//! Each worker is the only writer of its own cells: a count is a load and a store without a locked instruction. Readers
//! see whole words; between the load of two cells a worker may have counted on.

use std::sync::atomic::{AtomicU64, Ordering};

use wire::{AnswerClass, Reason, Transport, labelled};

use crate::cookies::Shown;
use crate::layout::{BACKEND_SLOTS, cells};
use crate::limits::{Limited, MAX_LIMITS};
use crate::lists::MAX_LISTS;
use crate::rules::RULE_SLOTS;

labelled! {
    /// What became of a received message.
    pub enum Act {
        Forward = "forward",
        Reply = "reply",
        Drop = "drop",
        /// Good, but the gateway could not carry it.
        Shed = "shed",
    }
}

labelled! {
    /// Counters besides the verdicts.
    pub enum Io {
        AnswersReceived = "answers-received",
        AnswersSent = "answers-sent",
        /// Queries that no backend answered in time.
        Expired = "expired",
        IcmpErrors = "icmp-errors",
        /// The kernel took no more towards a client.
        ClientBufferFull = "client-buffer-full",
        ClientSendErrors = "client-send-errors",
        ReceiveErrors = "receive-errors",
        /// Messages that carried more than one query (UDP_SEGMENT).
        SegmentedSends = "segmented-sends",
        ConnectionsAccepted = "connections-accepted",
        ConnectionsClosed = "connections-closed",
        /// Over the bound of open connections, of the worker or of one client.
        ConnectionsRefused = "connections-refused",
        /// Closed with nothing asked and nothing owed.
        IdleTimeouts = "idle-timeouts",
        /// Closed within a message that did not become whole in time.
        ReadTimeouts = "read-timeouts",
        /// Closed because the client took no answers.
        WriteTimeouts = "write-timeouts",
        /// Copies of queries handed to a mirror, and those that could not be.
        MirrorCopies = "mirror-copies",
        MirrorErrors = "mirror-errors",
        /// Answers that had no OPT, or none that could be changed, for the client's cookie.
        AnswersWithoutCookie = "answers-without-cookie",
        /// Answers that with the cookie were too long for the client, which got TC.
        AnswersCutForCookie = "answers-cut-for-cookie",
        /// Clients of Spectrum that had to make room for others.
        ProxySessionsEvicted = "proxy-sessions-evicted",
        BackendConnects = "backend-connects",
        BackendConnectErrors = "backend-connect-errors",
        BackendConnectionsLost = "backend-connections-lost",
        /// Queries that waited until their client had a connection to its backend: all places were taken.
        BackendConnectionWaits = "backend-connection-waits",
    }
}

labelled! {
    /// Counters of each backend.
    pub enum BackendCount {
        Queries = "queries",
        Answers = "answers",
        Timeouts = "timeouts",
        Errors = "errors",
    }
}

const fn verdict_cell(transport: usize, act: usize, reason: usize) -> usize {
    cells::VERDICTS + (transport * Act::COUNT + act) * Reason::COUNT + reason
}

/// The counters of one worker.
#[derive(Clone, Copy)]
pub struct Counters<'w> {
    words: &'w [AtomicU64; cells::SIZE],
}

impl<'w> Counters<'w> {
    pub(crate) const fn new(words: &'w [AtomicU64; cells::SIZE]) -> Self {
        Self { words }
    }

    #[inline]
    fn bump(&self, cell: usize, n: u64) {
        add(&self.words[cell], n);
    }

    /// `n` messages came in.
    #[inline]
    pub fn received(&self, transport: Transport, n: u64) {
        self.bump(cells::RECEIVED + transport as usize, n);
    }

    /// `n` messages got this verdict.
    #[inline]
    pub fn add(&self, transport: Transport, act: Act, reason: Reason, n: u64) {
        self.bump(verdict_cell(transport as usize, act as usize, reason as usize), n);
    }

    /// A backend's answer was dropped.
    #[inline]
    pub fn answer_dropped(&self, transport: Transport, reason: Reason) {
        self.bump(cells::ANSWERS + transport as usize * Reason::COUNT + reason as usize, 1);
    }

    #[inline]
    pub fn io(&self, what: Io, n: u64) {
        self.bump(cells::IO + what as usize, n);
    }

    /// Counts for the backend in `slot`; a slot that does not exist is not counted.
    #[inline]
    pub fn backend(&self, slot: usize, what: BackendCount, n: u64) {
        if slot < BACKEND_SLOTS {
            self.bump(cells::BACKENDS + slot * BackendCount::COUNT + what as usize, n);
        }
    }
}

/// Adds to a cell that nobody else writes.
#[inline]
pub(crate) fn add(cell: &AtomicU64, n: u64) {
    cell.store(cell.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
}

/// The counters of all workers, added up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Totals {
    words: Vec<u64>,
}

impl Default for Totals {
    fn default() -> Self {
        Self { words: vec![0; cells::SIZE] }
    }
}

impl Totals {
    pub(crate) fn add(&mut self, worker: &[AtomicU64; cells::SIZE]) {
        for (total, cell) in self.words.iter_mut().zip(worker) {
            *total = total.wrapping_add(cell.load(Ordering::Relaxed));
        }
    }

    #[must_use]
    pub fn received(&self, transport: Transport) -> u64 {
        self.words[cells::RECEIVED + transport as usize]
    }

    #[must_use]
    pub fn verdict(&self, transport: Transport, act: Act, reason: Reason) -> u64 {
        self.words[verdict_cell(transport as usize, act as usize, reason as usize)]
    }

    /// All verdicts of one kind.
    #[must_use]
    pub fn verdicts(&self, transport: Transport, act: Act) -> u64 {
        let start = verdict_cell(transport as usize, act as usize, 0);
        self.words[start..start + Reason::COUNT].iter().sum()
    }

    /// Whether received = forwarded + replied + dropped + shed on every transport.
    #[must_use]
    pub fn balanced(&self) -> bool {
        Transport::ALL.iter().all(|&transport| {
            self.received(transport) == Act::ALL.iter().map(|&act| self.verdicts(transport, act)).sum::<u64>()
        })
    }

    #[must_use]
    pub fn answers_dropped(&self, transport: Transport, reason: Reason) -> u64 {
        self.words[cells::ANSWERS + transport as usize * Reason::COUNT + reason as usize]
    }

    /// Messages that a row of the wire check only observed.
    #[must_use]
    pub fn observed(&self, transport: Transport, reason: Reason) -> u64 {
        self.words[cells::OBSERVED + transport as usize * Reason::COUNT + reason as usize]
    }

    #[must_use]
    pub fn io(&self, what: Io) -> u64 {
        self.words[cells::IO + what as usize]
    }

    /// 0 for a slot that does not exist.
    #[must_use]
    pub fn backend(&self, slot: usize, what: BackendCount) -> u64 {
        if slot < BACKEND_SLOTS { self.words[cells::BACKENDS + slot * BackendCount::COUNT + what as usize] } else { 0 }
    }

    /// Queries that were over the rate limit of this index, those of an `observe` limit included.
    #[must_use]
    pub fn over_limit(&self, index: usize) -> u64 {
        if index < MAX_LIMITS { self.words[cells::LIMITS + index] } else { 0 }
    }

    /// Messages that showed a cookie in this state, while cookies were on.
    #[must_use]
    pub fn cookies(&self, transport: Transport, shown: Shown) -> u64 {
        self.words[cells::COOKIES + shown.cell(transport)]
    }

    /// Messages that the list of this cell decided about.
    #[must_use]
    pub fn listed(&self, cell: usize) -> u64 {
        if cell < MAX_LISTS { self.words[cells::LISTS + cell] } else { 0 }
    }

    /// Messages that the rule in this slot matched; 0 for a slot that does not exist.
    #[must_use]
    pub fn rule_hits(&self, slot: usize) -> u64 {
        if slot < RULE_SLOTS { self.words[cells::RULES + slot] } else { 0 }
    }

    /// Messages that were over the limit of the rule in this slot.
    #[must_use]
    pub fn rule_over(&self, slot: usize) -> u64 {
        if slot < RULE_SLOTS { self.words[cells::RULES + RULE_SLOTS + slot] } else { 0 }
    }

    /// Answers of a class that were over its response limit.
    #[must_use]
    pub fn limited_answers(&self, class: AnswerClass, outcome: Limited) -> u64 {
        self.words[cells::RESPONSES + class as usize * Limited::COUNT + outcome as usize]
    }

    /// Buckets that were taken while they still held a debt: the table is too small for the load.
    #[must_use]
    pub fn evictions(&self) -> u64 {
        self.words[cells::LIMITS + MAX_LIMITS]
    }
}
