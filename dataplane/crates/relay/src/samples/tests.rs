use super::*;
use proptest::prelude::*;
use sets::{NameSet, PrefixSet, Scope};

fn query(name: &[&[u8]], qtype: u16) -> Vec<u8> {
    let mut message = vec![0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name {
        message.push(label.len() as u8);
        message.extend_from_slice(label);
    }
    message.push(0);
    message.extend_from_slice(&qtype.to_be_bytes());
    message.extend_from_slice(&[0, 1]);
    message
}

fn client(address: &str) -> Client<'static> {
    Client {
        address: address.parse().unwrap(),
        port: 1,
        local: "192.0.2.53".parse().unwrap(),
        local_port: 53,
        transport: Transport::Udp,
        grants: Default::default(),
        listener: 0,
        tlvs: &[],
        server_name: &[],
    }
}

fn samples(most: usize) -> Samples {
    let mut samples = Samples::new().unwrap();
    samples.set_most(most);
    samples
}

fn taken(samples: &mut Samples) -> Vec<u8> {
    let mut bytes = Vec::new();
    samples.take(&mut bytes);
    bytes
}

fn tally(view: View, exempt: &[(&str, u8)]) -> SampleTally {
    let exempt = exempt.iter().map(|&(ip, bits)| (ip.parse().unwrap(), bits, 0));
    let no_names = || NameSet::new(std::iter::empty::<(Vec<u8>, Scope, u32)>()).unwrap();
    let zones = NameSet::new([(b"\x07example\x03com\0".to_vec(), Scope::Suffix, 2)]).unwrap();
    SampleTally::new(view, zones, PrefixSet::new(exempt).unwrap(), no_names()).unwrap()
}

fn count(group: &Group, counter: Counter) -> u64 {
    group.counts.iter().find(|(known, _)| *known == counter).map_or(0, |&(_, n)| n)
}

#[test]
fn what_was_kept_comes_back_as_it_was() {
    let mut samples = samples(10);
    let message = query(&[b"WWW", b"example"], 28);
    samples.query(&client("192.0.2.1"), Act::Reply, Reason::RateLimited, &message);
    samples.query(&client("2001:db8::1"), Act::Drop, Reason::TooShort, &[1, 2, 3]);
    samples.answer("192.0.2.2".parse().unwrap(), Transport::Tcp, 5, (1_000_000, 3_500_000), &message);
    let bytes = taken(&mut samples);
    let batch = Batch::read(&bytes).unwrap();
    assert_eq!(batch.header, Header { queries: (2, 2), answers: (1, 1) });
    let name = &b"\x03WWW\x07example\0"[..];
    let expected = [
        Sample {
            client: "192.0.2.1".parse().unwrap(),
            transport: Transport::Udp,
            size: 29,
            kind: Kind::Query { act: Act::Reply, reason: Reason::RateLimited },
            question: Some((28, name)),
        },
        Sample {
            client: "2001:db8::1".parse().unwrap(),
            transport: Transport::Udp,
            size: 3,
            kind: Kind::Query { act: Act::Drop, reason: Reason::TooShort },
            question: None,
        },
        Sample {
            client: "192.0.2.2".parse().unwrap(),
            transport: Transport::Tcp,
            size: 29,
            kind: Kind::Answer { rcode: 0, slot: 5, latency: 2500 },
            question: Some((28, name)),
        },
    ];
    assert_eq!(batch.collect::<Vec<_>>(), expected);
    assert_eq!(Batch::read(&taken(&mut samples)).unwrap().header, Header::default());
}

#[test]
fn a_faulty_message_beyond_the_error_budget_keeps_its_own_reason() {
    let mut samples = samples(10);
    let mut message = query(&[b"a"], 1);
    message.push(0);
    samples.query(&client("192.0.2.1"), Act::Drop, Reason::ErrorBudget, &message);
    samples.query(&client("192.0.2.1"), Act::Drop, Reason::ErrorBudget, &query(&[b"a"], 1));
    let bytes = taken(&mut samples);
    let reasons: Vec<_> = Batch::read(&bytes).unwrap().map(|sample| sample.kind).collect();
    let of = |reason| Kind::Query { act: Act::Drop, reason };
    assert_eq!(reasons, [of(Reason::TrailingBytes), of(Reason::ErrorBudget)]);
}

