//! Sets of names; the most specific entry counts.
//!
//! ```text
//! places    | tag u32, record u32 | ...     open addressing by hash, a power of two, at most half full; record 0: free
//! records   | 0 | flags, name in lower case, value, second value | ...
//! ```
//! A look-up walks the labels of the name from the left and looks only where some entry has as many labels.

use std::io::{self, Write};

use wire::name::{MAX_LABELS, equal, labels, skip_plain};

use crate::error::SetError;
use crate::flat;
use crate::hash::{hash, seed};
use crate::ranges::NONE;

/// What an entry covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The name alone. It counts before a `Suffix` of the same name.
    Exact,
    /// The name and all names below it.
    Suffix,
    /// Only the names below it.
    Below,
}

/// Places that a look-up tries. With a hash that nobody can predict and half of the places free, a longer run is not
/// to be expected within the age of the universe; in a forged file it ends here.
const MAX_PROBES: usize = 256;
const PLACE: usize = 8;
/// Bytes of a longest record: flags, name, two values.
const MAX_RECORD: u32 = 1 + 255 + 8;

/// It has a value for the name itself.
const ITSELF: u8 = 1;
/// It has a value for the names below.
const BELOW: u8 = 2;
/// The value for the name itself is from an entry for it alone.
const EXACT: u8 = 4;
/// One value stands for both.
const SAME: u8 = 8;

/// What a record says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Values {
    itself: Option<u32>,
    below: Option<u32>,
    exact: bool,
}

impl Values {
    fn add(mut self, scope: Scope, value: u32) -> Self {
        if scope == Scope::Exact {
            if !self.exact {
                self.itself = Some(value);
            }
            self.exact = true;
            return self;
        }
        if scope == Scope::Suffix {
            self.itself.get_or_insert(value);
        }
        self.below.get_or_insert(value);
        self
    }

    fn flags(self) -> u8 {
        let same = self.itself.is_some() && self.itself == self.below;
        let set = [(self.itself.is_some(), ITSELF), (self.below.is_some(), BELOW), (self.exact, EXACT), (same, SAME)];
        set.into_iter().filter(|(on, _)| *on).fold(0, |flags, (_, flag)| flags | flag)
    }

    fn write(self, into: &mut Vec<u8>) {
        let second = if self.itself == self.below { None } else { self.below };
        [self.itself, second].into_iter().flatten().for_each(|value| into.extend(value.to_le_bytes()));
    }

    #[inline]
    fn read(records: &[u8], flags: u8, at: usize) -> Option<Self> {
        let first = flat::u32_at(records, at)?;
        let itself = (flags & ITSELF != 0).then_some(first);
        let below = match flags & (ITSELF | BELOW | SAME) {
            flags if flags & BELOW == 0 => None,
            flags if flags == ITSELF | BELOW => Some(flat::u32_at(records, at + 4)?),
            _ => Some(first),
        };
        Some(Self { itself, below, exact: flags & EXACT != 0 })
    }
}

/// Where a set of names lies in memory, and what a look-up has to know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names {
    places: usize,
    mask: u32,
    records: usize,
    end: usize,
    pub(crate) shape: Shape,
}

/// The sizes of a set and the key of its hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    pub seed: u64,
    /// Bit n: some entry has n labels.
    pub label_counts: u128,
    /// Different names.
    pub entries: u32,
    /// A power of two, or 0.
    pub places: u32,
    /// Bytes of the records.
    pub records: u32,
}

impl Names {
    /// A set that begins at `offset`, and where it ends; none if its shape makes no sense.
    pub(crate) fn place(offset: usize, shape: Shape) -> Option<(Self, usize)> {
        if !(shape.places.is_power_of_two() || shape.places == 0 && shape.label_counts == 0) {
            return None;
        }
        let records = usize::try_from(shape.places).ok()?.checked_mul(PLACE)?.checked_add(offset)?;
        let end = records.checked_add(usize::try_from(shape.records).ok()?)?;
        Some((Self { places: offset, mask: shape.places.wrapping_sub(1), records, end, shape }, end))
    }

    #[inline]
    fn find(&self, memory: &[u8], name: &[u8]) -> Option<Values> {
        let places = memory.get(self.places..self.records)?;
        let records = memory.get(self.records..self.end)?;
        let (_, values) = seek(places, records, self.mask, name, hash(name, self.shape.seed)).ok()?;
        Some(values)
    }

    /// The value of the most specific entry that `name`, which has `count` labels, lies in.
    #[inline]
    pub(crate) fn get(&self, memory: &[u8], name: &[u8], count: u8) -> Option<u32> {
        let counts = self.shape.label_counts;
        if counts == 0 || usize::from(count) > MAX_LABELS {
            return None;
        }
        let mut left = u32::from(count);
        if counts >> left & 1 != 0
            && let Some(value) = self.find(memory, name).and_then(|values| values.itself)
        {
            return Some(value);
        }
        let mut rest = labels(name);
        while left > 0 && rest.next().is_some() {
            left -= 1;
            if counts >> left & 1 != 0
                && let Some(value) = self.find(memory, rest.rest()).and_then(|values| values.below)
            {
                return Some(value);
            }
        }
        None
    }
}

