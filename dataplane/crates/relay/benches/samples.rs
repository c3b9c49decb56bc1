//! The cost of sampling: a few nanoseconds for a message that is not kept, at a rate where few are.

use std::hint::black_box;
use std::net::IpAddr;

use criterion::{Criterion, criterion_group, criterion_main};
use engine::{Act, Client, Grants};
use relay::samples::{SampleTally, Samples, View};
use sets::{NameSet, PrefixSet, Scope};
use wire::{Reason, Transport};

const QUERY: &[u8] = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x03org\x00\x00\x01\x00\x01";

fn client(n: u32) -> Client<'static> {
    Client {
        address: IpAddr::from((0x0a00_0000 | n).to_be_bytes()),
        port: 40_000,
        local: IpAddr::from([192, 0, 2, 53]),
        local_port: 53,
        transport: Transport::Udp,
        grants: Grants::default(),
        listener: 0,
        tlvs: &[],
        server_name: &[],
    }
}

fn sampling(criterion: &mut Criterion) {
    for most in [0, 1000] {
        let mut samples = Samples::new().expect("random bytes");
        samples.set_most(most);
        let mut n = 0;
        criterion.bench_function(&format!("samples/a query of 100,000 a second, {most} kept"), |bencher| {
            bencher.iter(|| {
                n += 1;
                if n % 100_000 == 0 {
                    samples.take(&mut Vec::new());
                }
                samples.query(black_box(&client(n & 0xffff)), Act::Forward, Reason::Ok, black_box(QUERY));
            });
        });
    }
}

/// What the supervisor spends on a second's samples of one worker, for one view.
fn tallying(criterion: &mut Criterion) {
    let mut samples = Samples::new().expect("random bytes");
    samples.set_most(1000);
    let mut batch = Vec::new();
    (0..1000).for_each(|n| samples.query(&client(n), Act::Forward, Reason::Ok, QUERY));
    samples.take(&mut batch);
    let no_names = || NameSet::new(std::iter::empty::<(Vec<u8>, Scope, u32)>()).expect("no names");
    let no_prefixes = PrefixSet::new(std::iter::empty()).expect("no prefixes");
    let view = View::Prefix { v4: 32, v6: 56 };
    let mut tally = SampleTally::new(view, no_names(), no_prefixes, no_names()).expect("random bytes");
    criterion.bench_function("samples/group 1000 by client", |bencher| {
        bencher.iter(|| {
            tally.add(black_box(&batch));
            black_box(tally.take(2000).len())
        });
    });
}

criterion_group!(benches, sampling, tallying);
criterion_main!(benches);
