//! The window against a backend that is a queue with a rate and a buffer, on a clock of its own.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

const MS: u64 = 1_000_000;
const AIM: Aim = Aim { target: 50 * MS, least: 8, most: 65_536 };

/// A backend that answers one query after the other.
struct Backend {
    window: Window,
    now: u64,
    /// Nanoseconds that an answer takes, and those that it is on its way besides.
    work: u64,
    way: u64,
    buffer: usize,
    /// When the queries that wait were sent, and when they are answered.
    queue: VecDeque<(u64, u64)>,
    delays: Vec<u64>,
    dropped: u32,
}

impl Backend {
    fn new(rate: u64, way: u64, buffer: usize) -> Self {
        let mut window = Window::default();
        window.configure(&AIM);
        let queue = VecDeque::new();
        Backend { window, now: 1_000 * MS, work: 1_000 * MS / rate, way, buffer, queue, delays: Vec::new(), dropped: 0 }
    }

    /// For so many milliseconds `offered` queries a second come, and are let in up to `percent` of the window. Returns
    /// how many were let in.
    fn run(&mut self, milliseconds: u64, offered: u64, percent: u32) -> u64 {
        let (mut let_in, mut due) = (0, 0);
        for step in 0..milliseconds * 4 {
            self.now += MS / 4;
            while self.queue.front().is_some_and(|&(_, answered)| answered <= self.now) {
                let (sent, answered) = self.queue.pop_front().unwrap();
                self.delays.push(answered - sent);
                self.window.ended(sent, Some(self.now), &AIM);
            }
            if step % 400 == 0 {
                self.window.look(self.now, &AIM);
            }
            due += offered;
            while due >= 4000 {
                due -= 4000;
                if !self.window.has_room(percent) {
                    continue;
                }
                let_in += 1;
                self.window.sent(self.now);
                if self.queue.len() >= self.buffer {
                    self.dropped += 1;
                    continue;
                }
                let free = self
                    .queue
                    .back()
                    .map_or(self.now, |&(_, answered)| answered.saturating_sub(self.way).max(self.now));
                self.queue.push_back((self.now, free + self.work + self.way));
            }
        }
        let_in
    }

    fn longest(&mut self) -> u64 {
        std::mem::take(&mut self.delays).into_iter().max().unwrap_or(0)
    }
}

#[test]
fn a_fast_backend_gets_all_that_is_offered() {
    let mut backend = Backend::new(200_000, 3 * MS, 100_000);
    assert_eq!(backend.run(2_000, 100_000, 50), 200_000, "even at half of the window");
    assert!(backend.longest() < 10 * MS);
}

#[test]
fn ten_times_what_a_backend_can_answer_waits_for_the_aim_and_no_longer() {
    let mut backend = Backend::new(5_000, MS, 100_000);
    backend.run(2_000, 50_000, 75);
    backend.longest();
    let let_in = backend.run(3_000, 50_000, 75);
    assert!(backend.longest() < 80 * MS, "all of it, not only the fastest");
    assert!((14_000..=16_000).contains(&let_in), "the backend is kept busy: {let_in} of 15,000");
}

#[test]
fn a_backend_with_a_short_buffer_is_not_made_to_drop() {
    // It drops before it is late: 100 queries are 20 ms.
    let mut backend = Backend::new(5_000, MS, 100);
    backend.run(3_000, 50_000, 75);
    backend.dropped = 0;
    let let_in = backend.run(3_000, 50_000, 75);
    assert!(let_in > 13_000, "{let_in}");
    assert!(backend.dropped < 150, "{} of {let_in}", backend.dropped);
}

#[test]
fn the_window_recovers_when_the_load_is_gone() {
    let mut backend = Backend::new(5_000, MS, 100_000);
    backend.run(3_000, 50_000, 100);
    assert!(backend.window.size() < 1_000, "{}", backend.window.size());
    backend.work = 1_000 * MS / 200_000;
    backend.run(3_000, 20_000, 50);
    backend.longest();
    assert_eq!(backend.run(1_000, 20_000, 50), 20_000);
    assert!(backend.longest() < 30 * MS);
}

#[test]
fn a_way_that_has_become_longer_is_no_overload() {
    let mut backend = Backend::new(100_000, MS, 100_000);
    backend.run(1_000, 5_000, 50);
    backend.way = 120 * MS;
    backend.run(10_000, 5_000, 50);
    assert_eq!(backend.run(1_000, 5_000, 50), 5_000, "{:?}", (backend.window.size(), backend.window.quiet));
}

