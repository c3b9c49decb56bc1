//! From a client's bytes to verdicts: replies to the client, queries to the backends.

use std::sync::Arc;

use engine::{Act, Client as Peer, Memory, Now, Verdict, decide_blocked};
use wire::{Echo, HEADER_LEN, REPLY_EXTRA, Reason, TCP_MAX, rcode, write_reply_with};

use super::client::Ending;
use super::frames::{End, Frames, Longest, Take};
use super::orders::Kind;
use super::{MOST_BUFFERED, MOST_BUFFERED_EACH, Signal, StreamRelay, Token};

impl<M: Memory> StreamRelay<M> {
    /// Bytes of a client.
    pub fn client_data(&mut self, token: Token, data: &[u8], now: u64) -> Signal {
        if let Some(messages) = self.take_header(token, data, now) {
            self.pump(token, messages, now);
            self.count_read(token, now);
        }
        self.settle(now);
        let more_due = self.clients.get(token).is_some_and(|client| client.begun.is_some());
        Signal { pause: self.stop_if_needed(token), more_due }
    }

    /// See that a message that has begun goes on.
    fn count_read(&mut self, token: Token, now: u64) {
        let Some(client) = self.clients.get_mut(token).filter(|client| client.begun.is_some()) else { return };
        client.reads += 1;
        if let Some(client) = self.clients.get(token)
            && !self.progresses(client)
        {
            self.close(token, Ending::ManyReads, now);
        }
    }

    /// Work through a client's new bytes, after those that were kept from before.
    pub(super) fn pump(&mut self, token: Token, data: &[u8], now: u64) {
        let Some(client) = self.clients.get_mut(token).filter(|client| client.closing.is_none() && !client.is_over())
        else {
            return;
        };
        let longest =
            Longest { update: if client.peer.grants.update { usize::from(u16::MAX) } else { TCP_MAX }, other: TCP_MAX };
        let mut frames = std::mem::take(&mut client.frames);
        let before = frames.len();
        let mut took = false;
        let end = frames.feed(data, longest, |message| {
            let take = self.take_query(token, message, now);
            took |= take == Take::Taken;
            take
        });
        self.buffered = self.buffered + frames.len() - before;
        self.keep_frames(token, frames, end, took, now);
    }

    fn keep_frames(&mut self, token: Token, frames: Frames, end: End, took: bool, now: u64) {
        let Some(client) = self.clients.get_mut(token) else { return };
        let waiting = frames.len();
        client.frames = frames;
        client.held = end == End::Held;
        if took {
            client.active = now;
            client.reads = 0;
        }
        client.begun = match client.begun {
            _ if waiting == 0 || end == End::Held => None,
            // No more can come of it when the client has ended.
            _ if client.last == Some(Ending::ByClient) => None,
            Some(begun) if !took => Some(begun),
            _ => Some(now),
        };
        if client.is_over() {
            self.abandon_input(token);
            return self.close_if_done(token, now);
        }
        match end {
            End::Dry | End::Held if self.buffered > MOST_BUFFERED && waiting > TCP_MAX => {
                self.close(token, Ending::Memory, now);
            }
            End::Dry if client.stopped && client.blocked.is_none() && client.waits.is_none() => {
                client.stopped = false;
                self.outbox.order(Kind::Resume, token);
                self.close_if_done(token, now);
            }
            End::Dry => self.close_if_done(token, now),
            End::Held => {}
            End::TooShort | End::TooLong => {
                let (ending, reason) = if end == End::TooShort {
                    (Ending::TooShort, Reason::TooShort)
                } else {
                    (Ending::TooLarge, Reason::TooLarge)
                };
                self.tally.received(1);
                self.tally.verdict(Act::Drop, reason);
                self.samples.query(&client.peer, Act::Drop, reason, &[]);
                self.close(token, ending, now);
            }
        }
    }

    /// Decide on one message and carry it out, unless it has to wait.
    fn take_query(&mut self, token: Token, message: &[u8], now: u64) -> Take {
        let (has_room, most_in_flight) = (self.has_room(), self.most_in_flight());
        let Some(client) = self.clients.get_mut(token) else { return Take::Later };
        if !client.takes_answers() || client.in_flight >= most_in_flight || client.waits.is_some() || client.is_over() {
            return Take::Later;
        }
        if !has_room {
            if !client.stalled {
                client.stalled = true;
                self.stalled.push_back(token);
            }
            return Take::Later;
        }
        client.queries += 1;
        if self.door.bounds.queries != 0 && client.queries >= self.door.bounds.queries {
            client.last.get_or_insert(Ending::Queries);
        }
        self.tally.received(1);
        let (peer, now_both) = (client.peer, Now::new(now, self.offset));
        let blocks = self.blocks.as_deref();
        let asking = Peer { tlvs: &client.tlvs, ..peer };
        let (act, reason) = match decide_blocked(&self.policy, blocks, &self.tally.limits(), message, &asking, now_both)
        {
            Verdict::Drop(reason) => {
                // What it has asked before is still answered.
                client.last.get_or_insert(Ending::Dropped);
                (Act::Drop, reason)
            }
            Verdict::Reply { reason, rcode, truncated, echo } => {
                let policy = Arc::clone(&self.policy);
                let options = policy.options(echo.note);
                self.owe(token, now, |out| add_reply(out, message, echo, rcode, truncated, options));
                (Act::Reply, reason)
            }
            Verdict::HandOver => self.hand_over(token, message),
            Verdict::Forward { query, treatment, .. } => match self.forward(token, message, &query, treatment, now) {
                Ok(()) => (Act::Forward, Reason::Ok),
                Err(reason) => {
                    self.owe(token, now, |out| {
                        add_reply(out, message, treatment.echo(&query), rcode::SERVFAIL, false, &[])
                    });
                    (Act::Reply, reason)
                }
            },
        };
        self.tally.verdict(act, reason);
        self.samples.query(&peer, act, reason, message);
        Take::Taken
    }

    /// Append to what is written to a client next. False when the client is gone.
    pub(super) fn owe(&mut self, token: Token, now: u64, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let Some(client) = self.clients.get_mut(token).filter(|client| client.closing.is_none()) else { return false };
        let before = client.out.len();
        write(&mut client.out);
        self.buffered += client.out.len() - before;
        client.active = now;
        if client.blocked.is_some() {
            if client.out.len() > MOST_BUFFERED_EACH || self.buffered > MOST_BUFFERED {
                self.close(token, Ending::Memory, now);
            }
        } else if !client.dirty {
            client.dirty = true;
            self.outbox.clients.push(token);
        }
        true
    }
}

/// Append the framed reply to a query.
pub(super) fn add_reply(out: &mut Vec<u8>, query: &[u8], echo: Echo, rcode: u16, truncated: bool, options: &[u8]) {
    let start = out.len();
    let repeated = (HEADER_LEN + usize::from(echo.question_len)).min(query.len());
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&query[..repeated]);
    out.resize(start + 2 + repeated + REPLY_EXTRA, 0);
    let length = write_reply_with(&mut out[start + 2..], echo, rcode, truncated, options);
    out.truncate(start + 2 + length);
    out[start..start + 2].copy_from_slice(&(length as u16).to_be_bytes());
}
