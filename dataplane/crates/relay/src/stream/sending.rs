//! From a decided query to a link: which backend, which connection, which ID.

use engine::{BackendCount, Io, Memory, Treatment};
use wire::{Query, Reason, opcode, qtype, rcode};

use super::flows::{Flow, Kind};
use super::link::{Link, Waiting};
use super::orders::{Kind as OrderKind, Order};
use super::owned::{NOWHERE, Room};
use super::queries::add_reply;
use super::{MOST_TRANSFERS, MOST_TRANSFERS_EACH, StreamRelay, Token};
use crate::backends::{Backend, Outcome, Seat};
use crate::cookies;

/// A backend's next link is opened when the others have so many queries waiting: few links make large writes, several
/// let a backend with many processes use them.
const SPREAD: usize = 64;

/// Random IDs tried on a link. On a full one an ID is taken with a chance of 1 in 8; so many in a row never happens.
const TRIES: usize = 32;

/// The deadline of a flow that was not sent yet. It is set once: sending again does not give a backend more time.
pub(super) const NOT_YET: u64 = u64::MAX;

impl<M: Memory> StreamRelay<M> {
    /// Whether one more query can be taken. If not, clients are read later.
    pub(super) fn has_room(&self) -> bool {
        !self.jammed && self.flows.has_room()
    }

    /// See whether every healthy backend that can be reached has full links only.
    pub(super) fn look_for_jam(&mut self, now: u64) {
        let mut reachable =
            self.backends.list().iter().filter(|b| b.healthy && self.is_reachable(b.slot, now)).peekable();
        // Where each client has its own link, one that is full holds up nobody else.
        self.jammed = reachable.peek().is_some()
            && reachable.all(|b| b.window.is_full() || (b.proxy.is_none() && self.is_full(b.slot, now)));
    }

    fn is_reachable(&self, slot: usize, now: u64) -> bool {
        !self.ways[slot].links.is_empty() || self.ways[slot].may_connect(now)
    }

    fn is_full(&self, slot: usize, now: u64) -> bool {
        let way = &self.ways[slot];
        let may_open = way.links.len() < self.bounds.backend_connections && way.may_connect(now);
        !may_open && way.links.iter().all(|&token| self.links.get(token).is_none_or(|link| !link.has_room()))
    }

    /// Send a query that the engine lets pass.
    ///
    /// # Errors
    /// Why no backend gets it; nothing was kept.
    pub(super) fn forward(
        &mut self,
        client: Token,
        message: &[u8],
        query: &Query<'_>,
        treatment: Treatment,
        now: u64,
    ) -> Result<(), Reason> {
        let kind = match (query.opcode, query.question.map(|question| question.qtype)) {
            (opcode::UPDATE, _) => Kind::Update,
            (opcode::QUERY, Some(qtype::AXFR | qtype::IXFR)) => Kind::Transfer { started: false },
            _ => Kind::Query,
        };
        if matches!(kind, Kind::Transfer { .. })
            && (self.transfers >= MOST_TRANSFERS || self.transfers_of(client) >= MOST_TRANSFERS_EACH)
        {
            return Err(Reason::TooManyInFlight);
        }
        let mut flow = Flow {
            client,
            client_id: query.id,
            question: self.fingerprints.of(query.question.as_ref()),
            treatment,
            echo: treatment.echo(query),
            query: self.flows.copy(message),
            kind,
            link: NOWHERE,
            id: 0,
            backend: None,
            sent: now,
            deadline: NOT_YET,
            failures: 0,
        };
        if let Some(place) = query.cookie.filter(|_| treatment.cookie.is_some()) {
            let length = cookies::prepare(&mut flow.query, place, &treatment);
            flow.query.truncate(length);
        }
        let token = self.flows.insert(flow);
        if let Some(to) = self.policy.mirror(treatment) {
            self.outbox.copy(to, message);
        }
        if treatment.delay > 0 {
            self.delay(token, treatment.delay, now);
        } else if let Err(reason) = self.dispatch(token, now) {
            if let Some(flow) = self.flows.remove(token) {
                self.flows.recycle(flow.query);
            }
            return Err(reason);
        }
        if let Some(client) = self.clients.get_mut(client) {
            client.in_flight += 1;
        }
        Ok(())
    }

