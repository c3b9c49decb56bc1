//! The layout of the shared memory, and the accounting in it.

mod common;

use std::sync::atomic::{AtomicU64, Ordering};

use common::{CLIENT, Engine, client, limit, limited, message, name, over_tcp, query};
use engine::{Act, Action, BACKEND_SLOTS, BackendCount, Io, Layout, LayoutError};
use proptest::prelude::*;
use wire::{Reason, Transport};

fn memory(words: usize) -> Vec<AtomicU64> {
    (0..words).map(|_| AtomicU64::new(0)).collect()
}

#[test]
fn what_was_created_can_be_read() {
    for (workers, slots) in [(1, 7), (3, 1024), (64, 1 << 18)] {
        let layout = Layout::new(workers, slots).expect("in range");
        assert!(layout.slots() >= slots && layout.slots() < slots + 7);
        assert_eq!((layout.workers(), layout.bytes()), (workers, layout.words() * 8));
        let words = memory(layout.words());
        layout.create(&words, &[1; 32]).expect("long enough");
        assert_eq!(Layout::read(&words), Ok(layout));
        let mut longer = words;
        longer.push(AtomicU64::new(0));
        assert_eq!(Layout::read(&longer), Ok(layout), "a page rounded up");
    }
}

#[test]
fn sizes_out_of_range() {
    for (workers, slots) in [(0, 1024), (1025, 1024), (1, 6), (1, 0), (1, usize::MAX), (usize::MAX, 1024)] {
        assert_eq!(Layout::new(workers, slots), Err(LayoutError::Size));
    }
}

#[test]
fn wrong_or_short_memory_is_an_error() {
    let layout = Layout::new(2, 100).expect("in range");
    assert_eq!(layout.create(&memory(layout.words() - 1), &[1; 32]), Err(LayoutError::Short));
    assert_eq!(Layout::read(&memory(0)), Err(LayoutError::Short));
    assert_eq!(Layout::read(&memory(15)), Err(LayoutError::Short));
    assert_eq!(Layout::read(&memory(layout.words())), Err(LayoutError::Foreign), "never written");
    let words = memory(layout.words());
    layout.create(&words, &[1; 32]).expect("long enough");
    assert_eq!(Layout::read(&words[..words.len() - 1]), Err(LayoutError::Short));
    assert_eq!(layout.counters(&words, 2).err(), Some(LayoutError::Worker));
    assert_eq!(layout.limits(&words, 2).err(), Some(LayoutError::Worker));
    assert_eq!(layout.counters(&words[..20], 0).err(), Some(LayoutError::Short));
    assert_eq!(layout.limits(&words[..20], 0).err(), Some(LayoutError::Short));
    assert_eq!(layout.totals(&words[..20]).err(), Some(LayoutError::Short));
    for index in 0..5 {
        let old = words[index].fetch_add(1, Ordering::Relaxed);
        assert_eq!(Layout::read(&words), Err(LayoutError::Foreign), "word {index}");
        words[index].store(old, Ordering::Relaxed);
    }
}

proptest! {
    #[test]
    fn headers_of_any_words(words in prop::collection::vec(any::<u64>(), 0..40), good in 0_usize..5) {
        let layout = Layout::new(1, 7).expect("in range");
        let memory = memory(layout.words());
        layout.create(&memory, &[1; 32]).expect("long enough");
        for (index, word) in words.iter().enumerate().skip(good) {
            memory[index].store(*word, Ordering::Relaxed);
        }
        if let Ok(read) = Layout::read(&memory) {
            prop_assert!(read.words() <= memory.len());
        }
    }
}

#[test]
fn counters_are_told_apart() {
    let layout = Layout::new(2, 7).expect("in range");
    let words = memory(layout.words());
    layout.create(&words, &[1; 32]).expect("long enough");
    let first = layout.counters(&words, 0).expect("worker 0");
    let second = layout.counters(&words, 1).expect("worker 1");
    let mut n = 0;
    for transport in Transport::ALL {
        for act in Act::ALL {
            for reason in Reason::ALL {
                n += 1;
                first.add(transport, act, reason, n);
                second.add(transport, act, reason, 1_000_000);
            }
        }
        first.received(transport, 7 + transport as u64);
        for _ in 0..=transport as usize {
            second.answer_dropped(transport, Reason::AnswerShort);
        }
    }
    for what in Io::ALL {
        first.io(what, 100 + what as u64);
    }
    for slot in 0..BACKEND_SLOTS + 3 {
        for what in BackendCount::ALL {
            second.backend(slot, what, slot as u64 * 10 + what as u64);
        }
    }
    let totals = layout.totals(&words).expect("long enough");
    n = 0;
    for transport in Transport::ALL {
        for act in Act::ALL {
            for reason in Reason::ALL {
                n += 1;
                assert_eq!(totals.verdict(transport, act, reason), n + 1_000_000);
            }
        }
        assert_eq!(totals.received(transport), 7 + transport as u64);
        assert_eq!(totals.answers_dropped(transport, Reason::AnswerShort), 1 + transport as u64);
        assert_eq!(totals.answers_dropped(transport, Reason::AnswerQuestion), 0);
    }
    for what in Io::ALL {
        assert_eq!(totals.io(what), 100 + what as u64);
    }
    for slot in 0..BACKEND_SLOTS {
        for what in BackendCount::ALL {
            assert_eq!(totals.backend(slot, what), slot as u64 * 10 + what as u64);
        }
    }
    assert_eq!(totals.backend(BACKEND_SLOTS, BackendCount::Errors), 0, "no such slot");
    assert_eq!(totals.over_limit(0), 0);
    assert!(!totals.balanced());
}

#[test]
fn received_is_forwarded_and_replied_and_dropped_and_shed() {
    let engine = Engine::new(limited(vec![limit(CLIENT, 1, 5, Action::Drop)]));
    let counters = engine.layout.counters(&engine.memory, 0).expect("worker 0");
    let messages = [query("a"), message(2, &name("a"), 1, 1), message(0, &name("a"), 255, 1), b"short".to_vec()];
    for (turn, message) in messages.iter().cycle().take(80).enumerate() {
        let client = if turn % 3 == 0 { over_tcp(client("198.51.100.7")) } else { client("198.51.100.7") };
        counters.received(client.transport, 1);
        let (act, reason) = engine.decide(message, &client, 1).cell();
        // Every other query that would be forwarded finds no room in the flow table.
        let shed = act == Act::Forward && turn % 8 == 0;
        let (act, reason) = if shed { (Act::Shed, Reason::FlowTableFull) } else { (act, reason) };
        counters.add(client.transport, act, reason, 1);
    }
    let totals = engine.layout.totals(&engine.memory).expect("good memory");
    assert!(totals.balanced());
    let sum = |act| Transport::ALL.iter().map(|&transport| totals.verdicts(transport, act)).sum::<u64>();
    assert_eq!(Act::ALL.map(sum).iter().sum::<u64>(), 80);
    assert!(Act::ALL.iter().all(|&act| sum(act) > 0), "each kind of verdict was met");
    counters.received(Transport::Tls, 1);
    assert!(!engine.layout.totals(&engine.memory).expect("good memory").balanced());
}
