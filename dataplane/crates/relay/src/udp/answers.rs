//! From the backends to the clients: one readable backend socket, a bounded number of batches.
//!
//! An answer is passed on only if a query waits on this socket under this ID, it comes from the backend that was asked, and it repeats
//! the question (RFC 5452 section 9.1). One that does not match is counted and leaves the query waiting: a forger can't end it.

use std::cmp::Reverse;
use std::ops::Range;
use std::os::fd::RawFd;

use engine::{BackendCount, Io, Memory, Passage, decide_answer};
use wire::proxy::{SPP_LENGTH, parse_spp};
use wire::{Reason, Transport, check_answer, cut_answer};

use super::flows::{Flow, Via};
use super::sending::{self, Datagram};
use super::{BackendSocket, ROUNDS, UdpRelay};
use crate::backends::{Outcome, Seat};
use crate::cookies;
use crate::sys::{self, Arrival, BATCH, HEADROOM};

/// An answer on its way to a client.
#[derive(Clone, Copy)]
pub(super) struct Return {
    listener: usize,
    datagram: Datagram,
}

/// ICMP errors that one call takes from the queue of a socket.
const ERRORS_AT_ONCE: usize = 256;

impl<M: Memory> UdpRelay<M> {
    /// Work through what waits at a backend socket, up to a bound; the loop calls again while more waits.
    ///
    /// Returns whether the socket had an error to report. Some loops watch a socket no longer then, and have to be told to.
    pub fn backend_ready(&mut self, socket: usize, now: u64) -> bool {
        let Some(&BackendSocket { fd, .. }) = self.sockets.get(socket) else { return false };
        let mut had_error = false;
        for _ in 0..ROUNDS {
            let mut arrivals = std::mem::take(&mut self.arrivals);
            let received = self.answers.receive(fd, &mut arrivals);
            let full = arrivals.len() == BATCH;
            self.return_batch(socket, &arrivals, now);
            self.arrivals = arrivals;
            match received {
                Ok(()) if full => {}
                Ok(()) => break,
                Err(error) if sending::is_pending(&error) => had_error = true,
                Err(_) => {
                    self.tally.io(Io::ReceiveErrors, 1);
                    break;
                }
            }
        }
        // Asked for every time: a send that met the error first took the sign of it, but not what waits in the queue.
        had_error | self.take_errors(fd)
    }

    fn return_batch(&mut self, socket: usize, arrivals: &[Arrival], now: u64) {
        let mut returns = std::mem::take(&mut self.returns);
        self.tally.io(Io::AnswersReceived, arrivals.len() as u64);
        for (slot, arrival) in arrivals.iter().enumerate() {
            match self.match_answer(socket, slot, arrival, now) {
                Ok(found) => returns.push(found),
                Err(reason) => self.tally.answer_dropped(reason),
            }
        }
        // Answers of equal length to one client, such as a resolver behind one port, leave as one message.
        returns.sort_unstable_by_key(|r| (r.listener, r.datagram.to, Reverse(r.datagram.length)));
        for batch in returns.chunk_by(|a, b| a.listener == b.listener) {
            let (tally, mut lost) = (&self.tally, 0);
            let fd = self.listeners[batch[0].listener].fd;
            self.sender.send(fd, &self.answers, batch.iter().map(|r| r.datagram), |range, error| {
                lost += range.len() as u64;
                tally.io(sending::failure(error, Io::ClientBufferFull, Io::ClientSendErrors), range.len() as u64);
            });
            self.tally.io(Io::AnswersSent, batch.len() as u64 - lost);
        }
        returns.clear();
        self.returns = returns;
    }

