//! What the relay has for the sockets: bytes to write, each connection's in one piece, and orders.
//!
//! A connection that takes no more says so while it is written to, or after. So a client gets its answers in parts, and
//! what comes after a part waits for the next flush.

use std::net::SocketAddr;

use engine::{Io, Memory};

use super::orders::{Kind, Order};
use super::{StreamRelay, Token};

/// Bytes that one flush hands to a client's connection. What the socket does not take stays with the event loop, so
/// more waits here, where it is counted.
pub(super) const WRITE_AT_ONCE: usize = 64 << 10;

/// Memory that an empty buffer of a connection keeps for what comes next.
const KEPT: usize = 16 << 10;

/// Whose connection bytes are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Client,
    Link,
}

impl<M: Memory> StreamRelay<M> {
    /// Whether there is anything for `flush`.
    pub fn wants_flush(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Hand out what is to be written, each connection at most once, then the orders to carry out after it.
    pub fn flush(&mut self, now: u64, mut write: impl FnMut(Side, Token, &[u8])) -> Vec<Order> {
        for token in std::mem::take(&mut self.outbox.clients) {
            self.flush_client(token, now, &mut write);
        }
        for token in self.outbox.links.drain(..) {
            let Some(link) = self.links.get_mut(token) else { continue };
            link.dirty = false;
            if link.open && !link.out.is_empty() {
                write(Side::Link, token, &link.out);
                empty(&mut link.out);
            }
        }
        if !self.revisit.is_empty() || self.jammed {
            self.settle(now);
        }
        let mut orders = std::mem::take(&mut self.outbox.orders);
        if !self.outbox.is_empty() {
            orders.push(Order::to(Kind::Again, 0));
        }
        orders
    }

    /// Hand out the copies for mirrors since the last call; each leaves as a datagram.
    pub fn take_copies(&mut self) -> Vec<(SocketAddr, Box<[u8]>)> {
        std::mem::take(&mut self.outbox.copies)
    }

    /// So many copies were handed to the kernel, and so many could not be.
    pub fn mirrored(&self, sent: u64, failed: u64) {
        self.tally.io(Io::MirrorCopies, sent);
        self.tally.io(Io::MirrorErrors, failed);
    }

    /// Write to one client. It stays on the list when there is more, or when it has to be seen whether its socket takes
    /// what was written.
    fn flush_client(&mut self, token: Token, now: u64, write: &mut impl FnMut(Side, Token, &[u8])) {
        let Some(client) = self.clients.get_mut(token) else { return };
        client.dirty = false;
        if client.blocked.is_some() {
            return;
        }
        if client.out.is_empty() {
            let links = client.links.clone();
            links.into_iter().for_each(|link| self.refill(link));
            return;
        }
        let part = client.out.len().min(WRITE_AT_ONCE);
        write(Side::Client, token, &client.out[..part]);
        self.buffered -= part;
        if part == client.out.len() {
            empty(&mut client.out);
        } else {
            client.out.drain(..part);
        }
        if client.held && client.takes_answers() {
            self.revisit.push(token);
        }
        let is_full = |link: &Token| self.links.get(*link).is_some_and(|link| link.full);
        if !client.out.is_empty() || client.links.iter().any(is_full) {
            client.dirty = true;
            self.outbox.clients.push(token);
        }
        if client.out.is_empty() && client.closing.is_some() {
            self.outbox.order(Kind::Close, token);
        }
        self.close_if_done(token, now);
    }
}

fn empty(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.shrink_to(KEPT);
}
