//! The buckets that one message pays at once: one for each prefix length.
//!
//! All are looked at before any is charged: over at one length is over, and then nothing is taken. Only when two workers
//! charge at the same moment a later length may turn out to be over after an earlier one has paid; that keeps what it
//! took, so never more passes than any one length allows.

use std::net::IpAddr;

use super::key::{Bytes, Level, Tag, mask, tag};
use super::meter::{Algorithm, Meter, Unit};
use crate::table::Limits;

/// The most prefix lengths of a limit in one family.
pub const MAX_LEVELS: usize = 8;

/// The numbers of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub(crate) unit: Unit,
    pub(crate) algorithm: Algorithm,
    pub(crate) rate: u32,
    pub(crate) burst: u32,
}

impl Numbers {
    /// The level of a prefix of `bits` bits out of `width`, for the limit that `kind` and `ordinal` name.
    pub(crate) fn level(
        &self,
        (kind, ordinal): (u32, u32),
        (bits, factor): (u8, u32),
        width: u32,
    ) -> Result<Level, String> {
        if u32::from(bits) > width {
            return Err(format!("a prefix of {bits} bits: IPv4 has 32, IPv6 has 128"));
        }
        let Self { unit, algorithm, rate, burst } = *self;
        Ok(Level {
            tag: tag(&[kind, ordinal, u32::from(bits), width, factor, rate, burst, unit as u32, algorithm as u32]),
            mask: mask(bits, width),
            meter: Meter::new(algorithm, unit, rate, burst, factor)?,
        })
    }
}

/// The levels of both families.
#[derive(Clone, Debug)]
pub(crate) struct Levels {
    v4: Box<[Level]>,
    v6: Box<[Level]>,
}

impl Levels {
    /// One level for each of `v4` and of `v6`, which are bits and factors.
    ///
    /// # Errors
    /// What is out of range.
    pub(crate) fn compile(
        numbers: &Numbers,
        name: (u32, u32),
        v4: &[(u8, u32)],
        v6: &[(u8, u32)],
    ) -> Result<Self, String> {
        let family = |lengths: &[(u8, u32)], width| {
            if !(1..=MAX_LEVELS).contains(&lengths.len()) {
                return Err(format!("{} prefix lengths are not between 1 and {MAX_LEVELS}", lengths.len()));
            }
            lengths.iter().map(|&length| numbers.level(name, length, width)).collect()
        };
        Ok(Self { v4: family(v4, 32)?, v6: family(v6, 128)? })
    }

    /// Takes `units` from the bucket of `address` at every length. False: it is over one of them.
    #[inline]
    pub(crate) fn charge(&self, limits: &Limits<'_>, bytes: &mut Bytes, address: IpAddr, units: u64, now: u64) -> bool {
        let levels = if address.is_ipv4() { &self.v4 } else { &self.v6 };
        if let [level] = &levels[..] {
            return limits.charge(bytes.at_prefix(limits, level, address), &level.meter, units, now);
        }
        let mut keys = [0; MAX_LEVELS];
        for (key, level) in keys.iter_mut().zip(levels) {
            *key = bytes.at_prefix(limits, level, address);
        }
        let each = || keys.iter().zip(levels);
        each().all(|(key, level)| limits.would_pass(*key, &level.meter, units, now))
            && each().all(|(key, level)| limits.charge(*key, &level.meter, units, now))
    }
}

/// One prefix length of each family, for who charges a bucket in a way of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prefix {
    v4: (Tag, u32),
    v6: (Tag, u128),
}

impl Prefix {
    pub(crate) fn new((kind, ordinal): (u32, u32), (v4, v6): (u8, u8), rate: u32, burst: u32) -> Self {
        let tag = |bits: u8, width| tag(&[kind, ordinal, u32::from(bits), width, rate, burst]);
        Self { v4: (tag(v4, 32), mask(v4, 32) as u32), v6: (tag(v6, 128), mask(v6, 128)) }
    }

    /// The key of the bucket that `address` falls into.
    #[inline]
    pub(crate) fn key(&self, limits: &Limits<'_>, address: IpAddr) -> u64 {
        match address {
            IpAddr::V4(address) => {
                let mut bytes = [0; 12];
                bytes[..8].copy_from_slice(&self.v4.0);
                bytes[8..].copy_from_slice(&(address.to_bits() & self.v4.1).to_be_bytes());
                limits.key(&bytes)
            }
            IpAddr::V6(address) => {
                let mut bytes = [0; 24];
                bytes[..8].copy_from_slice(&self.v6.0);
                bytes[8..].copy_from_slice(&(address.to_bits() & self.v6.1).to_be_bytes());
                limits.key(&bytes)
            }
        }
    }
}
