//! The served zones: which one a name lies in.
//!
//! The set is built once and never changes. A lookup walks the labels of the name from the left and looks up the suffix
//! only where some zone has just as many labels, so that one zone and a hundred thousand cost nearly the same: a few
//! nanoseconds. The table is open-addressed and at most half full. Its hash needs no secret: outsiders choose what is
//! looked up, not what is in it.

use wire::Question;
use wire::name::{MAX_NAME, equal, labels, skip_plain};

/// The served zones, in order of the configuration.
#[derive(Debug, Default)]
pub(crate) struct Zones {
    pass_all: bool,
    /// Bit n: some zone has n labels.
    label_counts: u128,
    names: Vec<Box<[u8]>>,
    /// Part of the hash and the index of the zone; a power of two of places.
    places: Vec<Option<(u32, u32)>>,
}

/// Where a name lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the zone of this index.
    Zone(u32),
    /// In no named zone, but all names pass.
    Any,
    /// Not served.
    Nowhere,
}

impl Zones {
    /// `names` in wire form; `pass_all` lets names outside them in as well.
    ///
    /// # Errors
    /// What is wrong with which name.
    pub(crate) fn new(names: Vec<Vec<u8>>, pass_all: bool) -> Result<Self, String> {
        if names.is_empty() && !pass_all {
            return Err("no zone is served".to_owned());
        }
        let mut zones = Self { pass_all, places: vec![None; (names.len() * 2).next_power_of_two()], ..Self::default() };
        for (index, mut name) in names.into_iter().enumerate() {
            let count = match skip_plain(&name, 0) {
                Ok((end, count)) if end == name.len() => count,
                _ => return Err(format!("zone {index} is not one whole name in wire form")),
            };
            name.make_ascii_lowercase();
            if zones.find(&name).is_none() {
                zones.insert(name.into_boxed_slice(), count);
            }
        }
        Ok(zones)
    }

    fn insert(&mut self, name: Box<[u8]>, label_count: u8) {
        self.label_counts |= 1 << label_count;
        let hash = fold(&name);
        let mask = self.places.len() - 1;
        let mut at = hash as usize & mask;
        while self.places[at].is_some() {
            at = (at + 1) & mask;
        }
        // A policy has fewer than 2^32 zones: each takes memory.
        self.places[at] = Some(((hash >> 32) as u32, self.names.len() as u32));
        self.names.push(name);
    }

    #[inline]
    fn find(&self, name: &[u8]) -> Option<u32> {
        let hash = fold(name);
        let mask = self.places.len() - 1;
        let mut at = hash as usize & mask;
        while let Some((tag, index)) = self.places[at] {
            if tag == (hash >> 32) as u32 {
                let zone = &self.names[index as usize][..];
                // Most clients ask in lower case.
                if zone == name || equal(zone, name) {
                    return Some(index);
                }
            }
            at = (at + 1) & mask;
        }
        None
    }

    /// The deepest zone that the name of `question` lies in.
    #[inline]
    pub(crate) fn locate(&self, question: &Question<'_>) -> Place {
        let mut rest = labels(question.name);
        let mut left = u32::from(question.labels);
        loop {
            if self.label_counts >> left & 1 != 0
                && let Some(index) = self.find(rest.rest())
            {
                return Place::Zone(index);
            }
            if left == 0 || rest.next().is_none() {
                return if self.pass_all { Place::Any } else { Place::Nowhere };
            }
            left -= 1;
        }
    }

    /// A number that stands for the zone in the keys of limits, the same in every policy that has it; never 0.
    #[inline]
    pub(crate) fn mark(&self, index: u32) -> u64 {
        fold(self.name(index)) | 1
    }

    /// The index of the zone that has just this name.
    pub(crate) fn number(&self, name: &[u8]) -> Option<u32> {
        if self.places.is_empty() || name.len() > MAX_NAME { None } else { self.find(name) }
    }

    /// What they take in memory, about.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&self.places[..]) + self.names.iter().map(|name| name.len() + size_of::<Box<[u8]>>()).sum::<usize>()
    }

    /// In lower case; empty for an index that does not exist.
    pub(crate) fn name(&self, index: u32) -> &[u8] {
        self.names.get(index as usize).map_or(&[], |name| name)
    }
}

/// A hash that does not see case: setting bit 5 of every byte makes letters equal (and some other bytes, which
/// [`equal`] tells apart).
#[inline]
fn fold(name: &[u8]) -> u64 {
    const CASE: u64 = 0x2020_2020_2020_2020;
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    debug_assert!(name.len() <= MAX_NAME);
    let mut hash = name.len() as u64;
    let (chunks, tail) = name.as_chunks::<8>();
    for chunk in chunks {
        hash = (hash.rotate_left(29) ^ (u64::from_le_bytes(*chunk) | CASE)).wrapping_mul(FACTOR);
    }
    let mut last = [0; 8];
    last[..tail.len()].copy_from_slice(tail);
    hash = (hash.rotate_left(29) ^ (u64::from_le_bytes(last) | CASE)).wrapping_mul(FACTOR);
    hash ^ hash >> 32
}
