//! Sets of address prefixes; the longest that an address lies in counts.

use std::io::{self, Write};
use std::net::IpAddr;

use crate::error::SetError;
use crate::hash::seed;
use crate::ranges::{self, Entry, NONE, Number, Ranges};
use crate::table::{self, Lengths};

/// Prefixes on their way into a set.
#[derive(Debug, Default)]
pub(crate) struct PrefixBuilder {
    v4: Vec<Entry<u32>>,
    v6: Vec<Entry<u128>>,
}

impl PrefixBuilder {
    /// How many prefixes were put in.
    pub(crate) const fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    pub(crate) fn add(&mut self, address: IpAddr, bits: u8, value: u32) -> Result<(), SetError> {
        if value == NONE {
            return Err(SetError::Value);
        }
        match address {
            IpAddr::V4(address) => push(&mut self.v4, address.to_bits(), bits, value),
            IpAddr::V6(address) => push(&mut self.v6, address.to_bits(), bits, value),
        }
    }

    /// Writes the set and says how large its parts are. It lies where `into` stood.
    pub(crate) fn write(self, into: &mut dyn Write) -> io::Result<Counts> {
        let seed = seed();
        let (v4, lengths_v4, entries_v4) = write_family(self.v4, seed, into)?;
        let (v6, lengths_v6, entries_v6) = write_family(self.v6, seed, into)?;
        let entries = count(entries_v4 + entries_v6)?;
        Ok(Counts { v4, v6, entries, lengths: [lengths_v4, lengths_v6], seed })
    }
}

/// Writes a family as a table, or else as ranges. Returns how many places or ranges there are, the lengths of a table,
/// and the number of different prefixes.
fn write_family<N: Number>(
    mut entries: Vec<Entry<N>>,
    seed: u64,
    into: &mut dyn Write,
) -> io::Result<(u32, Lengths, usize)> {
    if let Some((memory, lengths, different)) = table::build(&entries, seed) {
        drop(entries);
        into.write_all(&memory)?;
        return Ok((count(memory.len() / (N::BYTES + 8))?, lengths, different));
    }
    let (starts, values, different) = ranges::flatten(&mut entries);
    drop(entries);
    ranges::write(&starts, &values, into)?;
    Ok((count(starts.len())?, 0, different))
}

fn count(number: usize) -> io::Result<u32> {
    u32::try_from(number).map_err(|_| io::Error::other(SetError::Full))
}

fn push<N: Number>(entries: &mut Vec<Entry<N>>, number: N, bits: u8, value: u32) -> Result<(), SetError> {
    if bits > N::BITS {
        return Err(SetError::Bits);
    }
    entries.push(Entry { number, bits, value });
    Ok(())
}

/// The sizes of a set: places or ranges of each family, and the prefixes that were put in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub v4: u32,
    pub v6: u32,
    pub entries: u32,
    /// Of the table of each family; 0 where there are ranges.
    pub lengths: [Lengths; 2],
    pub seed: u64,
}

/// Where the prefixes of one family lie in memory.
#[derive(Clone, Copy, Debug)]
enum Family<N> {
    Ranges(Ranges<N>),
    Table { start: usize, end: usize, places: u32, lengths: Lengths },
}

impl<N: Number> Family<N> {
    fn place(offset: usize, number: u32, lengths: Lengths) -> Option<(Self, usize)> {
        if lengths == 0 {
            return Ranges::place(offset, number).map(|(ranges, end)| (Self::Ranges(ranges), end));
        }
        let end = offset.checked_add(table::size::<N>(number)?)?;
        Some((Self::Table { start: offset, end, places: number, lengths }, end))
    }

    #[inline]
    fn get(&self, memory: &[u8], seed: u64, number: N) -> Option<u32> {
        match *self {
            Self::Table { start, end, places, lengths } => {
                table::get(memory.get(start..end)?, places, lengths, seed, number)
            }
            Self::Ranges(ref ranges) => ranges.get(memory, number),
        }
    }
}

/// Where a set of prefixes lies in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prefixes {
    v4: Family<u32>,
    v6: Family<u128>,
    pub(crate) counts: Counts,
}

impl Prefixes {
    /// A set that begins at `offset`, and where it ends.
    pub(crate) fn place(offset: usize, counts: Counts) -> Option<(Self, usize)> {
        let (v4, middle) = Family::place(offset, counts.v4, counts.lengths[0])?;
        let (v6, end) = Family::place(middle, counts.v6, counts.lengths[1])?;
        Some((Self { v4, v6, counts }, end))
    }

    #[inline]
    pub(crate) fn get(&self, memory: &[u8], address: IpAddr) -> Option<u32> {
        match address {
            IpAddr::V4(address) => self.v4.get(memory, self.counts.seed, address.to_bits()),
            IpAddr::V6(address) => self.v6.get(memory, self.counts.seed, address.to_bits()),
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
        let counts = builder.write(&mut memory).map_err(|_| SetError::Full)?;
        let (place, _) = Prefixes::place(0, counts).ok_or(SetError::Full)?;
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
