//! A client's connection: what it has sent, what it is owed, and why it may not be read for now.

use std::net::SocketAddr;

use engine::Client as Peer;

use super::WRITE_AT_ONCE;
use super::entrance::Expected;
use super::frames::Frames;
use super::slab::Token;

wire::labelled! {
    /// Why a client's connection ended.
    pub enum Ending {
        /// The client closed it, or half-closed it and got all its answers.
        ByClient = "by-client",
        /// Nothing was asked and nothing owed for the idle time-out.
        Idle = "idle",
        /// A message that had begun was not complete in time.
        SlowRead = "slow-read",
        /// The client took none of its answers in time.
        SlowWrite = "slow-write",
        /// A length below that of a header: the framing is lost.
        TooShort = "too-short",
        /// A message longer than its opcode may be.
        TooLarge = "too-large",
        /// The workers have as many connections as they may, or this one has no more descriptors.
        Connections = "connections",
        /// The client's prefix has as many connections as it may.
        ConnectionsPerClient = "connections-per-client",
        /// The client's prefix is blocked.
        Blocked = "blocked",
        /// The client's prefix opens connections faster than it may.
        ConnectionRate = "connection-rate",
        /// It was idle for longest when another client came and no place was left.
        MadeRoom = "made-room",
        /// It has had as many queries as a connection may.
        Queries = "queries",
        /// It has lasted as long as a connection may.
        Lifetime = "lifetime",
        /// A message came in more and smaller pieces than it may.
        ManyReads = "many-reads",
        /// The client's prefix took more of our time than it may.
        TimeLimit = "time-limit",
        /// It came from none of the proxies of its listener.
        ProxySource = "proxy-source",
        /// It did not begin with the PROXY header that its listener expects.
        ProxyMissing = "proxy-missing",
        /// The PROXY header that it began with is none.
        ProxyMalformed = "proxy-malformed",
        /// What waits for this client or for the backends takes more memory than there is for it.
        Memory = "memory",
        /// A message of it was dropped: no answer will come, and without one the client must not wait.
        Dropped = "dropped",
        /// The backend's connection that carried a transfer is over, so the client must not wait for more of it.
        TransferOver = "transfer-over",
        /// The worker stops.
        Drained = "drained",
    }
}

pub struct Client {
    pub peer: Peer<'static>,
    pub listener: usize,
    /// The key that its prefix is counted under.
    pub key: u64,
    pub opened: u64,
    /// Messages that it has sent.
    pub queries: u32,
    /// Reads since its incomplete message began.
    pub reads: u32,
    /// It took more time than it may and is not read until then.
    pub waits: Option<u64>,
    /// It had to make room: another client has its place already.
    pub leaving: bool,
    /// The PROXY header that has to come before its first message.
    pub expected: Option<Box<Expected>>,
    /// The TLVs of its header.
    pub tlvs: Box<[u8]>,
    pub frames: Frames,
    /// Answers on their way to the socket.
    pub out: Vec<u8>,
    /// Forwarded queries without an answer.
    pub in_flight: usize,
    /// Backend connections that are this client's alone: for a transfer, or because they begin with its address.
    pub links: Vec<Token>,
    /// Queries that wait for such a connection: slot of the backend, and flow.
    pub parked: Vec<(usize, Token)>,
    /// Complete messages wait in `frames`.
    pub held: bool,
    /// The socket is not read.
    pub stopped: bool,
    /// Waits in the queue for room towards the backends.
    pub stalled: bool,
    /// The connection takes no more; since when, or since the socket last took some.
    pub blocked: Option<u64>,
    /// Bytes that it had not taken then.
    pub unsent: usize,
    /// `out` is on the list of what the next flush writes.
    pub dirty: bool,
    /// No more will be asked: close when nothing is owed any more.
    pub last: Option<Ending>,
    /// The socket is being closed, since when.
    pub closing: Option<u64>,
    /// When the incomplete message in `frames` began.
    pub begun: Option<u64>,
    /// When it last asked or was answered.
    pub active: u64,
}

impl Client {
    pub fn new(peer: Peer<'static>, listener: usize, key: u64, now: u64) -> Self {
        Client {
            peer,
            listener,
            key,
            opened: now,
            queries: 0,
            reads: 0,
            waits: None,
            leaving: false,
            expected: None,
            tlvs: Box::default(),
            frames: Frames::default(),
            out: Vec::new(),
            in_flight: 0,
            links: Vec::new(),
            parked: Vec::new(),
            held: false,
            stopped: false,
            stalled: false,
            blocked: None,
            unsent: 0,
            dirty: false,
            last: None,
            closing: None,
            begun: None,
            active: now,
        }
    }

    /// Its end of the connection and ours; as a PROXY header says where there was one.
    pub fn ends(&self) -> (SocketAddr, SocketAddr) {
        (SocketAddr::new(self.peer.address, self.peer.port), SocketAddr::new(self.peer.local, self.peer.local_port))
    }

    /// Whether all that it asked was answered and all answers were handed to its connection.
    pub fn is_owed_nothing(&self) -> bool {
        self.in_flight == 0 && !self.held && self.out.is_empty()
    }

    /// Whether nothing goes on with it.
    pub fn is_idle(&self) -> bool {
        self.is_owed_nothing() && self.begun.is_none() && self.last.is_none() && self.closing.is_none()
    }

    /// Whether no more queries are taken from it, for a reason of ours.
    pub fn is_over(&self) -> bool {
        matches!(self.last, Some(Ending::Queries | Ending::Lifetime | Ending::Dropped))
    }

    /// Whether what it is sent leaves. If not, nothing more is asked for it.
    pub fn takes_answers(&self) -> bool {
        self.blocked.is_none() && self.out.len() < WRITE_AT_ONCE
    }

    /// Whether its connection has outlived one of its time-outs.
    pub fn overdue(&self, now: u64, idle: u64, read: u64, write: u64) -> Option<Ending> {
        let passed = |since: u64, limit: u64| now.saturating_sub(since) >= limit;
        if let Some(since) = self.blocked {
            return passed(since, write).then_some(Ending::SlowWrite);
        }
        if self.expected.as_ref().is_some_and(|expected| expected.is_late(now)) {
            return Some(Ending::SlowRead);
        }
        if let Some(begun) = self.begun {
            return passed(begun, read).then_some(Ending::SlowRead);
        }
        (self.is_owed_nothing() && passed(self.active, idle)).then_some(Ending::Idle)
    }
}
