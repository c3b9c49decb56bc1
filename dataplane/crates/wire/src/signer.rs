//! Whose key signed a message: the owner of the TSIG record, which is the last of the message (RFC 8945 section 4.2).

use crate::message::{HEADER_LEN, qtype};
use crate::name::{MAX_NAME, expand, skip_plain};
use crate::records::Record;

/// The name of the key, in wire form and lower case. `message` has passed the wire check; nothing is verified here.
/// `None`: it has no TSIG record, or one whose owner can't be read.
#[must_use]
pub fn tsig_key<'b>(message: &[u8], into: &'b mut [u8; MAX_NAME]) -> Option<&'b [u8]> {
    let count = |at: usize| message.get(at..at + 2).map(|bytes| u32::from(u16::from_be_bytes([bytes[0], bytes[1]])));
    let mut at = HEADER_LEN;
    for _ in 0..count(4)? {
        at = skip_plain(message, at).ok()?.0 + 4;
    }
    let mut last = None;
    for _ in 0..count(6)? + count(8)? + count(10)? {
        let record = Record::read(message, at).ok()?;
        last = Some((at, record.kind));
        at = record.end;
    }
    let (start, _) = last.filter(|&(_, kind)| kind == qtype::TSIG)?;
    let length = expand(message, start, into)?;
    let name = &mut into[..length];
    name.make_ascii_lowercase();
    Some(name)
}
