//! Rate limits: what shares a bucket, and that exactly burst + rate * time is let in, whoever asks and from however
//! many threads.

mod common;

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use common::{CLIENT, Engine, SECOND, client, limit, limited, message, name, over_tcp, prefix_limit, query};
use engine::{Action, Client, Grants, Key, Now, Policy, Verdict, decide};
use proptest::prelude::*;

fn dropping(key: Key, rate: u32, burst: u32) -> Engine {
    Engine::new(limited(vec![limit(key, rate, burst, Action::Drop)]))
}

#[test]
fn burst_then_rate() {
    let engine = dropping(CLIENT, 10, 4);
    let who = client("198.51.100.7");
    let start = 5 * SECOND;
    assert_eq!(engine.forwarded(&query("a"), &who, start, 100), 4);
    assert_eq!(engine.forwarded(&query("a"), &who, start + SECOND / 10 - 1, 100), 0);
    assert_eq!(engine.forwarded(&query("a"), &who, start + SECOND / 10, 100), 1);
    assert_eq!(engine.forwarded(&query("a"), &who, start + SECOND * 3 / 10, 100), 2);
    assert_eq!(engine.forwarded(&query("a"), &who, start + 3600 * SECOND, 100), 4, "never more than the burst");
}

#[test]
fn time_that_runs_backwards_between_workers_lets_nothing_extra_in() {
    let engine = dropping(Key::GLOBAL, 10, 4);
    let who = client("198.51.100.7");
    assert_eq!(engine.forwarded(&query("a"), &who, SECOND, 100), 4);
    assert_eq!(engine.forwarded(&query("a"), &who, SECOND - 1000, 100), 0);
    assert_eq!(engine.forwarded(&query("a"), &who, 0, 100), 0);
}

#[test]
fn the_ends_of_the_ranges_do_not_overflow() {
    for (rate, burst) in [(1, 100_000_000), (100_000_000, 1), (100_000_000, 100_000_000), (1, 1)] {
        let engine = dropping(Key::GLOBAL, rate, burst);
        for now in [0, 1, u64::MAX / 2, u64::MAX] {
            assert!(engine.forwarded(&query("a"), &client("198.51.100.7"), now, 3) <= 3);
        }
    }
}

#[test]
fn what_shares_a_bucket() {
    let who = |address: &str| client(address);
    let notifier = |address: &str| Client { grants: Grants { notify: true, ..Grants::default() }, ..client(address) };
    let here = who("198.51.100.7");
    let typed = |qtype| message(0, &name("a.example"), qtype, 1);
    let first = query("a.example");
    let tcp = |address| over_tcp(who(address));
    let pairs: Vec<(Key, Vec<u8>, _, bool)> = vec![
        (CLIENT, query("b"), here, true),
        (CLIENT, first.clone(), who("198.51.100.8"), false),
        (CLIENT | Key::QNAME, query("A.example"), here, true),
        (CLIENT | Key::QNAME, query("b.example"), here, false),
        (CLIENT | Key::QNAME, first.clone(), who("198.51.100.8"), false),
        (CLIENT | Key::QTYPE, query("b"), here, true),
        (CLIENT | Key::QTYPE, typed(28), here, false),
        (Key::QNAME | Key::QTYPE, typed(1), who("2001:db8::1"), true),
        (Key::QNAME | Key::QTYPE, typed(28), here, false),
        (Key::QNAME | Key::QTYPE, query("b.example"), here, false),
        (Key::TRANSPORT, query("b"), who("203.0.113.1"), true),
        (Key::TRANSPORT, first.clone(), tcp("198.51.100.7"), false),
        (CLIENT | Key::TRANSPORT, first.clone(), tcp("198.51.100.7"), false),
        (Key::OPCODE, query("b"), who("203.0.113.1"), true),
        (Key::OPCODE, message(4, &name("a.example"), 6, 1), notifier("203.0.113.1"), false),
        (Key::OPCODE | Key::ZONE, query("b"), who("203.0.113.1"), true),
        (Key::QNAME, query("A.Example"), who("203.0.113.1"), true),
        (Key::QNAME, typed(28), here, true),
        (Key::QNAME, query("b.example"), here, false),
        (Key::QTYPE, query("b"), here, true),
        (Key::QTYPE, typed(28), here, false),
        (Key::GLOBAL, typed(28), who("2001:db8::1"), true),
    ];
    for (key, second, client, shared) in pairs {
        let engine = dropping(key, 1, 1);
        assert_eq!(engine.forwarded(&first, &here, 1, 1), 1);
        let passes = engine.forwarded(&second, &client, 1, 1) == 1;
        assert_eq!(passes, !shared, "{key:?} {client:?}");
    }
}

