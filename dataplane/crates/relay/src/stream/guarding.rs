//! The guard of the TCP door: who may connect, who has to go when it is full, and who has taken too much of our time.
//!
//! ```text
//! new connection -> rate of its prefix -> connections of its prefix -> connections in total -> in
//!                                                                            | full: the one that was idle longest goes
//! ```
//! Near the bound the door is in overload mode: short idle time-out and lifetime, one query in flight each, and prefixes
//! that hold a quarter of what they may get no more. All counts are those of all workers.

use std::net::{IpAddr, Ipv6Addr};

use engine::{Crowded, Guard, Memory, Room};

use super::client::{Client, Ending};
use super::orders::Kind;
use super::{StreamRelay, Token};

/// A connection is not closed for another one before it was idle for so long; in overload mode, for a tenth of it.
const IDLE_ENOUGH: u64 = 1_000_000_000;

/// Who a proxy speaks for before it has said so: no client has this address.
const UNKNOWN: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// Connections of one look for the longest idle ones, and the time until the next look.
const CANDIDATES: usize = 256;
const NEXT_LOOK: u64 = 100_000_000;

/// Connections that may be on their way out while others have their place: what is spared in file descriptors.
const MOST_LEAVING: usize = 8;

/// In overload mode a prefix may hold this part of its connections.
const SMALLER: usize = 4;

/// Overload mode ends so many percent of the bound below where it begins.
const HYSTERESIS: usize = 10;

/// Each read of a message beyond those that it may take has to bring so many bytes.
const READ_BYTES: usize = 512;

/// What happens to a client prefix that took more of our time than it may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeAction {
    /// It is not read until its debt is paid.
    #[default]
    Wait,
    Close,
    /// It is counted.
    Observe,
}

/// Bounds of the guard, besides those in [`super::Bounds`]; 0 sets none. Times in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct GuardBounds {
    /// Clients of this worker: as many as it has descriptors for.
    pub of_worker: usize,
    /// Queries of one connection, and how long it may last.
    pub queries: u32,
    pub lifetime: u64,
    /// Reads that a message may take; see `READ_BYTES`.
    pub reads: u32,
    pub time_action: TimeAction,
    /// Percent of the connections from which on the door is in overload mode; what holds then.
    pub overload: usize,
    pub overload_idle: u64,
    pub overload_lifetime: u64,
    pub overload_in_flight: usize,
}

impl Default for GuardBounds {
    /// No bounds.
    fn default() -> Self {
        Self {
            of_worker: usize::MAX,
            queries: 0,
            lifetime: 0,
            reads: 0,
            time_action: TimeAction::Wait,
            overload: 0,
            overload_idle: 0,
            overload_lifetime: 0,
            overload_in_flight: 1,
        }
    }
}

/// What the guard remembers.
#[derive(Debug, Default)]
pub struct Door {
    pub guard: Guard,
    pub bounds: GuardBounds,
    pub overloaded: bool,
    /// Connections that were closed to make room and are not gone yet.
    leaving: usize,
    /// The longest idle ones of the last look, the longest last.
    candidates: Vec<Token>,
    next_look: u64,
    /// Reads after which a prefix was over its time.
    pub over_time: u64,
}

impl<M: Memory> StreamRelay<M> {
    /// Take the bounds of the guard. Connections that are open stay counted as they were.
    pub fn set_guard(&mut self, guard: Guard, bounds: GuardBounds) {
        (self.door.guard, self.door.bounds) = (guard, bounds);
    }

    /// Whether the door is in overload mode.
    pub fn is_overloaded(&self) -> bool {
        self.door.overloaded
    }

    /// Whether what a client's bytes cost has to be told by `spent`.
    pub fn counts_time(&self) -> bool {
        self.door.guard.counts_time()
    }

    /// Unanswered queries that one client may have now.
    pub(super) fn most_in_flight(&self) -> usize {
        if self.door.overloaded {
            self.bounds.in_flight.min(self.door.bounds.overload_in_flight)
        } else {
            self.bounds.in_flight
        }
    }

