//! No limit depends on the number of workers, and the table never grows.

mod common;

use std::alloc::{GlobalAlloc, Layout as Memory, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{CLIENT, Engine, SECOND, client, limit, limited, prefix_limit, query};
use engine::{Action, Algorithm, Key, Layout, Now, Policy, PolicySpec, RateLimit, Unit, Verdict, decide};

/// Counts what this thread allocates.
struct Counting;

thread_local! {
    static ALLOCATED: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: all is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Memory) -> *mut u8 {
        ALLOCATED.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Memory) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Limits of every kind, each of them met by the load below.
fn every_kind() -> PolicySpec {
    let dropping = |key, rate, burst| limit(key, rate, burst, Action::Drop);
    limited(vec![
        RateLimit {
            prefixes_v4: vec![(32, 1), (28, 4), (24, 12)],
            algorithm: Algorithm::Decay,
            observe: true,
            ..prefix_limit(32, 56, 100, 200)
        },
        RateLimit { observe: true, ..dropping(CLIENT | Key::QTYPE, 150, 100) },
        RateLimit { unit: Unit::Bytes, observe: true, ..dropping(Key::QNAME, 20_000, 30_000) },
        RateLimit { algorithm: Algorithm::Decay, ..dropping(Key::GLOBAL, 2000, 1000) },
    ])
}

/// The passes and the queries over each limit when `workers` threads share 40,000 queries of two seconds.
fn load(workers: usize) -> [u64; 5] {
    const QUERIES: u64 = 40_000;
    let layout = Layout::new(workers, 4096).expect("in range");
    let memory: Vec<AtomicU64> = (0..layout.words()).map(|_| AtomicU64::new(0)).collect();
    layout.create(&memory, &[7; 32]).expect("long enough");
    let policy = Policy::new(every_kind()).expect("good");
    let (next, passed) = (AtomicU64::new(0), AtomicU64::new(0));
    let message = query("a.example");
    std::thread::scope(|scope| {
        for worker in 0..workers {
            let (layout, memory, policy, next, passed, message) = (&layout, &memory, &policy, &next, &passed, &message);
            scope.spawn(move || {
                let limits = layout.limits(memory, worker).expect("the worker exists");
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= QUERIES {
                        return;
                    }
                    // Some sources ask far more than others.
                    let client = client(&format!("198.51.100.{}", (number * number) % 61));
                    let now = Now::new(SECOND + number * 2 * SECOND / QUERIES, 0);
                    if let Verdict::Forward { .. } = decide(policy, &limits, message, &client, now) {
                        passed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let totals = layout.totals(&memory).expect("long enough");
    assert_eq!(totals.evictions(), 0);
    [passed.into_inner(), totals.over_limit(0), totals.over_limit(1), totals.over_limit(2), totals.over_limit(3)]
}

#[test]
fn one_worker_and_four_give_the_same_totals() {
    let (one, four) = (load(1), load(4));
    for (one, four) in one.into_iter().zip(four) {
        assert!(one > 1000, "each limit is met");
        assert!(one.abs_diff(four) * 100 <= one, "{one} with one worker, {four} with four");
    }
}

#[test]
fn a_million_prefixes_take_no_allocation_and_no_memory_but_the_table() {
    const PREFIXES: u32 = 1_000_000;
    // Twice as many places as prefixes: few sets of seven get more than seven.
    let engine = Engine::with_slots(limited(vec![limit(CLIENT, 1, 100, Action::Drop)]), 2 * PREFIXES as usize);
    let (words, message) = (engine.memory.len(), query("a"));
    let mut who = client("10.0.0.0");
    let before = ALLOCATED.with(Cell::get);
    let ask = |who: &mut engine::Client<'_>, number: u32, count| {
        who.address = std::net::IpAddr::from((0x0a00_0000 + number).to_be_bytes());
        engine.forwarded(&message, who, SECOND, count)
    };
    let passed: usize = (0..PREFIXES).map(|number| ask(&mut who, number, 1)).sum();
    let allocated = ALLOCATED.with(Cell::get) - before;
    assert_eq!((passed, allocated), (PREFIXES as usize, 0));
    assert_eq!(engine.memory.len(), words);
    let forgotten = engine.layout.totals(&engine.memory).expect("good memory").evictions();
    assert!(forgotten < 20_000, "less than two in a hundred: {forgotten}");
    let kept = (0..PREFIXES).step_by(1000).filter(|&number| ask(&mut who, number, 200) == 99).count();
    assert!(kept >= 970, "nearly all are remembered: {kept} of 1000");
    let fixed = engine::Layout::new(1, 7).expect("a small layout").bytes();
    assert!(engine.layout.bytes() - fixed < 2 * PREFIXES as usize * 19, "a place takes some 18 bytes");
}
