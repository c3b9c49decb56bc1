//! Rate limits: what shares a bucket, and what happens to a query over the limit.
//!
//! A `truncate` limit applies to UDP alone: the truncated reply sends an honest client to TCP, where the same limit
//! must not meet it again. The other actions apply to every transport.

use std::net::IpAddr;

use wire::{Query, name};

use crate::decide::Client;
use crate::gcra::Bucket;
use crate::table::Limits;
use crate::zones::Zones;

/// The most rate limits of a policy.
pub const MAX_LIMITS: usize = 32;

/// What shares one bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// The first bits of the client's address.
    ClientPrefix { v4: u8, v6: u8 },
    /// The served zone; names that only `*` lets in share one bucket.
    Zone,
    /// The name that is asked for, without regard to case.
    Qname,
    /// The type that is asked for.
    Qtype,
    /// Everything.
    Global,
}

/// What happens to a query over the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Drop,
    /// A reply with TC, so that an honest client comes back over TCP.
    Truncate,
    Refuse,
    /// Count it and let it pass.
    Observe,
}

/// `rate` queries a second for each value of `key`, of which `burst` may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    pub key: Key,
    pub rate: u32,
    pub burst: u32,
    pub action: Action,
}

/// Bytes that name a bucket's family: kind, ordinal, prefix length, IP version, rate, burst. A limit that a reload
/// leaves as it is keeps its buckets, and a changed one begins with full ones.
type Tag = [u8; 12];

pub(crate) const fn tag(kind: u8, ordinal: u8, prefix: u8, version: u8, rate: u32, burst: u32) -> Tag {
    let [r0, r1, r2, r3] = rate.to_be_bytes();
    let [b0, b1, b2, b3] = burst.to_be_bytes();
    [kind, ordinal, prefix, version, r0, r1, r2, r3, b0, b1, b2, b3]
}

/// A prefix of the client's address in both families, with the tags of its buckets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prefix {
    mask_v4: u32,
    mask_v6: u128,
    tag_v4: Tag,
    tag_v6: Tag,
}

impl Prefix {
    pub(crate) fn new(kind: u8, ordinal: u8, (v4, v6): (u8, u8), rate: u32, burst: u32) -> Self {
        Self {
            mask_v4: u32::MAX.checked_shl(32 - u32::from(v4.min(32))).unwrap_or(0),
            mask_v6: u128::MAX.checked_shl(128 - u32::from(v6.min(128))).unwrap_or(0),
            tag_v4: tag(kind, ordinal, v4, 4, rate, burst),
            tag_v6: tag(kind, ordinal, v6, 6, rate, burst),
        }
    }

    /// The key of the bucket that `address` falls into.
    #[inline]
    pub(crate) fn key(&self, limits: &Limits<'_>, address: IpAddr) -> u64 {
        match address {
            IpAddr::V4(address) => {
                let mut bytes = [0; 16];
                bytes[..12].copy_from_slice(&self.tag_v4);
                bytes[12..].copy_from_slice(&(address.to_bits() & self.mask_v4).to_be_bytes());
                limits.key(&bytes)
            }
            IpAddr::V6(address) => {
                let mut bytes = [0; 28];
                bytes[..12].copy_from_slice(&self.tag_v6);
                bytes[12..].copy_from_slice(&(address.to_bits() & self.mask_v6).to_be_bytes());
                limits.key(&bytes)
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Share {
    Prefix(Prefix),
    Zone(Tag),
    Qname(Tag),
    Qtype(Tag),
    Global(Tag),
}

/// A rate limit, compiled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    share: Share,
    bucket: Bucket,
    pub(crate) action: Action,
}

/// What a query shows to the limits. Without a question only client prefix and global limits apply.
pub(crate) struct Subject<'q, 'm> {
    pub(crate) client: &'q Client<'q>,
    pub(crate) query: Option<&'q Query<'m>>,
    pub(crate) zone: Option<u32>,
    /// It has shown a valid cookie.
    pub(crate) verified: bool,
    pub(crate) now: u64,
}

impl Limit {
    /// `ordinal` tells limits of equal key, rate and burst apart.
    ///
    /// # Errors
    /// What is out of range.
    pub(crate) fn compile(limit: &RateLimit, ordinal: u8) -> Result<Self, String> {
        let bucket = Bucket::new(limit.rate, limit.burst)?;
        let tag = |kind| tag(kind, ordinal, 0, 0, limit.rate, limit.burst);
        let share = match limit.key {
            Key::ClientPrefix { v4, v6 } if v4 > 32 || v6 > 128 => {
                return Err(format!("prefixes of {v4} and {v6} bits: IPv4 has 32, IPv6 has 128"));
            }
            Key::ClientPrefix { v4, v6 } => Share::Prefix(Prefix::new(0, ordinal, (v4, v6), limit.rate, limit.burst)),
            Key::Zone => Share::Zone(tag(1)),
            Key::Qname => Share::Qname(tag(2)),
            Key::Qtype => Share::Qtype(tag(3)),
            Key::Global => Share::Global(tag(4)),
        };
        Ok(Self { share, bucket, action: limit.action })
    }

    /// Whether `subject` is over this limit. If it is not, its bucket has paid.
    #[inline]
    pub(crate) fn is_over(&self, limits: &Limits<'_>, zones: &Zones, subject: &Subject<'_, '_>) -> bool {
        // Truncation asks for proof of the address, and this client has given it.
        if self.action == Action::Truncate && (subject.client.transport.is_stream() || subject.verified) {
            return false;
        }
        let Some(key) = self.key(limits, zones, subject) else {
            return false;
        };
        !limits.charge(key, &self.bucket, subject.now)
    }

    #[inline]
    fn key(&self, limits: &Limits<'_>, zones: &Zones, subject: &Subject<'_, '_>) -> Option<u64> {
        let question = || subject.query.and_then(|query| query.question);
        Some(match &self.share {
            Share::Prefix(prefix) => prefix.key(limits, subject.client.address),
            Share::Global(tag) => limits.key(tag),
            Share::Zone(tag) => {
                question()?;
                named(limits, tag, subject.zone.map_or(&[], |zone| zones.name(zone)))
            }
            Share::Qname(tag) => named(limits, tag, question()?.name),
            Share::Qtype(tag) => named(limits, tag, &question()?.qtype.to_be_bytes()),
        })
    }
}

fn named(limits: &Limits<'_>, tag: &Tag, rest: &[u8]) -> u64 {
    let mut bytes = [0; 12 + name::MAX_NAME];
    let length = rest.len().min(name::MAX_NAME);
    let (head, tail) = bytes.split_at_mut(tag.len());
    head.copy_from_slice(tag);
    tail[..length].copy_from_slice(&rest[..length]);
    tail[..length].make_ascii_lowercase();
    limits.key(&bytes[..tag.len() + length])
}