    /// The idle time-out and the longest life of a connection now.
    pub(super) fn patience(&self) -> (u64, u64) {
        let GuardBounds { lifetime, overload_idle, overload_lifetime, .. } = self.door.bounds;
        let shorter = |usual: u64, overload: u64| if usual == 0 { overload } else { usual.min(overload) };
        if self.door.overloaded {
            (self.bounds.idle.min(overload_idle), shorter(lifetime, overload_lifetime))
        } else {
            (self.bounds.idle, lifetime)
        }
    }

    /// Let a connection in and count it, if the bounds permit. The result is the key that it is counted under.
    pub(super) fn admit(&mut self, address: IpAddr, now: u64) -> Result<u64, Ending> {
        let (key, prefix) = self.admit_address(address, now)?;
        self.take_place(key, prefix, now)
    }

    /// Let the connection of a proxy in, whose client is not known yet. It counts in total, and under a key of its own.
    pub(super) fn admit_proxy(&mut self, now: u64) -> Result<u64, Ending> {
        let key = self.door.guard.key(&self.tally.limits(), UNKNOWN);
        self.take_place(key, usize::MAX, now)
    }

    /// The client of a connection that is in already is known now: count it under its address, if the bounds permit.
    pub(super) fn recount(&mut self, token: Token, now: u64) -> Result<(), Ending> {
        let Some(client) = self.clients.get(token) else { return Ok(()) };
        let (address, before) = (client.peer.address, client.key);
        let (key, prefix) = self.admit_address(address, now)?;
        let crowd = self.tally.crowd();
        let anyway = |prefix| Room { total: usize::MAX, prefix };
        crowd.leave(before);
        let entered = crowd.enter(key, anyway(prefix));
        let key = if entered.is_ok() { key } else { before };
        if entered.is_err() {
            // Without a bound there is nothing that it could exceed.
            let _ = crowd.enter(before, anyway(usize::MAX));
        }
        if let Some(client) = self.clients.get_mut(token) {
            client.key = key;
        }
        entered.map_err(|_| Ending::ConnectionsPerClient)
    }

    /// The key of an address that may have one more connection, and how many connections that key may have.
    fn admit_address(&self, address: IpAddr, now: u64) -> Result<(u64, usize), Ending> {
        if self.is_dropped(address) {
            return Err(Ending::Blocked);
        }
        let limits = self.tally.limits();
        if !self.door.guard.admits(&limits, address, now) {
            return Err(Ending::ConnectionRate);
        }
        let key = self.door.guard.key(&limits, address);
        let part = if self.door.overloaded { SMALLER } else { 1 };
        let prefix = self.bounds.connections_per_client.div_ceil(part);
        if self.tally.crowd().of_prefix(key) >= prefix as u64 {
            return Err(Ending::ConnectionsPerClient);
        }
        Ok((key, prefix))
    }

    fn take_place(&mut self, key: u64, prefix: usize, now: u64) -> Result<u64, Ending> {
        if self.draining {
            return Err(Ending::Drained);
        }
        let room = Room { total: self.bounds.connections, prefix };
        let full = self.clients.len() - self.door.leaving >= self.door.bounds.of_worker;
        if full && !self.make_room(now) {
            return Err(Ending::Connections);
        }
        match self.tally.crowd().enter(key, room) {
            Err(Crowded::Total) if self.make_room(now) => self.tally.crowd().enter(key, room),
            result => result,
        }
        .map_err(|crowded| match crowded {
            Crowded::Total => Ending::Connections,
            Crowded::Prefix => Ending::ConnectionsPerClient,
        })?;
        self.look_at_load();
        Ok(key)
    }

    /// Close the client that has been idle longest. False if none was for long enough.
    fn make_room(&mut self, now: u64) -> bool {
        if self.door.leaving >= MOST_LEAVING {
            return false;
        }
        if self.door.candidates.is_empty() && now >= self.door.next_look {
            self.door.next_look = now.saturating_add(NEXT_LOOK);
            self.door.candidates = self.longest_idle();
        }
        let enough = if self.door.overloaded { IDLE_ENOUGH / 10 } else { IDLE_ENOUGH };
        while let Some(token) = self.door.candidates.pop() {
            let is_idle = |client: &Client| client.is_idle() && now.saturating_sub(client.active) >= enough;
            if let Some(client) = self.clients.get_mut(token).filter(|client| is_idle(client)) {
                client.leaving = true;
                self.tally.crowd().leave(client.key);
                self.door.leaving += 1;
                self.close(token, Ending::MadeRoom, now);
                return true;
            }
        }
        false
    }

