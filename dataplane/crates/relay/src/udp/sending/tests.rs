//! Grouping, and what becomes of a batch when the kernel does not take it as it is.

use super::*;
use crate::sys::HEADROOM;
use crate::sys::tests::{bound, collect, set};
use proptest::prelude::*;
use std::net::IpAddr;
use std::os::fd::AsRawFd;

fn datagrams() -> impl Strategy<Value = Vec<Datagram>> {
    let one = (0..3u16, 0..3u8, prop_oneof![4 => 0..4usize, 1 => 998..1004usize]);
    prop::collection::vec(one, 0..=BATCH).prop_map(|list| {
        let datagram = |(slot, (port, local, length)): (usize, (u16, u8, usize))| Datagram {
            to: SocketAddr::from(([127, 0, 0, 1], 1 + port)),
            local: (local > 0).then(|| Local { address: IpAddr::from([127, 0, 0, local]), interface: 1 }),
            slot,
            start: HEADROOM,
            length,
        };
        list.into_iter().enumerate().map(datagram).collect()
    })
}

/// Make the messages of a batch without sending them.
fn group(sender: &mut Sender, batch: &[Datagram]) {
    let mut segment = 0;
    for &datagram in batch {
        segment = sender.add(datagram, segment);
    }
}

proptest! {
    /// Every datagram once and in order; a message has one address, and pieces of one length but for a shorter last one.
    #[test]
    fn groups_hold_what_the_kernel_asks_for(mut batch in datagrams(), sorted: bool, segmentation: bool) {
        if sorted {
            batch.sort_by_key(|datagram| (datagram.to, std::cmp::Reverse(datagram.length)));
        }
        let mut sender = Sender::new(segmentation);
        group(&mut sender, &batch);
        prop_assert_eq!(&sender.pieces, &batch.iter().map(|d| (d.slot, d.start, d.length)).collect::<Vec<_>>());
        let mut next = 0;
        for message in &sender.messages {
            prop_assert_eq!(message.first, next);
            next += message.pieces;
            let own = &batch[message.first..next];
            prop_assert!(own.iter().all(|d| (d.to, d.local) == (message.to, message.local)));
            prop_assert!((1..=MAX_SEGMENTS).contains(&own.len()));
            if let [first, rest @ .., last] = own {
                prop_assert!(segmentation && first.length <= LONGEST_SEGMENT);
                prop_assert!(rest.iter().all(|d| d.length == first.length));
                prop_assert!((1..=first.length).contains(&last.length));
            }
        }
        prop_assert_eq!(next, batch.len());
    }
}

fn numbered(count: usize, to: SocketAddr) -> (Buffers, Vec<Datagram>) {
    let mut buffers = Buffers::new(512, 0);
    (0..count).for_each(|slot| buffers.slot(slot).fill(slot as u8));
    (buffers, (0..count).map(|slot| Datagram { to, local: None, slot, start: HEADROOM, length: 100 }).collect())
}

#[test]
fn what_the_kernel_will_not_segment_leaves_in_single_datagrams() {
    // A socket without checksums can't segment: the kernel says EINVAL, as it does where a segment is longer than the MTU.
    for (without_checksums, segmented) in [(1, 0), (0, 1)] {
        let ((receiver, to), (sender, _)) = (bound("127.0.0.1"), bound("127.0.0.1"));
        set(&sender, libc::SOL_SOCKET, libc::SO_NO_CHECK, without_checksums);
        let (buffers, batch) = numbered(20, to);
        let mut lost = vec![];
        let count = Sender::new(true).send(sender.as_raw_fd(), &buffers, batch.into_iter(), |range, error| {
            lost.push((range, error.to_string()))
        });
        assert_eq!((count, lost), (segmented, vec![]));
        let found = collect(&receiver, &mut Buffers::new(512, 0), 20);
        assert!(found.iter().enumerate().all(|(number, (_, bytes))| *bytes == [number as u8; 100]));
    }
}

#[test]
fn what_can_not_be_sent_is_told_and_the_rest_leaves() {
    let ((receiver, to), (sender, _)) = (bound("127.0.0.1"), bound("127.0.0.1"));
    let (buffers, mut batch) = numbered(12, to);
    // Nothing can be sent to port 0.
    for nowhere in [3, 4, 5, 8, 11] {
        batch[nowhere].to.set_port(0);
    }
    let mut lost = vec![];
    Sender::new(true).send(sender.as_raw_fd(), &buffers, batch.into_iter(), |range, _| lost.extend(range));
    assert_eq!(lost, [3, 4, 5, 8, 11]);
    let found = collect(&receiver, &mut Buffers::new(512, 0), 7);
    assert_eq!(found.iter().map(|(_, bytes)| bytes[0]).collect::<Vec<_>>(), [0, 1, 2, 6, 7, 9, 10]);
}

#[test]
fn the_error_of_an_earlier_datagram_costs_no_other() {
    let ((receiver, to), (sender, _)) = (bound("127.0.0.1"), bound("127.0.0.1"));
    set(&sender, libc::IPPROTO_IP, libc::IP_RECVERR, 1);
    let closed = bound("127.0.0.1").1;
    let (buffers, mut batch) = numbered(6, to);
    (0..6).step_by(2).for_each(|number| batch[number].to = closed);
    let mut lost = vec![];
    Sender::new(true).send(sender.as_raw_fd(), &buffers, batch.into_iter(), |range, _| lost.extend(range));
    assert!(lost.is_empty());
    let found = collect(&receiver, &mut Buffers::new(512, 0), 3);
    assert_eq!(found.iter().map(|(_, bytes)| bytes[0]).collect::<Vec<_>>(), [1, 3, 5]);
}
