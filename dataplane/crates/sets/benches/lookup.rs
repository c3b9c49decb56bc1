//! The cost of a look-up: tens of nanoseconds, whatever the size of the set.

use std::hint::black_box;
use std::net::IpAddr;

use criterion::{Criterion, criterion_group, criterion_main};
use sets::{NameSet, PrefixSet, Scope};

/// Numbers without order.
const fn scatter(n: u64) -> u64 {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32)
}

fn v6(n: u64) -> IpAddr {
    IpAddr::from((0x2001_0db8_u128 << 96 | u128::from(scatter(n)) << 32).to_be_bytes())
}

fn v4(n: u64) -> IpAddr {
    IpAddr::from((scatter(n) as u32).to_be_bytes())
}

fn name(n: u64) -> Vec<u8> {
    format!("\x0fhost-{:010}\x07example\x03com\0", scatter(n) as u32).into_bytes()
}

fn look_up(criterion: &mut Criterion) {
    for count in [1_u64, 1_000, 1_000_000] {
        let set = PrefixSet::new((0..count).flat_map(|n| [(v4(n), 32, 1), (v6(n), 64, 2)])).expect("prefixes");
        let mut n = 0;
        criterion.bench_function(&format!("prefixes/v4, {count}"), |bencher| {
            bencher.iter(|| {
                n += 1;
                black_box(set.get(v4(n)))
            });
        });
        criterion.bench_function(&format!("prefixes/v6, {count}"), |bencher| {
            bencher.iter(|| {
                n += 1;
                black_box(set.get(v6(n)))
            });
        });
        let names = NameSet::new((0..count).map(|n| (name(n), Scope::Suffix, 1))).expect("names");
        let asked: Vec<_> = (0..1_000).map(name).collect();
        criterion.bench_function(&format!("names/{count}"), |bencher| {
            bencher.iter(|| {
                n += 1;
                black_box(names.get(&asked[n as usize % asked.len()], 3))
            });
        });
    }
}

criterion_group!(benches, look_up);
criterion_main!(benches);
