//! Connections and their cost for each prefix: exact over workers, gone with a worker, bounded.

use std::net::IpAddr;
use std::sync::atomic::AtomicU64;

use engine::{Crowded, Guard, GuardSpec, Layout, Room, Standing};

const ROOM: Room = Room { total: 1000, prefix: 3 };
const SECOND: u64 = 1_000_000_000;

fn memory(workers: usize) -> (Layout, Vec<AtomicU64>) {
    let layout = Layout::new(workers, 64).unwrap();
    let memory: Vec<AtomicU64> = (0..layout.words()).map(|_| AtomicU64::new(0)).collect();
    layout.create(&memory, &[7; 32]).unwrap();
    (layout, memory)
}

#[test]
fn a_prefix_is_counted_over_all_workers_and_a_new_worker_begins_with_none() {
    let (layout, memory) = memory(3);
    let crowd = |worker| layout.crowd(&memory, worker).unwrap();
    for worker in 0..3 {
        assert_eq!(crowd(worker).enter(77, ROOM), Ok(()));
    }
    assert_eq!(crowd(0).enter(77, ROOM), Err(Crowded::Prefix));
    assert_eq!((crowd(1).total(), crowd(1).of_prefix(77)), (3, 3), "what was refused is not counted");
    crowd(2).leave(77);
    assert_eq!(crowd(0).enter(77, ROOM), Ok(()));
    crowd(0).clear();
    assert_eq!((crowd(1).total(), crowd(1).of_prefix(77)), (1, 1), "those of the worker that started again are gone");
    assert!(layout.crowd(&memory, 3).is_err());
}

#[test]
fn the_total_is_bounded_over_all_workers() {
    let (layout, memory) = memory(2);
    let room = Room { total: 4, prefix: 4 };
    let entered = (0..10).filter(|key| layout.crowd(&memory, key % 2).unwrap().enter(1 + *key as u64, room).is_ok());
    assert_eq!(entered.count(), 4);
    assert_eq!(layout.crowd(&memory, 0).unwrap().enter(99, room), Err(Crowded::Total));
}

#[test]
fn prefixes_that_find_their_set_full_count_in_the_total_only() {
    let (layout, memory) = memory(1);
    let crowd = layout.crowd(&memory, 0).unwrap();
    // The upper bits are equal: one set, which has eight places.
    (1..=10).for_each(|key| assert_eq!(crowd.enter(key, ROOM), Ok(())));
    assert_eq!((crowd.total(), crowd.uncounted(), crowd.of_prefix(8), crowd.of_prefix(9)), (10, 2, 1, 0));
    (1..=10).for_each(|key| crowd.leave(key));
    assert_eq!((crowd.total(), crowd.uncounted(), crowd.of_prefix(8)), (0, 0, 0));
}

