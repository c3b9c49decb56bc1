//! The COOKIE option (RFC 7873 section 4, RFC 9018 section 4): taken out of a query and put into an answer, in place.
//!
//! ```text
//!  code 10 | length | client cookie 8 | server cookie 8 to 32                        in a query, or without the latter
//!                                     | version 1 | reserved 3 | time stamp 4 | tag 8     as RFC 9018 writes it
//! ```
//! Neither edit changes what stands before OPT. Behind it only records may stand that can be moved, because neither they
//! nor anything else points to what moves; else the message stays as it was.

use crate::message::{HEADER_LEN, qtype};
use crate::name::{pointer, skip_plain};
use crate::records::Record;

/// The code of the option.
pub(crate) const COOKIE: u16 = 10;
/// Bytes of code and length of an option.
pub(crate) const OPTION_HEAD: usize = 4;
/// Bytes of a client cookie followed by a server cookie of RFC 9018.
pub const COOKIE_LEN: usize = 24;
/// Bytes of the option that holds both.
pub const COOKIE_OPTION: usize = OPTION_HEAD + COOKIE_LEN;
/// Bytes of an OPT before its options, with the root as owner.
const OPT_HEAD: usize = 11;
/// Version 1 and three reserved bytes (RFC 9018 section 4).
pub const COOKIE_VERSION: [u8; 4] = [1, 0, 0, 0];
const TC: u8 = 0x02;

/// A client cookie and the server cookie that we made for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cookie {
    pub client: [u8; 8],
    /// Seconds since 1970, modulo 2^32.
    pub stamp: [u8; 4],
    pub tag: [u8; 8],
}

impl Cookie {
    /// The whole option.
    #[must_use]
    pub fn option(&self) -> [u8; COOKIE_OPTION] {
        let mut option = [0; COOKIE_OPTION];
        option[..OPTION_HEAD].copy_from_slice(&[0, COOKIE as u8, 0, COOKIE_LEN as u8]);
        option[4..12].copy_from_slice(&self.client);
        option[12..16].copy_from_slice(&COOKIE_VERSION);
        option[16..20].copy_from_slice(&self.stamp);
        option[20..].copy_from_slice(&self.tag);
        option
    }
}

/// Where the first COOKIE option of a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CookiePlace {
    /// The offset of the OPT record, which is owned by the root.
    pub opt: u16,
    /// The offset of the cookies, behind code and length.
    pub value: u16,
    /// 8, or 16 to 40.
    pub length: u8,
}

impl CookiePlace {
    /// The client cookie and the server cookie, which may be empty, in the message that was checked.
    #[must_use]
    #[inline]
    pub fn read<'m>(&self, message: &'m [u8]) -> Option<(&'m [u8; 8], &'m [u8])> {
        let start = usize::from(self.value);
        message.get(start..start + usize::from(self.length))?.split_first_chunk()
    }
}

/// Takes all COOKIE options out of a query, where `place` is that of the first, and returns its new length.
///
/// A query in which something stands behind OPT stays as it is.
#[must_use]
pub fn strip_cookies(message: &mut [u8], place: CookiePlace) -> usize {
    let options = usize::from(place.opt) + OPT_HEAD;
    let length = message.len();
    let Some(size) = read_u16(message, options - 2) else { return length };
    if options + size != length {
        return length;
    }
    let kept = drop_cookies(&mut message[options..]);
    message[options - 2..options].copy_from_slice(&(kept as u16).to_be_bytes());
    options + kept
}

/// Says a UDP size that is smaller by the cookie that the answer will get, where 512 or more are left.
pub fn spare_cookie(message: &mut [u8], place: CookiePlace) {
    let class = usize::from(place.opt) + 3;
    if let Some(size) = read_u16(message, class).and_then(|size| size.checked_sub(COOKIE_OPTION))
        && size >= 512
    {
        message[class..class + 2].copy_from_slice(&(size as u16).to_be_bytes());
    }
}

/// What became of an answer that was to get a cookie; with its new length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    Done(usize),
    /// It would have been too long: TC, the question, and OPT with the cookie are left.
    Truncated(usize),
    /// It has no OPT, is signed, or can't be read or changed. Nothing was.
    Unable,
}

