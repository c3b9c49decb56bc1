//! The walk over the records of one message, each brought into canonical form.
//!
//! This is the hot path: three million records a second and more. So it has code of its own instead of `domain`'s, which
//! reads each name when it is asked for, and again: here each byte is looked at once, nothing is allocated, an owner
//! that is a pointer to the one before is not read again, and neither is the end of one that points where the one before
//! did: mostly to the zone's name.
//!
//! ```text
//! record: owner | type 2 | class 2 | TTL 4 | RDLENGTH 2 | RDATA          (RFC 1035 section 4.1.3)
//! ```

use wire::name::MAX_NAME;

use crate::name;
use crate::rdata;
use crate::reason::{Reason, Wrong};

/// Where the last owner stands, when none can be pointed to.
const NOWHERE: usize = usize::MAX;
/// Type, class, TTL and RDLENGTH.
const FIXED: usize = 10;

/// A record's canonical form, in a buffer that is used again for the next.
#[derive(Default)]
pub struct Record {
    canonical: Vec<u8>,
    owner: usize,
    place: Option<usize>,
    /// Where the last owner with a pointer pointed to, and what is there.
    target: usize,
    end: Vec<u8>,
    ends: u64,
    points: bool,
    pub rtype: u16,
    pub class: u16,
    pub ttl: u32,
    /// Whether the owner is the same as of the record before.
    pub same_owner: bool,
}

impl Record {
    /// Begin a message: offsets of the one before mean nothing.
    pub fn begin(&mut self) {
        self.place = None;
        self.target = NOWHERE;
        self.owner = 0;
        self.canonical.clear();
    }

    /// In lower case.
    #[inline]
    #[must_use]
    pub fn owner(&self) -> &[u8] {
        self.canonical.get(..self.owner).unwrap_or_default()
    }

    /// The end of the owner that a pointer led to, and its number: it is another when the end is.
    #[inline]
    #[must_use]
    pub fn end(&self) -> Option<(u64, &[u8])> {
        self.points.then_some((self.ends, &self.end))
    }

    /// Names in canonical form.
    #[inline]
    #[must_use]
    pub fn rdata(&self) -> &[u8] {
        self.canonical.get(self.owner + FIXED..).unwrap_or_default()
    }

    /// owner | type | class | TTL | RDLENGTH | RDATA, as RFC 4034 section 6.2 has it.
    #[inline]
    #[must_use]
    pub fn canonical(&self) -> &[u8] {
        &self.canonical
    }

    /// The serial, if this is a SOA record (RFC 1035 section 3.3.13): 20 bytes from the end of its RDATA.
    #[must_use]
    pub fn serial(&self) -> Option<u32> {
        let rdata = self.rdata();
        let bytes = rdata.get(rdata.len().checked_sub(20)?..)?.first_chunk::<4>()?;
        (self.rtype == wire::qtype::SOA).then(|| u32::from_be_bytes(*bytes))
    }

    /// Reads the name of a question as the owner; returns the offset behind it.
    pub fn read_question(&mut self, message: &[u8], at: usize) -> Option<usize> {
        self.begin();
        self.read_owner(message, at)
    }

    /// Reads the record at `at`; returns the offset behind it.
    ///
    /// # Errors
    /// The rule of the grammar that it breaks.
    #[inline]
    pub fn read(&mut self, message: &[u8], at: usize) -> Result<usize, Wrong> {
        let fixed =
            self.read_owner(message, at).ok_or_else(|| wrong(Reason::RecordName, at, "the owner is no name"))?;
        let start = fixed + FIXED;
        let Some(head) = message.get(fixed..start).and_then(|head| <&[u8; FIXED]>::try_from(head).ok()) else {
            return Err(wrong(Reason::RecordCut, at, "the record is cut"));
        };
        self.rtype = u16::from_be_bytes([head[0], head[1]]);
        self.class = u16::from_be_bytes([head[2], head[3]]);
        self.ttl = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        let end = start + usize::from(u16::from_be_bytes([head[8], head[9]]));
        if end > message.len() {
            return Err(wrong(Reason::RecordCut, at, "the record is cut"));
        }
        self.canonical.extend_from_slice(head);
        let length = rdata::append(message, self.rtype, start, end, &mut self.canonical)
            .and_then(|()| u16::try_from(self.canonical.len() - self.owner - FIXED).ok());
        let Some(length) = length else {
            let what = format!("the RDATA is not of type {}", self.rtype);
            return Err(wrong(Reason::Rdata, at, &what));
        };
        if let Some(field) = self.canonical.get_mut(self.owner + 8..self.owner + FIXED) {
            field.copy_from_slice(&length.to_be_bytes());
        }
        Ok(end)
    }

    /// Puts the owner at the head of the buffer; returns the offset behind it.
    #[inline]
    fn read_owner(&mut self, message: &[u8], at: usize) -> Option<usize> {
        let place = match *message.get(at..at + 2)? {
            [high @ 192..=255, low] => usize::from(high & 0x3f) << 8 | usize::from(low),
            _ => at,
        };
        if place < at && self.place == Some(place) {
            self.canonical.truncate(self.owner);
            self.same_owner = true;
            return Some(at + 2);
        }
        self.same_owner = false;
        self.place = Some(if place == at && at > 0x3fff { NOWHERE } else { place });
        self.canonical.clear();
        let (behind, pointer) = name::labels(message, at, 0, &mut self.canonical)?;
        let before = self.canonical.len();
        self.points = pointer.is_some();
        match pointer {
            None => {}
            // It was right behind a name further ahead, so it is right behind this one, if there is room.
            Some(target) if target == self.target && before + self.end.len() <= MAX_NAME => {
                self.canonical.extend_from_slice(&self.end);
            }
            Some(target) => {
                self.target = NOWHERE;
                name::follow(message, target, at, 0, &mut self.canonical)?;
                (self.target, self.ends) = (target, self.ends + 1);
                self.end.clear();
                self.end.extend_from_slice(self.canonical.get(before..)?);
            }
        }
        self.owner = self.canonical.len();
        Some(behind)
    }
}

fn wrong(reason: Reason, at: usize, what: &str) -> Wrong {
    Wrong::new(reason, format!("{what}, at byte {at} of the message"))
}
