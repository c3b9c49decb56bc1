//! From the links to the clients.
//!
//! An answer is passed on only if a query waits on this link under its ID and it repeats the question (RFC 5452 section
//! 9.1). One that does not match is counted and dropped. The client gets the bytes as they came, with its own ID.

use engine::{BackendCount, Io, Memory, Treatment};
use wire::{COOKIE_OPTION, Reason, check_answer};

use super::flows::Kind;
use super::frames::{End, Longest, Take};
use super::link::Waiting;
use super::{Signal, StreamRelay, Token};
use crate::backends::Outcome;
use crate::cookies;

impl<M: Memory> StreamRelay<M> {
    /// Bytes of a backend.
    pub fn link_data(&mut self, token: Token, data: &[u8], now: u64) -> Signal {
        let Some(link) = self.links.get_mut(token) else { return Signal::default() };
        link.heard = now;
        let mut frames = std::mem::take(&mut link.frames);
        let end = frames.feed(data, Longest::ANY, |message| {
            self.tally.io(Io::AnswersReceived, 1);
            if let Err(reason) = self.take_answer(token, message, now) {
                self.tally.answer_dropped(reason);
            }
            Take::Taken
        });
        if let Some(link) = self.links.get_mut(token) {
            link.frames = frames;
        }
        if end != End::Dry {
            // A length below that of a header: nothing behind it can be read.
            self.tally.answer_dropped(Reason::AnswerShort);
            self.break_link(token, now);
        }
        self.close_if_spent(token);
        let more_due = self.links.get(token).is_some_and(|link| link.live() > 0);
        self.settle(now);
        Signal { pause: self.fill(token), more_due }
    }

    fn take_answer(&mut self, token: Token, message: &[u8], now: u64) -> Result<(), Reason> {
        let answer = check_answer(message)?;
        let link = self.links.get_mut(token).ok_or(Reason::AnswerUnknownId)?;
        let flow_token = match link.pending.get(&answer.id) {
            Some(Waiting::Flow(flow)) => *flow,
            Some(Waiting::Late) => {
                link.pending.remove(&answer.id);
                link.late -= 1;
                return Err(Reason::AnswerUnknownId);
            }
            None => return Err(Reason::AnswerUnknownId),
        };
        let flow = self.flows.get_mut(flow_token).ok_or(Reason::AnswerUnknownId)?;
        let started = flow.kind == Kind::Transfer { started: true };
        // An error may come without the question, and so may the later messages of a transfer (RFC 5936 section 2.2.1).
        let without_question = answer.question.is_none() && (answer.rcode != 0 || started);
        if !without_question && self.fingerprints.of(answer.question.as_ref()) != flow.question {
            return Err(Reason::AnswerWrongQuestion);
        }
        link.answered += 1;
        self.ways[link.slot].answered();
        let (client, client_id) = (flow.client, flow.client_id);
        if let Some(client) = self.clients.get(client) {
            let (address, transport) = (client.peer.address, client.peer.transport);
            self.samples.answer(address, transport, link.slot, (flow.sent, now), message);
        }
        // One cookie is enough for a transfer: that of its first message.
        let treatment = if started { Treatment::default() } else { flow.treatment };
        let goes_on = matches!(flow.kind, Kind::Transfer { .. }) && (answer.rcode == 0 || started);
        if goes_on {
            flow.kind = Kind::Transfer { started: true };
            self.wait_for_more(flow_token, now);
        } else {
            link.pending.remove(&answer.id);
            // A transfer that was refused needs its link no more.
            link.retiring |= link.transfer;
            self.tally.backend(link.slot, BackendCount::Answers);
            self.release_answered(flow_token, now);
            if let Some(flow) = self.end_flow(flow_token, Outcome::Answered) {
                self.flows.recycle(flow.query);
            }
        }
        let mut lack = None;
        let passed = self.owe(client, now, |out| lack = add_answer(out, message, client_id, &treatment));
        if let Some(lack) = lack {
            self.tally.io(lack, 1);
        }
        if !passed {
            return Err(Reason::AnswerClientGone);
        }
        self.tally.io(Io::AnswersSent, 1);
        self.close_if_done(client, now);
        Ok(())
    }
}

/// Append the framed answer under the client's ID, with its cookie. Returned is what else is to be counted.
fn add_answer(out: &mut Vec<u8>, message: &[u8], client_id: u16, treatment: &Treatment) -> Option<Io> {
    let start = out.len();
    out.extend_from_slice(&(message.len() as u16).to_be_bytes());
    out.extend_from_slice(&client_id.to_be_bytes());
    out.extend_from_slice(&message[2..]);
    treatment.cookie?;
    out.resize(out.len() + COOKIE_OPTION, 0);
    let (length, lack) = cookies::finish(&mut out[start + 2..], message.len(), treatment);
    out.truncate(start + 2 + length);
    out[start..start + 2].copy_from_slice(&(length as u16).to_be_bytes());
    lack
}
