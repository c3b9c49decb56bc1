//! What a transfer brought: counts by type, digests, owner names, and the limits on them.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, Hasher, RandomState};

use crate::digest::{Digest, Sum};
use crate::limits::Limits;
use crate::reason::{Reason, Wrong};
use crate::rrsets::Rrsets;
use crate::walk::Record;

/// Types below it are counted in an array.
const COMMON: usize = 256;
/// Bytes that a name costs besides its own.
const SEEN: usize = 16;

/// The sums over the records of one answer.
pub struct Tally {
    common: Box<[u64; COMMON]>,
    rare: BTreeMap<u16, u64>,
    pub added: u64,
    pub removed: u64,
    plus: Box<Sum>,
    minus: Option<Box<Sum>>,
    rrsets: Rrsets,
    rrset_limit: u64,
    names: Option<Names>,
}

impl Tally {
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            common: Box::new([0; COMMON]),
            rare: BTreeMap::new(),
            added: 0,
            removed: 0,
            plus: Box::default(),
            minus: None,
            rrsets: Rrsets::new(limits.rrset),
            rrset_limit: limits.rrset,
            names: (limits.names > 0).then(|| Names::new(limits.names)),
        }
    }

    /// A record of the zone, or one that an IXFR adds.
    ///
    /// # Errors
    /// Its RRset is too large.
    #[inline]
    pub fn add(&mut self, record: &Record) -> Result<(), Wrong> {
        self.added += 1;
        self.count(record.rtype);
        self.plus.add(record.canonical());
        if self.rrsets.add(record) {
            let name = crate::name::text(record.owner());
            let (rtype, limit) = (record.rtype, self.rrset_limit);
            let detail = format!("{name} has more than {limit} records of type {rtype}");
            return Err(Wrong::new(Reason::RrsetTooLarge, detail));
        }
        if let Some(names) = &mut self.names {
            names.add_owner(record);
        }
        Ok(())
    }

    /// The SOA of a whole zone, which was read before it was known to be one.
    pub fn add_soa(&mut self, zone: &[u8], digest: Digest) {
        self.added += 1;
        self.count(wire::qtype::SOA);
        self.plus.add_digest(digest);
        if let Some(names) = &mut self.names {
            names.add(zone);
        }
    }

    /// A record that an IXFR deletes.
    pub fn remove(&mut self, record: &Record) {
        self.removed += 1;
        self.count(record.rtype);
        self.minus.get_or_insert_default().add(record.canonical());
        self.rrsets.remove(record);
        if let Some(names) = &mut self.names {
            names.pause();
        }
    }

    /// Records may go by that are not counted.
    pub fn pause(&mut self) {
        self.rrsets.pause();
        if let Some(names) = &mut self.names {
            names.pause();
        }
    }

    #[inline]
    fn count(&mut self, rtype: u16) {
        match self.common.get_mut(usize::from(rtype)) {
            Some(count) => *count += 1,
            None => *self.rare.entry(rtype).or_default() += 1,
        }
    }

    /// The digests of what was added, and of what was removed.
    #[must_use]
    pub fn digests(&self) -> (Digest, Digest) {
        (self.plus.total(), self.minus.as_ref().map(|sum| sum.total()).unwrap_or_default())
    }

    /// How many records of each type were added or removed.
    pub fn counts(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        let common = (0..).zip(self.common.iter().copied()).filter(|&(_, count)| count > 0);
        common.chain(self.rare.iter().map(|(&rtype, &count)| (rtype, count)))
    }

    /// The owner names, each once; `None` if none were asked for, or there were more than are kept.
    pub fn take_names(&mut self) -> Option<Vec<u8>> {
        self.names.take().filter(|names| !names.overflowed).map(|names| names.bytes)
    }
}

/// Owner names, each once. Of those seen a keyed hash is kept: a name is lost if its hash is another's, which for a
/// million names happens once in ten million transfers.
struct Names {
    limit: usize,
    hasher: RandomState,
    seen: HashSet<u64>,
    bytes: Vec<u8>,
    known: bool,
    overflowed: bool,
}

impl Names {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            hasher: RandomState::new(),
            seen: HashSet::new(),
            bytes: Vec::new(),
            known: false,
            overflowed: false,
        }
    }

    /// The next record's owner is to be looked at, even if it is that of the one before.
    fn pause(&mut self) {
        self.known = false;
    }

    fn add_owner(&mut self, record: &Record) {
        if !(record.same_owner && self.known) {
            self.known = true;
            self.add(record.owner());
        }
    }

    fn add(&mut self, name: &[u8]) {
        if self.overflowed {
            return;
        }
        let mut hasher = self.hasher.build_hasher();
        hasher.write(name);
        if !self.seen.insert(hasher.finish()) {
            return;
        }
        if self.bytes.len() + name.len() + self.seen.len() * SEEN > self.limit {
            self.overflowed = true;
            (self.seen, self.bytes) = (HashSet::new(), Vec::new());
            return;
        }
        self.bytes.extend_from_slice(name);
    }
}