#[test]
fn prefix_lengths() {
    for (v4, other, shared) in [
        (24, "198.51.100.8", true),
        (24, "198.51.101.7", false),
        (0, "203.0.113.1", true),
        (0, "2001:db8::1", false),
        (32, "198.51.100.8", false),
    ] {
        let engine = Engine::new(limited(vec![prefix_limit(v4, 0, 1, 1)]));
        assert_eq!(engine.forwarded(&query("a"), &client("198.51.100.7"), 1, 1), 1);
        assert_eq!(engine.forwarded(&query("a"), &client(other), 1, 1) == 0, shared, "{v4} {other}");
    }
}

#[test]
fn prefixes_of_ipv6() {
    for (bits, other, shared) in [
        (56, "2001:db8:0:ff::1", true),
        (56, "2001:db8:0:100::1", false),
        (64, "2001:db8:0:ff::1", false),
        (128, "2001:db8::2", false),
    ] {
        let engine = Engine::new(limited(vec![prefix_limit(32, bits, 1, 1)]));
        assert_eq!(engine.forwarded(&query("a"), &client("2001:db8::1"), 1, 1), 1);
        assert_eq!(engine.forwarded(&query("a"), &client(other), 1, 1) == 0, shared, "{bits} {other}");
    }
}

#[test]
fn zones_share_by_zone() {
    let mut spec = limited(vec![limit(Key::ZONE, 1, 1, Action::Drop)]);
    spec.zones = vec![name("example"), name("sub.example")];
    let engine = Engine::new(spec);
    let who = client("198.51.100.7");
    let passes = |qname: &str| engine.forwarded(&query(qname), &who, 1, 5);
    assert_eq!(passes("a.example"), 1);
    assert_eq!(passes("b.example"), 0);
    assert_eq!(passes("a.sub.example"), 1, "a zone of its own");
    assert_eq!(passes("other.org"), 1);
    assert_eq!(passes("another.net"), 0, "names in no zone share one bucket");
}

#[test]
fn limits_with_equal_numbers_have_buckets_of_their_own() {
    let twice = vec![limit(CLIENT, 1, 3, Action::Drop), limit(CLIENT, 1, 3, Action::Drop)];
    assert_eq!(Engine::new(limited(twice)).forwarded(&query("a"), &client("198.51.100.7"), 1, 9), 3);
    let mut half_alike = vec![limit(CLIENT, 1, 3, Action::Drop), limit(CLIENT, 1, 3, Action::Drop)];
    half_alike[1].prefixes_v6 = vec![(64, 1)];
    assert_eq!(Engine::new(limited(half_alike)).forwarded(&query("a"), &client("198.51.100.7"), 1, 9), 3, "of IPv4");
}

#[test]
fn a_reload_keeps_the_buckets_of_limits_that_stay() {
    let mut engine = dropping(CLIENT, 1, 5);
    let who = client("198.51.100.7");
    assert_eq!(engine.forwarded(&query("a"), &who, 1, 3), 3);
    let reordered = limited(vec![limit(Key::GLOBAL, 1000, 1000, Action::Drop), limit(CLIENT, 1, 5, Action::Drop)]);
    engine.policy = Policy::new(reordered).expect("good");
    assert_eq!(engine.forwarded(&query("a"), &who, 1, 9), 2);
}

