//! The clients' side: connections come, ask, and go.

use std::net::IpAddr;

use engine::{Act, Client as Peer, Io, Memory, Verdict, decide};
use wire::{Echo, HEADER_LEN, REPLY_EXTRA, Reason, TCP_MAX, rcode, write_reply};

use super::client::{Client, Ending};
use super::frames::{End, Frames, Longest, Take};
use super::orders::Kind;
use super::{MOST_BUFFERED, MOST_BUFFERED_EACH, StreamRelay, Token};

impl<M: Memory> StreamRelay<M> {
    /// A client connected at the listener with this number, which says what is granted to it.
    ///
    /// # Errors
    /// Why it has to be closed at once. It is counted.
    pub fn open(&mut self, mut peer: Peer, listener: usize, now: u64) -> Result<Token, Ending> {
        let of_address = self.addresses.get(&peer.address).copied().unwrap_or(0);
        let refusal = if self.draining {
            Some(Ending::Drained)
        } else if self.clients.len() >= self.bounds.connections {
            Some(Ending::Connections)
        } else if of_address >= self.bounds.connections_per_client {
            Some(Ending::ConnectionsPerClient)
        } else {
            None
        };
        if let Some(ending) = refusal {
            self.tally.io(Io::ConnectionsRefused, 1);
            self.endings[ending as usize] += 1;
            return Err(ending);
        }
        self.tally.io(Io::ConnectionsAccepted, 1);
        peer.grants = self.grants.get(listener).copied().unwrap_or_default();
        self.addresses.insert(peer.address, of_address + 1);
        Ok(self.clients.insert(Client::new(peer, listener, now)))
    }

    /// Bytes of a client. True when it is not to be read until the order `Resume`.
    pub fn client_data(&mut self, token: Token, data: &[u8], now: u64) -> bool {
        self.pump(token, data, now);
        self.settle(now);
        self.stop_if_needed(token)
    }

    /// The client will send no more. What is in flight is still answered.
    pub fn client_ended(&mut self, token: Token, now: u64) {
        if let Some(client) = self.clients.get_mut(token) {
            client.begun = None;
            client.last.get_or_insert(Ending::ByClient);
            self.close_if_done(token, now);
        }
    }

    /// The client's socket takes no more, or takes again. True when it is not to be read until the order `Resume`.
    pub fn client_blocked(&mut self, token: Token, blocked: bool, now: u64) -> bool {
        let Some(client) = self.clients.get_mut(token) else { return false };
        client.blocked = blocked.then_some(now);
        // While it was not read it could not go on.
        client.begun = client.begun.map(|_| now);
        let transfers = client.transfers.clone();
        if !blocked {
            if !client.out.is_empty() && !client.dirty {
                client.dirty = true;
                self.outbox.clients.push(token);
            }
            self.revisit.push(token);
            transfers.into_iter().for_each(|link| self.pause_link(link, false, now));
            self.close_if_done(token, now);
        } else {
            transfers.into_iter().for_each(|link| self.pause_link(link, true, now));
        }
        self.settle(now);
        self.stop_if_needed(token)
    }

    /// A blocked client's socket took some bytes, if not enough to be written to again.
    pub fn client_progressed(&mut self, token: Token, now: u64) {
        if let Some(client) = self.clients.get_mut(token) {
            client.blocked = client.blocked.map(|_| now);
        }
    }

    /// The client's connection is gone.
    pub fn client_lost(&mut self, token: Token, now: u64) {
        self.abandon_input(token);
        let Some(client) = self.clients.remove(token) else { return };
        if client.closing.is_none() {
            self.endings[client.last.unwrap_or(Ending::ByClient) as usize] += 1;
        }
        self.buffered -= client.out.len();
        self.tally.io(Io::ConnectionsClosed, 1);
        self.forget_address(client.peer.address);
        for link in client.transfers {
            self.end_transfer(link);
        }
        self.settle(now);
    }