#[test]
fn workers_that_race_never_exceed_a_bound() {
    let (layout, memory) = memory(4);
    let room = Room { total: 50, prefix: 50 };
    let entered: usize = std::thread::scope(|scope| {
        let (layout, memory) = (&layout, &memory);
        let work =
            |worker| move || (0..50).filter(|_| layout.crowd(memory, worker).unwrap().enter(5, room).is_ok()).count();
        let threads: Vec<_> = (0..4).map(|worker| scope.spawn(work(worker))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert!(entered <= 50, "{entered}");
    assert_eq!(layout.crowd(&memory, 0).unwrap().total(), entered as u64);
}

proptest::proptest! {
    /// The crowd agrees with a plain map of counts.
    #[test]
    fn agrees_with_a_map(steps in proptest::collection::vec((0..3usize, 0..6u64, proptest::bool::ANY), 0..200)) {
        let (layout, memory) = memory(3);
        let mut held = [[0u64; 6]; 3];
        for (worker, prefix, comes) in steps {
            let crowd = layout.crowd(&memory, worker).unwrap();
            let key = (prefix + 1) << 55 | (prefix + 1);
            if comes {
                let (all, same) = (held.iter().flatten().sum::<u64>(), held.iter().map(|w| w[prefix as usize]).sum::<u64>());
                let expected = if all >= 8 { Err(Crowded::Total) } else if same >= 3 { Err(Crowded::Prefix) } else { Ok(()) };
                proptest::prop_assert_eq!(crowd.enter(key, Room { total: 8, prefix: 3 }), expected);
                held[worker][prefix as usize] += u64::from(expected.is_ok());
            } else if held[worker][prefix as usize] > 0 {
                crowd.leave(key);
                held[worker][prefix as usize] -= 1;
            }
            proptest::prop_assert_eq!(crowd.total(), held.iter().flatten().sum::<u64>());
        }
    }
}

#[test]
fn new_connections_have_a_rate_for_each_prefix() {
    let (layout, memory) = memory(1);
    let limits = layout.limits(&memory, 0).unwrap();
    let guard = Guard::new(&GuardSpec { v4: 24, v6: 64, rate: 10, burst: 5, ..GuardSpec::default() }).unwrap();
    let address = |last| IpAddr::from([192, 0, 2, last]);
    let admitted = (0..20).filter(|last| guard.admits(&limits, address(*last), SECOND)).count();
    assert_eq!(admitted, 5, "the burst, for the whole /24");
    assert!(guard.admits(&limits, IpAddr::from([192, 0, 3, 1]), SECOND));
    assert!(guard.admits(&limits, address(1), SECOND + SECOND / 10), "a tenth of a second later there is one more");
    assert!(!guard.admits(&limits, address(1), SECOND + SECOND / 10));
    let free = Guard::new(&GuardSpec::default()).unwrap();
    assert!((0..100).all(|_| free.admits(&limits, address(1), SECOND)) && !free.counts_time());
}

#[test]
fn time_is_paid_for_afterwards_and_a_debt_has_to_be_waited_for() {
    let (layout, memory) = memory(1);
    let limits = layout.limits(&memory, 0).unwrap();
    // 5 ms a second, 10 ms at once.
    let spec = GuardSpec { v4: 32, v6: 64, time: 5000, time_burst: 10_000, ..GuardSpec::default() };
    let guard = Guard::new(&spec).unwrap();
    let address = IpAddr::from([192, 0, 2, 1]);
    let spend = |ms: u64, now| guard.spend(&limits, address, ms * 1_000_000, now);
    assert_eq!(spend(10, SECOND), 0);
    assert_eq!(spend(5, SECOND), SECOND, "5 ms over the burst are a second of waiting");
    assert_eq!(spend(0, 2 * SECOND), 0);
    assert_eq!(spend(1, 2 * SECOND), SECOND / 5);
    assert_eq!(spend(1_000_000_000, 2 * SECOND), 60 * SECOND, "nobody waits for more than a minute");
    assert!(Guard::new(&GuardSpec { time: 1_000_001, ..spec }).is_err());
    assert!(Guard::new(&GuardSpec { v4: 33, ..spec }).is_err());
}

#[test]
fn a_prefix_becomes_known_with_time_and_answers_and_no_stranger_takes_its_place() {
    let (layout, memory) = memory(2);
    let familiar = |worker| layout.familiar(&memory, worker).unwrap();
    let friend = IpAddr::from([192, 0, 2, 1]);
    assert_eq!(familiar(0).standing(friend, SECOND), Standing::New);
    (0..8).for_each(|_| familiar(0).note(friend, SECOND));
    assert_eq!(familiar(1).standing(friend, 2 * SECOND), Standing::New, "many answers in a moment are no standing");
    assert_eq!(familiar(1).standing(friend, 20 * SECOND), Standing::Ordinary);
    assert_eq!(familiar(1).standing(friend, 80 * SECOND), Standing::Known, "for all workers");
    for stranger in 0..200_000u32 {
        familiar(0).note(IpAddr::from(stranger.to_be_bytes()), 80 * SECOND);
    }
    assert_eq!(familiar(0).standing(friend, 81 * SECOND), Standing::Known);
    assert_eq!(familiar(0).standing(friend, 100_000 * SECOND), Standing::New, "not seen for more than a day");
    familiar(0).note(friend, 100_000 * SECOND);
    assert_eq!(familiar(0).standing(friend, 100_100 * SECOND), Standing::Ordinary, "it begins anew");
}
