//! The UDP relay of one worker: queries of clients to backends, answers of backends to clients.
//!
//! ```text
//! listener -> recvmmsg -> engine -> verdict
//!     Drop -> count     Reply -> built in place -> sendmmsg     Forward -> flow (new random ID) -> sendmmsg to the backend
//! backend socket -> recvmmsg -> flow by socket and ID -> source and question match -> own ID back -> sendmmsg to the client
//! ```
//!
//! Backend sockets are not connected: an answer from the wrong place reaches us and is counted, and one socket serves all backends of
//! its family, so that one call sends a whole batch. The socket in use changes at random every few milliseconds: often enough that its
//! port can't be guessed, seldom enough that answers come back in batches too.

mod answers;
pub mod flows;
mod headers;
mod notifies;
pub mod proxies;
mod queries;
mod sending;
mod sessions;

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::os::fd::RawFd;
use std::sync::Arc;

use engine::{BACKEND_SLOTS, BackendCount, Blocks, Grants, Io, Memory, Policy};
use sets::PrefixSet;
use wire::proxy::V2_MAX;
use wire::{COOKIE_OPTION, REPLY_EXTRA, Reason, UDP_MAX};

use crate::backends::{Backend, Backends, Outcome, Seat};
use crate::ids::Ids;
use crate::notified::Notifies;
use crate::overload::{Admission, Class, ShedReply};
use crate::question::Fingerprints;
use crate::samples::Samples;
use crate::sys::{Arrival, BATCH, Buffers};
use crate::tally::Tally;
use crate::window::Aim;
use answers::Return;
use flows::{Flow, Flows};
use notifies::WayBack;
use proxies::Proxies;
use queries::Forward;
use sending::{Datagram, Sender};

/// The longest answer that is passed on: all that UDP can carry.
const LONGEST_ANSWER: usize = 65_535;

/// Nanoseconds that the queries of all batches leave by the same socket.
const TURN: u64 = 5_000_000;

/// Batches that one call works through before it gives TCP and the timers their turn.
const ROUNDS: usize = 4;

/// An open UDP socket for clients.
#[derive(Clone, Debug)]
pub struct Listener {
    pub fd: RawFd,
    /// Its place among all listeners, as the policy knows it.
    pub number: u16,
    pub address: SocketAddr,
    pub grants: Grants,
}

/// A socket towards the backends of one family, not connected, with IP_RECVERR.
#[derive(Clone, Copy, Debug)]
pub struct BackendSocket {
    pub fd: RawFd,
    pub ipv6: bool,
}

/// Bounds of the relay.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Queries that may wait for an answer.
    pub flows: usize,
    /// Send datagrams of equal length to one address as one message.
    pub segmentation: bool,
}

pub struct UdpRelay<M: Memory> {
    tally: Tally<M>,
    policy: Arc<Policy>,
    /// None while nothing is blocked.
    blocks: Option<Arc<Blocks>>,
    samples: Samples,
    /// Nanoseconds by which the calendar is ahead of the monotonic clock.
    offset: u64,
    listeners: Vec<Listener>,
    /// The proxies that the clients of each listener come by.
    proxies: Vec<Option<Box<Proxies>>>,
    sockets: Vec<BackendSocket>,
    backends: Backends,
    flows: Flows,
    admission: Admission,
    /// The windows bound something.
    is_bounded: bool,
    /// A window was tight since the last look, or none is bounded: nothing is learned of the clients.
    pressed: bool,
    fingerprints: Fingerprints,
    ids: Ids,
    /// The sockets in use, for IPv4 and IPv6, and when others are drawn.
    in_use: [Option<usize>; 2],
    turn_ends: u64,
    queries: Buffers,
    answers: Buffers,
    arrivals: Vec<Arrival>,
    sender: Sender,
    replies: Vec<Datagram>,
    /// Copies for the mirrors, and the sockets that they leave by: for IPv4 and IPv6. What comes back is not read.
    copies: Vec<Datagram>,
    mirrors: [Option<RawFd>; 2],
    forwards: Vec<Forward>,
    failed: Vec<(Range<usize>, Reason)>,
    returns: Vec<Return>,
    /// NOTIFY messages that Python answers.
    notifies: Notifies<WayBack>,
}

impl<M: Memory> UdpRelay<M> {
    /// # Errors
    /// When the kernel has no random bytes.
    pub fn new(
        tally: Tally<M>,
        policy: Arc<Policy>,
        sockets: Vec<BackendSocket>,
        bounds: Bounds,
    ) -> Result<Self, getrandom::Error> {
        Ok(UdpRelay {
            tally,
            policy,
            blocks: None,
            samples: Samples::new()?,
            offset: 0,
            listeners: Vec::new(),
            proxies: Vec::new(),
            backends: Backends::default(),
            flows: Flows::new(bounds.flows, sockets.len(), BACKEND_SLOTS),
            admission: Admission::default(),
            is_bounded: false,
            pressed: true,
            fingerprints: Fingerprints::new()?,
            ids: Ids::default(),
            in_use: [None; 2],
            turn_ends: 0,
            queries: Buffers::new(V2_MAX + UDP_MAX, REPLY_EXTRA),
            answers: Buffers::new(LONGEST_ANSWER, COOKIE_OPTION),
            arrivals: Vec::with_capacity(BATCH),
            sender: Sender::new(bounds.segmentation),
            replies: Vec::with_capacity(BATCH),
            copies: Vec::new(),
            mirrors: [None; 2],
            forwards: Vec::with_capacity(BATCH),
            failed: Vec::new(),
            returns: Vec::with_capacity(BATCH),
            notifies: Notifies::default(),
            sockets,
        })
    }