    fn longest_idle(&self) -> Vec<Token> {
        let idle = self.clients.iter().filter(|(_, client)| client.is_idle());
        let mut idle: Vec<(u64, Token)> = idle.map(|(token, client)| (client.active, token)).collect();
        if idle.len() > CANDIDATES {
            idle.select_nth_unstable(CANDIDATES - 1);
            idle.truncate(CANDIDATES);
        }
        idle.sort_unstable_by(|a, b| b.cmp(a));
        idle.into_iter().map(|(_, token)| token).collect()
    }

    /// A client is gone: its place is free.
    pub(super) fn free_place(&mut self, client: &Client) {
        if client.leaving {
            self.door.leaving -= 1;
        } else {
            self.tally.crowd().leave(client.key);
        }
    }

    /// See whether overload mode begins or ends.
    pub(super) fn look_at_load(&mut self) {
        let threshold = self.door.bounds.overload;
        let from = if self.door.overloaded { threshold.saturating_sub(HYSTERESIS) } else { threshold };
        let total = self.tally.crowd().total() as usize;
        self.door.overloaded =
            threshold > 0 && total.saturating_mul(100) >= self.bounds.connections.saturating_mul(from);
    }

    /// A read of a client brought no whole message. False: so many for one message are too many.
    pub(super) fn progresses(&self, client: &Client) -> bool {
        let reads = self.door.bounds.reads;
        reads == 0 || client.reads <= reads || client.frames.len() >= (client.reads - reads) as usize * READ_BYTES
    }

    /// Handling a client's bytes took so many nanoseconds. Returns whether the caller has to stop reading from it.
    pub fn spent(&mut self, token: Token, nanoseconds: u64, now: u64) -> bool {
        let Some(client) = self.clients.get_mut(token).filter(|client| client.closing.is_none()) else { return false };
        if client.expected.is_some() {
            // Nobody knows yet for whom the time was spent.
            return false;
        }
        let limits = self.tally.limits();
        let wait = self.door.guard.spend(&limits, client.peer.address, nanoseconds, now);
        if wait == 0 {
            return false;
        }
        self.door.over_time += 1;
        match self.door.bounds.time_action {
            TimeAction::Observe => false,
            TimeAction::Close => {
                self.close(token, Ending::TimeLimit, now);
                self.stop_if_needed(token)
            }
            TimeAction::Wait => {
                client.waits = Some(now.saturating_add(wait));
                let stop = !client.stopped;
                client.stopped = true;
                stop
            }
        }
    }

    /// Read again from those that have waited long enough, and let go those that have lasted too long.
    pub(super) fn mind_the_door(&mut self, now: u64) {
        self.look_at_load();
        let (_, lifetime) = self.patience();
        let mut old = Vec::new();
        for (token, client) in self.clients.iter_mut() {
            if client.waits.is_some_and(|until| until <= now) {
                client.waits = None;
                // While it was not read it could not go on.
                client.begun = client.begun.map(|_| now);
                self.revisit.push(token);
            }
            if lifetime > 0 && client.last.is_none() && now.saturating_sub(client.opened) >= lifetime {
                old.push(token);
            }
        }
        for token in old {
            self.ask_no_more(token, Ending::Lifetime, now);
        }
    }

    /// Take no more queries from a client, and close it when it has its answers (RFC 7766 section 6.2.3: the client asks
    /// again on another connection what it gets no answer to).
    pub(super) fn ask_no_more(&mut self, token: Token, ending: Ending, now: u64) {
        if let Some(client) = self.clients.get_mut(token) {
            client.last = Some(ending);
            self.abandon_input(token);
            self.resume_if_waiting(token);
            self.close_if_done(token, now);
        }
    }

    /// A client that was stopped is read on, so that its end is seen.
    fn resume_if_waiting(&mut self, token: Token) {
        if let Some(client) = self.clients.get_mut(token).filter(|client| client.stopped && client.blocked.is_none()) {
            client.stopped = false;
            self.outbox.order(Kind::Resume, token);
        }
    }
}