/// The record of `name`, or else the index of the place where it would go.
#[inline]
fn seek(places: &[u8], records: &[u8], mask: u32, name: &[u8], hash: u64) -> Result<(usize, Values), usize> {
    let tag = (hash >> 32) as u32;
    let mut index = hash as u32 & mask;
    for _ in 0..MAX_PROBES {
        let Some(place) = flat::u64_at(places, index as usize * PLACE) else { break };
        let at = (place >> 32) as usize;
        if at == 0 {
            return Err(index as usize);
        }
        if place as u32 == tag
            && let Some(found) = records.get(at + 1..at + 1 + name.len())
            // Most clients ask in lower case.
            && (found == name || equal(found, name))
            && let Some(values) = Values::read(records, records[at], at + 1 + name.len())
        {
            return Ok((index as usize, values));
        }
        index = (index + 1) & mask;
    }
    Err(usize::MAX)
}

/// Names on their way into a set.
#[derive(Debug)]
pub(crate) struct NameBuilder {
    places: Vec<u8>,
    records: Vec<u8>,
    shape: Shape,
}

impl Default for NameBuilder {
    fn default() -> Self {
        let shape = Shape { seed: seed(), places: 16, ..Shape::default() };
        Self { places: vec![0; 16 * PLACE], records: vec![0], shape }
    }
}

impl NameBuilder {
    pub(crate) fn add(&mut self, name: &[u8], scope: Scope, value: u32) -> Result<(), SetError> {
        let count = match skip_plain(name, 0) {
            Ok((end, count)) if end == name.len() => count,
            _ => return Err(SetError::Name),
        };
        if value == NONE {
            return Err(SetError::Value);
        }
        if self.shape.entries >= self.shape.places / 2 {
            self.grow()?;
        }
        let hash = hash(name, self.shape.seed);
        let (index, before) = match seek(&self.places, &self.records, self.shape.places - 1, name, hash) {
            Ok((index, values)) => (index, values),
            Err(usize::MAX) => return Err(SetError::Full),
            Err(index) => {
                self.shape.entries += 1;
                self.shape.label_counts |= 1 << count;
                (index, Values::default())
            }
        };
        let values = before.add(scope, value);
        if values != before {
            let record = self.record(name, values)?;
            put(&mut self.places, index, hash, record);
        }
        Ok(())
    }

    fn record(&mut self, name: &[u8], values: Values) -> Result<u32, SetError> {
        let at = u32::try_from(self.records.len()).map_err(|_| SetError::Full)?;
        if at > u32::MAX - MAX_RECORD {
            return Err(SetError::Full);
        }
        self.records.push(values.flags());
        self.records.extend(name.iter().map(u8::to_ascii_lowercase));
        values.write(&mut self.records);
        Ok(at)
    }

    /// Doubles the places. The hashes are made anew from the records.
    fn grow(&mut self) -> Result<(), SetError> {
        let count = self.shape.places.checked_mul(2).ok_or(SetError::Full)?;
        let mut places = vec![0; count as usize * PLACE];
        for place in self.places.as_chunks::<PLACE>().0 {
            let record = u32::from_le_bytes([place[4], place[5], place[6], place[7]]);
            let from = record as usize + 1;
            if record == 0 {
                continue;
            }
            let (end, _) = skip_plain(&self.records, from).map_err(|_| SetError::Name)?;
            let name = &self.records[from..end];
            let hash = hash(name, self.shape.seed);
            match seek(&places, &self.records, count - 1, name, hash) {
                Err(index) if index != usize::MAX => put(&mut places, index, hash, record),
                _ => return Err(SetError::Full),
            }
        }
        (self.places, self.shape.places) = (places, count);
        Ok(())
    }

    /// How many different names there are.
    pub(crate) const fn len(&self) -> u32 {
        self.shape.entries
    }

    /// Writes the set and says what a look-up has to know. It lies where `into` stood.
    pub(crate) fn write(mut self, into: &mut dyn Write) -> io::Result<Shape> {
        if self.shape.entries == 0 {
            return Ok(Shape { places: 0, ..self.shape });
        }
        self.shape.records = u32::try_from(self.records.len()).map_err(|_| io::Error::other(SetError::Full))?;
        into.write_all(&self.places)?;
        drop(self.places);
        into.write_all(&self.records)?;
        Ok(self.shape)
    }
}

fn put(places: &mut [u8], index: usize, hash: u64, record: u32) {
    let place = hash >> 32 | u64::from(record) << 32;
    places[index * PLACE..][..PLACE].copy_from_slice(&place.to_le_bytes());
}

/// An immutable set of names.
#[derive(Clone, Debug)]
pub struct NameSet {
    place: Names,
    memory: Box<[u8]>,
}

impl NameSet {
    /// The set of `(name in wire form, scope, value)`. Of two entries with the same name and scope the first counts.
    /// Values are below `u32::MAX`.
    ///
    /// # Errors
    /// The first entry that is none.
    pub fn new<Name: AsRef<[u8]>>(entries: impl IntoIterator<Item = (Name, Scope, u32)>) -> Result<Self, SetError> {
        let mut builder = NameBuilder::default();
        for (name, scope, value) in entries {
            builder.add(name.as_ref(), scope, value)?;
        }
        let mut memory = Vec::new();
        let shape = builder.write(&mut memory).map_err(|_| SetError::Full)?;
        let (place, _) = Names::place(0, shape).ok_or(SetError::Full)?;
        Ok(Self { place, memory: memory.into_boxed_slice() })
    }

    /// The value of the most specific entry that `name` lies in: one for exactly this name, else the deepest one.
    /// `name` is in wire form and any case, `labels` the number of its labels without the root.
    #[inline]
    #[must_use]
    pub fn get(&self, name: &[u8], labels: u8) -> Option<u32> {
        self.place.get(&self.memory, name, labels)
    }

    /// Different names.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.place.shape.entries as usize
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
