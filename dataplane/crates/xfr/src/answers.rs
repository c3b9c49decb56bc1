//! The answers on one connection to a primary: cut into messages, matched to their queries, judged as they pass.
//!
//! ```text
//! TCP: length 16 | message | length 16 | message ...                                  (RFC 1035 section 4.2.2)
//! bytes -> messages -> query by ID -> exchange -> piece: the messages that may go on, and at last the verdict
//! ```
//!
//! Any chunking gives the same pieces, put together. What is kept is one message that is not whole yet, and for each
//! query a state whose size the limits bound.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use wire::HEADER_LEN;

use crate::exchange::Exchange;
use crate::limits::Limits;
use crate::pace::{Clock, Pace};
use crate::pieces::{Message, Passed, Piece};
use crate::query::{Query, Unreadable};
use crate::reason::{Fault, Reason, Wrong};
use crate::tsig::Keys;
use crate::walk::Record;

/// A moment by the clock on the wall, for signatures, and by the one that goes forward only, for limits.
#[derive(Clone, Copy)]
struct Moment {
    now: f64,
    at: f64,
}

/// The queries of one connection, or of one datagram socket.
pub struct Answers {
    limits: Arc<Limits>,
    keys: Arc<Keys>,
    open: BTreeMap<u16, Exchange>,
    /// IDs whose answers nobody waits for any more, and that may still come.
    discarded: BTreeSet<u16>,
    partial: Vec<u8>,
    record: Record,
    clock: Clock,
    pace: Pace,
    faults: [u64; Fault::COUNT],
}

impl Answers {
    #[must_use]
    pub fn new(limits: Arc<Limits>, keys: Arc<Keys>) -> Self {
        Self {
            limits,
            keys,
            open: BTreeMap::new(),
            discarded: BTreeSet::new(),
            partial: Vec::new(),
            record: Record::default(),
            clock: Clock::default(),
            pace: Pace::default(),
            faults: [0; Fault::COUNT],
        }
    }

    /// A query, without its length prefix, was sent.
    ///
    /// # Errors
    /// It can't be read, or its ID is in use.
    pub fn expect(&mut self, query: &[u8], now: f64) -> Result<u16, Unreadable> {
        let query = Query::read(query)?;
        let id = query.id;
        if self.open.contains_key(&id) || self.discarded.contains(&id) {
            return Err(Unreadable("its ID is in use on this connection"));
        }
        let at = self.clock.read(now);
        if self.open.is_empty() {
            self.pace.begin(at);
        }
        self.open.insert(id, Exchange::new(query, &self.limits, &self.keys, now, at));
        Ok(id)
    }

    /// Bytes that came over TCP.
    pub fn feed(&mut self, data: &[u8], now: f64) -> Vec<Piece> {
        self.pass(data, now).into_iter().map(|passed| passed.piece(data)).collect()
    }

    /// Bytes that came over TCP; what passes of them is not copied.
    pub fn pass(&mut self, data: &[u8], now: f64) -> Vec<Passed> {
        let mut passed = Vec::new();
        let moment = self.look(now);
        self.pace.hear(data.len(), moment.at);
        let mut at = 0;
        while !self.partial.is_empty() && at < data.len() {
            let due = match self.partial.as_slice() {
                [_] => 2,
                framed => framed_length(framed).unwrap_or(2),
            };
            let end = data.len().min(at + due.saturating_sub(self.partial.len()));
            self.partial.extend_from_slice(data.get(at..end).unwrap_or_default());
            at = end;
            if framed_length(&self.partial) == Some(self.partial.len()) {
                let framed = std::mem::take(&mut self.partial);
                self.message(Message::Whole(framed), moment, false, &mut passed);
            }
        }
        while let Some(framed) = first_message(data.get(at..).unwrap_or_default()) {
            self.message(Message::Here(framed, at), moment, false, &mut passed);
            at += framed.len();
        }
        self.partial.extend_from_slice(data.get(at..).unwrap_or_default());
        passed
    }

    /// One datagram. In the piece it has a length prefix too.
    pub fn datagram(&mut self, message: &[u8], now: f64) -> Vec<Piece> {
        let mut passed = Vec::new();
        let moment = self.look(now);
        self.pace.hear(message.len(), moment.at);
        let Ok(length) = u16::try_from(message.len()) else {
            self.fault(Fault::WrongDatagram);
            return Vec::new();
        };
        let framed = [&length.to_be_bytes(), message].concat();
        self.message(Message::Whole(framed), moment, true, &mut passed);
        passed.into_iter().map(|passed| passed.piece(&[])).collect()
    }