    /// Find the query that an answer belongs to, end its flow, and give the answer the client's ID.
    fn match_answer(&mut self, socket: usize, slot: usize, arrival: &Arrival, now: u64) -> Result<Return, Reason> {
        let (start, end) = (HEADROOM + self.header_before(socket, slot, arrival), HEADROOM + arrival.length);
        let whole = self.answers.whole(slot);
        let answer = check_answer(&whole[start..end])?;
        let flow = self.flows.get(socket, answer.id).ok_or(Reason::AnswerUnknownId)?;
        if flow.backend_address != arrival.from {
            return Err(Reason::AnswerWrongSource);
        }
        if flow.via.told && self.flows.detour(socket, answer.id).is_none_or(|d| d.header != whole[HEADROOM..start]) {
            return Err(Reason::AnswerWrongHeader);
        }
        // An error may come without the question, as from a server that could not read it.
        let without_question = answer.question.is_none() && answer.rcode != 0;
        if !without_question && self.fingerprints.of(answer.question.as_ref()) != flow.question {
            return Err(Reason::AnswerWrongQuestion);
        }
        let id = answer.id;
        let detour = if flow.via == Via::default() { None } else { self.flows.detour(socket, id).copied() };
        let flow = self.flows.remove(socket, id).ok_or(Reason::AnswerUnknownId)?;
        whole[start..start + 2].copy_from_slice(&flow.client_id.to_be_bytes());
        self.samples.answer(flow.client.ip(), Transport::Udp, flow.backend, (flow.sent, now), &whole[start..end]);
        self.tally.backend(flow.backend, BackendCount::Answers);
        self.ended(&flow, Outcome::Answered, Seat::Answered(now));
        if !self.pressed {
            self.admission.note(&self.tally, flow.client.ip(), id, now);
        }
        let length = self.limit_answer(slot, start..end, &flow, now)?;
        let whole = self.answers.whole(slot);
        let (length, lack) = cookies::finish(&mut whole[start..], length, &flow.treatment);
        if let Some(lack) = lack {
            self.tally.io(lack, 1);
        }
        let mut datagram = Datagram { to: flow.client, local: flow.local, slot, start, length };
        if let Some(detour) = detour {
            detour.take(&flow.via, whole, &mut datagram);
        }
        Ok(Return { listener: flow.listener, datagram })
    }

    /// The new length of the answer in `range` of a slot, if its client may have it; over the limit it is cut or dropped.
    fn limit_answer(&mut self, slot: usize, range: Range<usize>, flow: &Flow, now: u64) -> Result<usize, Reason> {
        let length = range.len();
        if !self.policy.limits_answers() {
            return Ok(length);
        }
        let message = &mut self.answers.whole(slot)[range];
        let answer = check_answer(message)?;
        let limits = self.tally.limits();
        match decide_answer(&self.policy, &limits, message, &answer, flow.client.ip(), &flow.treatment, now) {
            Passage::Pass => Ok(length),
            Passage::Truncate => cut_answer(message, length).ok_or(Reason::ResponseLimited),
            Passage::Drop => Err(Reason::ResponseLimited),
        }
    }

    /// Bytes of the SPP header before an answer. Its mark may as well be an ID, so it counts only if a query waits for such an answer.
    #[inline]
    fn header_before(&mut self, socket: usize, slot: usize, arrival: &Arrival) -> usize {
        if !self.flows.has_detours() {
            return 0;
        }
        let datagram = &self.answers.slot(slot)[..arrival.length];
        match (parse_spp(datagram), datagram.get(SPP_LENGTH..SPP_LENGTH + 2)) {
            (Ok(Some(_)), Some(&[high, low])) => {
                let flow = self.flows.get(socket, u16::from_be_bytes([high, low]));
                let told = flow.is_some_and(|flow| flow.via.told && flow.backend_address == arrival.from);
                if told { SPP_LENGTH } else { 0 }
            }
            _ => 0,
        }
    }

    /// Count the ICMP errors that wait at a socket, each to the backend whose datagram was lost. Returns whether there were any.
    fn take_errors(&mut self, fd: RawFd) -> bool {
        for taken in 0..ERRORS_AT_ONCE {
            let Some(target) = sys::take_error(fd) else { return taken > 0 };
            self.tally.io(Io::IcmpErrors, 1);
            if let Some(backend) = self.backends.list().iter().find(|backend| backend.address == target) {
                self.tally.backend(backend.slot, BackendCount::Errors);
            }
        }
        true
    }
}
