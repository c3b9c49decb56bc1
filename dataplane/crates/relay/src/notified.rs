//! NOTIFY messages that wait for Python, and what it takes to answer each of them.
//!
//! ```text
//! verdict HandOver -> push -> take -> Python verifies, hands on, answers -> settle -> the answer leaves
//! ```
//! Bounded: what comes while as many wait as may is turned down, and counted by whoever calls.

use std::collections::HashMap;
use std::net::SocketAddr;

/// NOTIFY messages of one relay that may wait. Python takes all of them in each turn of its loop.
const MOST: usize = 256;

/// A NOTIFY as Python gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notified {
    /// Names it when it is answered.
    pub id: u64,
    pub client: SocketAddr,
    /// The address of ours that it was sent to.
    pub asked: SocketAddr,
    /// The number of the listener.
    pub listener: u16,
    pub message: Box<[u8]>,
}

/// The queue. `W` is what a relay needs to find its way back.
#[derive(Debug)]
pub struct Notifies<W> {
    waiting: Vec<Notified>,
    ways: HashMap<u64, W>,
    next: u64,
}

impl<W> Default for Notifies<W> {
    fn default() -> Self {
        Self { waiting: Vec::new(), ways: HashMap::new(), next: 0 }
    }
}

impl<W> Notifies<W> {
    /// Take one in; false if as many wait as may.
    pub fn push(&mut self, client: SocketAddr, asked: SocketAddr, listener: u16, message: &[u8], way: W) -> bool {
        if self.ways.len() >= MOST {
            return false;
        }
        self.next += 1;
        self.ways.insert(self.next, way);
        self.waiting.push(Notified { id: self.next, client, asked, listener, message: message.into() });
        true
    }

    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// All that came since the last call.
    pub fn take(&mut self) -> Vec<Notified> {
        std::mem::take(&mut self.waiting)
    }

    /// The way back of one that is answered now, or never.
    pub fn settle(&mut self, id: u64) -> Option<W> {
        self.ways.remove(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_no_more_than_its_bound_until_some_are_settled() {
        let mut queue = Notifies::default();
        let at = SocketAddr::from(([127, 0, 0, 1], 53));
        for way in 0..MOST {
            assert!(queue.push(at, at, 0, b"message", way));
        }
        assert!(!queue.push(at, at, 0, b"message", MOST));
        let taken = queue.take();
        assert_eq!(taken.len(), MOST);
        assert!(!queue.is_waiting());
        assert!(!queue.push(at, at, 0, b"message", MOST), "taken is not yet answered");
        assert_eq!(queue.settle(taken[3].id), Some(3));
        assert_eq!(queue.settle(taken[3].id), None, "each is answered once");
        assert!(queue.push(at, at, 0, b"message", MOST));
    }
}
