//! Sets of address prefixes; the longest that an address lies in counts.

use std::net::IpAddr;

use crate::error::SetError;
use crate::ranges::{self, Entry, NONE, Number, Ranges};

/// Prefixes on their way into a set.
#[derive(Debug, Default)]
pub(crate) struct PrefixBuilder {
    v4: Vec<Entry<u32>>,
    v6: Vec<Entry<u128>>,
}

impl PrefixBuilder {
    pub(crate) fn add(&mut self, address: IpAddr, bits: u8, value: u32) -> Result<(), SetError> {
        if value == NONE {
            return Err(SetError::Value);
        }
        match address {
            IpAddr::V4(address) => push(&mut self.v4, address.to_bits(), bits, value),
            IpAddr::V6(address) => push(&mut self.v6, address.to_bits(), bits, value),
        }
    }

    /// Writes the prefixes behind what `into` holds and says where they lie.
    pub(crate) fn write(mut self, into: &mut Vec<u8>) -> Result<Prefixes, SetError> {
        let (first, second);
        let offset = into.len();
        let (starts, values, count4) = ranges::flatten(&mut self.v4);
        (self.v4, first) = (Vec::new(), u32::try_from(starts.len()).map_err(|_| SetError::Full)?);
        ranges::write(&starts, &values, into);
        let (starts, values, count6) = ranges::flatten(&mut self.v6);
        second = u32::try_from(starts.len()).map_err(|_| SetError::Full)?;
        drop(self);
        ranges::write(&starts, &values, into);
        let count = u32::try_from(count4 + count6).map_err(|_| SetError::Full)?;
        Ok(Prefixes::place(offset, Counts { v4: first, v6: second, entries: count }).ok_or(SetError::Full)?.0)
    }
}

fn push<N: Number>(entries: &mut Vec<Entry<N>>, number: N, bits: u8, value: u32) -> Result<(), SetError> {
    if bits > N::BITS {
        return Err(SetError::Bits);
    }
    entries.push(Entry { number, bits, value });
    Ok(())
}

/// The sizes of a set: ranges of each family, and the prefixes that were put in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub v4: u32,
    pub v6: u32,
    pub entries: u32,
}

/// Where a set of prefixes lies in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prefixes {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
    pub(crate) counts: Counts,
}

impl Prefixes {
    /// A set that begins at `offset`, and where it ends.
    pub(crate) fn place(offset: usize, counts: Counts) -> Option<(Self, usize)> {
        let (v4, middle) = Ranges::place(offset, counts.v4)?;
        let (v6, end) = Ranges::place(middle, counts.v6)?;
        Some((Self { v4, v6, counts }, end))
    }

    #[inline]
    pub(crate) fn get(&self, memory: &[u8], address: IpAddr) -> Option<u32> {
        match address {
            IpAddr::V4(address) => self.v4.get(memory, address.to_bits()),
            IpAddr::V6(address) => self.v6.get(memory, address.to_bits()),
        }
    }
}

/// An immutable set of prefixes of both families.
#[derive(Clone, Debug)]
pub struct PrefixSet {
    place: Prefixes,
    memory: Box<[u8]>,
}

impl PrefixSet {
    /// The set of `(address, prefix bits, value)`. Bits of the address behind the prefix are ignored. Of two equal
    /// prefixes the first counts. Values are below `u32::MAX`.
    ///
    /// # Errors
    /// The first entry that is none.
    pub fn new(entries: impl IntoIterator<Item = (IpAddr, u8, u32)>) -> Result<Self, SetError> {
        let mut builder = PrefixBuilder::default();
        for (address, bits, value) in entries {
            builder.add(address, bits, value)?;
        }
        let mut memory = Vec::new();
        let place = builder.write(&mut memory)?;
        Ok(Self { place, memory: memory.into_boxed_slice() })
    }

    /// The value of the longest prefix that `address` lies in.
    #[inline]
    #[must_use]
    pub fn get(&self, address: IpAddr) -> Option<u32> {
        self.place.get(&self.memory, address)
    }

    /// Whether `address` lies in any prefix.
    #[inline]
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.get(address).is_some()
    }

    /// Different prefixes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.place.counts.entries as usize
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory in bytes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.memory.len()
    }
}
