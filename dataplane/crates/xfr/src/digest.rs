//! An order-independent digest of a set of records: the sum, modulo 2^256, of the BLAKE3 hashes of their canonical forms.
//!
//! ```text
//! canonical form (RFC 4034 section 6.2): owner | type | class | TTL | RDLENGTH | RDATA
//!                                        names expanded and in lower case (owner, and RDATA of the types listed there)
//! hashed: canonical form | zeros, up to whole blocks of 64 bytes
//! ```
//!
//! The form says itself where it ends, so zeros behind it make no two records one. They are there so that records of the
//! same number of blocks can be hashed side by side (`lanes`).
//!
//! Records can be added and removed in any order, so a zone after an IXFR has the digest of the zone before, minus what
//! was deleted, plus what was added; nobody needs to have the zone. A record that comes twice counts twice.
//!
//! What it is not: a sum of unkeyed hashes tells versions apart and finds every accident, but who may choose records
//! freely can find two different sets with one sum with some 2^32 steps and memory (Wagner's generalized birthday
//! attack). A primary that lies can do that. TSIG says who sent a zone, ZONEMD (RFC 8976) that it is as it was
//! published; this digest says neither.

use blake3::platform::Platform;

use crate::lanes::{BLOCK, Lanes};

/// A sum of hashes, as little-endian limbs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest([u64; 4]);

impl Digest {
    pub const LEN: usize = 32;

    /// The digest of one record in canonical form.
    #[must_use]
    pub fn of(canonical: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(canonical);
        let beyond = canonical.len() % BLOCK;
        if beyond > 0 {
            hasher.update(&[0; BLOCK][beyond..]);
        }
        Self::from_bytes(*hasher.finalize().as_bytes())
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

/// A digest that records are still added to. It keeps up to 42 of them, to hash them together.
pub struct Sum {
    platform: Platform,
    sum: Digest,
    one: Lanes<64>,
    two: Lanes<128>,
    three: Lanes<192>,
    four: Lanes<256>,
    five: Lanes<320>,
    six: Lanes<384>,
}

impl Default for Sum {
    fn default() -> Self {
        Self {
            platform: Platform::detect(),
            sum: Digest::default(),
            one: Lanes::default(),
            two: Lanes::default(),
            three: Lanes::default(),
            four: Lanes::default(),
            five: Lanes::default(),
            six: Lanes::default(),
        }
    }
}

impl Sum {
    /// Adds a record in canonical form. Beyond six blocks, where signatures of RSA with 2,048 bits end, each is hashed by
    /// itself.
    #[inline]
    pub fn add(&mut self, canonical: &[u8]) {
        let hashes = match canonical.len().div_ceil(BLOCK) {
            1 => self.one.add(self.platform, canonical),
            2 => self.two.add(self.platform, canonical),
            3 => self.three.add(self.platform, canonical),
            4 => self.four.add(self.platform, canonical),
            5 => self.five.add(self.platform, canonical),
            6 => self.six.add(self.platform, canonical),
            _ => return self.sum.add(Digest::of(canonical)),
        };
        for hash in hashes.into_iter().flatten() {
            self.sum.add(Digest::from_bytes(hash));
        }
    }

    /// A record whose digest is known.
    pub fn add_digest(&mut self, digest: Digest) {
        self.sum.add(digest);
    }

    /// The digest of all that was added.
    #[must_use]
    pub fn total(&self) -> Digest {
        let one = self.one.waiting().iter().map(|input| Digest::of(input));
        let two = self.two.waiting().iter().map(|input| Digest::of(input));
        let three = self.three.waiting().iter().map(|input| Digest::of(input));
        let four = self.four.waiting().iter().map(|input| Digest::of(input));
        let five = self.five.waiting().iter().map(|input| Digest::of(input));
        let six = self.six.waiting().iter().map(|input| Digest::of(input));
        let mut total = self.sum;
        one.chain(two).chain(three).chain(four).chain(five).chain(six).for_each(|digest| total.add(digest));
        total
    }
}
