//! Admission from socket to socket: a backend of known capacity, a flood of ten times as much, and a clock of the test's own.
//!
//! ```text
//! clients, a source address each -> listener -> relay (one or two) -> backend: a queue, two answers a millisecond
//! ```
//! A millisecond is a step: clients ask, relays work, the backend answers, clients read. No time passes but that.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use engine::{Act, Action, BackendCount, Grants, Key, Layout, Policy, PolicySpec, RateLimit};
use relay::backends::Backend;
use relay::overload::{Class, ShedReply};
use relay::tally::Tally;
use relay::udp::{BackendSocket, Bounds, Listener, UdpRelay};
use relay::window::{Aim, Window};
use sets::PrefixSet;
use wire::{Reason, Transport};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;
const TICK: u64 = 100;
const AIM: Aim = Aim { target: 50 * MS, least: 8, most: 65_536 };

/// Answers a millisecond.
const CAPACITY: usize = 2;

fn open(host: [u8; 4]) -> UdpSocket {
    let socket = UdpSocket::bind(SocketAddr::from((host, 0))).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

struct Worker {
    relay: UdpRelay<Vec<AtomicU64>>,
    door: UdpSocket,
    _way: UdpSocket,
}

/// Who asks together: their sockets, and what became of their queries.
struct Group {
    sockets: Vec<UdpSocket>,
    turn: usize,
    sent: u32,
    answered: u32,
    truncated: u32,
}

impl Group {
    fn new(network: u8, size: u8) -> Self {
        let sockets = (0..size).map(|host| open([127, network, 0, host + 1])).collect();
        Group { sockets, turn: 0, sent: 0, answered: 0, truncated: 0 }
    }

    fn read(&mut self) {
        let mut buffer = [0; 512];
        for socket in &self.sockets {
            while let Ok(length) = socket.recv(&mut buffer) {
                assert!(length > 12);
                *(if buffer[2] & 2 == 0 { &mut self.answered } else { &mut self.truncated }) += 1;
            }
        }
    }

    fn begin_anew(&mut self) {
        (self.sent, self.answered, self.truncated) = (0, 0, 0);
    }

    /// Percent of the queries that were answered.
    fn share(&self) -> f64 {
        f64::from(self.answered) * 100.0 / f64::from(self.sent)
    }
}

struct Ring {
    now: u64,
    steps: u64,
    seed: u64,
    layout: Layout,
    memory: Arc<Vec<AtomicU64>>,
    workers: Vec<Worker>,
    backend: UdpSocket,
    /// What waits at the backend, and how much may.
    queue: VecDeque<(Vec<u8>, SocketAddr)>,
    room: usize,
    groups: BTreeMap<&'static str, Group>,
}

/// A limit of 50 queries a second for each client, which only observes.
fn policy() -> Arc<Policy> {
    let limit =
        RateLimit { key: Key::CLIENT_PREFIX, rate: 50, burst: 20, action: Action::Observe, ..RateLimit::default() };
    let limit = RateLimit { prefixes_v4: vec![(32, 1)], ..limit };
    Arc::new(Policy::new(PolicySpec { pass_all: true, rate_limits: vec![limit], ..PolicySpec::default() }).unwrap())
}

impl Ring {
    fn new(workers: usize, room: usize) -> Self {
        let layout = Layout::new(workers, 4096).unwrap();
        let memory: Arc<Vec<AtomicU64>> = Arc::new((0..layout.words()).map(|_| AtomicU64::new(0)).collect());
        layout.create(&memory, &[7; 32]).unwrap();
        let backend = open([127, 0, 0, 1]);
        let worker = |index| {
            let (door, way) = (open([127, 0, 0, 1]), open([127, 0, 0, 1]));
            let tally = Tally::new(Arc::clone(&memory), index, Transport::Udp).unwrap();
            let sockets = vec![BackendSocket { fd: way.as_raw_fd(), ipv6: false }];
            let bounds = Bounds { flows: 65_536, segmentation: false };
            let mut relay = UdpRelay::new(tally, policy(), sockets, bounds).unwrap();
            let address = door.local_addr().unwrap();
            relay.add_listener(Listener { fd: door.as_raw_fd(), number: 0, address, grants: Grants::default() });
            let listed = PrefixSet::new([(IpAddr::V4(Ipv4Addr::new(127, 10, 0, 0)), 16, 1)]).unwrap();
            relay.set_overload(AIM, listed, ShedReply::Truncate);
            relay.set_backends(vec![node(backend.local_addr().unwrap())], 0);
            Worker { relay, door, _way: way }
        };
        let workers = (0..workers).map(worker).collect();
        let now = 1000 * SECOND;
        Ring {
            now,
            steps: 0,
            room,
            seed: 88_172_645_463_325_252,
            layout,
            memory,
            workers,
            backend,
            queue: VecDeque::new(),
            groups: BTreeMap::new(),
        }
    }

    /// Marsaglia's xorshift, so that every run is the same and nobody is always the last of a step.
    fn random(&mut self) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed
    }

    fn ask(&mut self, who: &'static str, count: usize) {
        let group = self.groups.get_mut(who).unwrap();
        for _ in 0..count {
            let nth = group.turn % group.sockets.len();
            let door = self.workers[nth % self.workers.len()].door.local_addr().unwrap();
            let query =
                [&(group.turn as u16).to_be_bytes()[..], b"\0\0\0\x01\0\0\0\0\0\0\x01a\x04test\0\0\x01\0\x01"].concat();
            group.sockets[nth].send_to(&query, door).unwrap();
            group.turn += 1;
            group.sent += 1;
        }
    }

    /// One millisecond, in which so many ask.
    fn step(&mut self, asking: &[(&'static str, usize)]) {
        self.now += MS;
        self.steps += 1;
        let mut order: Vec<_> = asking.iter().flat_map(|&(who, count)| std::iter::repeat_n(who, count)).collect();
        order.sort_by_cached_key(|_| self.random());
        order.into_iter().for_each(|who| self.ask(who, 1));
        let mut buffer = [0; 512];
        let first = self.random() as usize;
        for nth in 0..self.workers.len() {
            let place = (first + nth) % self.workers.len();
            self.workers[place].relay.listener_ready(0, self.now);
        }
        while let Ok((length, from)) = self.backend.recv_from(&mut buffer) {
            if self.queue.len() < self.room {
                self.queue.push_back((buffer[..length].to_vec(), from));
            }
        }
        for (mut message, to) in self.queue.drain(..CAPACITY.min(self.queue.len())) {
            message[2] |= 0x84;
            self.backend.send_to(&message, to).unwrap();
        }
        for worker in &mut self.workers {
            worker.relay.backend_ready(0, self.now);
            if self.steps.is_multiple_of(TICK) {
                worker.relay.expire(self.now);
            }
        }
        self.groups.values_mut().for_each(Group::read);
    }

    fn run(&mut self, milliseconds: u64, asking: impl Fn(u64) -> Vec<(&'static str, usize)>) {
        (0..milliseconds).for_each(|step| self.step(&asking(step)));
    }

    /// Nobody asks, and what waits is answered.
    fn rest(&mut self, milliseconds: u64) {
        self.run(milliseconds, |_| Vec::new());
    }

    fn counted(&self, act: Act, reason: Reason) -> u64 {
        self.layout.totals(&self.memory).unwrap().verdict(Transport::Udp, act, reason)
    }

    fn is_balanced(&self) -> bool {
        self.layout.totals(&self.memory).unwrap().balanced()
    }

    /// Queries let in under pressure by this class.
    fn admitted(&self, class: Class) -> u64 {
        self.workers.iter().map(|worker| worker.relay.admitted()[class as usize]).sum()
    }

    /// Answers that have come from the backend.
    fn answered(&self) -> u64 {
        self.layout.totals(&self.memory).unwrap().backend(0, BackendCount::Answers)
    }

    fn share(&self, who: &str) -> f64 {
        self.groups[who].share()
    }
}

fn node(address: SocketAddr) -> Backend {
    Backend {
        slot: 0,
        address,
        weight: 1,
        pools: 1,
        proxy: None,
        timeout: 2 * SECOND,
        healthy: true,
        outstanding: 0,
        answered: 0,
        missed: 0,
        window: Box::new(Window::default()),
    }
}

/// A ring after a quiet time, in which some have become known and others were seen.
fn after_quiet_times(workers: usize, room: usize) -> Ring {
    let mut ring = Ring::new(workers, room);
    let sizes = [("verified", 10, 20), ("known", 11, 20), ("greedy", 12, 20), ("ordinary", 13, 20), ("new", 14, 250)];
    ring.groups = sizes.map(|(who, network, size)| (who, Group::new(network, size))).into();
    ring.rest(TICK);
    // One answer in eight is noted, at random: each of the forty gets more than what makes it known.
    let regulars = |_| vec![("known", 1), ("greedy", 1)];
    ring.run(3000, regulars);
    ring.now += 100 * SECOND;
    ring.rest(TICK);
    ring.run(2000, |_| vec![("ordinary", 1)]);
    ring.run(1000, regulars);
    ring.now += 20 * SECOND;
    ring.rest(100);
    for (who, group) in &mut ring.groups {
        assert!(*who == "verified" || *who == "new" || group.share() == 100.0, "{who}: {}", group.share());
        group.begin_anew();
    }
    ring
}

/// Ten times what the backend can answer: most of it from strangers, a tenth from clients that exceed their limit.
fn flood(step: u64) -> Vec<(&'static str, usize)> {
    let one_in_four = |turn| usize::from(step % 4 == turn);
    vec![
        ("new", 10 * CAPACITY - 3),
        ("greedy", 2),
        ("verified", one_in_four(0)),
        ("known", one_in_four(1)),
        ("ordinary", one_in_four(2)),
    ]
}

/// The flood goes over a backend, with `room` for so many queries in its queue, and goes.
fn flood_of_ten_times(workers: usize, room: usize) {
    let mut ring = after_quiet_times(workers, room);
    ring.run(1000, flood);
    ring.groups.values_mut().for_each(Group::begin_anew);
    let kept_busy = ring.answered();
    ring.run(2000, flood);
    let kept_busy = ring.answered() - kept_busy;
    ring.rest(100);
    assert!(kept_busy > 3_600, "{kept_busy} of 4,000 that it can answer");
    for who in ["verified", "known"] {
        assert!(ring.share(who) >= 99.0, "{who}: {}", ring.share(who));
    }
    assert!(ring.share("ordinary") > 60.0, "{}", ring.share("ordinary"));
    assert!(ring.share("new") < 5.0, "{}", ring.share("new"));
    assert!((45.0..60.0).contains(&ring.share("greedy")), "what is within the limit: {}", ring.share("greedy"));
    assert!(ring.admitted(Class::Known) > 0 && ring.admitted(Class::Verified) > 0);
    assert!(ring.counted(Act::Shed, Reason::OverloadNew) > 30_000);
    assert_eq!(ring.counted(Act::Shed, Reason::OverloadVerified), 0, "they hear of it");

    ring.rest(2000);
    ring.groups.values_mut().for_each(Group::begin_anew);
    ring.run(1000, |_| vec![("new", 1)]);
    ring.rest(100);
    assert_eq!(ring.share("new"), 100.0, "everybody is served again");
    assert!(ring.is_balanced());
}

#[test]
fn a_flood_of_ten_times_the_capacity_leaves_the_known_their_answers() {
    flood_of_ten_times(1, 100);
}

#[test]
fn so_it_does_with_two_workers_that_know_nothing_of_each_other() {
    flood_of_ten_times(2, 100);
}

#[test]
fn so_it_does_where_the_backend_loses_queries_before_it_is_late() {
    flood_of_ten_times(1, 40);
}
