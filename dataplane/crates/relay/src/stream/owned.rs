//! Links of one client, to backends that want a PROXY header.
//!
//! The header stands once, at the beginning of a connection, and names the client of everything behind it: no other
//! client can share the link. A client's first query for such a backend opens its link, which ends with the client, or
//! after a short time without queries. Transfers have links of their own here as everywhere.
//!
//! Each backend takes a bounded number of these links. When all are taken
//!
//! ```text
//! one is idle              -> the one idle for longest is closed, its place is taken
//! all have queries waiting -> the query waits (parked), at most the time that the backend has for its answer;
//!                             for each client that waits, the oldest link gets no more queries, answers, and makes room
//! ```
//! So clients take turns, first come first served, and a turn carries all that a client has asked by then.

use engine::{Io, Memory};
use wire::Transport;
use wire::proxy::{Protocol, V1_MAX, write_v1, write_v2};

use super::sending::NOT_YET;
use super::{StreamRelay, Token};
use crate::backends::{Backend, Outcome};

/// What a link of one client may take of its idle time-out: its place may be wanted, and a new one costs one round trip.
pub(super) const IDLE: u64 = 2_000_000_000;

/// The link of a flow that is on none.
pub(super) const NOWHERE: Token = Token::MAX;

/// How a backend could take one more query of a client; the first is the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Room {
    Free,
    /// If the idle link of another client is closed.
    Idle,
    Full,
}

impl<M: Memory> StreamRelay<M> {
    pub(super) fn room_of_owner(&self, slot: usize, client: Token, now: u64) -> Room {
        if let Some(link) = self.link_of(slot, client).and_then(|token| self.links.get(token)) {
            return if link.has_room() { Room::Free } else { Room::Full };
        }
        let way = &self.ways[slot];
        if !way.may_connect(now) || !way.waiting.is_empty() {
            Room::Full
        } else if way.places() < self.bounds.proxied_connections {
            Room::Free
        } else if self.idle_link(slot).is_some() {
            Room::Idle
        } else {
            Room::Full
        }
    }

    /// The link by which this client's queries go to a backend, if it has one.
    pub(super) fn link_of(&self, slot: usize, client: Token) -> Option<Token> {
        let is_it = |token: &&Token| {
            self.links.get(**token).is_some_and(|link| link.slot == slot && !link.transfer && !link.retiring)
        };
        self.clients.get(client)?.links.iter().find(is_it).copied()
    }

    /// The link that has been without queries for longest.
    fn idle_link(&self, slot: usize) -> Option<Token> {
        let idle = self.ways[slot].owned.iter().filter_map(|&token| Some((token, self.links.get(token)?)));
        idle.filter(|(_, link)| link.live() == 0).min_by_key(|(_, link)| link.heard).map(|(token, _)| token)
    }

    /// The link for a query of `client`, opened if there is a place for it.
    pub(super) fn owned_link(&mut self, slot: usize, client: Token, now: u64) -> Option<Token> {
        if let Some(link) = self.link_of(slot, client) {
            return Some(link);
        }
        match self.room_of_owner(slot, client, now) {
            Room::Free => {}
            Room::Idle => {
                let idle = self.idle_link(slot)?;
                self.close_link(idle);
            }
            Room::Full => return None,
        }
        self.open_owned(slot, client, now)
    }

    fn open_owned(&mut self, slot: usize, client: Token, now: u64) -> Option<Token> {
        let token = self.connect(slot, Some(client), now)?;
        self.ways[slot].owned.push(token);
        Some(token)
    }

    /// Let a flow wait until `client` has a link to the backend in `slot`.
    pub(super) fn park(&mut self, flow: Token, slot: usize, client: Token, deadline: u64) {
        let (Some(waiting), Some(client_entry)) = (self.flows.get_mut(flow), self.clients.get_mut(client)) else {
            return;
        };
        waiting.link = NOWHERE;
        self.tally.io(Io::BackendConnectionWaits, 1);
        if waiting.deadline == NOT_YET {
            waiting.deadline = deadline;
        }
        let first = client_entry.parked.iter().all(|&(other, _)| other != slot);
        client_entry.parked.push((slot, flow));
        if first {
            self.ways[slot].waiting.push_back(client);
            self.waiting += 1;
        }
    }