    /// Put a flow on a link. A flow that was on one before must have been released from its backend.
    ///
    /// # Errors
    /// Why none takes it.
    pub(super) fn dispatch(&mut self, token: Token, now: u64) -> Result<(), Reason> {
        let Some(flow) = self.flows.get(token) else { return Ok(()) };
        let (kind, client, pool) = (flow.kind, flow.client, flow.treatment.pool);
        let (slot, timeout, owned) = self.choose(pool, client, now).ok_or(Reason::BackendsDown)?;
        let deadline = now.saturating_add(timeout);
        let link = match kind {
            Kind::Transfer { .. } => self.transfer_link(slot, client, now),
            _ if owned => match self.owned_link(slot, client, now) {
                None => {
                    self.park(token, slot, client, deadline);
                    return Ok(());
                }
                link => link,
            },
            _ => self.shared_link(slot, now),
        }
        .ok_or(Reason::BackendConnection)?;
        self.put_on(token, link, deadline, now)
    }

    /// Send a flow by this link. Its backend has until `deadline`, unless a deadline was set before.
    ///
    /// # Errors
    /// Why that can't be.
    pub(super) fn put_on(&mut self, token: Token, link_token: Token, deadline: u64, now: u64) -> Result<(), Reason> {
        let (Some(link), Some(flow)) = (self.links.get_mut(link_token), self.flows.get_mut(token)) else {
            return Err(Reason::BackendConnection);
        };
        let slot = link.slot;
        let id = free_id(link, &mut self.ids).ok_or(Reason::FlowTableFull)?;
        link.pending.insert(id, Waiting::Flow(token));
        link.out.extend_from_slice(&(flow.query.len() as u16).to_be_bytes());
        link.out.extend_from_slice(&id.to_be_bytes());
        link.out.extend_from_slice(&flow.query[2..]);
        let (mut full, kind) = (!link.has_room(), flow.kind);
        if !link.dirty {
            link.dirty = true;
            self.outbox.links.push(link_token);
        }
        (flow.link, flow.id, flow.backend, flow.sent) = (link_token, id, Some((slot, link.address)), now);
        if flow.deadline == NOT_YET {
            flow.deadline = deadline;
        }
        if let Some(backend) = self.backends.by_slot(slot) {
            backend.outstanding += 1;
            if !matches!(kind, Kind::Transfer { .. }) {
                backend.window.sent(now);
                full |= backend.window.is_full();
            }
        }
        self.tally.backend(slot, BackendCount::Queries);
        if full {
            self.look_for_jam(now);
        }
        Ok(())
    }

    /// The backend of a pool for the next query: its slot, its time-out, and whether it wants links of one client. One that can't be reached or has no room is passed over
    /// if there is another.
    fn choose(&mut self, pool: u8, client: Token, now: u64) -> Option<(usize, u64, bool)> {
        let first = self.backends.pick(pool)?;
        let chosen = |backend: &Backend| (backend.slot, backend.timeout, backend.proxy.is_some());
        let (slot, timeout, owned) = chosen(first);
        if !owned && self.is_reachable(slot, now) && !self.is_full(slot, now) {
            return Some((slot, timeout, owned));
        }
        if owned && self.room_of_owner(slot, client, now) == Room::Free {
            return Some((slot, timeout, owned));
        }
        let others = self.backends.list().iter().filter(|backend| backend.serves(pool));
        let reachable = others.filter(|b| self.is_reachable(b.slot, now) || self.link_of(b.slot, client).is_some());
        let key =
            |b: &&Backend| (self.room(b, client, now), u64::from(b.outstanding) * 1000 / u64::from(b.weight.max(1)));
        reachable.min_by_key(key).map(chosen)
    }

    fn room(&self, backend: &Backend, client: Token, now: u64) -> Room {
        match backend.proxy {
            Some(_) => self.room_of_owner(backend.slot, client, now),
            None if self.is_full(backend.slot, now) => Room::Full,
            None => Room::Free,
        }
    }

