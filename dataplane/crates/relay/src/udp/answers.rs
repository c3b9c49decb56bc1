//! From the backends to the clients: one readable backend socket, a bounded number of batches.
//!
//! An answer is passed on only if a query waits on this socket under this ID, it comes from the backend that was asked, and it repeats
//! the question (RFC 5452 section 9.1). One that does not match is counted and leaves the query waiting: a forger can't end it.

use engine::{BackendCount, Io, Memory};
use wire::{Reason, check_answer};

use super::{ROUNDS, UdpRelay, sending};
use crate::sys::{self, Arrival, BATCH, Outgoing};

/// An answer on its way to a client.
#[derive(Clone, Copy)]
pub(super) struct Return {
    listener: usize,
    slot: usize,
    length: usize,
    outgoing: Outgoing,
}

/// ICMP errors that one call takes from the queue of a socket.
const ERRORS_AT_ONCE: usize = 256;

impl<M: Memory> UdpRelay<M> {
    /// Work through what waits at a backend socket, up to a bound; the loop calls again while more waits.
    pub fn backend_ready(&mut self, socket: usize) {
        let fd = self.sockets[socket].fd;
        for _ in 0..ROUNDS {
            let mut arrivals = std::mem::take(&mut self.arrivals);
            let received = self.answers.receive(fd, &mut arrivals);
            let full = arrivals.len() == BATCH;
            self.return_batch(socket, &arrivals);
            self.arrivals = arrivals;
            match received {
                Ok(()) if full => {}
                Ok(()) => return,
                Err(error) if sending::is_pending(&error) => self.take_errors(socket),
                Err(_) => return self.tally.io(Io::ReceiveErrors, 1),
            }
        }
    }

    fn return_batch(&mut self, socket: usize, arrivals: &[Arrival]) {
        let mut returns = std::mem::take(&mut self.returns);
        self.tally.io(Io::AnswersReceived, arrivals.len() as u64);
        for (slot, arrival) in arrivals.iter().enumerate() {
            match self.match_answer(socket, slot, arrival) {
                Ok(found) => returns.push(found),
                Err(reason) => self.tally.answer_dropped(reason),
            }
        }
        returns.sort_by_key(|r| r.listener);
        let mut rest = &returns[..];
        while let Some(&Return { listener, .. }) = rest.first() {
            let (batch, others) = rest.split_at(rest.partition_point(|r| r.listener == listener));
            rest = others;
            self.pieces.clear();
            self.outgoing.clear();
            for (first, found) in batch.iter().enumerate() {
                self.pieces.push((found.slot, found.length));
                self.outgoing.push(Outgoing { first, ..found.outgoing });
            }
            let tally = &self.tally;
            let mut lost = 0;
            sending::send_all(
                self.listeners[listener].fd,
                &self.answers,
                &self.outgoing,
                &self.pieces,
                |range, error| {
                    lost += range.len() as u64;
                    tally.io(sending::failure(error, Io::ClientBufferFull, Io::ClientSendErrors), range.len() as u64);
                },
            );
            self.tally.io(Io::AnswersSent, batch.len() as u64 - lost);
        }
        returns.clear();
        self.returns = returns;
    }

    /// Find the query that an answer belongs to, end its flow, and give the answer the client's ID.
    fn match_answer(&mut self, socket: usize, slot: usize, arrival: &Arrival) -> Result<Return, Reason> {
        let message = &mut self.answers.slot(slot)[..arrival.length];
        let answer = check_answer(message)?;
        let flow = self.flows.get(socket, answer.id).ok_or(Reason::AnswerUnknownId)?;
        if flow.backend_address != arrival.from {
            return Err(Reason::AnswerWrongSource);
        }
        // An error may come without the question, as from a server that could not read it.
        let without_question = answer.question.is_none() && answer.rcode != 0;
        if !without_question && self.fingerprints.of(answer.question.as_ref()) != flow.question {
            return Err(Reason::AnswerWrongQuestion);
        }
        let flow = self.flows.remove(socket, answer.id).ok_or(Reason::AnswerUnknownId)?;
        message[..2].copy_from_slice(&flow.client_id.to_be_bytes());
        self.tally.backend(flow.backend, BackendCount::Answers);
        self.backends.ended(flow.backend, true);
        let outgoing = Outgoing { to: flow.client, local: flow.local, first: 0, pieces: 1 };
        Ok(Return { listener: flow.listener, slot, length: arrival.length, outgoing })
    }

    /// Count the ICMP errors that wait at a socket, each to the backend whose datagram was lost.
    fn take_errors(&mut self, socket: usize) {
        for _ in 0..ERRORS_AT_ONCE {
            let Some(target) = sys::take_error(self.sockets[socket].fd) else { return };
            self.tally.io(Io::IcmpErrors, 1);
            if let Some(backend) = self.backends.list().iter().find(|backend| backend.address == target) {
                self.tally.backend(backend.slot, BackendCount::Errors);
            }
        }
    }
}
