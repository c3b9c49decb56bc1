//! A short reply, written in place over the query that it answers: an error, or TC with nothing else.

use crate::cookie::COOKIE_OPTION;
use crate::message::{Echo, HEADER_LEN, opcode::is_known};

/// The UDP size that our own OPT names: what passes every path unfragmented (DNS Flag Day 2020).
pub const OUR_UDP_SIZE: u16 = 1232;
/// Bytes of an OPT without options.
const OPT: usize = 11;
/// The most that a reply adds behind the echoed question: OPT with a cookie and an extended error.
pub const REPLY_EXTRA: usize = OPT + COOKIE_OPTION + EDE_HEAD + EDE_TEXT_MAX;
/// Bytes of the longest text of an extended error that we give. RFC 8914 section 4 asks for brevity, and with it every
/// reply stays below the 512 bytes that any client takes.
pub const EDE_TEXT_MAX: usize = 96;
/// OPTION-CODE, OPTION-LENGTH and INFO-CODE.
const EDE_HEAD: usize = 6;
/// The Extended DNS Error option (RFC 8914 section 2).
const EDE: u16 = 15;

const OPCODE: u16 = 0x7800;
const RD: u16 = 0x0100;
const CD: u16 = 0x0010;
const QR: u16 = 0x8000;
const TC: u16 = 0x0200;
const DNSSEC_OK: u8 = 0x80;

/// Turns the query at the start of `buffer` into a reply with `rcode` (12 bits) and returns its length.
///
/// ID and opcode stay, of a known opcode RD and CD too (RFC 4035 section 3.1.6); QR is set, the question is kept as far as `echo` says,
/// everything else goes. OPT is added if `echo` has one, with its DO bit (RFC 3225 section 3) and the cookie. Without OPT only the
/// lower 4 bits of `rcode` can be said. Returns 0, and leaves the buffer alone, if the reply does not fit; a buffer of
/// `12 + question_len + REPLY_EXTRA` bytes always does.
#[inline]
pub fn write_reply(buffer: &mut [u8], echo: Echo, rcode: u16, truncated: bool) -> usize {
    write_reply_with(buffer, echo, rcode, truncated, &[])
}

/// As [`write_reply`], with `options` in wire form as the content of OPT, where there is one.
#[inline]
pub fn write_reply_with(buffer: &mut [u8], echo: Echo, rcode: u16, truncated: bool, options: &[u8]) -> usize {
    let question_end = HEADER_LEN + usize::from(echo.question_len);
    let rdata = options.len() + if echo.cookie.is_some() { COOKIE_OPTION } else { 0 };
    let end = question_end + if echo.edns.is_some() { OPT + rdata } else { 0 };
    let Some(reply) = buffer.get_mut(..end) else {
        return 0;
    };
    let (question, opt) = reply.split_at_mut(question_end);
    let asked = u16::from_be_bytes([question[2], question[3]]);
    // An opcode that is not known may give the flags another meaning: none is repeated, as BIND does.
    let repeated = if is_known((asked >> 11) as u8 & 0x0f) { OPCODE | RD | CD } else { OPCODE };
    let flags = asked & repeated | QR | if truncated { TC } else { 0 } | rcode & 0x0f;
    question[2..4].copy_from_slice(&flags.to_be_bytes());
    let counts = [0, u8::from(echo.question_len > 0), 0, 0, 0, 0, 0, u8::from(echo.edns.is_some())];
    question[4..HEADER_LEN].copy_from_slice(&counts);
    if let Some(edns) = echo.edns {
        let [size_high, size_low] = OUR_UDP_SIZE.to_be_bytes();
        let upper_rcode = (rcode >> 4) as u8;
        let flags = if edns.dnssec_ok { DNSSEC_OK } else { 0 };
        // What stands there comes from us and is short.
        let [length_high, length_low] = (rdata as u16).to_be_bytes();
        let (head, rest) = opt.split_at_mut(OPT);
        head.copy_from_slice(&[0, 0, 41, size_high, size_low, upper_rcode, 0, flags, 0, length_high, length_low]);
        let (cookie, others) = rest.split_at_mut(rdata - options.len());
        if let Some(own) = echo.cookie {
            cookie.copy_from_slice(&own.option());
        }
        others.copy_from_slice(options);
    }
    end
}

/// The option that says why, in wire form (RFC 8914 section 2); `None` if the text is longer than [`EDE_TEXT_MAX`].
///
/// ```text
///  | OPTION-CODE 15 | OPTION-LENGTH | INFO-CODE | EXTRA-TEXT, UTF-8, not terminated |
/// ```
#[must_use]
pub fn extended_error(code: u16, text: &str) -> Option<Vec<u8>> {
    if text.len() > EDE_TEXT_MAX {
        return None;
    }
    let mut option = Vec::with_capacity(EDE_HEAD + text.len());
    option.extend_from_slice(&EDE.to_be_bytes());
    option.extend_from_slice(&(2 + text.len() as u16).to_be_bytes());
    option.extend_from_slice(&code.to_be_bytes());
    option.extend_from_slice(text.as_bytes());
    Some(option)
}