    fn shared_link(&mut self, slot: usize, now: u64) -> Option<Token> {
        let way = &self.ways[slot];
        let mut best: Option<(usize, Token)> = None;
        for &token in &way.links {
            let Some(link) = self.links.get(token) else { continue };
            let waiting = link.pending.len();
            if waiting < SPREAD && !link.blocked {
                return Some(token);
            }
            let load = if link.has_room() { waiting } else { usize::MAX };
            if best.is_none_or(|(least, _)| load < least) {
                best = Some((load, token));
            }
        }
        if way.links.len() < self.bounds.backend_connections && way.may_connect(now) {
            let token = self.connect(slot, None, now)?;
            self.ways[slot].links.push(token);
            return Some(token);
        }
        best.map(|(_, token)| token)
    }

    fn transfer_link(&mut self, slot: usize, client: Token, now: u64) -> Option<Token> {
        let token = self.connect(slot, Some(client), now)?;
        self.transfers += 1;
        if let Some(link) = self.links.get_mut(token) {
            link.transfer = true;
        }
        Some(token)
    }

    fn transfers_of(&self, client: Token) -> usize {
        let is_transfer = |token: &&Token| self.links.get(**token).is_some_and(|link| link.transfer);
        self.clients.get(client).map_or(0, |client| client.links.iter().filter(is_transfer).count())
    }

    /// Begin a link, which is `owner`'s alone or shared by all.
    pub(super) fn connect(&mut self, slot: usize, owner: Option<Token>, now: u64) -> Option<Token> {
        let backend = self.backends.list().iter().find(|backend| backend.slot == slot)?;
        let mut link = Link::new(slot, backend.address, owner, now);
        link.proxy = backend.proxy;
        if let Some(owner) = owner {
            self.write_header(&mut link.out, backend, owner);
        }
        let token = self.links.insert(link);
        if let Some(client) = owner.and_then(|owner| self.clients.get_mut(owner)) {
            client.links.push(token);
        }
        self.outbox.orders.push(Order { kind: OrderKind::Connect, token, slot });
        self.tally.io(Io::BackendConnects, 1);
        Some(token)
    }

    /// Take a flow off its backend's account.
    pub(super) fn release(&mut self, token: Token, outcome: Outcome) {
        self.release_place(token, outcome, Seat::Free);
    }

    /// The same, when its answer has just come.
    pub(super) fn release_answered(&mut self, token: Token, now: u64) {
        self.release_place(token, Outcome::Answered, Seat::Answered(now));
    }

    fn release_place(&mut self, token: Token, outcome: Outcome, seat: Seat) {
        let Some(flow) = self.flows.get_mut(token) else { return };
        let seat = if matches!(flow.kind, Kind::Transfer { .. }) { Seat::None } else { seat };
        if let Some(backend) = flow.backend.take() {
            self.backends.ended(backend, outcome, flow.sent, seat);
        }
    }

    /// Take a flow off all accounts. Its client may have held messages that can go on now.
    pub(super) fn end_flow(&mut self, token: Token, outcome: Outcome) -> Option<Flow> {
        self.release(token, outcome);
        let flow = self.flows.remove(token)?;
        if let Some(client) = self.clients.get_mut(flow.client) {
            client.in_flight -= 1;
            // Not before half is free: large reads are cheaper than many small ones.
            if client.held && !client.stalled && client.in_flight <= self.bounds.in_flight / 2 {
                self.revisit.push(flow.client);
            }
        }
        Some(flow)
    }

    /// Answer a flow with SERVFAIL: no backend did.
    pub(super) fn give_up(&mut self, token: Token, outcome: Outcome, now: u64) {
        let Some(flow) = self.end_flow(token, outcome) else { return };
        self.owe(flow.client, now, |out| {
            let start = out.len();
            add_reply(out, &flow.query, flow.echo, rcode::SERVFAIL, false, &[]);
            out[start + 2..start + 4].copy_from_slice(&flow.client_id.to_be_bytes());
        });
        self.close_if_done(flow.client, now);
        self.flows.recycle(flow.query);
    }
}

fn free_id(link: &Link, ids: &mut crate::ids::Ids) -> Option<u16> {
    (0..TRIES).find_map(|_| ids.draw().map(|id| (!link.pending.contains_key(&id)).then_some(id))?)
}