    /// Add a listener; the returned number names it in `listener_ready`.
    pub fn add_listener(&mut self, listener: Listener) -> usize {
        self.listeners.push(listener);
        self.proxies.push(None);
        self.listeners.len() - 1
    }

    /// Expect the clients of a listener to come by these proxies from now on, or by none.
    pub fn set_proxies(&mut self, listener: usize, proxies: Option<Proxies>) {
        let Some(place) = self.proxies.get_mut(listener) else { return };
        let old = place.take();
        *place = proxies.map(|mut new| {
            if let Some(old) = old {
                new.inherit(*old);
            }
            Box::new(new)
        });
    }

    /// Add a socket towards backends; the returned number names it in `backend_ready`.
    pub fn add_socket(&mut self, socket: BackendSocket) -> usize {
        self.flows.add_socket();
        self.sockets.push(socket);
        self.turn_ends = 0;
        self.sockets.len() - 1
    }

    /// How far the calendar is ahead of the monotonic clock, in nanoseconds. It changes when the clock is set.
    pub fn set_offset(&mut self, offset: u64) {
        self.offset = offset;
    }

    /// The sockets that copies for mirrors leave by, for IPv4 and IPv6.
    pub fn set_mirrors(&mut self, sockets: [Option<RawFd>; 2]) {
        self.mirrors = sockets;
    }

    pub fn set_policy(&mut self, policy: Arc<Policy>) {
        self.policy = policy;
    }

    /// Block this and nothing else.
    pub fn set_blocks(&mut self, blocks: Option<Arc<Blocks>>) {
        self.blocks = blocks;
    }

    pub fn samples(&mut self) -> &mut Samples {
        &mut self.samples
    }

    /// Take a new list of backends. What waits for one that was given less time waits no longer than a new query would.
    pub fn set_backends(&mut self, backends: Vec<Backend>, now: u64) {
        for backend in &backends {
            self.flows.hasten(backend.slot, now.saturating_add(backend.timeout));
        }
        self.backends.replace(backends);
    }

    pub fn set_health(&mut self, slot: usize, healthy: bool) {
        if let Some(backend) = self.backends.by_slot(slot) {
            backend.healthy = healthy;
        }
    }

    pub fn backends(&self) -> &[Backend] {
        self.backends.list()
    }

    /// How many listeners there are, and how many sockets towards backends.
    pub fn listeners(&self) -> usize {
        self.listeners.len()
    }

    pub fn sockets(&self) -> usize {
        self.sockets.len()
    }

    /// Queries that wait for an answer.
    pub fn in_flight(&self) -> usize {
        self.flows.len()
    }

    /// Give up the queries whose time is over.
    pub fn expire(&mut self, now: u64) {
        for proxies in self.proxies.iter_mut().flatten() {
            self.tally.io(Io::ProxySessionsEvicted, proxies.take_evicted());
        }
        while let Some(flow) = self.flows.expire(now) {
            self.tally.io(Io::Expired, 1);
            self.tally.backend(flow.backend, BackendCount::Timeouts);
            self.ended(&flow, Outcome::TimedOut, Seat::Free);
        }
        self.backends.look(now);
        self.pressed = !self.is_bounded || self.backends.list().iter().any(|backend| backend.window.is_tight());
    }

    /// What the windows of the backends aim at, and whom they are kept for.
    pub fn set_overload(&mut self, aim: Aim, listed: PrefixSet, reply: ShedReply) {
        self.is_bounded = aim.target > 0;
        self.backends.set_aim(aim);
        self.admission.configure(listed, reply);
    }

    /// Queries that were let in while the window of their backend was tight, by class.
    pub fn admitted(&self) -> [u64; Class::COUNT] {
        self.admission.admitted
    }

    fn ended(&mut self, flow: &Flow, outcome: Outcome, seat: Seat) {
        self.backends.ended((flow.backend, flow.backend_address), outcome, flow.sent, seat);
    }

    /// The slots of the backends that have gone silent since the last look (see `Backends::take_silent`).
    pub fn take_silent(&mut self) -> Vec<usize> {
        self.backends.take_silent()
    }

    /// The sockets that queries leave by at `now`: one for IPv4 and one for IPv6 backends, drawn at random for a turn.
    fn sockets_in_use(&mut self, now: u64) -> [Option<usize>; 2] {
        if now >= self.turn_ends {
            self.turn_ends = now.saturating_add(TURN);
            let draw = self.ids.draw().map_or(0, usize::from);
            self.in_use = [false, true].map(|ipv6| {
                let family = || self.sockets.iter().enumerate().filter(|(_, socket)| socket.ipv6 == ipv6);
                let nth = draw.checked_rem(family().count())?;
                family().nth(nth).map(|(index, _)| index)
            });
        }
        self.in_use
    }
}

/// The address that the client asked: the one in the control message, else the one that the socket is bound to.
fn asked_address(listener: &Listener, arrival: &Arrival) -> IpAddr {
    arrival.local.map_or(listener.address.ip(), |local| local.address)
}
