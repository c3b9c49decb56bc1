//! The grammar of transfers, record by record (RFC 5936 section 2.2, RFC 1995 section 4).
//!
//! ```text
//! AXFR                    SOA  record*  SOA                                  both SOA the same
//! IXFR up to date         SOA                                                its serial not newer than the query's
//!      as an AXFR         SOA  record*  SOA                                  second record not SOA, or the same SOA
//!      differences        SOA  ( SOA old  deleted*  SOA new  added* )+  SOA  old of the first = the query's serial,
//!                                                                            old of each other = new of the one before,
//!                                                                            last new = first SOA = last SOA
//!
//!  First --SOA--> Full --SOA--> Done                                         AXFR
//!  First --SOA--> Second --other--> Full;  --same SOA--> Done;  --SOA--> Deleting <--> Adding --SOA--> Done      IXFR
//! ```
//!
//! A zone of nothing but its SOA is `SOA SOA` in both; with the first SOA's serial the second ends it.

use crate::digest::Digest;
use crate::limits::Limits;
use crate::query::{Ask, Query, is_newer};
use crate::reason::{Reason, Wrong};
use crate::tally::Tally;
use crate::walk::Record;

const SOA: u16 = wire::qtype::SOA;

/// What kind of answer it turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Soa,
    Axfr,
    Ixfr,
    AxfrStyle,
    UpToDate,
    /// An answer with an RCODE: no transfer, and legitimate.
    Error,
    /// To be asked again over TCP.
    Truncated,
}

impl Kind {
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Soa => "soa",
            Self::Axfr => "axfr",
            Self::Ixfr => "ixfr",
            Self::AxfrStyle => "axfr-style",
            Self::UpToDate => "up-to-date",
            Self::Error => "error",
            Self::Truncated => "truncated",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    First,
    Second,
    Full,
    /// Of an IXFR: the serial of the SOA at its head.
    Deleting(u32),
    Adding(u32),
    Done,
}

/// The SOA that a transfer begins with.
struct First {
    serial: u32,
    rdata: Vec<u8>,
    digest: Digest,
}

/// A transfer on its way.
pub struct Transfer {
    stage: Stage,
    pub kind: Kind,
    first: Option<First>,
    from: Option<u32>,
    zone: Vec<u8>,
    class: u16,
    /// The number of the last end of owners, and whether it is in the zone, and with it all that ends so.
    end: (u64, bool),
    /// Whether the last owner is outside the zone.
    foreign: bool,
    allow_older: bool,
    allow_out_of_zone: bool,
    /// An IXFR has brought a whole sequence, and more follow: BIND commits what it has.
    pub commits_early: bool,
    pub tally: Tally,
}

impl Transfer {
    #[must_use]
    pub fn new(query: &Query, limits: &Limits) -> Self {
        let (kind, from) = match query.ask {
            Ask::Soa => (Kind::Soa, None),
            Ask::Axfr => (Kind::Axfr, None),
            Ask::Ixfr(serial) => (Kind::Ixfr, Some(serial)),
        };
        Self {
            stage: Stage::First,
            kind,
            first: None,
            from,
            zone: query.zone.clone(),
            class: query.class,
            end: (0, false),
            foreign: false,
            allow_older: limits.allow_older,
            allow_out_of_zone: limits.allow_out_of_zone,
            commits_early: false,
            tally: Tally::new(limits),
        }
    }

    /// The serial it leads to.
    #[must_use]
    pub fn serial(&self) -> Option<u32> {
        self.first.as_ref().map(|first| first.serial)
    }

    #[must_use]
    pub fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// Takes the next record of the answer sections.
    ///
    /// # Errors
    /// The rule that it breaks.
    #[inline]
    pub fn record(&mut self, record: &Record) -> Result<(), Wrong> {
        if record.class != self.class {
            return Err(about(Reason::Class, record, &format!("is of class {}", record.class)));
        }
        if !record.same_owner {
            self.foreign = !self.has(record);
        }
        if self.foreign && !self.allow_out_of_zone {
            return Err(about(Reason::OutOfZone, record, &format!("is not in {}", crate::name::text(&self.zone))));
        }
        if record.rtype == SOA {
            return self.soa(record);
        }
        if is_meta(record.rtype) {
            return Err(about(Reason::MetaType, record, "can't be in a zone"));
        }
        if self.stage == Stage::Second {
            self.becomes_full()?;
        }
        match self.stage {
            // Nodes drop it, so it is none of the zone's; what kind of answer this is it tells them all the same.
            Stage::Second | Stage::Full | Stage::Adding(_) | Stage::Deleting(_) if self.foreign => Ok(()),
            Stage::Second | Stage::Full | Stage::Adding(_) => self.tally.add(record),
            Stage::Deleting(_) => {
                self.tally.remove(record);
                Ok(())
            }
            Stage::First => Err(about(Reason::NoSoa, record, "comes first, not the zone's SOA")),
            Stage::Done => Err(about(Reason::AfterEnd, record, "comes behind the closing SOA")),
        }
    }

    /// Whether it is in the zone.
    #[inline]
    fn has(&mut self, record: &Record) -> bool {
        if let Some((number, end)) = record.end() {
            if self.end.0 != number {
                self.end = (number, crate::name::is_in_zone(end, &self.zone));
            }
            if self.end.1 {
                return true;
            }
        }
        crate::name::is_in_zone(record.owner(), &self.zone)
    }

