//! From samples to counts by client prefix, by name, or in total: what the detectors and `zonegate top` look at.
//!
//! Each sample stands for as many messages as passed for each that was kept; counts are in units of 1/256 message, so
//! that sums are exact. The table is bounded: what it has no room for counts in the total alone.

use std::collections::HashMap;
use std::hash::Hasher;
use std::net::IpAddr;

use engine::Act;
use sets::{NameSet, PrefixSet};
use siphasher::sip::SipHasher13;
use wire::name::{MAX_NAME, labels, lowercase};
use wire::{Reason, Transport};

use super::record::{Batch, Kind, Sample};
use super::sketch::Sketch;

/// One message, in the units of the counts.
pub const ONE: u64 = 256;

/// Groups of one view; a second's samples of a few workers have no more.
const MOST_GROUPS: usize = 16_384;

const NXDOMAIN: u8 = 3;

/// By what the samples are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// Prefixes of so many bits, of IPv4 and of IPv6.
    Prefix {
        v4: u8,
        v6: u8,
    },
    /// The last so many labels of the name; 0: the served zone that it lies in, else its parent.
    Suffix {
        labels: u8,
    },
    Total,
}

/// What is counted, with the value where there are several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Counter {
    Queries,
    QueryBytes,
    Malformed,
    Blocked,
    Answers,
    AnswerBytes,
    /// Of answers.
    Rcode(u8),
    /// Of queries.
    Qtype(u16),
    Verdict(Act, Reason),
    Transport(Transport),
    /// Answers of a backend, and the microseconds that it took for them.
    Backend(u8),
    Latency(u8),
}

/// The counts of one prefix or name.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// How many samples they come from.
    pub samples: u32,
    pub counts: Vec<(Counter, u64)>,
    pub names: Sketch,
}

impl Group {
    fn add(&mut self, counter: Counter, n: u64) {
        match self.counts.iter_mut().find(|(known, _)| *known == counter) {
            Some((_, count)) => *count = count.saturating_add(n),
            None => self.counts.push((counter, n)),
        }
    }

