//! Which rules a message can match at all: one bitmap of rules for each of five properties, and their intersection.
//!
//! ```text
//!  transport and opcode -> 0111011010...
//!  qtype                -> 1101011111...
//!  listener             -> 1111111111...    1: the rule does not exclude this value
//!  client (prefix set)  -> 1110110111...
//!  qname (name set)     -> 1110010110...
//!                          0100010010...    only these are looked at further
//! ```
//! So fifty rules cost little more than one, and the lists of all rules together one look-up. What the bitmaps decide of
//! a rule is not tested a second time. Only conditions that hold for the whole rule count here; those below `any` and
//! `not` are the [`Program`]'s.
//!
//! [`Program`]: super::program::Program

use std::collections::HashMap;
use std::net::IpAddr;

use sets::{NameSet, PrefixSet, Scope};
use wire::Transport;
use wire::name::labels;

use super::condition::Condition;
use super::facts::Facts;

const OPCODES: usize = 16;
/// Types below it have a row each in a table; the others are searched.
const LOW_TYPES: usize = 256;

/// The bits of all rules.
pub(crate) type Bits = Vec<u64>;

/// What one rule demands of the properties that have bitmaps. `None`: nothing.
#[derive(Debug, Default)]
pub(crate) struct Demands<'c> {
    transports: Option<&'c [Transport]>,
    opcodes: Option<&'c [u8]>,
    qtypes: Option<&'c [u16]>,
    listeners: Option<&'c [u16]>,
    clients: Option<&'c [(IpAddr, u8)]>,
    names: Option<(&'c [Vec<u8>], Scope)>,
}

impl<'c> Demands<'c> {
    /// Takes what it can of `condition`; what is left for the program goes to `rest`.
    pub(crate) fn take(&mut self, condition: &'c Condition, rest: &mut Vec<&'c Condition>) {
        match condition {
            Condition::All(parts) => parts.iter().for_each(|part| self.take(part, rest)),
            Condition::Transport(list) if self.transports.is_none() => self.transports = Some(list),
            Condition::Opcode(list) if self.opcodes.is_none() => self.opcodes = Some(list),
            Condition::Qtype(list) if self.qtypes.is_none() => self.qtypes = Some(list),
            Condition::Listener(list) if self.listeners.is_none() => self.listeners = Some(list),
            Condition::Client(list) if self.clients.is_none() => self.clients = Some(list),
            Condition::Qname(list) if self.names.is_none() => self.names = Some((list, Scope::Exact)),
            Condition::QnameSuffix(list) if self.names.is_none() => self.names = Some((list, Scope::Suffix)),
            other => rest.push(other),
        }
    }
}

/// The bitmaps. A row is a number into `rows`, `words` words each.
#[derive(Debug)]
pub(crate) struct Index {
    words: usize,
    rows: Vec<u64>,
    kinds: [u32; Transport::COUNT * OPCODES],
    low_types: Vec<u32>,
    high_types: Vec<(u16, u32)>,
    other_type: u32,
    listeners: Vec<u32>,
    other_listener: u32,
    clients: Option<PrefixSet>,
    other_client: u32,
    names: Option<NameSet>,
    other_name: u32,
}

impl Index {
    /// # Errors
    /// A name or prefix that is none.
    pub(crate) fn new(rules: &[Demands<'_>]) -> Result<Self, String> {
        let mut rows = Rows { words: rules.len().div_ceil(64), ..Rows::default() };
        let free = |is_free: fn(&Demands<'_>) -> bool| bits(rules, is_free);
        let others = [
            free(|rule| rule.qtypes.is_none()),
            free(|rule| rule.listeners.is_none()),
            free(|rule| rule.clients.is_none()),
            free(|rule| rule.names.is_none()),
        ]
        .map(|bits| rows.number(bits));
        let kinds = std::array::from_fn(|kind| rows.number(bits(rules, |rule| rule.allows_kind(kind))));
        let allows = |rule: &Demands<'_>, qtype| rule.qtypes.is_none_or(|list| list.contains(&qtype));
        let mut high_types: Vec<u16> = rules.iter().flat_map(|rule| rule.qtypes.unwrap_or_default()).copied().collect();
        high_types.retain(|&qtype| usize::from(qtype) >= LOW_TYPES);
        high_types.sort_unstable();
        high_types.dedup();
        let mut of_type = |qtype| rows.number(bits(rules, |rule| allows(rule, qtype)));
        let low_types = (0..LOW_TYPES as u16).map(&mut of_type).collect();
        let high_types = high_types.into_iter().map(|qtype| (qtype, of_type(qtype))).collect();
        let last = rules.iter().flat_map(|rule| rule.listeners.unwrap_or_default()).max();
        let listeners = (0..=last.copied().unwrap_or_default())
            .map(|number| rows.number(bits(rules, |rule| rule.listeners.is_none_or(|list| list.contains(&number)))))
            .collect();
        Ok(Self {
            words: rows.words,
            kinds,
            low_types,
            high_types,
            listeners,
            clients: clients(rules, &mut rows)?,
            names: names(rules, &mut rows)?,
            rows: rows.words_of_all,
            other_type: others[0],
            other_listener: others[1],
            other_client: others[2],
            other_name: others[3],
        })
    }

    /// Calls `visit` with each word of the intersection and its place.
    #[inline]
    pub(crate) fn candidates<'i>(&'i self, facts: &Facts<'_, '_>) -> impl Iterator<Item = u64> + 'i {
        let kind = facts.client.transport as usize * OPCODES + usize::from(facts.query.opcode & 15);
        let question = facts.question();
        let qtype = question.map_or(self.other_type, |question| self.of_type(question.qtype));
        let listener = self.listeners.get(usize::from(facts.client.listener)).unwrap_or(&self.other_listener);
        let client = match &self.clients {
            Some(set) => set.get(facts.client.address).unwrap_or(self.other_client),
            None => self.other_client,
        };
        let name = match (&self.names, question) {
            (Some(set), Some(question)) => set.get(question.name, question.labels).unwrap_or(self.other_name),
            _ => self.other_name,
        };
        let rows = [self.kinds[kind], qtype, *listener, client, name].map(|row| self.row(row));
        (0..self.words).map(move |word| rows.iter().fold(!0, |bits, row| bits & row[word]))
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&self.rows[..])
            + size_of_val(&self.low_types[..])
            + size_of_val(&self.high_types[..])
            + size_of_val(&self.listeners[..])
            + self.clients.as_ref().map_or(0, PrefixSet::bytes)
            + self.names.as_ref().map_or(0, NameSet::bytes)
    }

    #[inline]
    fn row(&self, number: u32) -> &[u64] {
        let start = number as usize * self.words;
        &self.rows[start..start + self.words]
    }

    #[inline]
    fn of_type(&self, qtype: u16) -> u32 {
        match self.low_types.get(usize::from(qtype)) {
            Some(&row) => row,
            None => match self.high_types.binary_search_by_key(&qtype, |&(high, _)| high) {
                Ok(found) => self.high_types[found].1,
                Err(_) => self.other_type,
            },
        }
    }
}

