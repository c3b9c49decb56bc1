//! The kernel's side of the bargain, on real sockets and real memory files.

use std::net::UdpSocket;
use std::os::fd::{AsRawFd, IntoRawFd};
use std::sync::atomic::Ordering;

use super::*;
use engine::Memory;

/// Set an option of a socket to an int.
pub(crate) fn set(socket: &UdpSocket, level: libc::c_int, option: libc::c_int, value: libc::c_int) {
    let length = mem::size_of_val(&value) as libc::socklen_t;
    // SAFETY: the pointer is valid for that length.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, ptr::from_ref(&value).cast(), length) };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
}

/// Wait until there is something to read, or an error to report.
pub(crate) fn wait(socket: &UdpSocket) {
    let mut poll = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one valid pollfd.
    assert_eq!(unsafe { libc::poll(&mut poll, 1, 10_000) }, 1, "nothing came");
}

pub(crate) fn bound(address: &str) -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind((address, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// Everything that arrives, until `count` datagrams are there.
pub(crate) fn collect(socket: &UdpSocket, buffers: &mut Buffers, count: usize) -> Vec<(Arrival, Vec<u8>)> {
    let (mut found, mut arrivals) = (Vec::new(), Vec::new());
    while found.len() < count {
        wait(socket);
        buffers.receive(socket.as_raw_fd(), &mut arrivals).unwrap();
        for (slot, arrival) in arrivals.iter().enumerate() {
            found.push((*arrival, buffers.slot(slot)[..arrival.length].to_vec()));
        }
    }
    found
}

#[test]
fn nothing_is_no_error() {
    let (socket, _) = bound("127.0.0.1");
    let mut arrivals = vec![];
    Buffers::new(512, 0).receive(socket.as_raw_fd(), &mut arrivals).unwrap();
    assert!(arrivals.is_empty());
    assert_eq!(take_error(socket.as_raw_fd()), None);
}

#[test]
fn what_is_longer_than_the_buffer_is_marked_and_spoils_nothing_else() {
    let ((socket, to), (sender, from)) = (bound("127.0.0.1"), bound("127.0.0.1"));
    for (length, byte) in [(511, 1), (600, 2), (512, 3), (0, 4)] {
        sender.send_to(&vec![byte; length], to).unwrap();
    }
    let found = collect(&socket, &mut Buffers::new(512, 11), 4);
    let seen: Vec<_> = found.iter().map(|(arrival, bytes)| (arrival.truncated, bytes.clone())).collect();
    assert_eq!(seen, [(false, vec![1; 511]), (true, vec![2; 512]), (false, vec![3; 512]), (false, vec![])]);
    assert!(found.iter().all(|(arrival, _)| arrival.from == from && arrival.local.is_none()));
}

#[test]
fn an_answer_leaves_from_the_address_that_was_asked() {
    for (wildcard, asked, client, level, option) in [
        ("0.0.0.0", "127.0.0.2", "127.0.0.1", libc::IPPROTO_IP, libc::IP_PKTINFO),
        ("::", "::1", "::1", libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
    ] {
        let ((server, own), (client, from)) = (bound(wildcard), bound(client));
        set(&server, level, option, 1);
        let asked = SocketAddr::new(asked.parse().unwrap(), own.port());
        client.send_to(b"question", asked).unwrap();
        let mut buffers = Buffers::new(512, 0);
        let found = collect(&server, &mut buffers, 1);
        assert_eq!(found[0].0.local.map(|local| local.address), Some(asked.ip()));
        let answer = Outgoing { to: from, local: found[0].0.local, first: 0, pieces: 1 };
        assert_eq!(send(server.as_raw_fd(), &buffers, &[answer], &[(0, HEADROOM, 8)]).unwrap(), 1);
        assert_eq!(collect(&client, &mut buffers, 1)[0].0.from, asked);
    }
}

#[test]
fn a_message_of_several_pieces_arrives_as_datagrams() {
    for address in ["127.0.0.1", "::1"] {
        let ((socket, to), (sender, _)) = (bound(address), bound(address));
        let mut buffers = Buffers::new(512, 0);
        for slot in 0..BATCH {
            buffers.slot(slot).fill(slot as u8);
        }
        let mut pieces: Vec<Piece> = (0..BATCH).rev().map(|slot| (slot, HEADROOM, 100)).collect();
        pieces[BATCH - 1].2 = 40;
        let message = Outgoing { to, local: None, first: 0, pieces: BATCH };
        assert_eq!(send(sender.as_raw_fd(), &buffers, &[message], &pieces).unwrap(), 1);
        let found = collect(&socket, &mut Buffers::new(512, 0), BATCH);
        let expected: Vec<_> = pieces.iter().map(|&(slot, _, length)| vec![slot as u8; length]).collect();
        assert_eq!(found.into_iter().map(|(_, bytes)| bytes).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn an_icmp_error_names_the_address_that_was_sent_to() {
    for (address, level, option) in
        [("127.0.0.1", libc::IPPROTO_IP, libc::IP_RECVERR), ("::1", libc::IPPROTO_IPV6, libc::IPV6_RECVERR)]
    {
        let (sender, _) = bound(address);
        set(&sender, level, option, 1);
        let closed = bound(address).1;
        sender.send_to(b"anyone?", closed).unwrap();
        wait(&sender);
        let mut arrivals = vec![];
        let error = Buffers::new(512, 0).receive(sender.as_raw_fd(), &mut arrivals).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ECONNREFUSED));
        assert_eq!(take_error(sender.as_raw_fd()), Some(closed));
        assert_eq!(take_error(sender.as_raw_fd()), None);
    }
}

#[test]
fn a_control_message_that_was_cut_is_not_read() {
    for (level, kind, whole) in [(libc::IPPROTO_IP, libc::IP_PKTINFO, 12), (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, 20)]
    {
        for (length, found) in [(whole, true), (whole - 1, false), (0, false)] {
            let mut space = [0u64; CONTROL / 8];
            put_control(&mut space, 0, level, kind, [7u8; 20]);
            // SAFETY: the header that was just written; only its length is changed, to a smaller one.
            let total = unsafe {
                let head = space.as_mut_ptr().cast::<libc::cmsghdr>();
                (*head).cmsg_len = libc::CMSG_LEN(length) as _;
                libc::CMSG_LEN(length)
            };
            // SAFETY: all zeroes is a valid msghdr.
            let mut header = unsafe { mem::zeroed::<libc::msghdr>() };
            header.msg_control = space.as_mut_ptr().cast();
            header.msg_controllen = total as _;
            assert_eq!(read_local(&header).is_some(), found, "{level} {length}");
        }
    }
}

#[test]
fn shared_memory_is_shared_and_keeps_its_size() {
    let memory = SharedMemory::create(1000).unwrap();
    // SAFETY: the descriptor is open; the duplicate is handed to `attach`.
    let again = SharedMemory::attach(unsafe { libc::dup(memory.fd()) }).unwrap();
    memory.words()[999].store(7, Ordering::SeqCst);
    assert_eq!(again.words()[999].load(Ordering::SeqCst), 7);
    assert_eq!(again.words().len(), 1000);
    for size in [0, 16_000] {
        // SAFETY: an open descriptor.
        assert_eq!(unsafe { libc::ftruncate(again.fd(), size) }, -1, "nobody can take or give pages");
    }
}

#[test]
fn what_is_no_shared_memory_of_ours_is_refused() {
    // SAFETY: the name is a C string; the results are descriptors or -1, which `attach` refuses.
    let (unsealed, pipe) = unsafe {
        let unsealed = libc::memfd_create(c"test".as_ptr(), libc::MFD_CLOEXEC);
        libc::ftruncate(unsealed, 8000);
        (unsealed, bound("127.0.0.1").0.into_raw_fd())
    };
    for fd in [-1, unsealed, pipe] {
        assert!(SharedMemory::attach(fd).is_err());
    }
}