    fn weight(&self) -> u64 {
        let sum = |sum: u64, (counter, n): &(Counter, u64)| match counter {
            Counter::Queries | Counter::Answers => sum.saturating_add(*n),
            _ => sum,
        };
        self.counts.iter().fold(0, sum)
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Subject {
    Prefix(IpAddr),
    Name(Box<[u8]>),
    Total,
}

/// Groups samples by one view.
pub struct SampleTally {
    view: View,
    zones: NameSet,
    exempt_prefixes: PrefixSet,
    exempt_names: NameSet,
    /// Of the hash of names: the same over all seconds, and unknown to clients.
    key: (u64, u64),
    groups: HashMap<Subject, Group>,
}

impl SampleTally {
    /// `zones` are those of `View::Suffix { labels: 0 }`. Samples of exempt clients and names are left out.
    ///
    /// # Errors
    /// When the kernel has no random bytes.
    pub fn new(
        view: View,
        zones: NameSet,
        exempt_prefixes: PrefixSet,
        exempt_names: NameSet,
    ) -> Result<Self, getrandom::Error> {
        let key = (getrandom::u64()?, getrandom::u64()?);
        Ok(Self { view, zones, exempt_prefixes, exempt_names, key, groups: HashMap::new() })
    }

    /// Count the samples of a batch. False if the bytes are no batch.
    pub fn add(&mut self, bytes: &[u8]) -> bool {
        let Some(batch) = Batch::read(bytes) else { return false };
        let weight = |(seen, kept): (u64, u32)| seen.saturating_mul(ONE) / u64::from(kept.max(1));
        let (query, answer) = (weight(batch.header.queries), weight(batch.header.answers));
        for sample in batch {
            let weight = if matches!(sample.kind, Kind::Query { .. }) { query } else { answer };
            self.count(&sample, weight);
        }
        true
    }

    fn count(&mut self, sample: &Sample<'_>, weight: u64) {
        let Some(subject) = self.subject(sample) else { return };
        if self.groups.len() >= MOST_GROUPS && !self.groups.contains_key(&subject) {
            return;
        }
        let (total, suffix) = (self.view == View::Total, matches!(self.view, View::Suffix { .. }));
        let group = self.groups.entry(subject).or_default();
        group.samples += 1;
        let bytes = weight.saturating_mul(u64::from(sample.size));
        let mut is_random = false;
        match sample.kind {
            Kind::Query { act, reason } => {
                group.add(Counter::Queries, weight);
                group.add(Counter::QueryBytes, bytes);
                group.add(Counter::Verdict(act, reason), weight);
                if act != Act::Forward && reason.is_malformed() {
                    group.add(Counter::Malformed, weight);
                }
                if reason == Reason::Blocked {
                    group.add(Counter::Blocked, weight);
                    is_random = true;
                }
                if let Some((qtype, _)) = sample.question {
                    group.add(Counter::Qtype(qtype), weight);
                }
                if total {
                    group.add(Counter::Transport(sample.transport), weight);
                }
            }
            Kind::Answer { rcode, slot, latency } => {
                group.add(Counter::Answers, weight);
                group.add(Counter::AnswerBytes, bytes);
                group.add(Counter::Rcode(rcode), weight);
                is_random = rcode == NXDOMAIN;
                if total {
                    group.add(Counter::Backend(slot), weight);
                    group.add(Counter::Latency(slot), weight.saturating_mul(u64::from(latency)));
                }
            }
        }
        if let (true, true, Some((_, name))) = (suffix, is_random, sample.question) {
            let mut buffer = [0; MAX_NAME];
            let mut hasher = SipHasher13::new_with_keys(self.key.0, self.key.1);
            hasher.write(lowercase(name, &mut buffer).unwrap_or(name));
            group.names.add(hasher.finish());
        }
    }

    fn subject(&self, sample: &Sample<'_>) -> Option<Subject> {
        if self.view != View::Total && self.exempt_prefixes.contains(sample.client) {
            return None;
        }
        match self.view {
            View::Total => Some(Subject::Total),
            View::Prefix { v4, v6 } => Some(Subject::Prefix(masked(sample.client, v4, v6))),
            View::Suffix { labels } => {
                let (_, name) = sample.question?;
                let count = labels_of(name);
                if self.exempt_names.get(name, count).is_some() {
                    return None;
                }
                let mut buffer = [0; MAX_NAME];
                let suffix = self.suffix(name, count, labels);
                Some(Subject::Name(lowercase(suffix, &mut buffer)?.into()))
            }
        }
    }

    /// The part of the name that it is grouped by.
    fn suffix<'n>(&self, name: &'n [u8], count: u8, asked: u8) -> &'n [u8] {
        let kept = match asked {
            0 => match self.zones.get(name, count) {
                Some(labels) => labels.min(u32::from(count)) as u8,
                None => count.saturating_sub(1),
            },
            asked => asked.min(count),
        };
        let mut rest = labels(name);
        for _ in kept..count {
            rest.next();
        }
        rest.rest()
    }

    /// The groups with the most messages, at most `most`; begins anew.
    pub fn take(&mut self, most: usize) -> Vec<(String, Vec<u8>, Group)> {
        let mut groups: Vec<(Subject, Group)> = self.groups.drain().collect();
        if groups.len() > most {
            groups.select_nth_unstable_by_key(most, |(_, group)| std::cmp::Reverse(group.weight()));
            groups.truncate(most);
        }
        let named = |(subject, group)| match subject {
            Subject::Prefix(address) => (self.prefix(address), Vec::new(), group),
            Subject::Name(name) => (String::new(), name.into_vec(), group),
            Subject::Total => (String::new(), Vec::new(), group),
        };
        groups.into_iter().map(named).collect()
    }

    fn prefix(&self, address: IpAddr) -> String {
        let View::Prefix { v4, v6 } = self.view else { return String::new() };
        format!("{address}/{}", if address.is_ipv4() { v4.min(32) } else { v6.min(128) })
    }
}

fn masked(address: IpAddr, v4: u8, v6: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => IpAddr::V4((address.to_bits() & mask(u32::MAX, 32, v4)).into()),
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & mask(u128::MAX, 128, v6)).into()),
    }
}

fn mask<T: std::ops::Shl<u32, Output = T> + Default>(all: T, width: u32, bits: u8) -> T {
    match u32::from(bits).min(width) {
        0 => T::default(),
        bits => all << (width - bits),
    }
}

fn labels_of(name: &[u8]) -> u8 {
    labels(name).count().min(usize::from(u8::MAX)) as u8
}
