//! Invariant: whatever bytes come for samples, or as a message to sample,
//! - reading them ends, and does not panic, in every view;
//! - no more groups are given than were asked for, and they have at least one sample each;
//! - a message that is sampled comes back with its size, and with a name only if one stands behind its header.

#![no_main]

use std::net::IpAddr;

use engine::{Act, Client, Grants};
use libfuzzer_sys::fuzz_target;
use relay::samples::{Batch, SampleTally, Samples, View};
use sets::{NameSet, PrefixSet, Scope};
use wire::{Reason, Transport};

fn tally(view: View) -> SampleTally {
    let none = || NameSet::new(std::iter::empty::<(Vec<u8>, Scope, u32)>()).expect("no names");
    SampleTally::new(view, none(), PrefixSet::new(std::iter::empty()).expect("no prefixes"), none())
        .expect("random bytes")
}

fuzz_target!(|bytes: &[u8]| {
    for view in [View::Total, View::Prefix { v4: 24, v6: 56 }, View::Suffix { labels: 0 }, View::Suffix { labels: 2 }] {
        let mut tally = tally(view);
        tally.add(bytes);
        let groups = tally.take(3);
        assert!(groups.len() <= 3 && groups.iter().all(|(_, _, group)| group.samples > 0));
    }
    let client = Client {
        address: IpAddr::from([192, 0, 2, 1]),
        port: 1,
        local: IpAddr::from([192, 0, 2, 53]),
        local_port: 53,
        transport: Transport::Udp,
        grants: Grants::default(),
        listener: 0,
        tlvs: &[],
        server_name: &[],
    };
    let mut samples = Samples::new().expect("random bytes");
    samples.set_most(2);
    samples.query(&client, Act::Drop, Reason::ErrorBudget, bytes);
    samples.answer(client.address, Transport::Tcp, 1, (2, 1), bytes);
    let mut taken = Vec::new();
    samples.take(&mut taken);
    let all: Vec<_> = Batch::read(&taken).expect("our own bytes").collect();
    assert_eq!(all.len(), 2);
    for sample in all {
        assert_eq!(usize::from(sample.size), bytes.len().min(usize::from(u16::MAX)));
        if let Some((_, name)) = sample.question {
            assert_eq!(name, &bytes[12..12 + name.len()]);
        }
    }
});
