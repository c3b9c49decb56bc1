//! Dynamic blocks: temporary bans of prefixes and names, set by detectors and operators while the gateway runs.
//!
//! They stand beside the policy and are swapped whole. Of several that a message falls under the strongest counts, except
//! that an exempt prefix or name lies in no block, whatever encloses it or lies in it. That is worked out when the set is
//! made, so that one lookup of the most specific entry decides.
//!
//! `Truncate` holds for UDP alone: honest clients come back over TCP, where they are answered. One that shows a valid
//! cookie has proven what TCP would prove, and passes.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use sets::{NameSet, PrefixSet, Scope, SetError};
use wire::name::labels;
use wire::{Question, Reason};

use crate::decide::Verdict;

/// What a block does. Later members are stronger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BlockAction {
    /// No block at all: what lies here is exempt.
    Pass,
    Truncate,
    Drop,
}

/// What blocks are compiled from; the number is the block's own, by which its hits are told.
#[derive(Clone, Debug, Default)]
pub struct BlockSpec {
    pub prefixes: Vec<(IpAddr, u8, BlockAction, u64)>,
    /// Names in wire form; all below them are meant as well.
    pub names: Vec<(Vec<u8>, BlockAction, u64)>,
}

#[derive(Debug)]
struct Entry {
    action: BlockAction,
    block: u64,
    hits: AtomicU64,
}

/// A compiled set of blocks.
#[derive(Debug)]
pub struct Blocks {
    prefixes: PrefixSet,
    names: NameSet,
    entries: Vec<Entry>,
}

impl Blocks {
    /// # Errors
    /// The first prefix or name that is none.
    pub fn new(spec: BlockSpec) -> Result<Self, SetError> {
        let mut entries = Vec::new();
        let mut keep = |(action, block)| {
            entries.push(Entry { action, block, hits: AtomicU64::new(0) });
            entries.len() as u32 - 1
        };
        let mut prefixes = Strongest::default();
        for (address, bits, action, block) in spec.prefixes {
            if bits > if address.is_ipv4() { 32 } else { 128 } {
                return Err(SetError::Bits);
            }
            prefixes.add((masked(address, bits), bits), action, block);
        }
        let mut names = Strongest::default();
        for (mut name, action, block) in spec.names {
            name.make_ascii_lowercase();
            names.add(name, action, block);
        }
        let lengths: BTreeSet<u8> = prefixes.entries.keys().map(|&(_, bits)| bits).collect();
        let wider = |&(address, bits): &(IpAddr, u8)| {
            lengths.range(..bits).map(|&shorter| (masked(address, shorter), shorter)).collect()
        };
        let parents = |name: &Vec<u8>| {
            let mut rest = labels(name);
            let mut parents = Vec::new();
            while rest.next().is_some() {
                parents.push(rest.rest().to_vec());
            }
            parents
        };
        Ok(Self {
            prefixes: PrefixSet::new(prefixes.resolve(wider).map(|((ip, bits), entry)| (ip, bits, keep(entry))))?,
            names: NameSet::new(names.resolve(parents).map(|(name, entry)| (name, Scope::Suffix, keep(entry))))?,
            entries,
        })
    }

    /// What holds for a client, and the entry to count it with.
    #[inline]
    #[must_use]
    pub fn of_client(&self, client: IpAddr) -> Option<Hit<'_>> {
        if self.prefixes.is_empty() { None } else { self.hit(self.prefixes.get(client)?) }
    }

    /// What holds for a name, and the entry to count it with.
    #[inline]
    #[must_use]
    pub fn of_name(&self, question: &Question<'_>) -> Option<Hit<'_>> {
        if self.names.is_empty() { None } else { self.hit(self.names.get(question.name, question.labels)?) }
    }

    #[inline]
    fn hit(&self, index: u32) -> Option<Hit<'_>> {
        let entry = self.entries.get(index as usize)?;
        (entry.action != BlockAction::Pass).then_some(Hit { entry })
    }

    /// The hits of each block since the last call.
    #[must_use]
    pub fn take_hits(&self) -> Vec<(u64, u64)> {
        let taken = self.entries.iter().map(|entry| (entry.block, entry.hits.swap(0, Ordering::Relaxed)));
        taken.filter(|&(_, hits)| hits > 0).collect()
    }
}

/// A block that a message falls under.
#[derive(Clone, Copy, Debug)]
pub struct Hit<'b> {
    entry: &'b Entry,
}

impl Hit<'_> {
    /// Whether it means anything for a message of this transport.
    #[inline]
    #[must_use]
    pub fn holds(&self, is_stream: bool) -> bool {
        !(is_stream && self.entry.action == BlockAction::Truncate)
    }

    /// Something was done with a message for it.
    #[inline]
    pub fn count(&self) {
        // One worker is the only writer, so no locked instruction is needed.
        self.entry.hits.store(self.entry.hits.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// The verdict on what is dropped, which counts.
    pub(crate) fn drop(&self) -> Verdict<'static> {
        self.count();
        Verdict::Drop(Reason::Blocked)
    }

    #[must_use]
    pub fn action(&self) -> BlockAction {
        self.entry.action
    }
}

/// Collects entries and leaves out those that a wider one makes void.
struct Strongest<K> {
    entries: HashMap<K, (BlockAction, u64)>,
}

impl<K> Default for Strongest<K> {
    fn default() -> Self {
        Self { entries: HashMap::new() }
    }
}

impl<K: std::hash::Hash + Eq + Clone> Strongest<K> {
    fn add(&mut self, key: K, action: BlockAction, block: u64) {
        let known = self.entries.entry(key).or_insert((action, block));
        let exempt = known.0 == BlockAction::Pass || action == BlockAction::Pass;
        if exempt {
            known.0 = BlockAction::Pass;
        } else if action > known.0 {
            *known = (action, block);
        }
    }

    fn resolve(self, wider: impl Fn(&K) -> Vec<K>) -> impl Iterator<Item = (K, (BlockAction, u64))> {
        let is_void = |key: &K, action: BlockAction| {
            action != BlockAction::Pass
                && wider(key)
                    .iter()
                    .filter_map(|wide| self.entries.get(wide))
                    .any(|&(other, _)| other == BlockAction::Pass || other > action)
        };
        let kept: Vec<_> = self
            .entries
            .iter()
            .filter(|(key, entry)| !is_void(key, entry.0))
            .map(|(key, &entry)| (key.clone(), entry))
            .collect();
        kept.into_iter()
    }
}

fn masked(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits.min(32))).unwrap_or(0);
            IpAddr::V4((address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits.min(128))).unwrap_or(0);
            IpAddr::V6((address.to_bits() & mask).into())
        }
    }
}
