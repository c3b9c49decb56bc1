//! Sending a batch to its end: what the kernel does not take is reported, and nothing waits.

use std::io;
use std::ops::Range;
use std::os::fd::RawFd;

use crate::sys::{self, Buffers, Outgoing, Piece};

/// Errors of earlier datagrams (ICMP) that one batch clears from a socket before it takes them for its own.
const PENDING_ERRORS: usize = 8;

/// Send all messages. `failed` is told the range of pieces that could not be sent, and why.
///
/// A message that the kernel won't segment is sent again as single datagrams. A full socket buffer fails all that is left: whatever is
/// tried next would find it full as well.
pub fn send_all(
    fd: RawFd,
    buffers: &Buffers,
    messages: &[Outgoing],
    pieces: &[Piece],
    mut failed: impl FnMut(Range<usize>, &io::Error),
) {
    let mut done = 0;
    let mut pending = 0;
    while done < messages.len() {
        let message = messages[done];
        let range = message.first..message.first + message.pieces;
        match sys::send(fd, buffers, &messages[done..], pieces) {
            Ok(sent) => done += sent.max(1),
            Err(error) if is_full(&error) => {
                let end = messages.last().map_or(range.end, |last| last.first + last.pieces);
                return failed(range.start..end, &error);
            }
            Err(error) if is_pending(&error) && pending < PENDING_ERRORS => pending += 1,
            Err(_) if message.pieces > 1 => {
                let singles: Vec<Outgoing> = range.map(|first| Outgoing { first, pieces: 1, ..message }).collect();
                send_all(fd, buffers, &singles, pieces, &mut failed as &mut dyn FnMut(Range<usize>, &io::Error));
                done += 1;
            }
            Err(error) => {
                failed(range, &error);
                done += 1;
            }
        }
    }
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