#[test]
fn samples_stand_for_all_that_passed() {
    let mut samples = samples(500);
    for number in 0..20_000u32 {
        let from = if number % 4 == 0 { "192.0.2.9" } else { "198.51.100.1" };
        samples.query(&client(from), Act::Forward, Reason::Ok, &query(&[b"www"], 1));
    }
    let mut tally = tally(View::Prefix { v4: 24, v6: 56 }, &[]);
    assert!(tally.add(&taken(&mut samples)));
    let groups = tally.take(10);
    let quarter = groups.iter().find(|(prefix, ..)| prefix == "192.0.2.0/24").unwrap();
    let found = count(&quarter.2, Counter::Queries) / ONE;
    // 5000, from about 125 of 500 samples: 5 standard deviations of 10 samples at 40 each.
    assert!((3000..7000).contains(&found), "{found}");
    assert_eq!(groups.iter().map(|group| count(&group.2, Counter::Queries)).sum::<u64>() / ONE, 20_000);
    assert!(tally.take(10).is_empty());
}

#[test]
fn prefixes_names_and_exemptions() {
    let mut samples = samples(100);
    let message = query(&[b"X1", b"shop", b"EXAMPLE", b"com"], 1);
    let mut nxdomain = message.clone();
    nxdomain[3] = 3;
    for (address, slot) in [("2001:db8:0:aa01::1", 1), ("2001:db8:0:aaff::2", 1), ("10.0.0.1", 2)] {
        samples.query(&client(address), Act::Forward, Reason::Ok, &message);
        samples.answer(address.parse().unwrap(), Transport::Udp, slot, (0, 2000), &nxdomain);
    }
    let bytes = taken(&mut samples);
    let mut prefixes = tally(View::Prefix { v4: 8, v6: 56 }, &[("10.0.0.0", 8)]);
    assert!(prefixes.add(&bytes));
    let groups = prefixes.take(9);
    assert_eq!(groups.len(), 1);
    assert_eq!(groups[0].0, "2001:db8:0:aa00::/56");
    assert_eq!(count(&groups[0].2, Counter::Rcode(3)), 2 * ONE);
    for (labels, expected) in
        [(0, &b"\x07example\x03com\0"[..]), (1, b"\x03com\0"), (9, b"\x02x1\x04shop\x07example\x03com\0")]
    {
        let mut names = tally(View::Suffix { labels }, &[]);
        assert!(names.add(&bytes));
        let groups = names.take(9);
        assert_eq!((groups.len(), &groups[0].1[..]), (1, expected));
        assert_eq!(groups[0].2.names.hashes().len(), 1, "one name, three times");
    }
    let mut total = tally(View::Total, &[("::", 0)]);
    assert!(total.add(&bytes) && !total.add(b"") && !total.add(&[9; 40]));
    let group = &total.take(9)[0].2;
    assert_eq!(count(group, Counter::Backend(1)), 2 * ONE);
    assert_eq!(count(group, Counter::Latency(2)), 2 * ONE);
}

proptest! {
    /// Any bytes are read without a panic, whatever the view.
    #[test]
    fn any_bytes_are_read(mut bytes in prop::collection::vec(any::<u8>(), 0..400), versioned in any::<bool>()) {
        if versioned && let Some(first) = bytes.first_mut() {
            *first = 1;
        }
        for view in [View::Total, View::Prefix { v4: 24, v6: 56 }, View::Suffix { labels: 0 }, View::Suffix { labels: 2 }] {
            let mut tally = tally(view, &[]);
            tally.add(&bytes);
            prop_assert!(tally.take(3).len() <= 3);
        }
    }

    /// Any message can be kept, and comes back with its size.
    #[test]
    fn any_message_is_kept(message in prop::collection::vec(any::<u8>(), 0..600)) {
        let mut samples = samples(3);
        samples.query(&client("192.0.2.1"), Act::Drop, Reason::ErrorBudget, &message);
        let bytes = taken(&mut samples);
        let all: Vec<_> = Batch::read(&bytes).unwrap().collect();
        prop_assert_eq!(all.len(), 1);
        prop_assert_eq!(usize::from(all[0].size), message.len());
    }
}
