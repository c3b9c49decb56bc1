//! The walk over the records behind the question: bounds, OPT and its options, the place of the signature.
//!
//! ```text
//!  owner name | TYPE 2 | CLASS 2 | TTL 4                     | RDLEN 2 | RDATA
//!  0 (root)   | 41     | UDP size| extended RCODE, version, DO | RDLEN   | { code 2 | length 2 | value }   for OPT
//! ```
//! Everything else is skipped unread: the walk costs a few nanoseconds a record, and a record takes at least 11 bytes,
//! so the work is bounded by the length of the message whatever the counts claim.

use crate::cookie::{COOKIE, CookiePlace, OPTION_HEAD};
use crate::message::{Edns, class, qtype};
use crate::name::skip_owner;
use crate::reason::Reason;

/// TYPE, CLASS, TTL and RDLEN.
const FIXED: usize = 10;

/// What the walk found.
#[derive(Clone, Copy, Debug, Default)]
pub struct Found<'m> {
    pub edns: Option<Edns>,
    /// The options of OPT, whose lengths add up; empty in a version other than 0.
    pub options: &'m [u8],
    /// Bytes behind the last record.
    pub trailing: u16,
    pub signed: bool,
    pub cookie: Option<CookiePlace>,
}

/// Walks over `plain` records of the answer and authority sections and then `additional` ones, from `at`.
/// Returns the offset behind the last record. What was found before a fault stands in `found`.
pub fn walk<'m>(
    message: &'m [u8],
    mut at: usize,
    plain: u32,
    additional: u16,
    found: &mut Found<'m>,
) -> Result<usize, Reason> {
    for _ in 0..plain {
        let record = Record::read(message, at)?;
        match record.kind {
            qtype::OPT => return Err(Reason::OptMisplaced),
            qtype::TSIG => return Err(Reason::SignatureMisplaced),
            _ => at = record.end,
        }
    }
    for left in (0..additional).rev() {
        let record = Record::read(message, at)?;
        match record.kind {
            qtype::OPT => read_opt(&record, found)?,
            qtype::TSIG if left > 0 => return Err(Reason::SignatureMisplaced),
            qtype::TSIG if record.class != class::ANY => return Err(Reason::TsigClass),
            qtype::TSIG => found.signed = true,
            // A SIG that covers type 0 is a signature over the message (RFC 2931 section 3).
            qtype::SIG if record.rdata.starts_with(&[0, 0]) => {
                if left > 0 {
                    return Err(Reason::SignatureMisplaced);
                }
                found.signed = true;
            }
            _ => {}
        }
        at = record.end;
    }
    Ok(at)
}

pub(crate) struct Record<'m> {
    pub owner_is_root: bool,
    pub kind: u16,
    class: u16,
    ttl: [u8; 4],
    pub rdata: &'m [u8],
    pub end: usize,
}

impl<'m> Record<'m> {
    #[inline]
    pub fn read(message: &'m [u8], start: usize) -> Result<Self, Reason> {
        let fixed = skip_owner(message, start).map_err(|_| Reason::RecordName)?;
        let behind = message.get(fixed..).ok_or(Reason::RecordCut)?;
        let Some((&[t0, t1, c0, c1, ttl0, ttl1, ttl2, ttl3, l0, l1], data)) = behind.split_first_chunk::<FIXED>()
        else {
            return Err(Reason::RecordCut);
        };
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        Ok(Self {
            owner_is_root: fixed == start + 1,
            kind: u16::from_be_bytes([t0, t1]),
            class: u16::from_be_bytes([c0, c1]),
            ttl: [ttl0, ttl1, ttl2, ttl3],
            rdata: data.get(..length).ok_or(Reason::RecordCut)?,
            end: fixed + FIXED + length,
        })
    }
}

/// RFC 6891 section 6.1: one OPT, owned by the root. The options of a later version are not ours to read.
#[inline]
fn read_opt<'m>(record: &Record<'m>, found: &mut Found<'m>) -> Result<(), Reason> {
    if found.edns.is_some() {
        return Err(Reason::OptDuplicate);
    }
    if !record.owner_is_root {
        return Err(Reason::OptOwner);
    }
    let [_, version, flags, _] = record.ttl;
    found.edns = Some(Edns { udp_size: record.class.max(512), version, dnssec_ok: flags & 0x80 != 0 });
    if version != 0 {
        return Ok(());
    }
    read_options(record, found)?;
    found.options = record.rdata;
    Ok(())
}

/// The lengths must add up exactly: who reads laxly here sees other options than the next server does.
#[inline]
fn read_options(record: &Record<'_>, found: &mut Found<'_>) -> Result<(), Reason> {
    let mut rest = record.rdata;
    while !rest.is_empty() {
        let Some((&[c0, c1, l0, l1], behind)) = rest.split_first_chunk::<4>() else {
            return Err(Reason::EdnsOptions);
        };
        let length = u16::from_be_bytes([l0, l1]);
        let next = behind.get(usize::from(length)..).ok_or(Reason::EdnsOptions)?;
        // Of several COOKIE options all but the first are ignored (RFC 7873 section 5.2).
        if u16::from_be_bytes([c0, c1]) == COOKIE && found.cookie.is_none() {
            if !matches!(length, 8 | 16..=40) {
                return Err(Reason::EdnsCookie);
            }
            let place = CookiePlace {
                // A message has at most 65,535 bytes, and the owner is one of them.
                opt: (record.end - record.rdata.len() - FIXED - 1) as u16,
                value: (record.end - rest.len() + OPTION_HEAD) as u16,
                length: length as u8,
            };
            found.cookie = Some(place);
        }
        rest = next;
    }
    Ok(())
}
