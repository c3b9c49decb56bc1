//! The served zones: which one a name lies in. One zone and a hundred thousand cost nearly the same: a few nanoseconds for
//! each label (see [`sets::NameSet`]).

use std::hash::Hasher;

use sets::{NameSet, Scope};
use siphasher::sip::SipHasher13;
use wire::Question;
use wire::name::{labels, skip_plain};

/// The served zones, in order of the configuration.
#[derive(Debug)]
pub(crate) struct Zones {
    pass_all: bool,
    set: NameSet,
    zones: Vec<Zone>,
}

#[derive(Debug)]
struct Zone {
    /// In lower case.
    name: Box<[u8]>,
    mark: u64,
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
        let wrong = |index: usize| format!("zone {index} is not one whole name in wire form");
        for (index, name) in names.iter().enumerate() {
            if skip_plain(name, 0).ok().is_none_or(|(end, _)| end != name.len()) {
                return Err(wrong(index));
            }
        }
        // A policy has fewer than 2^32 zones: each takes memory.
        let entries = names.iter().enumerate().map(|(index, name)| (name, Scope::Suffix, index as u32));
        let set = NameSet::new(entries).map_err(|error| error.to_string())?;
        let zones = names.into_iter().map(|mut name| {
            name.make_ascii_lowercase();
            Zone { mark: mark(&name), name: name.into_boxed_slice() }
        });
        Ok(Self { pass_all, set, zones: zones.collect() })
    }

    /// The deepest zone that the name of `question` lies in.
    #[inline]
    pub(crate) fn locate(&self, question: &Question<'_>) -> Place {
        match self.set.get(question.name, question.labels) {
            Some(index) => Place::Zone(index),
            None if self.pass_all => Place::Any,
            None => Place::Nowhere,
        }
    }

    /// A number that stands for the zone in the keys of limits, the same in every policy that has it; never 0.
    #[inline]
    pub(crate) fn mark(&self, index: u32) -> u64 {
        self.zones.get(index as usize).map_or(1, |zone| zone.mark)
    }

    /// The index of the zone that has just this name.
    pub(crate) fn number(&self, name: &[u8]) -> Option<u32> {
        let count = u8::try_from(labels(name).count()).ok()?;
        self.set.get(name, count).filter(|&index| self.name(index).eq_ignore_ascii_case(name))
    }

    /// What they take in memory, about.
    pub(crate) fn bytes(&self) -> usize {
        self.set.bytes() + self.zones.iter().map(|zone| zone.name.len() + size_of::<Zone>()).sum::<usize>()
    }

    /// In lower case; empty for an index that does not exist.
    pub(crate) fn name(&self, index: u32) -> &[u8] {
        self.zones.get(index as usize).map_or(&[], |zone| &zone.name)
    }
}

/// The hash needs no secret: who makes the configuration chooses the names.
pub(crate) fn mark(name: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(name);
    hasher.finish() | 1
}
