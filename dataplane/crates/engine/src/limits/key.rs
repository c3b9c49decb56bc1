//! What shares a bucket: parts of a query, put together and hashed once.
//!
//! ```text
//!  | tag 8 | address 4 or 16 | opcode 1 | transport 1 | QTYPE 2 | zone 8 | QNAME, in lower case |
//! ```
//! Each part is there or not by the limit alone, and QNAME stands at the end, so no two sets of values have the same
//! bytes. The tag stands for the limit itself: for its parts, numbers and prefix length. So a limit that a reload leaves
//! as it is keeps its buckets, and a changed one begins with full ones.

use std::hash::Hasher;
use std::net::IpAddr;
use std::ops::BitOr;

use siphasher::sip::SipHasher13;
use wire::name::MAX_NAME;

use super::{Subject, meter::Meter};
use crate::table::Limits;
use crate::zones::Zones;

/// A set of parts; the empty one puts everything into one bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Key(u8);

impl Key {
    pub const GLOBAL: Self = Self(0);
    /// The first bits of the client's address.
    pub const CLIENT_PREFIX: Self = Self(1);
    /// The served zone; names that only `*` lets in count as one.
    pub const ZONE: Self = Self(2);
    /// The name that is asked for, without regard to case.
    pub const QNAME: Self = Self(4);
    /// The type that is asked for.
    pub const QTYPE: Self = Self(8);
    pub const OPCODE: Self = Self(16);
    /// UDP, TCP or TLS.
    pub const TRANSPORT: Self = Self(32);

    const QUESTION: Self = Self(Self::ZONE.0 | Self::QNAME.0 | Self::QTYPE.0);

    /// Whether it has all parts of `other`.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub(crate) const fn number(self) -> u32 {
        self.0 as u32
    }

    const fn has_any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for Key {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Bytes that stand for a family of buckets.
pub(crate) type Tag = [u8; 8];

/// The tag of what `words` describe. The hash needs no secret: who makes the configuration chooses them.
pub(crate) fn tag(words: &[u32]) -> Tag {
    let mut hasher = SipHasher13::new();
    for word in words {
        hasher.write_u32(*word);
    }
    hasher.finish().to_le_bytes()
}

/// One prefix length of a limit, with its numbers; or the only bucket family of one that does not look at addresses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Level {
    pub(crate) tag: Tag,
    pub(crate) mask: u128,
    pub(crate) meter: Meter,
}

/// The bits of an IPv4 or IPv6 address that a prefix of `bits` keeps; IPv4 stands in the lower 32.
pub(crate) const fn mask(bits: u8, width: u32) -> u128 {
    let all = if width == 128 { u128::MAX } else { (1 << width) - 1 };
    match all.checked_shl(width - bits as u32) {
        Some(mask) => mask & all,
        None => 0,
    }
}

const ADDRESS: usize = 8;
const LONGEST: usize = ADDRESS + 16 + 1 + 1 + 2 + 8 + MAX_NAME;

/// The bytes of a key, ready but for tag and address, which differ from level to level. One is used again for all limits
/// of a message, because to clear it takes longer than to fill it.
pub(crate) struct Bytes {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Bytes {
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; LONGEST], length: ADDRESS }
    }

    /// Takes the values of `key` in `subject`; `None` if it has no question and the key looks at one.
    #[inline]
    pub(crate) fn take(&mut self, key: Key, zones: &Zones, subject: &Subject<'_, '_>) -> Option<()> {
        let bytes = self;
        bytes.length = ADDRESS;
        if key.has(Key::CLIENT_PREFIX) {
            bytes.length += if subject.client.address.is_ipv4() { 4 } else { 16 };
        }
        if key.has(Key::OPCODE) {
            bytes.add(&[subject.query?.opcode]);
        }
        if key.has(Key::TRANSPORT) {
            bytes.add(&[subject.client.transport as u8]);
        }
        if key.has_any(Key::QUESTION) {
            let question = subject.query?.question?;
            if key.has(Key::QTYPE) {
                bytes.add(&question.qtype.to_be_bytes());
            }
            if key.has(Key::ZONE) {
                bytes.add(&subject.zone.map_or(0, |zone| zones.mark(zone)).to_be_bytes());
            }
            if key.has(Key::QNAME) {
                bytes.add_name(question.name);
            }
        }
        Some(())
    }

    /// An address and a name in lower case, as response limits have them.
    #[inline]
    pub(crate) fn of_answer(address: IpAddr, name: &[u8]) -> Self {
        let mut bytes = Self { bytes: [0; LONGEST], length: ADDRESS + if address.is_ipv4() { 4 } else { 16 } };
        bytes.add(&name[..name.len().min(MAX_NAME)]);
        bytes
    }

    #[inline]
    fn add(&mut self, part: &[u8]) {
        self.bytes[self.length..self.length + part.len()].copy_from_slice(part);
        self.length += part.len();
    }

    #[inline]
    fn add_name(&mut self, name: &[u8]) {
        let start = self.length;
        self.add(&name[..name.len().min(MAX_NAME)]);
        self.bytes[start..self.length].make_ascii_lowercase();
    }

    /// The key of the bucket at `level`.
    #[inline]
    pub(crate) fn at(&mut self, limits: &Limits<'_>, level: &Level) -> u64 {
        self.bytes[..ADDRESS].copy_from_slice(&level.tag);
        limits.key(&self.bytes[..self.length])
    }

    /// The key of the bucket of `address` at `level`.
    #[inline]
    pub(crate) fn at_prefix(&mut self, limits: &Limits<'_>, level: &Level, address: IpAddr) -> u64 {
        match address {
            IpAddr::V4(address) => {
                let bits = address.to_bits() & level.mask as u32;
                self.bytes[ADDRESS..ADDRESS + 4].copy_from_slice(&bits.to_be_bytes());
            }
            IpAddr::V6(address) => {
                let bits = address.to_bits() & level.mask;
                self.bytes[ADDRESS..ADDRESS + 16].copy_from_slice(&bits.to_be_bytes());
            }
        }
        self.at(limits, level)
    }
}
