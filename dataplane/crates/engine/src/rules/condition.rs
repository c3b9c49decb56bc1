//! What a rule may ask of a message. A condition on something that a message lacks (its question, EDNS, a TLV) does not
//! hold, and its negation does.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use wire::Transport;

use crate::cookies::Shown;

/// A section of the message whose records are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    Question = 0,
    Answer = 1,
    Authority = 2,
    Additional = 3,
}

/// A part of every week, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Bit 0 is Monday. Where the window goes past midnight, the day is that of its beginning.
    pub days: u8,
    /// Minutes of the day; equal ones are the whole day, and an end before the beginning is on the next day.
    pub from: u16,
    pub to: u16,
}

/// A TLV of the PROXY header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tlv {
    pub kind: u8,
    pub value: TlvValue,
}

/// What the value of a TLV must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlvValue {
    Any,
    Equal(Vec<u8>),
    Begins(Vec<u8>),
}

/// A condition. In the lists, any one item is enough; names are in wire form, in any case.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// Holds if all do; so it holds without any.
    All(Vec<Condition>),
    /// Holds if one does; so it never holds without any.
    Any(Vec<Condition>),
    Not(Box<Condition>),
    /// Prefixes of the client's address.
    Client(Vec<(IpAddr, u8)>),
    /// Numbers of lists that may know the client, or the name.
    ClientList(Vec<u32>),
    QnameList(Vec<u32>),
    /// Numbers of listeners.
    Listener(Vec<u16>),
    Transport(Vec<Transport>),
    Qname(Vec<Vec<u8>>),
    /// The name itself, and all names below it.
    QnameSuffix(Vec<Vec<u8>>),
    /// Regular expressions over the name as text.
    QnameRegex(Vec<String>),
    /// Labels of the name without the root.
    Labels(RangeInclusive<u8>),
    Qtype(Vec<u16>),
    Qclass(Vec<u16>),
    Opcode(Vec<u8>),
    /// Bits of the second 16 bits of the header that are set, and such that are not.
    Flags {
        set: u16,
        unset: u16,
    },
    Edns(bool),
    EdnsVersion(RangeInclusive<u8>),
    /// Codes of options.
    EdnsOption(Vec<u16>),
    EdnsSize(RangeInclusive<u16>),
    DnssecOk(bool),
    /// What the header says of the number of records.
    Count(Section, RangeInclusive<u16>),
    /// Bytes of the message.
    Size(RangeInclusive<u16>),
    /// Bytes behind the last record.
    Trailing(bool),
    /// TSIG or SIG(0).
    Signed(bool),
    /// What a TLS client asked for.
    ServerName(Vec<Vec<u8>>),
    ServerNameSuffix(Vec<Vec<u8>>),
    Tlv(Vec<Tlv>),
    /// Tags that rules before this one have set.
    Tag(Vec<u8>),
    /// This share of 2^32 of all messages.
    Probability(u64),
    Time(Window),
    /// What the message shows of a DNS cookie.
    Cookie(Vec<Shown>),
    /// Served zones.
    Zone(Vec<Vec<u8>>),
}