    fn forget_address(&mut self, address: IpAddr) {
        if let Some(count) = self.addresses.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.addresses.remove(&address);
            }
        }
    }

    /// Work through a client's new bytes, after those that were kept from before.
    pub(super) fn pump(&mut self, token: Token, data: &[u8], now: u64) {
        let Some(client) = self.clients.get_mut(token).filter(|client| client.closing.is_none()) else { return };
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
        }
        client.begun = match client.begun {
            _ if waiting == 0 || end == End::Held => None,
            // No more can come of it when the client has ended.
            _ if client.last == Some(Ending::ByClient) => None,
            Some(begun) if !took => Some(begun),
            _ => Some(now),
        };
        match end {
            End::Dry | End::Held if self.buffered > MOST_BUFFERED && waiting > TCP_MAX => {
                self.close(token, Ending::Memory, now);
            }
            End::Dry if client.stopped && client.blocked.is_none() => {
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
                self.close(token, ending, now);
            }
        }
    }

    /// Decide on one message and carry it out, unless it has to wait.
    fn take_query(&mut self, token: Token, message: &[u8], now: u64) -> Take {
        let has_room = self.has_room();
        let Some(client) = self.clients.get_mut(token) else { return Take::Later };
        if client.blocked.is_some() || client.in_flight >= self.bounds.in_flight {
            return Take::Later;
        }
        if !has_room {
            if !client.stalled {
                client.stalled = true;
                self.stalled.push_back(token);
            }
            return Take::Later;
        }
        self.tally.received(1);
        match decide(&self.policy, &self.tally.limits(), message, &client.peer, now) {
            Verdict::Drop(reason) => self.tally.verdict(Act::Drop, reason),
            Verdict::Reply { reason, rcode, truncated, echo } => {
                self.tally.verdict(Act::Reply, reason);
                self.owe(token, now, |out| add_reply(out, message, echo, rcode, truncated));
            }
            Verdict::Forward { query, .. } => match self.forward(token, message, &query, now) {
                Ok(()) => self.tally.verdict(Act::Forward, Reason::Ok),
                Err(reason) => {
                    self.tally.verdict(Act::Reply, reason);
                    self.owe(token, now, |out| add_reply(out, message, Echo::of(&query), rcode::SERVFAIL, false));
                }
            },
        }
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

    /// Close a client for a reason of ours.
    pub(super) fn close(&mut self, token: Token, ending: Ending, now: u64) {
        self.abandon_input(token);
        let Some(client) = self.clients.get_mut(token).filter(|client| client.closing.is_none()) else { return };
        client.closing = Some(now);
        self.endings[ending as usize] += 1;
        let (kind, io) = match ending {
            Ending::Idle => (Kind::Close, Some(Io::IdleTimeouts)),
            Ending::SlowRead => (Kind::Close, Some(Io::ReadTimeouts)),
            Ending::SlowWrite => (Kind::Abort, Some(Io::WriteTimeouts)),
            Ending::Memory => (Kind::Abort, None),
            _ => (Kind::Close, None),
        };
        self.outbox.order(kind, token);
        if let Some(io) = io {
            self.tally.io(io, 1);
        }
    }

    /// Close a client that asks no more and is owed nothing.
    pub(super) fn close_if_done(&mut self, token: Token, now: u64) {
        let Some(client) = self.clients.get(token) else { return };
        if let Some(ending) = client.last
            && client.is_owed_nothing()
            && (ending != Ending::Drained || client.frames.is_empty())
        {
            self.close(token, ending, now);
        }
    }

    /// Forget what a client sent and was not yet decided on; the complete messages in it are counted.
    fn abandon_input(&mut self, token: Token) {
        let Some(client) = self.clients.get_mut(token) else { return };
        let frames = std::mem::take(&mut client.frames);
        client.held = false;
        client.begun = None;
        self.buffered -= frames.len();
        let complete = frames.complete() as u64;
        self.tally.received(complete);
        self.tally.verdicts(Act::Shed, Reason::TooManyInFlight, complete);
    }

    /// Whether a message of this client has begun and the rest is due.
    pub fn client_owes(&self, token: Token) -> bool {
        self.clients.get(token).is_some_and(|client| client.begun.is_some())
    }

    /// Whether the caller has to stop reading from a client that it reads from now.
    fn stop_if_needed(&mut self, token: Token) -> bool {
        let Some(client) = self.clients.get_mut(token) else { return false };
        let stop = !client.stopped && (client.held || client.blocked.is_some() || client.closing.is_some());
        client.stopped |= stop;
        stop
    }
}

/// Append the framed reply to a query.
pub(super) fn add_reply(out: &mut Vec<u8>, query: &[u8], echo: Echo, rcode: u16, truncated: bool) {
    let start = out.len();
    let repeated = (HEADER_LEN + usize::from(echo.question_len)).min(query.len());
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&query[..repeated]);
    out.resize(start + 2 + repeated + REPLY_EXTRA, 0);
    let length = write_reply(&mut out[start + 2..], echo, rcode, truncated);
    out.truncate(start + 2 + length);
    out[start..start + 2].copy_from_slice(&(length as u16).to_be_bytes());
}