/// Puts `cookie` into the answer in the first `length` bytes of `buffer`, in the place of any that is there.
///
/// The result is at most `room` bytes long and fits the buffer, which should have [`COOKIE_OPTION`] bytes behind the
/// answer.
#[must_use]
pub fn put_cookie(buffer: &mut [u8], length: usize, cookie: &Cookie, room: usize) -> Put {
    let Some(answer) = buffer.get(..length) else { return Put::Unable };
    let Some(found) = Answer::read(answer) else { return Put::Unable };
    let options = found.opt + OPT_HEAD;
    let Some(kept) = length_without_cookies(&answer[options..found.end]) else { return Put::Unable };
    let end = options + kept + COOKIE_OPTION;
    let total = end + length - found.end;
    if total > room {
        return truncate(buffer, &found, cookie, room);
    }
    if total > buffer.len() || end - options > usize::from(u16::MAX) {
        return Put::Unable;
    }
    drop_cookies(&mut buffer[options..found.end]);
    buffer.copy_within(found.end..length, end);
    buffer[end - COOKIE_OPTION..end].copy_from_slice(&cookie.option());
    buffer[options - 2..options].copy_from_slice(&((end - options) as u16).to_be_bytes());
    Put::Done(total)
}

/// Leaves the header with TC, the question, and OPT with nothing but the cookie.
fn truncate(buffer: &mut [u8], found: &Answer, cookie: &Cookie, room: usize) -> Put {
    let options = found.question_end + OPT_HEAD;
    let end = options + COOKIE_OPTION;
    if end > room || end > buffer.len() {
        return Put::Unable;
    }
    buffer[2] |= TC;
    buffer[6..HEADER_LEN].copy_from_slice(&[0, 0, 0, 0, 0, 1]);
    buffer.copy_within(found.opt..found.opt + OPT_HEAD, found.question_end);
    buffer[options - 2..options].copy_from_slice(&(COOKIE_OPTION as u16).to_be_bytes());
    buffer[options..end].copy_from_slice(&cookie.option());
    Put::Truncated(end)
}

/// The parts of an answer that the edit needs.
struct Answer {
    question_end: usize,
    /// OPT is `opt..end`.
    opt: usize,
    end: usize,
}

impl Answer {
    fn read(message: &[u8]) -> Option<Self> {
        let &[_, _, _, _, q0, q1, a0, a1, n0, n1, r0, r1] = message.first_chunk::<HEADER_LEN>()?;
        let question_end = match u16::from_be_bytes([q0, q1]) {
            0 => HEADER_LEN,
            1 => skip_plain(message, HEADER_LEN).ok()?.0 + 4,
            _ => return None,
        };
        let plain = u32::from(u16::from_be_bytes([a0, a1])) + u32::from(u16::from_be_bytes([n0, n1]));
        let mut at = question_end;
        for _ in 0..plain {
            at = Record::read(message, at).ok()?.end;
        }
        let mut found: Option<(usize, usize)> = None;
        for _ in 0..u16::from_be_bytes([r0, r1]) {
            let record = Record::read(message, at).ok()?;
            match (record.kind, found) {
                (qtype::OPT, None) if record.owner_is_root => found = Some((at, record.end)),
                (qtype::TSIG | qtype::SIG | qtype::OPT, _) => return None,
                (_, Some((_, end))) if !can_move(message, at, record.kind, end) => return None,
                _ => {}
            }
            at = record.end;
        }
        let (opt, end) = found?;
        (at == message.len()).then_some(Self { question_end, opt, end })
    }
}

/// Whether the record at `start`, behind an OPT that ends at `opt_end`, means the same elsewhere: no name in its data is
/// compressed, and its owner does not point to what moves with it.
fn can_move(message: &[u8], start: usize, kind: u16, opt_end: usize) -> bool {
    matches!(kind, qtype::A | qtype::AAAA | qtype::RRSIG) && pointer(message, start).is_none_or(|to| to < opt_end)
}

fn read_u16(message: &[u8], at: usize) -> Option<usize> {
    message.get(at..)?.first_chunk().map(|bytes| usize::from(u16::from_be_bytes(*bytes)))
}

/// The code of the first option and its length with its head; `None` at the end, or if it is cut.
fn first_option(options: &[u8]) -> Option<(u16, usize)> {
    let &[c0, c1, l0, l1] = options.first_chunk()?;
    let size = OPTION_HEAD + usize::from(u16::from_be_bytes([l0, l1]));
    (size <= options.len()).then_some((u16::from_be_bytes([c0, c1]), size))
}

/// `None` if the lengths do not add up.
fn length_without_cookies(options: &[u8]) -> Option<usize> {
    let (mut at, mut kept) = (0, 0);
    while at < options.len() {
        let (code, size) = first_option(&options[at..])?;
        at += size;
        kept += if code == COOKIE { 0 } else { size };
    }
    Some(kept)
}

/// Moves all other options to the front and returns their length.
fn drop_cookies(options: &mut [u8]) -> usize {
    let (mut at, mut kept) = (0, 0);
    while let Some((code, size)) = first_option(&options[at..]) {
        if code != COOKIE {
            options.copy_within(at..at + size, kept);
            kept += size;
        }
        at += size;
    }
    kept
}
