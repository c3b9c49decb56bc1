//! What a reload may change, and what the worker is told about the relay's state.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use engine::{BlockAction, Blocks, Grants, Memory, Policy};

use super::{Ending, StreamRelay, Token};
use crate::backends::{Backend, Header};
use crate::samples::Samples;
use crate::window::Aim;

/// Bounds on the connections; times in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Close a client with nothing asked and nothing owed, and a link without queries, after this.
    pub idle: u64,
    /// A message that has begun must be complete within this.
    pub read: u64,
    /// A client that takes no answers for this long is closed.
    pub write: u64,
    /// Clients of all workers, and of one prefix.
    pub connections: usize,
    pub connections_per_client: usize,
    /// Unanswered queries of one client.
    pub in_flight: usize,
    /// Shared links to each backend.
    pub backend_connections: usize,
    /// Links to each backend that belong to one client each.
    pub proxied_connections: usize,
}

/// What a backend is known by: when its slot, address or header changes, so do its links.
type Known = (usize, SocketAddr, Option<Header>);

fn known(backend: &Backend) -> Known {
    (backend.slot, backend.address, backend.proxy)
}

/// A look at the relay.
#[derive(Clone, Debug)]
pub struct Status {
    pub clients: usize,
    pub links: usize,
    pub in_flight: usize,
    pub transfers: usize,
    /// Bytes that wait for clients.
    pub buffered: usize,
    pub resent: u64,
    pub given_up: u64,
    /// Reads after which a client prefix was over its time.
    pub over_time: u64,
    /// The door is in overload mode.
    pub overloaded: bool,
    /// Connections of all workers that no prefix is charged for.
    pub uncounted: u64,
    /// Closed clients by `Ending`, in the order of its members.
    pub endings: [u64; Ending::COUNT],
}

impl<M: Memory> StreamRelay<M> {
    /// Take new settings. Clients stay connected; links of backends that are gone carry their last answers and close.
    /// `grants` are those of each listener by its number.
    pub fn configure(
        &mut self,
        policy: Arc<Policy>,
        bounds: Bounds,
        backends: Vec<Backend>,
        grants: Vec<Grants>,
        now: u64,
    ) {
        self.policy = policy;
        self.bounds = bounds;
        let before: Vec<Known> = self.backends.list().iter().map(known).collect();
        self.backends.replace(backends);
        let slots = self.backends.list().iter().map(|backend| backend.slot + 1).max().unwrap_or(0);
        if slots > self.ways.len() {
            self.ways.resize_with(slots, Default::default);
        }
        self.grants = grants;
        for (_, client) in self.clients.iter_mut() {
            client.peer.grants = self.grants.get(client.listener).copied().unwrap_or_default();
        }
        let after: Vec<Known> = self.backends.list().iter().map(known).collect();
        for &(slot, ..) in after.iter().filter(|backend| !before.contains(backend)) {
            // What failed was the one before in this slot.
            self.ways[slot].answered();
        }
        let gone: Vec<Token> = self
            .links
            .iter()
            .filter(|(_, link)| !after.contains(&(link.slot, link.address, link.proxy)))
            .map(|(token, _)| token)
            .collect();
        for token in gone {
            self.retire(token);
        }
        self.look_for_jam(now);
        self.settle(now);
    }

    /// What the windows of the backends aim at. TCP waits where UDP is shed, and holds its own beside it with twice the
    /// target: a client that came over TCP has shown its address.
    pub fn set_aim(&mut self, aim: Aim) {
        self.backends.set_aim(Aim { target: aim.target.saturating_mul(2), ..aim });
    }

    /// How far the calendar is ahead of the monotonic clock, in nanoseconds. It changes when the clock is set.
    pub fn set_offset(&mut self, offset: u64) {
        self.offset = offset;
    }

    /// Block this and nothing else. Connections of prefixes whose queries are dropped now are closed.
    pub fn set_blocks(&mut self, blocks: Option<Arc<Blocks>>, now: u64) {
        self.blocks = blocks;
        let dropped: Vec<Token> = self
            .clients
            .iter()
            .filter(|(_, client)| client.closing.is_none() && self.is_dropped(client.peer.address))
            .map(|(token, _)| token)
            .collect();
        for token in dropped {
            self.close(token, Ending::Blocked, now);
        }
        self.settle(now);
    }

    /// Whether a client's prefix is blocked so that no connection of it is of use.
    pub(super) fn is_dropped(&self, address: IpAddr) -> bool {
        let hit = self.blocks.as_ref().and_then(|blocks| blocks.of_client(address));
        hit.is_some_and(|hit| hit.action() == BlockAction::Drop)
    }

    pub fn samples(&mut self) -> &mut Samples {
        &mut self.samples
    }

    pub fn set_health(&mut self, slot: usize, healthy: bool, now: u64) {
        if let Some(backend) = self.backends.by_slot(slot) {
            backend.healthy = healthy;
        }
        self.look_for_jam(now);
        self.settle(now);
    }

    /// Take no new clients, and close each as soon as nothing is owed to it.
    pub fn drain(&mut self, now: u64) {
        self.draining = true;
        let all: Vec<Token> = self.clients.iter().map(|(token, _)| token).collect();
        for token in all {
            if let Some(client) = self.clients.get_mut(token) {
                client.last.get_or_insert(Ending::Drained);
            }
            self.close_if_done(token, now);
        }
        self.settle(now);
    }

    pub fn backends(&self) -> &[Backend] {
        self.backends.list()
    }

    pub fn status(&self) -> Status {
        Status {
            clients: self.clients.len(),
            links: self.links.len(),
            in_flight: self.flows.len(),
            transfers: self.transfers,
            buffered: self.buffered,
            resent: self.resent,
            given_up: self.given_up,
            over_time: self.door.over_time,
            overloaded: self.door.overloaded,
            uncounted: self.tally.crowd().uncounted(),
            endings: self.endings,
        }
    }
}