#[test]
fn a_small_window_grows_when_its_way_becomes_somewhat_longer() {
    let mut backend = Backend::new(5_000, MS, 100_000);
    backend.run(3_000, 50_000, 100);
    backend.work = 1_000 * MS / 200_000;
    backend.way = 40 * MS;
    backend.run(20_000, 10_000, 50);
    assert_eq!(backend.run(1_000, 10_000, 50), 10_000, "400 are on their way: {}", backend.window.size());
}

#[test]
fn losses_on_the_way_do_not_close_the_window() {
    let mut backend = Backend::new(200_000, 20 * MS, 100_000);
    backend.run(1_000, 20_000, 50);
    for _ in 0..20 {
        backend.run(95, 20_000, 50);
        let buffer = std::mem::take(&mut backend.buffer);
        backend.run(5, 20_000, 50);
        backend.buffer = buffer;
    }
    assert_eq!(backend.run(1_000, 20_000, 50), 20_000, "{}", backend.window.size());
}

#[test]
fn a_silent_backend_gets_little_and_what_it_lost_holds_no_place() {
    let mut backend = Backend::new(5_000, MS, 0);
    backend.run(5_000, 50_000, 100);
    assert!(backend.window.live() <= backend.window.size());
    assert!(backend.window.size() < START / 2, "{}", backend.window.size());
}

#[test]
fn without_a_target_nothing_is_bounded() {
    let mut window = Window::default();
    window.configure(&Aim::default());
    (0..100_000).for_each(|_| window.sent(0));
    assert!(!window.is_tight() && !window.is_full());
    window.look(MS * 500, &Aim::default());
    assert!(!window.is_tight() && window.size() == u32::MAX);
}

#[derive(Clone, Debug)]
enum Step {
    Send,
    Answer(usize),
    GiveUp(usize),
    Look,
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => Just(Step::Send),
        3 => (0..64usize).prop_map(Step::Answer),
        1 => (0..64usize).prop_map(Step::GiveUp),
        1 => Just(Step::Look),
        3 => prop_oneof![0..5 * MS, 0..3_000 * MS].prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 0..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever happens, the window stays within its bounds, and no more is live than what waits.
    #[test]
    fn stays_within_its_bounds(steps in steps(), target in 1..200u64) {
        let aim = Aim { target: target * MS, ..AIM };
        let mut window = Window::default();
        window.configure(&aim);
        let mut waiting: Vec<u64> = Vec::new();
        let mut now = 5 * MS;
        for step in steps {
            match step {
                Step::Send => {
                    window.sent(now);
                    waiting.push(now);
                }
                Step::Answer(nth) | Step::GiveUp(nth) if nth < waiting.len() => {
                    let answered = matches!(step, Step::Answer(_)).then_some(now);
                    window.ended(waiting.swap_remove(nth), answered, &aim);
                }
                Step::Answer(_) | Step::GiveUp(_) => {}
                Step::Look => window.look(now, &aim),
                Step::Wait(time) => now += time,
            }
            prop_assert!((aim.least..=aim.most).contains(&window.size()));
            prop_assert!(window.live() as usize <= waiting.len());
            let young = waiting.iter().filter(|&&sent| sent + window.aim(&aim) > now).count();
            prop_assert!(window.live() as usize >= young || window.aim(&aim) * 2 > (EPOCHS as u64 - 2) << EPOCH_BITS);
        }
        // And it recovers, whatever it has been through.
        for sent in waiting.drain(..) {
            window.ended(sent, None, &aim);
        }
        prop_assert_eq!(window.live(), 0);
        for _ in 0..600 {
            if window.size() >= 1024 {
                break;
            }
            now += 10 * MS;
            let burst = window.size() / 2;
            (0..burst).for_each(|_| window.sent(now));
            (0..burst).for_each(|_| window.ended(now, Some(now + MS / 2), &aim));
        }
        prop_assert!(window.size() >= 1024, "{}", window.size());
    }
}

/// Ten times what the backend can answer comes from strangers; the verified are let in all the same, and are answered in time.
#[test]
fn a_flood_of_strangers_leaves_the_verified_their_places() {
    let mut backend = Backend::new(5_000, MS, 100_000);
    backend.run(2_000, 50_000, 50);
    backend.longest();
    let (mut strangers, mut verified) = (0, 0);
    for _ in 0..1_500 {
        strangers += backend.run(1, 50_000, 50);
        verified += backend.run(1, 2_000, 100);
    }
    assert_eq!(verified, 3_000, "each of them");
    assert!(strangers < 15_000, "{strangers} of 75,000");
    assert!(backend.longest() < 80 * MS);
}
