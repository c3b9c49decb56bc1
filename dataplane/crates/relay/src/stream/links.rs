//! The backends' side: links open, fail, are lost or retired, and their queries move on.
//!
//! ```text
//! connect ordered --> open --> retiring (no new queries) --> closed
//!        |             |                                       ^
//!        +-- failed    +-- lost: unanswered queries are sent again elsewhere; nothing is lost with a link but time
//! ```

use std::net::SocketAddr;

use engine::{BackendCount, Io, Memory};

use super::flows::Kind;
use super::link::{Link, Waiting};
use super::orders::Kind as OrderKind;
use super::{StreamRelay, Token};
use crate::backends::Outcome;

/// How often a query may lose a link that had not answered anything before it is answered SERVFAIL. Losing one that did
/// answer is progress, and only the query's time-out bounds that.
const MOST_FAILURES: u32 = 3;

impl<M: Memory> StreamRelay<M> {
    /// The connection stands.
    pub fn link_opened(&mut self, token: Token) {
        let Some(link) = self.links.get_mut(token) else { return };
        link.open = true;
        if !link.out.is_empty() && !link.dirty {
            link.dirty = true;
            self.outbox.links.push(token);
        }
        if link.paused {
            self.outbox.order(OrderKind::PauseLink, token);
        }
    }

    /// The connection could not be opened.
    pub fn link_failed(&mut self, token: Token, now: u64) {
        let Some(link) = self.links.get(token) else { return };
        self.tally.io(Io::BackendConnectErrors, 1);
        self.blame(link.slot, link.address, now);
        self.lose(token, now);
        self.settle(now);
    }

    /// The connection is gone.
    pub fn link_lost(&mut self, token: Token, now: u64) {
        let Some(link) = self.links.get(token) else { return };
        self.tally.io(Io::BackendConnectionsLost, 1);
        if link.answered == 0 && link.live() > 0 {
            self.blame(link.slot, link.address, now);
        }
        self.lose(token, now);
        self.settle(now);
    }

    /// The link's socket takes no more, or takes again.
    pub fn link_blocked(&mut self, token: Token, blocked: bool, now: u64) {
        if let Some(link) = self.links.get_mut(token) {
            link.blocked = blocked;
        }
        self.look_for_jam(now);
        self.settle(now);
    }

    /// A failure of the connection to a backend, as opposed to a late answer. One that a reload took away is not blamed, nor is the next
    /// in its slot.
    fn blame(&mut self, slot: usize, address: SocketAddr, now: u64) {
        if self.backends.by_slot(slot).is_none_or(|backend| backend.address != address) {
            return;
        }
        self.ways[slot].failed(now);
        self.tally.backend(slot, BackendCount::Errors);
        self.outbox.failed(slot);
    }

    /// Take a link away and send its unanswered queries again.
    pub(super) fn lose(&mut self, token: Token, now: u64) {
        let Some(link) = self.remove_link(token) else { return };
        let failed = link.answered == 0;
        for waiting in link.pending.values() {
            if let Waiting::Flow(flow) = *waiting {
                self.send_again(flow, failed, now);
            }
        }
        self.look_for_jam(now);
    }

    fn send_again(&mut self, token: Token, failed: bool, now: u64) {
        self.release(token, Outcome::Moved);
        let Some(flow) = self.flows.get_mut(token) else { return };
        flow.failures += u32::from(failed);
        let client = flow.client;
        let is_final = match flow.kind {
            Kind::Query => false,
            Kind::Update => true,
            Kind::Transfer { started: false } => false,
            Kind::Transfer { started: true } => {
                // The client can't tell a transfer that was cut from one that goes on.
                self.end_flow(token, Outcome::Moved);
                return self.close_after_transfer(client, now);
            }
        };
        let stop = is_final || flow.failures >= MOST_FAILURES || now >= flow.deadline;
        if self.clients.get(client).is_none() {
            self.end_flow(token, Outcome::Moved);
        } else if !stop && self.dispatch(token, now).is_ok() {
            self.resent += 1;
        } else {
            self.given_up += 1;
            self.give_up(token, Outcome::Moved, now);
        }
    }

    /// Give a link no more queries; it goes when none waits on it.
    pub(super) fn retire(&mut self, token: Token) {
        let Some(link) = self.links.get_mut(token) else { return };
        let way = &mut self.ways[link.slot];
        if link.owner.is_none() {
            way.links.retain(|&other| other != token);
        } else if !link.transfer && !link.retiring {
            way.owned.retain(|&other| other != token);
            way.leaving += 1;
        }
        link.retiring = true;
        self.close_if_spent(token);
    }

    pub(super) fn close_if_spent(&mut self, token: Token) {
        let Some(link) = self.links.get(token).filter(|link| link.live() == 0) else { return };
        let is_wanted = link.owner.is_some() && !link.transfer && !self.ways[link.slot].waiting.is_empty();
        if link.retiring || is_wanted {
            self.close_link(token);
        }
    }

    /// Close a link on which nothing is waited for.
    pub(super) fn close_link(&mut self, token: Token) {
        if self.remove_link(token).is_some() {
            self.outbox.order(OrderKind::CloseLink, token);
        }
    }

    fn remove_link(&mut self, token: Token) -> Option<Link> {
        let link = self.links.remove(token)?;
        let way = &mut self.ways[link.slot];
        let Some(owner) = link.owner else {
            way.links.retain(|&other| other != token);
            return Some(link);
        };
        if link.transfer {
            self.transfers -= 1;
        } else if link.retiring {
            way.leaving -= 1;
        } else {
            way.owned.retain(|&other| other != token);
        }
        if let Some(client) = self.clients.get_mut(owner) {
            client.links.retain(|&other| other != token);
        }
        Some(link)
    }

    /// Close a link that brought what can't be read, as if it had been lost.
    pub(super) fn break_link(&mut self, token: Token, now: u64) {
        let Some(link) = self.links.get(token) else { return };
        if link.answered == 0 {
            self.blame(link.slot, link.address, now);
        }
        self.outbox.order(OrderKind::CloseLink, token);
        self.lose(token, now);
    }
}
