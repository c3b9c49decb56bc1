//! One sampled message, in memory and on its way to the supervisor.
//!
//! ```text
//! header   version 1 | queries seen 8, kept 4 | answers seen 8, kept 4                                 little-endian
//! record   flags 1 | address 4 or 16 | size 2 | qtype 2 | body 2 or 6 | length of the name 1 | name
//! flags    bit 0 answer, bit 1 IPv6, bits 2 and 3 transport, bit 4 a question was read
//! body     of a query: verdict 1, reason 1        of an answer: RCODE 1, backend's slot 1, microseconds 4
//! ```
//! The reader takes any bytes and never panics: what does not parse ends the batch.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use engine::Act;
use wire::name::{MAX_NAME, skip_plain};
use wire::{HEADER_LEN, Reason, Transport};

use super::reservoir::Reservoir;

const VERSION: u8 = 1;
const HEADER: usize = 25;
const ANSWER: u8 = 1;
const IPV6: u8 = 2;
const QUESTION: u8 = 16;

/// What a message was, and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Query {
        act: Act,
        reason: Reason,
    },
    /// `latency` in microseconds; `slot` is the backend's.
    Answer {
        rcode: u8,
        slot: u8,
        latency: u32,
    },
}

/// A sampled message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample<'b> {
    pub client: IpAddr,
    pub transport: Transport,
    pub size: u16,
    pub kind: Kind,
    /// Type and name, in wire form and as sent, of the question if one could be read.
    pub question: Option<(u16, &'b [u8])>,
}

/// A sampled message with the memory for its name.
pub struct Record {
    client: IpAddr,
    transport: Transport,
    size: u16,
    kind: Kind,
    qtype: u16,
    /// 0 without a question.
    length: u8,
    name: [u8; MAX_NAME],
}

impl Default for Record {
    fn default() -> Self {
        Self {
            client: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            transport: Transport::Udp,
            size: 0,
            kind: Kind::Query { act: Act::Drop, reason: Reason::TooShort },
            qtype: 0,
            length: 0,
            name: [0; MAX_NAME],
        }
    }
}

impl Record {
    pub fn put(&mut self, client: IpAddr, transport: Transport, message: &[u8], kind: Kind) {
        (self.client, self.transport, self.kind) = (client, transport, kind);
        self.size = u16::try_from(message.len()).unwrap_or(u16::MAX);
        (self.qtype, self.length) = (0, 0);
        let Some((qtype, name)) = question(message) else { return };
        if let Some(copy) = self.name.get_mut(..name.len()) {
            copy.copy_from_slice(name);
            (self.qtype, self.length) = (qtype, name.len() as u8);
        }
    }

    pub fn write(&self, into: &mut Vec<u8>) {
        let answer = if matches!(self.kind, Kind::Answer { .. }) { ANSWER } else { 0 };
        let family = if self.client.is_ipv6() { IPV6 } else { 0 };
        let question = if self.length > 0 { QUESTION } else { 0 };
        into.push(answer | family | (self.transport as u8) << 2 | question);
        match self.client {
            IpAddr::V4(address) => into.extend_from_slice(&address.octets()),
            IpAddr::V6(address) => into.extend_from_slice(&address.octets()),
        }
        into.extend_from_slice(&self.size.to_le_bytes());
        into.extend_from_slice(&self.qtype.to_le_bytes());
        match self.kind {
            Kind::Query { act, reason } => into.extend_from_slice(&[act as u8, reason as u8]),
            Kind::Answer { rcode, slot, latency } => {
                into.extend_from_slice(&[rcode, slot]);
                into.extend_from_slice(&latency.to_le_bytes());
            }
        }
        into.push(self.length);
        into.extend_from_slice(&self.name[..usize::from(self.length)]);
    }
}

/// Type and name of the first question, if there is a whole one. The header may say what it likes.
fn question(message: &[u8]) -> Option<(u16, &[u8])> {
    let (end, _) = skip_plain(message, HEADER_LEN).ok()?;
    let kind = message.get(end..)?.first_chunk::<2>()?;
    Some((u16::from_be_bytes(*kind), message.get(HEADER_LEN..end)?))
}

/// How many passed, and how many of them stand in the batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    pub queries: (u64, u32),
    pub answers: (u64, u32),
}

impl Header {
    pub(super) fn of(queries: &Reservoir<Record>, answers: &Reservoir<Record>) -> Self {
        let pair = |reservoir: &Reservoir<Record>| (reservoir.seen(), reservoir.kept().len() as u32);
        Self { queries: pair(queries), answers: pair(answers) }
    }

    pub(super) fn write(&self, into: &mut Vec<u8>) {
        into.push(VERSION);
        for (seen, kept) in [self.queries, self.answers] {
            into.extend_from_slice(&seen.to_le_bytes());
            into.extend_from_slice(&kept.to_le_bytes());
        }
    }
}

/// Samples on their way: what [`super::Samples::take`] wrote, read record by record.
pub struct Batch<'b> {
    pub header: Header,
    rest: &'b [u8],
}

impl<'b> Batch<'b> {
    /// `None` if the bytes do not begin as a batch of this version does.
    #[must_use]
    pub fn read(bytes: &'b [u8]) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk::<HEADER>()?;
        let (version, mut at) = head.split_first()?;
        if *version != VERSION {
            return None;
        }
        let mut pair = || Some((take(&mut at).map(u64::from_le_bytes)?, take(&mut at).map(u32::from_le_bytes)?));
        let header = Header { queries: pair()?, answers: pair()? };
        Some(Self { header, rest })
    }

    fn record(&mut self) -> Option<Sample<'b>> {
        let rest = &mut self.rest;
        let [flags] = take(rest)?;
        let client = if flags & IPV6 != 0 {
            IpAddr::V6(Ipv6Addr::from(take::<16>(rest)?))
        } else {
            IpAddr::V4(Ipv4Addr::from(take::<4>(rest)?))
        };
        let transport = *Transport::ALL.get(usize::from(flags >> 2 & 3))?;
        let size = u16::from_le_bytes(take(rest)?);
        let qtype = u16::from_le_bytes(take(rest)?);
        let [first, second] = take(rest)?;
        let kind = if flags & ANSWER != 0 {
            Kind::Answer { rcode: first, slot: second, latency: u32::from_le_bytes(take(rest)?) }
        } else {
            Kind::Query { act: *Act::ALL.get(usize::from(first))?, reason: *Reason::ALL.get(usize::from(second))? }
        };
        let [length] = take(rest)?;
        let (name, behind) = rest.split_at_checked(usize::from(length))?;
        *rest = behind;
        let question = (flags & QUESTION != 0).then_some((qtype, name));
        Some(Sample { client, transport, size, kind, question })
    }
}

impl<'b> Iterator for Batch<'b> {
    type Item = Sample<'b>;

    fn next(&mut self) -> Option<Sample<'b>> {
        let sample = self.record();
        if sample.is_none() {
            self.rest = &[];
        }
        sample
    }
}

fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = from.split_first_chunk::<N>()?;
    *from = rest;
    Some(*head)
}