impl Demands<'_> {
    fn allows_kind(&self, kind: usize) -> bool {
        let transport = Transport::ALL[kind / OPCODES];
        self.transports.is_none_or(|list| list.contains(&transport))
            && self.opcodes.is_none_or(|list| list.iter().any(|&opcode| usize::from(opcode) == kind % OPCODES))
    }
}

/// Rows that were made, each once.
#[derive(Default)]
struct Rows {
    words: usize,
    words_of_all: Vec<u64>,
    known: HashMap<Bits, u32>,
}

impl Rows {
    fn number(&mut self, bits: Bits) -> u32 {
        if let Some(&known) = self.known.get(&bits) {
            return known;
        }
        let number = self.known.len() as u32;
        self.words_of_all.extend_from_slice(&bits);
        self.known.insert(bits, number);
        number
    }
}

fn bits(rules: &[Demands<'_>], mut holds: impl FnMut(&Demands<'_>) -> bool) -> Bits {
    let mut bits = vec![0; rules.len().div_ceil(64)];
    for (place, rule) in rules.iter().enumerate() {
        bits[place / 64] |= u64::from(holds(rule)) << (place % 64);
    }
    bits
}

fn or(into: &mut [u64], more: &[u64]) {
    into.iter_mut().zip(more).for_each(|(word, more)| *word |= more);
}

/// For each prefix of any rule the rules that an address in it, and in no longer one, can match.
fn clients(rules: &[Demands<'_>], rows: &mut Rows) -> Result<Option<PrefixSet>, String> {
    let free = bits(rules, |rule| rule.clients.is_none());
    let mut own: HashMap<(IpAddr, u8), Bits> = HashMap::new();
    let mut lengths = [0_u128, 0];
    for (place, rule) in rules.iter().enumerate() {
        for &(address, length) in rule.clients.unwrap_or_default() {
            let of_prefix = own.entry((masked(address, length), length)).or_insert_with(|| vec![0; free.len()]);
            of_prefix[place / 64] |= 1 << (place % 64);
            lengths[usize::from(address.is_ipv6())] |= 1_u128.checked_shl(length.into()).unwrap_or(0);
        }
    }
    if own.is_empty() {
        return Ok(None);
    }
    let entries = own.iter().map(|(&(address, length), at_length)| {
        let mut all = free.clone();
        or(&mut all, at_length);
        for shorter in (0..length).filter(|&shorter| lengths[usize::from(address.is_ipv6())] >> shorter & 1 != 0) {
            if let Some(around) = own.get(&(masked(address, shorter), shorter)) {
                or(&mut all, around);
            }
        }
        (address, length, rows.number(all))
    });
    PrefixSet::new(entries).map(Some).map_err(|error| error.to_string())
}

fn masked(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(length.into())).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(length.into())).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    }
}

/// For each name of any rule the rules that it can match, and those that the names below it can.
fn names(rules: &[Demands<'_>], rows: &mut Rows) -> Result<Option<NameSet>, String> {
    let free = bits(rules, |rule| rule.names.is_none());
    // Rules that have the name itself, and rules that have all below it too.
    let mut own: HashMap<Vec<u8>, (Bits, Bits)> = HashMap::new();
    for (place, rule) in rules.iter().enumerate() {
        let Some((list, scope)) = rule.names else { continue };
        for name in list {
            let (exact, suffix) =
                own.entry(name.to_ascii_lowercase()).or_insert_with(|| (vec![0; free.len()], vec![0; free.len()]));
            let of_scope = if scope == Scope::Exact { exact } else { suffix };
            of_scope[place / 64] |= 1 << (place % 64);
        }
    }
    if own.is_empty() {
        return Ok(None);
    }
    let entries = own.iter().flat_map(|(name, (exact, _))| {
        let mut below = free.clone();
        let mut rest = labels(name);
        loop {
            if let Some((_, suffix)) = own.get(rest.rest()) {
                or(&mut below, suffix);
            }
            if rest.next().is_none() {
                break;
            }
        }
        let mut itself = below.clone();
        or(&mut itself, exact);
        [(name, Scope::Exact, rows.number(itself)), (name, Scope::Below, rows.number(below))]
    });
    NameSet::new(entries).map(Some).map_err(|error| error.to_string())
}
