//! The values that the wire check reads and returns.

use crate::Reason;
use crate::cookie::{Cookie, CookiePlace};

/// Bytes of the header (RFC 1035 section 4.1.1).
pub const HEADER_LEN: usize = 12;

/// How a message reached us. The discriminant indexes the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Transport {
    Udp = 0,
    Tcp = 1,
    Tls = 2,
}

impl Transport {
    pub const COUNT: usize = 3;
    pub const ALL: [Self; Self::COUNT] = [Self::Udp, Self::Tcp, Self::Tls];

    /// The metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }

    /// Whether the client's address is proven by a handshake and truncation means nothing.
    #[must_use]
    pub const fn is_stream(self) -> bool {
        !matches!(self, Self::Udp)
    }
}

/// Opcodes (RFC 6895 section 2.2).
pub mod opcode {
    pub const QUERY: u8 = 0;
    pub const NOTIFY: u8 = 4;
    pub const UPDATE: u8 = 5;

    /// Whether the wire check knows what a message with this opcode is.
    #[must_use]
    pub const fn is_known(opcode: u8) -> bool {
        matches!(opcode, QUERY | NOTIFY | UPDATE)
    }
}

/// Response codes, the 12 bits of RFC 6891 section 6.1.3.
pub mod rcode {
    pub const NOERROR: u16 = 0;
    pub const FORMERR: u16 = 1;
    pub const SERVFAIL: u16 = 2;
    pub const NXDOMAIN: u16 = 3;
    pub const NOTIMP: u16 = 4;
    pub const REFUSED: u16 = 5;
    pub const BADVERS: u16 = 16;
    pub const BADCOOKIE: u16 = 23;
}

/// The types that the gateway treats by themselves (RFC 6895 section 3.1).
pub mod qtype {
    pub const A: u16 = 1;
    pub const NS: u16 = 2;
    pub const SOA: u16 = 6;
    pub const SIG: u16 = 24;
    pub const AAAA: u16 = 28;
    pub const OPT: u16 = 41;
    pub const RRSIG: u16 = 46;
    pub const DNSKEY: u16 = 48;
    pub const TKEY: u16 = 249;
    pub const TSIG: u16 = 250;
    pub const IXFR: u16 = 251;
    pub const AXFR: u16 = 252;
    pub const ANY: u16 = 255;
}

/// The classes that the gateway treats by themselves (RFC 6895 section 3.2).
pub mod class {
    pub const IN: u16 = 1;
    pub const CHAOS: u16 = 3;
    pub const ANY: u16 = 255;
}

/// The question; in the message it occupies `12 .. 12 + name.len() + 4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question<'m> {
    /// In wire form, uncompressed, with the root label; case as sent.
    pub name: &'m [u8],
    /// Labels without the root: 0 for the root itself, at most 127.
    pub labels: u8,
    pub qtype: u16,
    pub qclass: u16,
}

impl Question<'_> {
    /// Bytes that the question takes in the message.
    #[must_use]
    pub const fn wire_len(&self) -> u16 {
        // A name has at most 255 bytes.
        self.name.len() as u16 + 4
    }
}

/// The header of an OPT record (RFC 6891 section 6.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edns {
    /// At least 512; a smaller value counts as 512 (RFC 6891 section 6.2.3).
    pub udp_size: u16,
    pub version: u8,
    pub dnssec_ok: bool,
}

/// A message that passed the wire check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query<'m> {
    pub id: u16,
    pub flags: u16,
    /// One of [`opcode`]; others do not pass.
    pub opcode: u8,
    /// `None` only for the cookie-only query (RFC 7873 section 5.4).
    pub question: Option<Question<'m>>,
    pub edns: Option<Edns>,
    /// The COOKIE option, not verified.
    pub cookie: Option<CookiePlace>,
    /// The options of OPT as they stand there; [`Query::options`] walks over them.
    pub options: &'m [u8],
    /// Bytes behind the last record.
    pub trailing: u16,
    /// Carries TSIG or SIG(0), not verified.
    pub signed: bool,
    /// The first row that it breaks and that is only observed. What stands behind a broken place was not read.
    pub observed: Option<Reason>,
}

impl<'m> Query<'m> {
    /// Code and value of each EDNS option, in their order (RFC 6891 section 6.1.2).
    #[must_use]
    pub const fn options(&self) -> Options<'m> {
        Options { rest: self.options }
    }
}

/// Iterates over EDNS options. Bytes that are none end the iteration early.
#[derive(Clone, Debug)]
pub struct Options<'m> {
    rest: &'m [u8],
}

impl<'m> Iterator for Options<'m> {
    type Item = (u16, &'m [u8]);

    #[inline]
    fn next(&mut self) -> Option<(u16, &'m [u8])> {
        let (&[c0, c1, l0, l1], behind) = self.rest.split_first_chunk::<4>()?;
        let (value, rest) = behind.split_at_checked(usize::from(u16::from_be_bytes([l0, l1])))?;
        self.rest = rest;
        Some((u16::from_be_bytes([c0, c1]), value))
    }
}

/// What a reply repeats of the query that it answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Echo {
    /// Bytes of the question section; 0: the reply has none.
    pub question_len: u16,
    /// Who asked with EDNS is answered with EDNS (RFC 6891 section 6.1.1).
    pub edns: Option<Edns>,
    /// What OPT holds besides: the client's cookie and ours.
    pub cookie: Option<Cookie>,
    /// The number of an extended error that goes with the reply; 0: none.
    pub note: u16,
}

impl Echo {
    /// What a reply to `query` repeats.
    #[must_use]
    pub fn of(query: &Query<'_>) -> Self {
        let question_len = query.question.map_or(0, |question| question.wire_len());
        Self { question_len, edns: query.edns, cookie: None, note: 0 }
    }
}

/// What may be done about a faulty message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    Drop,
    Reply { rcode: u16, truncated: bool },
}

/// A message that did not pass the wire check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    pub reason: Reason,
    pub reaction: Reaction,
    /// Bytes of question section that were read whole and may be repeated; 0: none.
    pub question_len: u16,
    /// The OPT record, where the pass had come that far.
    pub edns: Option<Edns>,
    /// Its COOKIE option, not verified.
    pub cookie: Option<CookiePlace>,
}

impl Fault {
    /// What a reply to this message repeats.
    #[must_use]
    pub const fn echo(&self) -> Echo {
        Echo { question_len: self.question_len, edns: self.edns, cookie: None, note: 0 }
    }
}
