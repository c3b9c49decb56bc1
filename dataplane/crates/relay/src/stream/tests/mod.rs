//! A relay on a bench: the test is the event loop, the clients, the backends and the clock.

mod cookies;
mod entrance;
mod links;
mod notifies;
mod owned;
mod queries;
mod random;
mod transfers;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use engine::{Act, Client as Peer, Grants, Io, Layout, Policy, PolicySpec, Totals};
use wire::proxy::Protocol;
use wire::{Reason, Transport, opcode, qtype, rcode};

use super::frames::{Frames, Longest, Take};
use super::orders::Kind;
use super::{Bounds, Ending, Side, StreamRelay, Token};
use crate::backends::{Backend, Header};
use crate::tally::Tally;

pub const SECOND: u64 = 1_000_000_000;

pub const BOUNDS: Bounds = Bounds {
    idle: 10 * SECOND,
    read: 2 * SECOND,
    write: 5 * SECOND,
    connections: 8,
    connections_per_client: 4,
    in_flight: 4,
    backend_connections: 2,
    proxied_connections: 3,
};

/// Time-out of the backends here.
pub const TIMEOUT: u64 = 3 * SECOND;

pub const ALL: Grants = Grants { transfer: true, notify: true, update: true };

pub struct Bench {
    pub relay: StreamRelay<Vec<AtomicU64>>,
    pub now: u64,
    pub orders: Vec<(Kind, Token, usize)>,
    /// What was written, in whole messages, to each client and each link; taken by `got` and `asked`.
    clients: HashMap<Token, Received>,
    links: HashMap<Token, Received>,
    /// What the headers of links said: source and destination.
    pub headers: Vec<(Token, SocketAddr, SocketAddr)>,
    /// Links that were ordered and not closed.
    pub open_links: Vec<(Token, usize)>,
    memory: Arc<Vec<AtomicU64>>,
    layout: Layout,
}

/// A stream that was written, cut into messages.
#[derive(Default)]
pub struct Received {
    frames: Frames,
    messages: Vec<Vec<u8>>,
}

impl Received {
    fn take(&mut self, bytes: &[u8]) {
        self.frames.feed(bytes, Longest::ANY, |message| {
            self.messages.push(message.to_vec());
            Take::Taken
        });
    }
}

pub fn backend(slot: usize) -> Backend {
    let address = SocketAddr::from(([127, 0, 0, 1], 5300 + slot as u16));
    Backend {
        slot,
        address,
        weight: 1,
        pools: 1,
        proxy: None,
        timeout: TIMEOUT,
        healthy: true,
        outstanding: 0,
        answered: 0,
        missed: 0,
        window: Box::default(),
    }
}

pub fn proxied(slot: usize) -> Backend {
    let protocol = if slot == 0 { Protocol::V2 } else { Protocol::V1 };
    Backend { proxy: Some(Header { protocol, checksum: slot == 0 }), ..backend(slot) }
}

pub fn policy() -> Arc<Policy> {
    let spec = PolicySpec { zones: vec![b"\x04test\x00".to_vec()], ..PolicySpec::default() };
    Arc::new(Policy::new(spec).unwrap())
}

impl Bench {
    pub fn new(backends: usize) -> Self {
        Self::with(backends, BOUNDS)
    }

    pub fn with(backends: usize, bounds: Bounds) -> Self {
        Self::towards((0..backends).map(backend).collect(), bounds)
    }

    /// A bench whose backends want a PROXY header.
    pub fn proxied(backends: usize, bounds: Bounds) -> Self {
        Self::towards((0..backends).map(proxied).collect(), bounds)
    }

    pub fn towards(backends: Vec<Backend>, bounds: Bounds) -> Self {
        let layout = Layout::new(1, 64).unwrap();
        let memory: Arc<Vec<AtomicU64>> = Arc::new((0..layout.words()).map(|_| AtomicU64::new(0)).collect());
        layout.create(&memory, &[7; 32]).unwrap();
        let tally = Tally::new(Arc::clone(&memory), 0, Transport::Tcp).unwrap();
        let mut relay = StreamRelay::new(tally, policy(), bounds).unwrap();
        relay.configure(policy(), bounds, backends, vec![ALL, Grants::default()], SECOND);
        Bench {
            relay,
            now: SECOND,
            orders: Vec::new(),
            clients: HashMap::new(),
            links: HashMap::new(),
            headers: Vec::new(),
            open_links: Vec::new(),
            memory,
            layout,
        }
    }

    pub fn totals(&self) -> Totals {
        self.layout.totals(&self.memory).unwrap()
    }

    pub fn verdict(&self, act: Act, reason: Reason) -> u64 {
        self.totals().verdict(Transport::Tcp, act, reason)
    }

    pub fn dropped(&self, reason: Reason) -> u64 {
        self.totals().answers_dropped(Transport::Tcp, reason)
    }

    pub fn io(&self, what: Io) -> u64 {
        self.totals().io(what)
    }

    pub fn ended(&self, ending: Ending) -> u64 {
        self.relay.status().endings[ending as usize]
    }

    /// A client at the listener that grants everything.
    pub fn client(&mut self) -> Token {
        self.client_at(1, 0).unwrap()
    }