#[test]
fn a_full_table_forgets_the_smallest_debt_and_counts_it() {
    let engine = Engine::with_slots(limited(vec![limit(CLIENT, 1, 100, Action::Drop)]), 7);
    let who = |n: u32| client(&format!("10.0.0.{n}"));
    let evictions = || engine.layout.totals(&engine.memory).expect("good memory").evictions();
    for n in 1..=7 {
        assert_eq!(engine.forwarded(&query("a"), &who(n), 1, 10 * n as usize), 10 * n as usize);
    }
    assert_eq!(evictions(), 0);
    assert_eq!(engine.forwarded(&query("a"), &who(8), 1, 50), 50, "takes the place of the first");
    assert_eq!(evictions(), 1);
    assert_eq!(engine.forwarded(&query("a"), &who(7), 1, 100), 30, "who asked most is remembered");
    let later = 1 + 200 * SECOND;
    assert_eq!(engine.forwarded(&query("a"), &who(9), later, 1), 1);
    assert_eq!(evictions(), 1, "full buckets are taken over without loss");
}

#[test]
fn a_set_that_a_dead_worker_had_locked_is_taken_over() {
    let engine = Engine::with_slots(limited(vec![limit(CLIENT, 1, 2, Action::Drop)]), 7);
    // The only set is the last 16 words, its first word the lock; odd is locked.
    engine.memory[engine.memory.len() - 16].store(9, Ordering::SeqCst);
    assert_eq!(engine.forwarded(&query("a"), &client("198.51.100.7"), 1, 9), 2);
    assert_eq!(engine.forwarded(&query("a"), &client("198.51.100.8"), 1, 9), 2, "and works on");
    assert_eq!(engine.memory[engine.memory.len() - 16].load(Ordering::SeqCst) % 2, 0, "unlocked");
}

#[test]
fn a_way_that_a_dead_worker_was_giving_away_is_used_again() {
    // The only set is the last 16 words: the lock, seven keys, and at the end seven arrival times. A worker that is killed while it gives
    // a way to another bucket leaves the set locked (odd) and the arrival time busy, with the old key or the new one; and the next one
    // may find the set unlocked already, because somebody else took it over.
    const BUSY: u64 = u64::MAX;
    for locked in [9, 10] {
        for used in [1, 7] {
            let engine = Engine::with_slots(limited(vec![limit(CLIENT, 1, 2, Action::Drop)]), 7);
            let who = |n: usize| client(&format!("198.51.100.{n}"));
            let set = engine.memory.len() - 16;
            (0..used).for_each(|n| assert_eq!(engine.forwarded(&query("a"), &who(n), 1, 9), 2));
            let way =
                engine.memory[set + 9..].iter().position(|word| word.load(Ordering::SeqCst) > 0).expect("in debt");
            let key = engine.memory[set + 1 + way].load(Ordering::SeqCst);
            engine.memory[set + 9 + way].store(BUSY, Ordering::SeqCst);
            engine.memory[set].store(locked, Ordering::SeqCst);
            assert_eq!(engine.forwarded(&query("a"), &who(0), 1, 9), 2, "its debt is forgotten, its limit holds again");
            assert_eq!(engine.memory[set + 1 + way].load(Ordering::SeqCst), key, "in the way that it had");
            engine.memory[set + 9 + way].store(BUSY, Ordering::SeqCst);
            engine.memory[set].store(locked, Ordering::SeqCst);
            assert_eq!(engine.forwarded(&query("a"), &who(100), 1, 9), 2, "another bucket can have the way too");
            assert_eq!(engine.forwarded(&query("a"), &who(100), 1, 9), 0);
            assert_eq!(engine.memory[set].load(Ordering::SeqCst) % 2, 0, "unlocked");
            assert!(engine.memory[set + 9..].iter().all(|word| word.load(Ordering::SeqCst) != BUSY));
        }
    }
}