    /// Give free places to the clients that wait, and see that more become free.
    pub(super) fn take_turns(&mut self, now: u64) {
        for slot in 0..self.ways.len() {
            while let Some(&client) = self.ways[slot].waiting.front() {
                let usable = self.backends.list().iter().any(|backend| {
                    backend.slot == slot
                        && backend.healthy
                        && backend.proxy.is_some()
                        && self.ways[slot].may_connect(now)
                });
                if usable && self.ways[slot].places() >= self.bounds.proxied_connections {
                    break;
                }
                self.ways[slot].waiting.pop_front();
                self.waiting -= 1;
                let flows = self.take_parked(client, slot);
                if usable {
                    self.take_turn(slot, client, flows, now);
                } else {
                    self.send_elsewhere(flows, now);
                }
            }
            // Retiring at the front: what opened first has had the longest turn.
            while self.ways[slot].leaving < self.ways[slot].waiting.len()
                && let Some(&oldest) = self.ways[slot].owned.first()
            {
                self.retire(oldest);
            }
        }
    }

    fn take_turn(&mut self, slot: usize, client: Token, flows: Vec<Token>, now: u64) {
        if flows.is_empty() {
            return;
        }
        let link = self.link_of(slot, client).or_else(|| self.open_owned(slot, client, now));
        for flow in flows {
            if link.is_none_or(|link| self.put_on(flow, link, NOT_YET, now).is_err()) {
                self.give_up(flow, Outcome::Moved, now);
            }
        }
    }

    fn send_elsewhere(&mut self, flows: Vec<Token>, now: u64) {
        for flow in flows {
            if self.dispatch(flow, now).is_err() {
                self.give_up(flow, Outcome::Moved, now);
            }
        }
    }

    /// The flows of a client that waited for a link to this backend, and have not been given up since.
    fn take_parked(&mut self, client: Token, slot: usize) -> Vec<Token> {
        let Some(client) = self.clients.get_mut(client) else { return Vec::new() };
        let (mine, others) = std::mem::take(&mut client.parked).into_iter().partition(|&(at, _)| at == slot);
        client.parked = others;
        let mine: Vec<(usize, Token)> = mine;
        mine.into_iter().map(|(_, flow)| flow).filter(|&flow| self.flows.get(flow).is_some()).collect()
    }

    /// A client is gone, and so are its parked flows.
    pub(super) fn forget_parked(&mut self, client: Token, parked: Vec<(usize, Token)>) {
        let mut slots: Vec<usize> = parked.iter().map(|&(slot, _)| slot).collect();
        slots.sort_unstable();
        slots.dedup();
        for slot in slots {
            let queue = &mut self.ways[slot].waiting;
            let before = queue.len();
            queue.retain(|&other| other != client);
            self.waiting -= before - queue.len();
        }
        for (_, flow) in parked {
            self.end_flow(flow, Outcome::Moved);
        }
    }

    /// The PROXY header with which a link of `client` begins.
    pub(super) fn write_header(&self, out: &mut Vec<u8>, backend: &Backend, client: Token) {
        let (Some(header), Some(client)) = (backend.proxy, self.clients.get(client)) else { return };
        let (source, destination) = client.ends();
        let mut bytes = [0; V1_MAX];
        let length = match header.protocol {
            Protocol::V1 => write_v1(&mut bytes, source, destination),
            Protocol::V2 => write_v2(&mut bytes, Transport::Tcp, source, destination, &[], header.checksum),
            // For datagrams only; the settings do not let it through.
            Protocol::Spp => 0,
        };
        out.extend_from_slice(&bytes[..length]);
    }
}
