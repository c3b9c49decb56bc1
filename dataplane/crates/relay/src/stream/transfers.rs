//! Transfers of zones to clients, where the listener grants them (RFC 5936, RFC 1995).
//!
//! Many messages answer one query, so each transfer has a link of its own, and one slow client holds up no other: while
//! its socket takes no more, the link is not read. Where a transfer ends is not read from its records. It is over when
//! its link is, or is silent for the backend's time-out; then the client is closed as soon as it is owed nothing else,
//! because it can't tell a transfer that was cut from one that goes on.

use engine::Memory;

use super::client::Ending;
use super::link::Waiting;
use super::orders::Kind as OrderKind;
use super::{StreamRelay, Token, WRITE_AT_ONCE};
use crate::backends::Outcome;

/// The deadline while a transfer is paused.
const NEVER: u64 = u64::MAX - 1;

impl<M: Memory> StreamRelay<M> {
    /// More of a transfer is due within the backend's time-out, unless we are the ones who do not read.
    pub(super) fn wait_for_more(&mut self, token: Token, now: u64) {
        let Some(flow) = self.flows.get_mut(token) else { return };
        let Some(link) = self.links.get(flow.link) else { return };
        let timeout = self.backends.list().iter().find(|backend| backend.slot == link.slot).map_or(0, |b| b.timeout);
        flow.deadline = if link.paused { NEVER } else { now.saturating_add(timeout) };
    }

    /// Whether a link has brought so much of a transfer that it must not be read until that was written.
    pub(super) fn fill(&mut self, token: Token) -> bool {
        let Some(link) = self.links.get_mut(token) else { return false };
        let Some(client) = link.owner.filter(|_| link.transfer).and_then(|client| self.clients.get(client)) else {
            return false;
        };
        let pause = !link.full && !link.paused && client.out.len() >= WRITE_AT_ONCE;
        link.full |= pause;
        pause
    }

    /// What a link has brought of a transfer was written and taken.
    pub(super) fn refill(&mut self, token: Token) {
        let Some(link) = self.links.get_mut(token).filter(|link| link.full) else { return };
        link.full = false;
        if !link.paused {
            self.outbox.order(OrderKind::ResumeLink, token);
        }
    }

    /// The client of a transfer is slow, or takes again.
    pub(super) fn pause_transfer(&mut self, token: Token, paused: bool, now: u64) {
        let Some(link) = self.links.get_mut(token).filter(|link| link.transfer) else { return };
        link.paused = paused;
        if link.open && !link.full {
            self.outbox.order(if paused { OrderKind::PauseLink } else { OrderKind::ResumeLink }, token);
        }
        let flows: Vec<Token> = link.pending.values().filter_map(Waiting::flow).collect();
        for flow in flows {
            self.wait_for_more(flow, now);
        }
    }

    /// End a link whose client is gone, or whose transfer is over.
    pub(super) fn end_link(&mut self, token: Token) {
        let Some(link) = self.links.get(token) else { return };
        let flows: Vec<Token> = link.pending.values().filter_map(Waiting::flow).collect();
        for flow in flows {
            self.end_flow(flow, Outcome::Moved);
        }
        self.close_link(token);
    }

    /// Close a client that had a transfer, once its other queries are answered.
    pub(super) fn close_after_transfer(&mut self, client: Token, now: u64) {
        if let Some(client) = self.clients.get_mut(client) {
            client.last.get_or_insert(Ending::TransferOver);
        }
        self.close_if_done(client, now);
    }
}
