//! Clients' connections come, block, end, and are closed.

use engine::{Act, Client as Peer, Io, Memory};
use wire::Reason;

use super::client::{Client, Ending};
use super::orders::Kind;
use super::{MOST_BUFFERED, Signal, StreamRelay, Token};

impl<M: Memory> StreamRelay<M> {
    /// A client connected at the listener with this number, which says what is granted to it.
    ///
    /// # Errors
    /// Why it has to be closed at once. It is counted.
    pub fn open(&mut self, mut peer: Peer<'static>, listener: usize, now: u64) -> Result<Token, Ending> {
        let expected = self.expect(listener, peer.address, now);
        let admitted = expected.and_then(|expected| match expected {
            Some(_) => Ok((self.admit_proxy(now)?, expected)),
            None => Ok((self.admit(peer.address, now)?, None)),
        });
        let (key, expected) = match admitted {
            Ok(admitted) => admitted,
            Err(ending) => {
                self.tally.io(Io::ConnectionsRefused, 1);
                self.endings[ending as usize] += 1;
                return Err(ending);
            }
        };
        self.tally.io(Io::ConnectionsAccepted, 1);
        peer.grants = self.grants.get(listener).copied().unwrap_or_default();
        let mut client = Client::new(peer, listener, key, now);
        client.expected = expected;
        Ok(self.clients.insert(client))
    }

    /// The client will send no more. What is in flight is still answered.
    pub fn client_ended(&mut self, token: Token, now: u64) {
        if let Some(client) = self.clients.get_mut(token) {
            client.begun = None;
            client.last = Some(Ending::ByClient);
            self.close_if_done(token, now);
        }
    }

    /// The client's connection has `unsent` bytes that its socket does not take, and is to be given no more; with 0, it
    /// takes again.
    pub fn client_blocked(&mut self, token: Token, unsent: usize, now: u64) -> Signal {
        let Some(client) = self.clients.get_mut(token) else { return Signal::default() };
        let blocked = unsent > 0;
        client.blocked = blocked.then_some(now);
        self.buffered = self.buffered - client.unsent + unsent;
        client.unsent = unsent;
        // While it was not read it could not go on.
        client.begun = client.begun.map(|_| now);
        let links = client.links.clone();
        if !blocked {
            if !client.dirty {
                client.dirty = true;
                self.outbox.clients.push(token);
            }
            self.revisit.push(token);
            links.into_iter().for_each(|link| self.pause_transfer(link, false, now));
        } else {
            links.into_iter().for_each(|link| self.pause_transfer(link, true, now));
            if self.buffered > MOST_BUFFERED {
                self.close(token, Ending::Memory, now);
            }
        }
        self.settle(now);
        Signal { pause: self.stop_if_needed(token), more_due: false }
    }

    /// A blocked client's socket took some bytes, if not enough to be written to again: `unsent` are left.
    pub fn client_progressed(&mut self, token: Token, unsent: usize, now: u64) {
        if let Some(client) = self.clients.get_mut(token).filter(|client| client.blocked.is_some()) {
            client.blocked = Some(now);
            self.buffered = self.buffered - client.unsent + unsent;
            client.unsent = unsent;
        }
    }

    /// The client's connection is gone.
    pub fn client_lost(&mut self, token: Token, now: u64) {
        self.abandon_input(token);
        let Some(client) = self.clients.remove(token) else { return };
        if client.closing.is_none() {
            self.endings[client.last.unwrap_or(Ending::ByClient) as usize] += 1;
        }
        self.buffered -= client.out.len() + client.unsent;
        self.tally.io(Io::ConnectionsClosed, 1);
        self.free_place(&client);
        self.forget_parked(token, client.parked);
        for link in client.links {
            self.end_link(link);
        }
        self.settle(now);
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
        // What is left to be written goes first; the flush that writes the last of it orders the close.
        if kind == Kind::Abort || client.out.is_empty() {
            self.outbox.order(kind, token);
        }
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

    /// Forget what a client sent and was not yet decided on; the complete messages in it are counted, unless one before
    /// them was dropped: with that the stream was over, whatever had come of it.
    pub(super) fn abandon_input(&mut self, token: Token) {
        let Some(client) = self.clients.get_mut(token) else { return };
        let frames = std::mem::take(&mut client.frames);
        let counts = client.last != Some(Ending::Dropped);
        client.held = false;
        client.begun = None;
        self.buffered -= frames.len();
        let complete = if counts { frames.complete() as u64 } else { 0 };
        self.tally.received(complete);
        self.tally.verdicts(Act::Shed, Reason::TooManyInFlight, complete);
    }

    /// Whether the caller has to stop reading from a client that it reads from now.
    pub(super) fn stop_if_needed(&mut self, token: Token) -> bool {
        let Some(client) = self.clients.get_mut(token) else { return false };
        let stop = !client.stopped && (client.held || client.blocked.is_some() || client.closing.is_some());
        client.stopped |= stop;
        stop
    }
}