    pub fn client_at(&mut self, host: u8, listener: usize) -> Result<Token, Ending> {
        let peer = Peer {
            address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, host)),
            port: 40_000,
            local: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 53)),
            local_port: 53,
            transport: Transport::Tcp,
            grants: Grants::default(),
            listener: listener as u16,
            tlvs: &[],
            server_name: &[],
        };
        self.relay.open(peer, listener, self.now)
    }

    pub fn send(&mut self, client: Token, message: &[u8]) -> bool {
        let signal = self.relay.client_data(client, &framed(message), self.now);
        self.flush();
        signal.pause
    }

    /// Carry out a flush: connections are only noted, see `open_all`.
    pub fn flush(&mut self) {
        while self.relay.wants_flush() {
            self.flush_once();
        }
    }

    fn flush_once(&mut self) {
        let mut written = Vec::new();
        let orders = self.relay.flush(self.now, |side, token, bytes| written.push((side, token, bytes.to_vec())));
        for (side, token, mut bytes) in written {
            let list = if side == Side::Client { &mut self.clients } else { &mut self.links };
            let header = self.relay.links.get(token).filter(|_| side == Side::Link).and_then(|link| link.proxy);
            if let Some(Header { protocol, .. }) = header.filter(|_| !list.contains_key(&token)) {
                let header = protocol.parse(&bytes).unwrap().expect("a whole header before the first query");
                self.headers.push((token, header.source.unwrap(), header.destination.unwrap()));
                bytes.drain(..header.length);
            }
            list.entry(token).or_default().take(&bytes);
        }
        for order in orders {
            match order.kind {
                Kind::Connect => self.open_links.push((order.token, order.slot)),
                Kind::CloseLink => self.open_links.retain(|(token, _)| *token != order.token),
                _ => {}
            }
            self.orders.push((order.kind, order.token, order.slot));
        }
    }

    /// Let all ordered connections stand; the queries that waited for them are written.
    pub fn open_all(&mut self) {
        for (link, _) in self.open_links.clone() {
            self.relay.link_opened(link);
        }
        self.flush();
    }

    /// The backends answer with `message` on this link.
    pub fn answer(&mut self, link: Token, message: &[u8]) {
        self.relay.link_data(link, &framed(message), self.now);
        self.flush();
    }

    pub fn lose(&mut self, link: Token) {
        self.open_links.retain(|(token, _)| *token != link);
        self.relay.link_lost(link, self.now);
        self.flush();
    }

    pub fn wait(&mut self, time: u64) {
        self.now += time;
        self.relay.tick(self.now);
        self.flush();
    }

    /// The messages written to a client since the last look.
    pub fn got(&mut self, client: Token) -> Vec<Vec<u8>> {
        self.clients.get_mut(&client).map(|received| std::mem::take(&mut received.messages)).unwrap_or_default()
    }

    /// The messages written to all links since the last look.
    pub fn asked(&mut self) -> Vec<(Token, Vec<u8>)> {
        let mut all: Vec<(Token, Vec<u8>)> = Vec::new();
        for (link, received) in &mut self.links {
            all.extend(received.messages.drain(..).map(|message| (*link, message)));
        }
        all
    }

    /// The one message written to a link since the last look.
    pub fn asked_once(&mut self) -> (Token, Vec<u8>) {
        let mut all = self.asked();
        assert_eq!(all.len(), 1);
        all.remove(0)
    }

    pub fn ordered(&mut self, kind: Kind) -> Vec<Token> {
        let found = self.orders.iter().filter(|order| order.0 == kind).map(|order| order.1).collect();
        self.orders.retain(|order| order.0 != kind);
        found
    }
}

pub fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes()[..], message].concat()
}

/// A query for `<label>.test`.
pub fn query(id: u16, label: &str, kind: u16) -> Vec<u8> {
    let mut message = vec![0; 12];
    message[..2].copy_from_slice(&id.to_be_bytes());
    message[5] = 1;
    if !label.is_empty() {
        message.push(label.len() as u8);
        message.extend_from_slice(label.as_bytes());
    }
    message.extend_from_slice(b"\x04test\x00");
    message.extend_from_slice(&kind.to_be_bytes());
    message.extend_from_slice(&[0, 1]);
    message
}

pub fn update(id: u16) -> Vec<u8> {
    let mut message = query(id, "", qtype::SOA);
    message[2] = opcode::UPDATE << 3;
    message
}

/// An answer to what a link was asked.
pub fn answer(query: &[u8]) -> Vec<u8> {
    let mut message = query.to_vec();
    message[2] |= 0x84;
    message
}

pub fn id(message: &[u8]) -> u16 {
    u16::from_be_bytes([message[0], message[1]])
}

pub fn rcode_of(message: &[u8]) -> u16 {
    u16::from(message[3] & 15)
}

/// Asserts that `message` answers `query` with SERVFAIL and the client's ID.
pub fn assert_servfail(message: &[u8], query: &[u8]) {
    assert_eq!((id(message), rcode_of(message), message[2] & 0x80), (id(query), rcode::SERVFAIL, 0x80));
    assert_eq!(message[12..], query[12..]);
}
