//! Queries that a rule delays: they are decided on and counted, and go to a backend later.
//!
//! A tick sends what is due, so a delay is longer by one tick at most. A delayed query is in flight: it counts against
//! its client's share, and the connection stays open for its answer.

use std::cmp::Reverse;

use engine::Memory;

use super::{StreamRelay, Token};
use crate::backends::Outcome;

impl<M: Memory> StreamRelay<M> {
    pub(super) fn delay(&mut self, flow: Token, milliseconds: u16, now: u64) {
        let due = now.saturating_add(u64::from(milliseconds) * 1_000_000);
        self.delayed.push(Reverse((due, flow)));
    }

    pub(super) fn send_delayed(&mut self, now: u64) {
        while let Some(&Reverse((due, token))) = self.delayed.peek()
            && due <= now
        {
            self.delayed.pop();
            let Some(flow) = self.flows.get(token) else { continue };
            if self.clients.get(flow.client).is_none() {
                self.end_flow(token, Outcome::Moved);
            } else if self.dispatch(token, now).is_err() {
                self.give_up(token, Outcome::Moved, now);
            }
        }
    }
}
