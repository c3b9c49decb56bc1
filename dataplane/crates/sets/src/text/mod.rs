//! Lists as others write them: plain, hosts, CSV, RPZ in master files and RPZ by zone transfer.
//!
//! One pass, one line in memory at a time. A line that is no entry is garbage: it is skipped and counted, or refuses
//! the list, as [`Source`] says. What a source contains never stops the program.

mod csv;
mod entries;
mod hosts;
mod lines;
mod master;
mod name;
mod plain;
mod rpz;
mod transfer;

use std::fmt;
use std::io::{self, BufRead};

use crate::builder::{ListBuilder, Why};
use crate::error::SetError;

pub use rpz::client_prefix;
pub use transfer::count_soas;

/// How a source is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// One name, address or prefix on a line.
    Plain,
    /// As /etc/hosts: an address, which does not matter, and names.
    Hosts,
    /// The column of this number, from 0.
    Csv(usize),
    /// A response policy zone as a master file (RFC 1035 section 5); with its name in wire form if the file does not
    /// say it.
    Rpz(Option<Vec<u8>>),
    /// The answers to an AXFR of a response policy zone (RFC 5936), each behind its length, as over TCP.
    Transfer,
}

/// What entries of plain, hosts and CSV lists are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    Names,
    Prefixes,
    /// Whatever an entry is.
    #[default]
    Either,
}

/// How to read a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub format: Format,
    pub kind: Kind,
    /// A name covers the names below it.
    pub subdomains: bool,
    /// Garbage refuses the list.
    pub strict: bool,
}

/// Why no list came of a source.
#[derive(Debug)]
pub enum ReadError {
    Io(io::Error),
    /// Garbage in a strict list: the line, counted from 1.
    Garbage(u64, Why),
    /// More entries than the builder takes.
    Full,
    /// Not a whole and well-formed transfer: the message, counted from 1, and what is wrong.
    Transfer(u64, &'static str),
}

impl fmt::Display for ReadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(formatter),
            Self::Garbage(line, why) => write!(formatter, "line {line}: {why}"),
            Self::Full => formatter.write_str("more entries than max_entries"),
            Self::Transfer(message, what) => write!(formatter, "message {message} of the transfer: {what}"),
        }
    }
}

impl std::error::Error for ReadError {}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Why a line gave no entry: it is garbage, or nothing more goes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Garbage(Why),
    Full,
}

impl From<Why> for Stop {
    fn from(why: Why) -> Self {
        Self::Garbage(why)
    }
}

impl From<SetError> for Stop {
    fn from(error: SetError) -> Self {
        match error {
            SetError::Full | SetError::Value => Self::Full,
            SetError::Name => Self::Garbage(Why::NoName),
            SetError::Bits => Self::Garbage(Why::NoPrefix),
        }
    }
}

/// Reads a whole source into `builder`.
///
/// # Errors
/// Why there is no list; what was read until then is in the builder.
pub fn read(input: &mut dyn BufRead, source: &Source, builder: &mut ListBuilder) -> Result<(), ReadError> {
    match &source.format {
        Format::Transfer => return transfer::read(input, source.strict, builder),
        Format::Rpz(zone) => return master::read(input, zone.as_deref(), source.strict, builder),
        Format::Plain | Format::Hosts | Format::Csv(_) => {}
    }
    let mut lines = lines::Lines::new(input);
    let (mut scratch, mut first) = (Vec::new(), true);
    while let Some((number, line)) = lines.next()? {
        let result = line.map_err(Stop::Garbage).and_then(|line| {
            let mut taken = entries::Entries { source, builder, scratch: &mut scratch };
            match source.format {
                Format::Csv(column) => csv::line(line, column, &mut first, &mut taken),
                Format::Hosts => hosts::line(line, &mut taken),
                _ => plain::line(line, &mut taken),
            }
        });
        judge(result, number, source.strict, builder)?;
    }
    Ok(())
}

/// What follows from the result of one line.
fn judge(result: Result<(), Stop>, line: u64, strict: bool, builder: &mut ListBuilder) -> Result<(), ReadError> {
    match result {
        Ok(()) => Ok(()),
        Err(Stop::Full) => Err(ReadError::Full),
        Err(Stop::Garbage(why)) if strict => Err(ReadError::Garbage(line, why)),
        Err(Stop::Garbage(why)) => {
            builder.skip(line, why);
            Ok(())
        }
    }
}
