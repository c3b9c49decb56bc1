//! Conditions, compiled: one flat list of tests for all rules. Each test says where to go on when it holds and when not,
//! so `all`, `any` and `not` cost nothing of their own, and what is cheap is asked first.

use std::net::IpAddr;

use wire::name;

use super::condition::{Condition, Tlv, TlvValue, Window};
use super::facts::{Facts, host_name, tlvs};
use super::pattern::Pattern;
use crate::zones::Zones;
use sets::{NameSet, PrefixSet, Scope};

/// Where a walk ends: the condition holds, or not.
const YES: u32 = u32::MAX;
const NO: u32 = u32::MAX - 1;
/// Minutes of a week, and its words of 64 bits.
const WEEK: usize = 7 * DAY;
const DAY: usize = 24 * 60;
/// 1970 began on a Thursday; the windows count from Monday.
const EPOCH: u32 = 3 * DAY as u32;

/// One test. Numbers of 32 bits are places in the [`Program`].
#[derive(Clone, Copy, Debug)]
enum Test {
    Never,
    /// Bit n: the transport with that discriminant.
    Transport(u8),
    Opcode(u16),
    Flags {
        set: u16,
        unset: u16,
    },
    Labels(u8, u8),
    Edns(bool),
    EdnsVersion(u8, u8),
    EdnsSize(u16, u16),
    DnssecOk(bool),
    Count(u8, u16, u16),
    Size(u16, u16),
    Trailing(bool),
    Signed(bool),
    /// Bit n: the state with that discriminant.
    Cookie(u8),
    Tag(u64),
    Probability(u64),
    Listener(u32),
    Qtype(u32),
    Qclass(u32),
    EdnsOption(u32),
    Zone(u32),
    ClientList(u32),
    QnameList(u32),
    Time(u32),
    Tlv(u32),
    Client(u32),
    Qname(u32),
    ServerName(u32),
    Pattern(u32),
}

