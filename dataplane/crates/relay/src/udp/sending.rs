//! Sending a batch to its end: what the kernel does not take is reported, and nothing waits.
//!
//! Neighbours of equal length to one address leave as one message (UDP_SEGMENT): the network stack is walked once for all of them.
//! Whoever sorts a batch by address and falling length gets the most out of it, because the last segment may be shorter.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::RawFd;

use crate::sys::{self, BATCH, Buffers, Local, MAX_SEGMENTS, Outgoing, Piece};

/// Longer datagrams leave alone: a segment must fit the path MTU, and few are longer. 64 of these fit a message of 64 KiB.
const LONGEST_SEGMENT: usize = 1000;

/// Errors of earlier datagrams (ICMP) that one batch clears from a socket before it takes them for its own.
const PENDING_ERRORS: usize = 8;

/// A datagram to send: where it stands, and where it goes.
#[derive(Clone, Copy, Debug)]
pub struct Datagram {
    pub to: SocketAddr,
    /// The address to send from, on a wildcard socket.
    pub local: Option<Local>,
    pub slot: usize,
    /// Where it begins in the whole of the slot.
    pub start: usize,
    pub length: usize,
}

/// Sends batches of at most 64 datagrams. It keeps its lists, so that no batch allocates.
pub struct Sender {
    segmentation: bool,
    messages: Vec<Outgoing>,
    pieces: Vec<Piece>,
}

impl Sender {
    pub fn new(segmentation: bool) -> Self {
        Sender { segmentation, messages: Vec::with_capacity(BATCH), pieces: Vec::with_capacity(BATCH) }
    }

    /// Send all of `datagrams`. `failed` is told which could not be sent, as a range of their order, and why.
    ///
    /// Returns how many messages left that carried more than one.
    pub fn send(
        &mut self,
        fd: RawFd,
        buffers: &Buffers,
        datagrams: impl Iterator<Item = Datagram>,
        mut failed: impl FnMut(Range<usize>, &io::Error),
    ) -> u64 {
        self.messages.clear();
        self.pieces.clear();
        let mut segment = 0;
        for datagram in datagrams {
            segment = self.add(datagram, segment);
        }
        send_all(fd, buffers, &self.messages, &self.pieces, &mut failed)
    }

    /// Add a datagram to the last message if it fits there, else as a message of its own. `segment` is the length of the segments that the
    /// last message still takes, 0 for none; returned is the same for the next one.
    fn add(&mut self, datagram: Datagram, segment: usize) -> usize {
        let Datagram { to, local, slot, start, length } = datagram;
        self.pieces.push((slot, start, length));
        if let Some(last) = self.messages.last_mut()
            && (1..=segment).contains(&length)
            && (last.to, last.local) == (to, local)
            && last.pieces < MAX_SEGMENTS
        {
            last.pieces += 1;
            return if length == segment { segment } else { 0 };
        }
        self.messages.push(Outgoing { to, local, first: self.pieces.len() - 1, pieces: 1 });
        if self.segmentation && length <= LONGEST_SEGMENT { length } else { 0 }
    }
}

/// Send all messages. A message that the kernel won't segment is sent again as single datagrams. A full socket buffer fails all that is
/// left: whatever is tried next would find it full as well. Returns how many messages of several pieces were taken.
fn send_all(
    fd: RawFd,
    buffers: &Buffers,
    messages: &[Outgoing],
    pieces: &[Piece],
    failed: &mut dyn FnMut(Range<usize>, &io::Error),
) -> u64 {
    let (mut done, mut segmented) = (0, 0);
    let mut pending = 0;
    while done < messages.len() {
        let message = messages[done];
        let range = message.first..message.first + message.pieces;
        match sys::send(fd, buffers, &messages[done..], pieces) {
            Ok(sent) => {
                let taken = &messages[done..done + sent];
                segmented += taken.iter().filter(|message| message.pieces > 1).count() as u64;
                done += sent.max(1);
            }
            Err(error) if is_full(&error) => {
                let end = messages.last().map_or(range.end, |last| last.first + last.pieces);
                failed(range.start..end, &error);
                return segmented;
            }
            Err(error) if is_pending(&error) && pending < PENDING_ERRORS => pending += 1,
            Err(_) if message.pieces > 1 => {
                let singles: Vec<Outgoing> = range.map(|first| Outgoing { first, pieces: 1, ..message }).collect();
                send_all(fd, buffers, &singles, pieces, failed);
                done += 1;
            }
            Err(error) => {
                failed(range, &error);
                done += 1;
            }
        }
    }
    segmented
}

/// `full` for a full socket buffer, else `other`.
pub fn failure<T>(error: &io::Error, full: T, other: T) -> T {
    if is_full(error) { full } else { other }
}

fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(libc::ENOBUFS)
}

/// Whether the error may be that of an earlier datagram: the socket reports it once, at the next call.
pub fn is_pending(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::ECONNREFUSED
                | libc::EHOSTUNREACH
                | libc::ENETUNREACH
                | libc::EHOSTDOWN
                | libc::ENETDOWN
                | libc::EPROTO
        )
    )
}

#[cfg(test)]
mod tests;