/// Threads as workers: in each round they all ask at the same time, until everything is over the limit.
fn hammer(engine: &Engine, threads: usize, rounds: &[(u64, Vec<u32>)], tries: usize) -> Vec<Vec<usize>> {
    let allowed: Vec<Vec<AtomicUsize>> =
        rounds.iter().map(|(_, sources)| sources.iter().map(|_| AtomicUsize::new(0)).collect()).collect();
    let barrier = Barrier::new(threads);
    let message = query("a");
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (allowed, barrier, message) = (&allowed, &barrier, &message);
            scope.spawn(move || {
                let limits = engine.limits(thread % engine.layout.workers());
                for ((now, sources), counts) in rounds.iter().zip(allowed) {
                    barrier.wait();
                    for turn in 0..tries * sources.len() {
                        let which = (turn + thread) % sources.len();
                        let client = client(&std::net::Ipv4Addr::from(sources[which]).to_string());
                        if let Verdict::Forward { .. } =
                            decide(&engine.policy, &limits, message, &client, Now::new(*now, 0))
                        {
                            counts[which].fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    allowed.into_iter().map(|round| round.into_iter().map(AtomicUsize::into_inner).collect()).collect()
}

#[test]
fn exact_over_threads() {
    let engine = dropping(CLIENT, 100, 50);
    let source = vec![0x0a00_0001];
    // 50 at once, then 10 ms a query: 1, 5, 20 queries later, and the burst again after a long time.
    let times = [0, 10, 60, 260, 100_000];
    let rounds: Vec<_> = times.iter().map(|ms| (SECOND + ms * 1_000_000, source.clone())).collect();
    let allowed = hammer(&engine, 4, &rounds, 100);
    assert_eq!(allowed, vec![vec![50], vec![1], vec![5], vec![20], vec![50]]);
}

#[test]
fn exact_while_ways_are_claimed_by_several_threads() {
    // One set for all. Each round has its own seven clients, all at once, whose ways belong to those of earlier rounds.
    let engine = Engine::with_slots(limited(vec![limit(CLIENT, 1, 1, Action::Drop)]), 7);
    let rounds: Vec<_> = (0..3000_u64)
        .map(|round| (round * 10 * SECOND + 1, (0..7).map(|n| 0x0a00_0000 + (round as u32 * 5 + n) % 64 + 1).collect()))
        .collect();
    for (round, allowed) in hammer(&engine, 4, &rounds, 3).into_iter().enumerate() {
        assert_eq!(allowed, [1; 7], "round {round}");
    }
    assert_eq!(engine.layout.totals(&engine.memory).expect("good memory").evictions(), 0);
}

#[test]
fn any_words_in_the_table_are_survived() {
    let engine = Engine::with_slots(limited(vec![limit(CLIENT, 1, 1, Action::Drop)]), 70);
    let table = engine.memory.len() - 160;
    for (index, word) in engine.memory[table..].iter().enumerate() {
        word.store((index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15), Ordering::Relaxed);
    }
    for n in 0..100 {
        let client = client(&format!("10.0.{n}.1"));
        assert!(engine.forwarded(&query("a"), &client, SECOND, 3) >= 1, "a new client is let in");
    }
}

proptest! {
    /// Against a bucket of whole tokens in exact arithmetic: at most burst in stock, `rate` a second, never more.
    #[test]
    fn agrees_with_a_bucket_of_tokens(
        interval in 1_u64..1000,
        burst in 1_u32..50,
        steps in prop::collection::vec((0_u64..5_000_000, 0_usize..60), 1..40),
    ) {
        // Rates whose interval is a whole number of microseconds, so that rounding plays no part.
        let rate = u32::try_from(1_000_000 / interval).expect("small");
        let interval = SECOND.div_ceil(u64::from(rate));
        let engine = dropping(Key::GLOBAL, rate, burst);
        let full = u128::from(interval) * u128::from(burst);
        let (mut stock, mut now) = (full, SECOND);
        for (wait, tries) in steps {
            now += wait;
            stock = (stock + u128::from(wait)).min(full);
            let expected = usize::try_from(stock / u128::from(interval)).expect("small").min(tries);
            let found = engine.forwarded(&query("a"), &client("198.51.100.7"), now, tries);
            prop_assert_eq!(found, expected);
            stock -= u128::from(interval) * expected as u128;
        }
    }
}

#[test]
fn the_secret_decides_about_the_place() {
    let engine = dropping(CLIENT, 1, 1);
    let other = dropping(CLIENT, 1, 1);
    other.layout.create(&other.memory, &[8; 32]).expect("long enough");
    let used = |engine: &Engine| {
        engine.forwarded(&query("a"), &client("198.51.100.7"), 1, 1);
        let zero = |word: &AtomicU64| word.load(Ordering::Relaxed) == 0;
        engine.memory.iter().skip(16).position(|word| !zero(word))
    };
    assert_ne!(used(&engine), used(&other));
}
