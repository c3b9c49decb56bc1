//! What the relay wants done with the sockets, which it does not own: a list that the event loop takes with each flush.

use std::net::SocketAddr;

use super::slab::Token;

/// Copies for mirrors that may wait for the next flush.
const MOST_COPIES: usize = 1024;

wire::labelled! {
    pub enum Kind {
        /// Read from this client again.
        Resume = "resume",
        /// Close this client when what was written has left.
        Close = "close",
        /// Close this client now.
        Abort = "abort",
        /// Open a connection to the backend in `slot`; it is this link.
        Connect = "connect",
        /// Close this link, opened or not.
        CloseLink = "close-link",
        PauseLink = "pause-link",
        ResumeLink = "resume-link",
        /// Flush once more, after this turn.
        Again = "again",
        /// NOTIFY messages wait to be taken.
        Notified = "notified",
        /// A sign that the backend in `slot` is not well.
        Failed = "failed",
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    pub kind: Kind,
    /// The client or link; 0 where only a slot is meant.
    pub token: Token,
    /// The backend's slot; 0 where only a connection is meant.
    pub slot: usize,
}

impl Order {
    pub fn to(kind: Kind, token: Token) -> Self {
        Order { kind, token, slot: 0 }
    }
}

/// Collects orders, and which connections have bytes to write.
#[derive(Debug, Default)]
pub struct Outbox {
    pub clients: Vec<Token>,
    pub links: Vec<Token>,
    pub orders: Vec<Order>,
    /// Copies of queries for mirrors.
    pub copies: Vec<(SocketAddr, Box<[u8]>)>,
}

impl Outbox {
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty() && self.links.is_empty() && self.orders.is_empty()
    }

    /// Keep a copy of a query for a mirror. What is more than a few turns' worth is left out: nobody waits for it.
    pub fn copy(&mut self, to: SocketAddr, message: &[u8]) {
        if self.copies.len() < MOST_COPIES {
            self.copies.push((to, message.into()));
        }
    }

    pub fn order(&mut self, kind: Kind, token: Token) {
        self.orders.push(Order::to(kind, token));
    }

    pub fn failed(&mut self, slot: usize) {
        let order = Order { kind: Kind::Failed, token: 0, slot };
        // Many queries of one batch may fail together; that is one sign.
        if !self.orders.contains(&order) {
            self.orders.push(order);
        }
    }
}
