//! An order-independent digest of a set of records: the sum, modulo 2^256, of the BLAKE3 hashes of their canonical forms.
//!
//! ```text
//! canonical form (RFC 4034 section 6.2): owner | type | class | TTL | RDLENGTH | RDATA
//!                                        names expanded and in lower case (owner, and RDATA of the types listed there)
//! ```
//!
//! Records can be added and removed in any order, so a zone after an IXFR has the digest of the zone before, minus what
//! was deleted, plus what was added; nobody needs to have the zone. A record that comes twice counts twice.
//!
//! What it is not: a sum of unkeyed hashes tells versions apart and finds every accident, but who may choose records
//! freely can find two different sets with one sum with some 2^32 steps and memory (Wagner's generalized birthday
//! attack). A primary that lies can do that. TSIG says who sent a zone, ZONEMD (RFC 8976) that it is as it was
//! published; this digest says neither.

/// A sum of hashes, as little-endian limbs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest([u64; 4]);

impl Digest {
    pub const LEN: usize = 32;

    /// The digest of one record in canonical form.
    #[inline]
    #[must_use]
    pub fn of(canonical: &[u8]) -> Self {
        let hash = blake3::hash(canonical);
        Self::from_bytes(*hash.as_bytes())
    }

    #[inline]
    pub fn add(&mut self, other: Self) {
        let mut carry = false;
        for (limb, more) in self.0.iter_mut().zip(other.0) {
            let (sum, over) = limb.overflowing_add(more);
            let (sum, again) = sum.overflowing_add(u64::from(carry));
            (*limb, carry) = (sum, over | again);
        }
    }

    #[inline]
    pub fn remove(&mut self, other: Self) {
        let mut borrow = false;
        for (limb, less) in self.0.iter_mut().zip(other.0) {
            let (rest, under) = limb.overflowing_sub(less);
            let (rest, again) = rest.overflowing_sub(u64::from(borrow));
            (*limb, borrow) = (rest, under | again);
        }
    }

    /// 32 bytes, least significant first.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        for (into, limb) in bytes.chunks_exact_mut(8).zip(self.0) {
            into.copy_from_slice(&limb.to_le_bytes());
        }
        bytes
    }

    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        let mut limbs = [0; 4];
        for (limb, from) in limbs.iter_mut().zip(bytes.as_chunks().0) {
            *limb = u64::from_le_bytes(*from);
        }
        Self(limbs)
    }
}