impl Test {
    /// In what order tests are asked.
    const fn cost(self) -> u32 {
        match self {
            Self::Never => 0,
            Self::Zone(_) | Self::Time(_) | Self::Qtype(_) | Self::Qclass(_) | Self::Listener(_) => 2,
            Self::EdnsOption(_) | Self::Probability(_) => 4,
            Self::Client(_) | Self::Qname(_) | Self::Tlv(_) => 16,
            Self::ClientList(_) | Self::QnameList(_) => 24,
            Self::ServerName(_) => 32,
            Self::Pattern(_) => 128,
            _ => 1,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Node {
    test: Test,
    yes: u32,
    no: u32,
}

/// The tests of all rules and what they look things up in.
#[derive(Debug, Default)]
pub(crate) struct Program {
    nodes: Vec<Node>,
    /// Sorted.
    numbers: Vec<Vec<u16>>,
    /// Of zones, sorted, and of lists.
    indexes: Vec<Vec<u32>>,
    prefixes: Vec<PrefixSet>,
    names: Vec<NameSet>,
    patterns: Vec<Pattern>,
    tlvs: Vec<Vec<Tlv>>,
    /// Bit n: minute n of the week lies in the window.
    windows: Vec<[u64; WEEK.div_ceil(64)]>,
}

impl Program {
    /// Compiles a condition and returns where its walk begins.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn add(&mut self, condition: &Condition, zones: &Zones) -> Result<u32, String> {
        let tree = self.tree(condition, zones)?;
        Ok(self.place(&tree, YES, NO))
    }

    /// Whether the condition that begins at `entry` holds for rule number `place`.
    #[inline]
    pub(crate) fn holds(&self, entry: u32, facts: &Facts<'_, '_>, tags: u64, place: u32) -> bool {
        let mut at = entry;
        while let Some(node) = self.nodes.get(at as usize) {
            at = if self.test(node.test, facts, tags, place) { node.yes } else { node.no };
        }
        at == YES
    }

    pub(crate) fn bytes(&self) -> usize {
        let lists = self.numbers.iter().map(|list| size_of_val(&list[..])).sum::<usize>()
            + self.indexes.iter().map(|list| size_of_val(&list[..])).sum::<usize>()
            + self.tlvs.iter().map(|list| size_of_val(&list[..])).sum::<usize>();
        let sets = self.prefixes.iter().map(PrefixSet::bytes).sum::<usize>()
            + self.names.iter().map(NameSet::bytes).sum::<usize>()
            + self.patterns.iter().map(Pattern::bytes).sum::<usize>();
        size_of_val(&self.nodes[..]) + lists + sets + self.windows.len() * WEEK / 8
    }

    #[inline]
    fn test(&self, test: Test, facts: &Facts<'_, '_>, tags: u64, place: u32) -> bool {
        let query = facts.query;
        let edns = || query.edns.as_ref();
        match test {
            Test::Never => false,
            Test::Transport(mask) => mask >> facts.client.transport as u8 & 1 != 0,
            Test::Opcode(mask) => mask >> query.opcode & 1 != 0,
            Test::Flags { set, unset } => query.flags & set == set && query.flags & unset == 0,
            Test::Labels(low, high) => facts.question().is_some_and(|it| low <= it.labels && it.labels <= high),
            Test::Edns(wanted) => query.edns.is_some() == wanted,
            Test::EdnsVersion(low, high) => edns().is_some_and(|edns| low <= edns.version && edns.version <= high),
            Test::EdnsSize(low, high) => edns().is_some_and(|edns| low <= edns.udp_size && edns.udp_size <= high),
            Test::DnssecOk(wanted) => edns().is_some_and(|edns| edns.dnssec_ok) == wanted,
            Test::Count(section, low, high) => (low..=high).contains(&facts.count(section)),
            Test::Size(low, high) => (low.into()..=high.into()).contains(&facts.message.len()),
            Test::Trailing(wanted) => (query.trailing > 0) == wanted,
            Test::Signed(wanted) => query.signed == wanted,
            Test::Cookie(mask) => mask >> facts.shown as u8 & 1 != 0,
            Test::Tag(mask) => tags & mask != 0,
            Test::Probability(share) => facts.draw(place) < share,
            Test::Listener(list) => self.has(list, facts.client.listener),
            Test::Qtype(list) => facts.question().is_some_and(|it| self.has(list, it.qtype)),
            Test::Qclass(list) => facts.question().is_some_and(|it| self.has(list, it.qclass)),
            _ => self.look_up(test, facts),
        }
    }

    fn look_up(&self, test: Test, facts: &Facts<'_, '_>) -> bool {
        match test {
            Test::EdnsOption(list) => self.numbers.get(list as usize).is_some_and(|codes| facts.has_option(codes)),
            Test::Zone(list) => facts
                .zone
                .zip(self.indexes.get(list as usize))
                .is_some_and(|(zone, zones)| zones.binary_search(&zone).is_ok()),
            Test::ClientList(list) => self
                .indexes
                .get(list as usize)
                .is_some_and(|lists| lists.iter().any(|&list| facts.lists.has_client(list, facts.client.address))),
            Test::QnameList(list) => facts
                .question()
                .zip(self.indexes.get(list as usize))
                .is_some_and(|(question, lists)| lists.iter().any(|&list| facts.lists.has_name(list, question))),
            Test::Time(window) => self.windows.get(window as usize).is_some_and(|window| {
                let minute = (facts.now.unix / 60 + EPOCH) as usize % WEEK;
                window[minute / 64] >> (minute % 64) & 1 != 0
            }),
            Test::Client(set) => self.prefixes.get(set as usize).is_some_and(|set| set.contains(facts.client.address)),
            Test::Qname(set) => facts
                .question()
                .zip(self.names.get(set as usize))
                .is_some_and(|(question, set)| set.get(question.name, question.labels).is_some()),
            Test::ServerName(set) => self.names.get(set as usize).is_some_and(|set| {
                let mut buffer = [0; name::MAX_NAME];
                host_name(facts.client.server_name, &mut buffer)
                    .is_some_and(|(name, labels)| set.get(name, labels).is_some())
            }),
            Test::Tlv(list) => self.tlvs.get(list as usize).is_some_and(|wanted| {
                tlvs(facts.client.tlvs).any(|(kind, value)| wanted.iter().any(|tlv| fits(tlv, kind, value)))
            }),
            Test::Pattern(pattern) => facts
                .question()
                .zip(self.patterns.get(pattern as usize))
                .is_some_and(|(question, pattern)| pattern.matches(question.name)),
            _ => false,
        }
    }

    /// Whether a sorted list has a number. Most lists have one or two.
    #[inline]
    fn has(&self, list: u32, number: u16) -> bool {
        self.numbers.get(list as usize).is_some_and(|list| match list.len() {
            0..8 => list.contains(&number),
            _ => list.binary_search(&number).is_ok(),
        })
    }

    /// Puts the nodes of `tree` behind those that are there; returns its first one.
    fn place(&mut self, tree: &Tree, yes: u32, no: u32) -> u32 {
        match tree {
            Tree::Test(Test::Never) => no,
            Tree::Test(test) => {
                self.nodes.push(Node { test: *test, yes, no });
                (self.nodes.len() - 1) as u32
            }
            Tree::Not(tree) => self.place(tree, no, yes),
            // From the last to the first: each leads on to the one behind it.
            Tree::All(trees) => trees.iter().rev().fold(yes, |next, tree| self.place(tree, next, no)),
            Tree::Any(trees) => trees.iter().rev().fold(no, |next, tree| self.place(tree, yes, next)),
        }
    }

    fn tree(&mut self, condition: &Condition, zones: &Zones) -> Result<Tree, String> {
        Ok(match condition {
            Condition::All(parts) => Tree::All(self.trees(parts, zones)?),
            Condition::Any(parts) => Tree::Any(self.trees(parts, zones)?),
            Condition::Not(part) => Tree::Not(Box::new(self.tree(part, zones)?)),
            other => Tree::Test(self.leaf(other, zones)?),
        })
    }

    fn trees(&mut self, parts: &[Condition], zones: &Zones) -> Result<Vec<Tree>, String> {
        let mut trees = parts.iter().map(|part| self.tree(part, zones)).collect::<Result<Vec<_>, _>>()?;
        trees.sort_by_key(Tree::cost);
        Ok(trees)
    }

    fn leaf(&mut self, condition: &Condition, zones: &Zones) -> Result<Test, String> {
        Ok(match condition {
            Condition::All(_) | Condition::Any(_) | Condition::Not(_) => Test::Never,
            Condition::Transport(list) => Test::Transport(list.iter().fold(0, |mask, &one| mask | 1 << one as u8)),
            Condition::Opcode(list) => Test::Opcode(list.iter().fold(0, |mask, &code| mask | 1 << (code & 15))),
            Condition::Flags { set, unset } => Test::Flags { set: *set, unset: *unset },
            Condition::Labels(range) => Test::Labels(*range.start(), *range.end()),
            Condition::Edns(wanted) => Test::Edns(*wanted),
            Condition::EdnsVersion(range) => Test::EdnsVersion(*range.start(), *range.end()),
            Condition::EdnsSize(range) => Test::EdnsSize(*range.start(), *range.end()),
            Condition::DnssecOk(wanted) => Test::DnssecOk(*wanted),
            Condition::Count(section, range) => Test::Count(*section as u8, *range.start(), *range.end()),
            Condition::Size(range) => Test::Size(*range.start(), *range.end()),
            Condition::Trailing(wanted) => Test::Trailing(*wanted),
            Condition::Signed(wanted) => Test::Signed(*wanted),
            Condition::Cookie(list) => Test::Cookie(list.iter().fold(0, |mask, &one| mask | 1 << one as u8)),
            Condition::Tag(tags) => Test::Tag(tags.iter().fold(0, |mask, &tag| mask | 1 << (tag & 63))),
            Condition::Probability(share) => Test::Probability(*share),
            Condition::Listener(list) => Test::Listener(self.add_numbers(list)),
            Condition::Qtype(list) => Test::Qtype(self.add_numbers(list)),
            Condition::Qclass(list) => Test::Qclass(self.add_numbers(list)),
            Condition::EdnsOption(list) => Test::EdnsOption(self.add_numbers(list)),
            Condition::Zone(names) => Test::Zone(push(&mut self.indexes, zone_numbers(names, zones)?)),
            Condition::ClientList(lists) => Test::ClientList(push(&mut self.indexes, lists.clone())),
            Condition::QnameList(lists) => Test::QnameList(push(&mut self.indexes, lists.clone())),
            Condition::Time(window) => Test::Time(push(&mut self.windows, week(window)?)),
            Condition::Tlv(list) => Test::Tlv(push(&mut self.tlvs, list.clone())),
            Condition::Client(prefixes) => Test::Client(push(&mut self.prefixes, prefix_set(prefixes)?)),
            Condition::Qname(list) => Test::Qname(push(&mut self.names, name_set(list, Scope::Exact)?)),
            Condition::QnameSuffix(list) => Test::Qname(push(&mut self.names, name_set(list, Scope::Suffix)?)),
            Condition::ServerName(list) => Test::ServerName(push(&mut self.names, name_set(list, Scope::Exact)?)),
            Condition::ServerNameSuffix(list) => {
                Test::ServerName(push(&mut self.names, name_set(list, Scope::Suffix)?))
            }
            Condition::QnameRegex(list) => Test::Pattern(push(&mut self.patterns, Pattern::new(list)?)),
        })
    }

    fn add_numbers(&mut self, list: &[u16]) -> u32 {
        let mut sorted = list.to_vec();
        sorted.sort_unstable();
        push(&mut self.numbers, sorted)
    }
}

/// A condition whose leaves are tests.
enum Tree {
    Test(Test),
    Not(Box<Tree>),
    All(Vec<Tree>),
    Any(Vec<Tree>),
}

impl Tree {
    fn cost(&self) -> u32 {
        match self {
            Self::Test(test) => test.cost(),
            Self::Not(tree) => tree.cost(),
            Self::All(trees) | Self::Any(trees) => trees.iter().map(Self::cost).sum(),
        }
    }
}

fn push<T>(list: &mut Vec<T>, item: T) -> u32 {
    list.push(item);
    (list.len() - 1) as u32
}

fn fits(wanted: &Tlv, kind: u8, value: &[u8]) -> bool {
    wanted.kind == kind
        && match &wanted.value {
            TlvValue::Any => true,
            TlvValue::Equal(bytes) => value == bytes,
            TlvValue::Begins(bytes) => value.starts_with(bytes),
        }
}

fn zone_numbers(names: &[Vec<u8>], zones: &Zones) -> Result<Vec<u32>, String> {
    let mut numbers = Vec::with_capacity(names.len());
    for name in names {
        numbers.push(zones.number(name).ok_or_else(|| format!("no served zone has the name {name:?}"))?);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn week(window: &Window) -> Result<[u64; WEEK.div_ceil(64)], String> {
    let (from, to) = (usize::from(window.from), usize::from(window.to));
    if from >= DAY || to > DAY {
        return Err(format!("minutes {from} to {to} are no part of a day"));
    }
    let length = if to > from { to - from } else { DAY + to - from };
    let mut minutes = [0; WEEK.div_ceil(64)];
    for day in (0..7).filter(|day| window.days >> day & 1 != 0) {
        for minute in (0..length).map(|minute| (day * DAY + from + minute) % WEEK) {
            minutes[minute / 64] |= 1 << (minute % 64);
        }
    }
    Ok(minutes)
}

fn prefix_set(prefixes: &[(IpAddr, u8)]) -> Result<PrefixSet, String> {
    PrefixSet::new(prefixes.iter().map(|&(address, bits)| (address, bits, 0))).map_err(|error| error.to_string())
}

fn name_set(names: &[Vec<u8>], scope: Scope) -> Result<NameSet, String> {
    NameSet::new(names.iter().map(|name| (name, scope, 0))).map_err(|error| error.to_string())
}
