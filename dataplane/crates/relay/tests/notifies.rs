//! NOTIFY over UDP from socket to socket: taken once, answered from the address that was asked, behind the header of its
//! proxy.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use engine::{Act, Grants, Layout, NotifySpec, Policy, PolicySpec};
use relay::tally::Tally;
use relay::udp::proxies::{Placing, Proxies};
use relay::udp::{Bounds, Listener, UdpRelay};
use sets::PrefixSet;
use wire::proxy::{Protocol, SPP_LENGTH, write_spp};
use wire::{Reason, Transport};

const SECOND: u64 = 1_000_000_000;
const NOTIFY: &[u8] = b"\x12\x34\x24\0\0\x01\0\0\0\0\0\0\x04test\0\0\x06\0\x01";

struct Door {
    relay: UdpRelay<Vec<AtomicU64>>,
    socket: UdpSocket,
    memory: Arc<Vec<AtomicU64>>,
    layout: Layout,
}

impl Door {
    /// A listener on loopback that takes NOTIFY for `test` from this address.
    fn of(from: IpAddr) -> Self {
        let layout = Layout::new(1, 1024).unwrap();
        let memory: Arc<Vec<AtomicU64>> = Arc::new((0..layout.words()).map(|_| AtomicU64::new(0)).collect());
        layout.create(&memory, &[7; 32]).unwrap();
        let tally = Tally::new(Arc::clone(&memory), 0, Transport::Udp).unwrap();
        let bits = if from.is_ipv4() { 32 } else { 128 };
        let notifies = vec![NotifySpec { zone: b"\x04test\0".to_vec(), from: vec![(from, bits)], keys: vec![] }];
        let policy = Policy::new(PolicySpec { pass_all: true, notifies, ..PolicySpec::default() }).unwrap();
        let bounds = Bounds { flows: 64, segmentation: false };
        let mut relay = UdpRelay::new(tally, Arc::new(policy), vec![], bounds).unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        relay.add_listener(Listener { fd: socket.as_raw_fd(), number: 3, address, grants: Grants::default() });
        Self { relay, socket, memory, layout }
    }

    fn counted(&self, act: Act, reason: Reason) -> u64 {
        self.layout.totals(&self.memory).unwrap().verdict(Transport::Udp, act, reason)
    }

    fn send(&mut self, client: &UdpSocket, datagram: &[u8]) {
        client.send_to(datagram, self.socket.local_addr().unwrap()).unwrap();
        self.relay.listener_ready(0, SECOND);
    }
}

fn client() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket
}

fn received(client: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 512];
    let (length, _) = client.recv_from(&mut buffer).unwrap();
    buffer[..length].to_vec()
}

#[test]
fn it_is_taken_once_and_answered_once() {
    let client = client();
    let mut door = Door::of([127, 0, 0, 1].into());
    door.send(&client, NOTIFY);
    assert!(door.relay.has_notifies());
    let taken = door.relay.take_notifies();
    assert_eq!(taken.len(), 1);
    assert_eq!((taken[0].client, taken[0].listener), (client.local_addr().unwrap(), 3));
    assert_eq!(&*taken[0].message, NOTIFY);
    assert!(!door.relay.has_notifies() && door.relay.take_notifies().is_empty());
    door.relay.answer_notify(taken[0].id, Some(b"first"));
    door.relay.answer_notify(taken[0].id, Some(b"second"));
    door.send(&client, NOTIFY);
    let again = door.relay.take_notifies();
    door.relay.answer_notify(again[0].id, Some(b"third"));
    assert_eq!([received(&client), received(&client)], [b"first".to_vec(), b"third".to_vec()]);
    assert_eq!(door.counted(Act::Reply, Reason::Notify), 2);
}

#[test]
fn the_answer_stands_behind_the_header_of_the_proxy() {
    let proxy = client();
    let primary: SocketAddr = "203.0.113.5:4000".parse().unwrap();
    let mut door = Door::of(primary.ip());
    let known = PrefixSet::new([(IpAddr::from([127, 0, 0, 1]), 32, 0)]).unwrap();
    door.relay.set_proxies(0, Some(Proxies::new(known, true, Placing::Each(Protocol::Spp))));
    let mut header = [0; SPP_LENGTH];
    write_spp(&mut header, primary, "192.0.2.53:53".parse().unwrap());
    door.send(&proxy, &[&header, NOTIFY].concat());
    let taken = door.relay.take_notifies();
    assert_eq!((taken[0].client, &*taken[0].message), (primary, NOTIFY));
    door.relay.answer_notify(taken[0].id, Some(b"answer"));
    assert_eq!(received(&proxy), [&header[..], b"answer"].concat());
}
