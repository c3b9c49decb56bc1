//! A list on its way into a file.

use std::fmt;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::net::IpAddr;

use crate::error::SetError;
use crate::file::{Checksum, HEADER, Header, checksum};
use crate::list::Effect;
use crate::names::{NameBuilder, Scope};
use crate::prefixes::PrefixBuilder;

/// Lines of garbage that a report names; it counts all.
pub const NAMED: usize = 5;

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    TooLong,
    NotText,
    NoName,
    NoPrefix,
    Ambiguous,
    NameHere,
    PrefixHere,
    MoreThanOne,
    NoColumn,
    Quotes,
    NoAddress,
    Record,
    NoOwner,
    NoOrigin,
    OutsideZone,
    Directive,
    Client,
    Target,
    Parentheses,
}

impl fmt::Display for Why {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::TooLong => "longer than 65536 bytes",
            Self::NotText => "bytes that are no ASCII text (write an internationalised name as xn--...)",
            Self::NoName => "no domain name",
            Self::NoPrefix => "no address and no prefix",
            Self::Ambiguous => "neither an address nor a name (set kind)",
            Self::NameHere => "a name in a list of prefixes",
            Self::PrefixHere => "an address in a list of names",
            Self::MoreThanOne => "more than one entry on a line",
            Self::NoColumn => "fewer columns than the one that is read",
            Self::Quotes => "a quote that is not closed, or text behind it",
            Self::NoAddress => "no address before the names",
            Self::Record => "no resource record",
            Self::NoOwner => "a record without an owner",
            Self::NoOrigin => "a relative name without an origin (set zone, or begin with the SOA)",
            Self::OutsideZone => "a record outside the zone",
            Self::Directive => "a directive other than $ORIGIN and $TTL",
            Self::Client => "no prefix in rpz-client-ip",
            Self::Target => "an action that begins with rpz- and is unknown",
            Self::Parentheses => "parentheses that do not match",
        })
    }
}

/// What came of building a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Different names.
    pub names: u32,
    /// Different prefixes.
    pub prefixes: u32,
    /// Lines (in a transfer: messages) that were skipped.
    pub garbage: u64,
    /// The first of them, counted from 1, and what is wrong.
    pub first: Vec<(u64, Why)>,
    /// RPZ triggers that need an answer: by its address (`rpz-ip`), or by a name server's name or address.
    pub other_triggers: u64,
    /// RPZ records that want an answer of their own (local data).
    pub local_data: u64,
}

/// Collects the entries of a list.
#[derive(Debug, Default)]
pub struct ListBuilder {
    names: NameBuilder,
    prefixes: PrefixBuilder,
    report: Report,
    /// The most entries.
    most: usize,
}

impl ListBuilder {
    /// A builder that takes at most `most` entries.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most, ..Self::default() }
    }

    fn room(&self) -> Result<(), SetError> {
        if self.names.len() as usize + self.prefixes.len() < self.most { Ok(()) } else { Err(SetError::Full) }
    }

    /// # Errors
    /// [`SetError::Name`] or [`SetError::Full`].
    pub fn add_name(&mut self, name: &[u8], scope: Scope, effect: Effect) -> Result<(), SetError> {
        self.room()?;
        self.names.add(name, scope, effect as u32)
    }

    /// # Errors
    /// [`SetError::Bits`] or [`SetError::Full`].
    pub fn add_prefix(&mut self, address: IpAddr, bits: u8, effect: Effect) -> Result<(), SetError> {
        self.room()?;
        self.prefixes.add(address, bits, effect as u32)
    }

    /// A line was skipped.
    pub fn skip(&mut self, line: u64, why: Why) {
        self.report.garbage += 1;
        if self.report.first.len() < NAMED {
            self.report.first.push((line, why));
        }
    }

    pub(crate) const fn report_mut(&mut self) -> &mut Report {
        &mut self.report
    }

    /// Writes the file of the list.
    ///
    /// # Errors
    /// Of writing; or the list is larger than its file can be.
    pub fn write(self, out: impl Write + Seek, stamp: u128) -> io::Result<Report> {
        let mut report = self.report;
        let mut out = BufWriter::with_capacity(1 << 16, out);
        out.write_all(&[0; HEADER])?;
        let mut summed = Summed { out: &mut out, sum: Checksum::default(), length: HEADER as u64 };
        let names = self.names.write(&mut summed)?;
        let prefixes = self.prefixes.write(&mut summed)?;
        let Summed { sum, length, .. } = summed;
        (report.names, report.prefixes) = (names.entries, prefixes.entries);
        let not_applicable = report.other_triggers + report.local_data;
        let mut header =
            Header { length, checksum: 0, names, prefixes, stamp, garbage: report.garbage, not_applicable };
        header.checksum = checksum(&header.write(), sum);
        out.seek(SeekFrom::Start(0))?;
        out.write_all(&header.write())?;
        out.flush()?;
        Ok(report)
    }
}

struct Summed<'w, W> {
    out: &'w mut W,
    sum: Checksum,
    length: u64,
}

impl<W: Write> Write for Summed<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.sum.add(&bytes[..written]);
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