    /// Time passes: what takes too long gets its verdict.
    pub fn tick(&mut self, now: f64) -> Vec<Piece> {
        let at = self.clock.read(now);
        let short = self.pace.interval(&self.limits, at);
        let late = |exchange: &Exchange| self.pace.check(exchange.started, short, &self.limits, at);
        let late: Vec<_> = self.open.iter().filter_map(|(id, exchange)| Some((*id, late(exchange)?))).collect();
        late.into_iter().filter_map(|(id, wrong)| Some(self.reject(id, wrong, at)?.piece(&[]))).collect()
    }

    /// The connection ended: so do all queries.
    pub fn finish(&mut self, now: f64) -> Vec<Piece> {
        let at = self.clock.read(now);
        let ids: Vec<u16> = self.open.keys().copied().collect();
        let half = std::mem::take(&mut self.partial).len();
        let cut = |exchange: &Exchange| {
            let (messages, records) = (exchange.messages, exchange.records);
            format!("the connection ended after {messages} messages, {records} records and {half} bytes of a message")
        };
        let cuts: Vec<_> = ids.into_iter().map(|id| (id, self.open.get(&id).map(cut).unwrap_or_default())).collect();
        let reject = |(id, detail)| Some(self.reject(id, Wrong::new(Reason::Cut, detail), at)?.piece(&[]));
        cuts.into_iter().filter_map(reject).collect()
    }

    /// Nobody waits for the answer to this query any more.
    pub fn forget(&mut self, id: u16) {
        if self.open.remove(&id).is_some() {
            self.discarded.insert(id);
        }
    }

    /// Queries whose answers are not complete.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.open.len()
    }

    /// What came and belongs to no query.
    pub fn faults(&self) -> impl Iterator<Item = (Fault, u64)> + '_ {
        Fault::ALL.into_iter().zip(self.faults)
    }

    fn look(&mut self, now: f64) -> Moment {
        Moment { now, at: self.clock.read(now) }
    }

    fn fault(&mut self, fault: Fault) {
        if let Some(count) = self.faults.get_mut(fault as usize) {
            *count += 1;
        }
    }

    fn message(&mut self, whole: Message, moment: Moment, datagram: bool, passed: &mut Vec<Passed>) {
        let message = whole.framed().get(2..).unwrap_or_default();
        let &[high, low, ..] = message else { return self.fault(Fault::ShortMessage) };
        if message.len() < HEADER_LEN {
            return self.fault(Fault::ShortMessage);
        }
        let id = u16::from_be_bytes([high, low]);
        let Some(exchange) = self.open.get_mut(&id) else {
            if !self.discarded.contains(&id) {
                self.fault(Fault::UnknownId);
            }
            return;
        };
        if datagram && !exchange.is_answered_by(message, &mut self.record) {
            return self.fault(Fault::WrongDatagram);
        }
        match exchange.message(message, &mut self.record, &self.limits, moment.now, datagram) {
            Ok(false) if exchange.waits(whole.framed().len(), &self.limits, moment.at) => {
                exchange.held.bytes.extend_from_slice(whole.framed());
            }
            Ok(done) => {
                let passed = open(passed, id);
                if !exchange.held.bytes.is_empty() {
                    passed.push(Message::Whole(std::mem::take(&mut exchange.held.bytes)));
                }
                passed.push(whole);
                if done {
                    passed.verdict = Some(Box::new(exchange.verdict(None, moment.at)));
                    self.open.remove(&id);
                }
            }
            Err(wrong) if datagram && wrong.reason.is_of_signature() => {
                exchange.begin_again(&self.limits, &self.keys);
                self.fault(Fault::UnsignedDatagram);
            }
            Err(wrong) => {
                if let Some(rejected) = self.reject(id, wrong, moment.at) {
                    open(passed, id).verdict = rejected.verdict;
                }
            }
        }
    }

    /// Nothing of this query passes any more.
    fn reject(&mut self, id: u16, wrong: Wrong, at: f64) -> Option<Passed> {
        let verdict = self.open.remove(&id)?.verdict(Some(wrong), at);
        self.discarded.insert(id);
        Some(Passed::new(id, Some(Box::new(verdict))))
    }
}

/// Bytes of a message with its length prefix.
fn framed_length(data: &[u8]) -> Option<usize> {
    let &[high, low, ..] = data else { return None };
    Some(2 + usize::from(u16::from_be_bytes([high, low])))
}

fn first_message(data: &[u8]) -> Option<&[u8]> {
    data.get(..framed_length(data)?)
}

/// What passes of this query, and is not closed yet.
fn open(all: &mut Vec<Passed>, id: u16) -> &mut Passed {
    let open = all.iter().rposition(|passed| passed.id == id && passed.verdict.is_none());
    let at = open.unwrap_or(all.len());
    if at == all.len() {
        all.push(Passed::new(id, None));
    }
    &mut all[at]
}
