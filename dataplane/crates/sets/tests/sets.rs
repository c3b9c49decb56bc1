//! Sets against a naive model: walk over all entries and keep the best.

use std::net::IpAddr;

use proptest::prelude::*;
use sets::{NameSet, PrefixSet, Scope, SetError};

fn bits_of(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

fn lies_in(address: IpAddr, prefix: IpAddr, bits: u8) -> bool {
    let ((left, family), (right, other)) = (bits_of(address), bits_of(prefix));
    family == other && (bits == 0 || (left ^ right) >> (128 - u32::from(bits)) == 0)
}

fn longest(entries: &[(IpAddr, u8, u32)], address: IpAddr) -> Option<u32> {
    let mut best: Option<(u8, u32)> = None;
    for &(prefix, bits, value) in entries {
        if lies_in(address, prefix, bits) && best.is_none_or(|(most, _)| bits > most) {
            best = Some((bits, value));
        }
    }
    best.map(|(_, value)| value)
}

/// Addresses that are often near one another, and near the ends of their families.
fn address() -> impl Strategy<Value = IpAddr> {
    let near = prop_oneof![0..40_u128, Just(u128::MAX), any::<u128>(), (0..128_u32).prop_map(|bit| 1 << bit)];
    (any::<bool>(), near, any::<bool>()).prop_map(|(four, number, end)| {
        let number = if end { !number } else { number };
        if four { IpAddr::from((number as u32).to_be_bytes()) } else { IpAddr::from(number.to_be_bytes()) }
    })
}

fn prefix() -> impl Strategy<Value = (IpAddr, u8, u32)> {
    (address(), any::<u8>(), 0..9_u32)
        .prop_map(|(address, bits, value)| (address, if address.is_ipv4() { bits % 33 } else { bits % 129 }, value))
}

proptest! {
    #[test]
    fn the_longest_prefix_counts(
        entries in proptest::collection::vec(prefix(), 0..300),
        asked in proptest::collection::vec(address(), 1..50),
    ) {
        let set = PrefixSet::new(entries.iter().copied()).expect("all are prefixes");
        let ends = entries.iter().map(|(address, ..)| *address);
        for address in asked.iter().copied().chain(ends) {
            prop_assert_eq!(set.get(address), longest(&entries, address), "{}", address);
            prop_assert_eq!(set.contains(address), longest(&entries, address).is_some());
        }
    }

    /// Prefixes of few lengths lie in a hash table.
    #[test]
    fn the_longest_of_few_lengths_counts(
        lengths in proptest::collection::vec((0..=32_u8, 0..=128_u8), 1..=4),
        entries in proptest::collection::vec((address(), any::<prop::sample::Index>(), 0..9_u32), 0..300),
        asked in proptest::collection::vec(address(), 1..50),
    ) {
        let entries: Vec<_> = entries
            .into_iter()
            .map(|(address, length, value)| {
                let (v4, v6) = lengths[length.index(lengths.len())];
                (address, if address.is_ipv4() { v4 } else { v6 }, value)
            })
            .collect();
        let set = PrefixSet::new(entries.iter().copied()).expect("all are prefixes");
        let ends = entries.iter().map(|(address, ..)| *address);
        for address in asked.into_iter().chain(ends) {
            prop_assert_eq!(set.get(address), longest(&entries, address), "{}", address);
            prop_assert_eq!(set.contains(address), longest(&entries, address).is_some());
        }
    }
}

#[test]
fn many_prefixes_are_found_in_a_table_and_at_every_depth_of_the_tree() {
    // With so many other lengths there is a tree.
    let lengths = [4, 5, 6, 7, 8].map(|bits| (IpAddr::from([240, 0, 0, 0]), bits, 0));
    for (count, others) in [1_u32, 15, 16, 17, 255, 256, 257, 5000, 100_000].into_iter().flat_map(|n| [(n, 0), (n, 5)])
    {
        let all = (0..count).map(|n| (IpAddr::from((n * 4 + 1).to_be_bytes()), 32, n));
        let set = PrefixSet::new(all.chain(lengths[..others].iter().copied())).expect("all are prefixes");
        assert_eq!(set.len(), count as usize + others);
        for n in (0..count).step_by(1 + count as usize / 1000).chain([count - 1]) {
            for (number, expected) in [(n * 4, None), (n * 4 + 1, Some(n)), (n * 4 + 2, None)] {
                assert_eq!(set.get(IpAddr::from(number.to_be_bytes())), expected, "{n} of {count}");
            }
        }
    }
}

#[test]
fn an_empty_set_holds_nothing_and_takes_nothing() {
    let prefixes = PrefixSet::new([]).expect("nothing is wrong");
    let names = NameSet::new(Vec::<(Vec<u8>, Scope, u32)>::new()).expect("nothing is wrong");
    assert_eq!((prefixes.get([192, 0, 2, 1].into()), prefixes.len(), prefixes.bytes()), (None, 0, 0));
    assert_eq!((names.get(b"\0", 0), names.len(), names.bytes()), (None, 0, 0));
    assert!(prefixes.is_empty() && names.is_empty());
}

#[test]
fn what_is_no_entry_is_refused() {
    let four = IpAddr::from([192, 0, 2, 1]);
    assert_eq!(PrefixSet::new([(four, 33, 0)]).err(), Some(SetError::Bits));
    assert_eq!(PrefixSet::new([(four, 32, u32::MAX)]).err(), Some(SetError::Value));
    for bytes in [&b""[..], b"\x03ww", b"\x01a", b"\x01a\0\0", b"\xc0\x0c", &[1; 300]] {
        assert_eq!(NameSet::new([(bytes, Scope::Exact, 0)]).err(), Some(SetError::Name), "{bytes:?}");
    }
    assert_eq!(NameSet::new([(b"\0", Scope::Exact, u32::MAX)]).err(), Some(SetError::Value));
}

type Labels = Vec<Vec<u8>>;

fn wire(labels: &[Vec<u8>]) -> Vec<u8> {
    let mut name = Vec::new();
    for label in labels {
        name.push(label.len() as u8);
        name.extend(label);
    }
    name.push(0);
    name
}

/// Where `asked` lies in `entry`: how well it fits, larger is more specific.
fn fit(asked: &[Vec<u8>], entry: &[Vec<u8>], scope: Scope) -> Option<(bool, usize)> {
    let same = |left: &[Vec<u8>], right: &[Vec<u8>]| wire(left).eq_ignore_ascii_case(&wire(right));
    let below = asked.len().checked_sub(entry.len()).filter(|from| same(&asked[*from..], entry))?;
    match scope {
        Scope::Exact if below == 0 => Some((true, entry.len())),
        Scope::Suffix => Some((false, entry.len())),
        Scope::Below if below > 0 => Some((false, entry.len())),
        _ => None,
    }
}

fn most_specific(entries: &[(Labels, Scope, u32)], asked: &[Vec<u8>]) -> Option<u32> {
    let mut best: Option<((bool, usize), u32)> = None;
    for (labels, scope, value) in entries {
        if let Some(how) = fit(asked, labels, *scope)
            && best.is_none_or(|(most, _)| how > most)
        {
            best = Some((how, *value));
        }
    }
    best.map(|(_, value)| value)
}

fn some_labels() -> impl Strategy<Value = Labels> {
    let label = prop_oneof![
        proptest::sample::select(vec![b"a".to_vec(), b"A".to_vec(), b"b".to_vec(), b"@".to_vec(), b"`".to_vec()]),
        proptest::collection::vec(any::<u8>(), 1..20),
    ];
    proptest::collection::vec(label, 0..6)
}

fn scope() -> impl Strategy<Value = Scope> {
    proptest::sample::select(vec![Scope::Exact, Scope::Suffix, Scope::Below])
}

proptest! {
    #[test]
    fn the_most_specific_name_counts(
        entries in proptest::collection::vec((some_labels(), scope(), 0..9_u32), 0..60),
        asked in proptest::collection::vec(some_labels(), 1..40),
    ) {
        let set = NameSet::new(entries.iter().map(|(labels, scope, value)| (wire(labels), *scope, *value)))
            .expect("all are names");
        let known = entries.iter().map(|(labels, ..)| labels.clone());
        for labels in asked.into_iter().chain(known) {
            let expected = most_specific(&entries, &labels);
            prop_assert_eq!(set.get(&wire(&labels), labels.len() as u8), expected, "{:?}", labels);
        }
    }

    #[test]
    fn no_bytes_make_a_look_up_fail(name in proptest::collection::vec(any::<u8>(), 0..300), count: u8) {
        let set = NameSet::new([(b"\x01a\0", Scope::Suffix, 1), (b"\x01a\0", Scope::Exact, 2)]).expect("names");
        let found = set.get(&name, count);
        prop_assert!(found.is_none_or(|value| value <= 2));
    }
}

#[test]
fn the_longest_name_and_the_root_are_names() {
    let longest = wire(&vec![b"x".to_vec(); 127]);
    let set = NameSet::new([(longest.clone(), Scope::Exact, 1), (vec![0], Scope::Below, 2)]).expect("names");
    assert_eq!((set.get(&longest, 127), set.get(b"\x01x\0", 1), set.get(b"\0", 0)), (Some(1), Some(2), None));
}

#[test]
fn many_names_are_found_while_the_table_grows() {
    let name = |n: u32| wire(&[format!("host-{n}").into_bytes(), b"example".to_vec()]);
    let set = NameSet::new((0..50_000).map(|n| (name(n), Scope::Suffix, n))).expect("names");
    assert_eq!(set.len(), 50_000);
    for n in 0..50_000 {
        assert_eq!(set.get(&name(n).to_ascii_uppercase(), 2), Some(n));
    }
    assert_eq!(set.get(&name(50_000), 2), None);
}