    /// The end of a message that had records: whether a lone SOA was all there is to say.
    pub fn message_ends(&mut self, datagram: bool) {
        let (Stage::Second, Some(from), Some(serial)) = (self.stage, self.from, self.serial()) else { return };
        if !is_newer(serial, from) {
            (self.kind, self.stage) = (Kind::UpToDate, Stage::Done);
        } else if datagram {
            (self.kind, self.stage) = (Kind::Truncated, Stage::Done);
        }
    }

    fn soa(&mut self, record: &Record) -> Result<(), Wrong> {
        if record.owner() != self.zone {
            return Err(about(Reason::SoaOwner, record, "is not at the apex"));
        }
        let rdata = record.rdata();
        let serial = record.serial().unwrap_or(0);
        self.tally.pause();
        match self.stage {
            Stage::First => {
                let digest = Digest::of(record.canonical());
                self.first = Some(First { serial, rdata: rdata.to_vec(), digest });
                if self.kind == Kind::Axfr {
                    self.begins_full();
                } else {
                    self.stage = Stage::Second;
                }
                Ok(())
            }
            Stage::Second if self.serial() == Some(serial) => {
                self.becomes_full()?;
                self.closes(record)
            }
            Stage::Second => self.becomes_differences(record, serial),
            Stage::Full => self.closes(record),
            Stage::Deleting(old) => self.adding(record, old, serial),
            Stage::Adding(new) => self.next_sequence(record, new, serial),
            Stage::Done => Err(about(Reason::AfterEnd, record, "comes behind the closing SOA")),
        }
    }

    /// The closing SOA must be the first one.
    fn closes(&mut self, record: &Record) -> Result<(), Wrong> {
        self.same_as_first(record)?;
        self.stage = Stage::Done;
        Ok(())
    }

    fn same_as_first(&self, record: &Record) -> Result<(), Wrong> {
        match &self.first {
            Some(first) if first.rdata == record.rdata() => Ok(()),
            _ => Err(about(Reason::SoaChanged, record, "is another than the first SOA: versions are mixed")),
        }
    }

    /// An IXFR that is answered with the whole zone.
    fn becomes_full(&mut self) -> Result<(), Wrong> {
        self.leads_forward()?;
        self.kind = Kind::AxfrStyle;
        self.begins_full();
        Ok(())
    }

    /// The first SOA is a record of the zone; that at the end is not counted again.
    fn begins_full(&mut self) {
        if let Some(first) = &self.first {
            self.tally.add_soa(&self.zone, first.digest);
        }
        self.stage = Stage::Full;
    }

    fn becomes_differences(&mut self, record: &Record, serial: u32) -> Result<(), Wrong> {
        if self.from != Some(serial) {
            let detail = format!("begins differences from serial {serial}; the query has {}", self.from.unwrap_or(0));
            return Err(about(Reason::IxfrChain, record, &detail));
        }
        self.leads_forward()?;
        self.tally.remove(record);
        self.stage = Stage::Deleting(serial);
        Ok(())
    }

    /// A whole zone may be of the serial that the node has: who has no IXFR, and does not look at the query's, sends that.
    fn leads_forward(&self) -> Result<(), Wrong> {
        let (Some(serial), Some(from)) = (self.serial(), self.from) else { return Ok(()) };
        if self.allow_older || serial == from || is_newer(serial, from) {
            return Ok(());
        }
        let detail = format!("leads to serial {serial}, which is not newer than {from}, which the node has");
        Err(Wrong::new(Reason::SerialNotNewer, detail))
    }

    /// The SOA between what is deleted and what is added.
    fn adding(&mut self, record: &Record, old: u32, serial: u32) -> Result<(), Wrong> {
        // Each step leads forward; with large steps some on the way may well be no older than the last (RFC 1982).
        if !self.allow_older && !is_newer(serial, old) {
            let detail = format!("leads from serial {old} to {serial}, on the way to {}", self.serial().unwrap_or(0));
            return Err(about(Reason::IxfrChain, record, &detail));
        }
        if self.serial() == Some(serial) {
            self.same_as_first(record)?;
        }
        self.stage = Stage::Adding(serial);
        self.tally.add(record)
    }

    /// The SOA behind what is added: the closing one, or that of the next sequence.
    fn next_sequence(&mut self, record: &Record, new: u32, serial: u32) -> Result<(), Wrong> {
        if serial != new {
            let detail = format!("has serial {serial}, and the sequence before leads to {new}");
            return Err(about(Reason::IxfrChain, record, &detail));
        }
        if self.serial() == Some(serial) {
            return self.closes(record);
        }
        self.commits_early = true;
        self.tally.remove(record);
        self.stage = Stage::Deleting(serial);
        Ok(())
    }
}

/// OPT, and the types that can't be records (RFC 6895 section 3.1: 128 to 255 are Q- and meta types), and 0.
#[inline]
const fn is_meta(rtype: u16) -> bool {
    rtype == 41 || rtype == 0 || (rtype >= 128 && rtype <= 255)
}

fn about(reason: Reason, record: &Record, what: &str) -> Wrong {
    Wrong::new(reason, format!("{}, type {}: {what}", crate::name::text(record.owner()), record.rtype))
}
