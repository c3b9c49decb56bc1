//! NOTIFY messages that Python answers, over UDP: from the address that was asked, and behind the header of the proxy.

use std::ops::Range;

use engine::{Act, Io, Memory};
use wire::Reason;
use wire::proxy::SPP_LENGTH;

use super::queries::Place;
use super::sending::{self, Datagram};
use super::{Listener, UdpRelay};
use crate::notified::Notified;
use crate::sys::{HEADROOM, Local};

/// How an answer gets back.
#[derive(Clone, Debug)]
pub(super) struct WayBack {
    listener: usize,
    to: std::net::SocketAddr,
    local: Option<Local>,
    /// The SPP header that stands before it.
    header: Option<[u8; SPP_LENGTH]>,
}

impl<M: Memory> UdpRelay<M> {
    /// Keep a NOTIFY for Python, and say what becomes of it.
    pub(super) fn hand_over(&mut self, listener: usize, place: &Place<'_>) -> (Act, Reason) {
        let Place { slot, arrival, origin, length } = *place;
        let number = self.listeners[listener].number;
        let (header, message) = self.queries.slot(slot).split_at(origin.header);
        let header = if origin.returns { header.last_chunk().copied() } else { None };
        let way = WayBack { listener, to: arrival.from, local: arrival.local, header };
        if self.notifies.push(origin.client, origin.asked, number, &message[..length], way) {
            (Act::Reply, Reason::Notify)
        } else {
            (Act::Shed, Reason::NotifyQueueFull)
        }
    }

    /// Whether NOTIFY messages wait to be taken.
    pub fn has_notifies(&self) -> bool {
        self.notifies.is_waiting()
    }

    /// The NOTIFY messages that came since the last call. Each is to be answered with `answer_notify`.
    pub fn take_notifies(&mut self) -> Vec<Notified> {
        self.notifies.take()
    }

    /// Send the answer to a NOTIFY, or let go of it without one.
    pub fn answer_notify(&mut self, id: u64, answer: Option<&[u8]>) {
        let (Some(way), Some(answer)) = (self.notifies.settle(id), answer) else { return };
        let Some(&Listener { fd, .. }) = self.listeners.get(way.listener) else { return };
        let header: &[u8] = way.header.as_ref().map_or(&[], |header| header);
        let place = Range { start: HEADROOM, end: HEADROOM + header.len() + answer.len() };
        // No batch stands in the buffers between two calls.
        let Some(room) = self.queries.whole(0).get_mut(place) else { return };
        let (before, behind) = room.split_at_mut(header.len());
        before.copy_from_slice(header);
        behind.copy_from_slice(answer);
        let length = header.len() + answer.len();
        let datagram = Datagram { to: way.to, local: way.local, slot: 0, start: HEADROOM, length };
        let tally = &self.tally;
        self.sender.send(fd, &self.queries, std::iter::once(datagram), |range, error| {
            tally.io(sending::failure(error, Io::ClientBufferFull, Io::ClientSendErrors), range.len() as u64);
        });
    }
}
