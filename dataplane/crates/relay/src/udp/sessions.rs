//! What Spectrum said at the beginning of a stream of datagrams: who the client behind an address and port of the proxy is.
//!
//! Cloudflare sends a PROXY v2 header once and takes all that follows from the same port of its own as the same client, until nothing came
//! for half a minute. The table is bounded: when it is full, the session that was idle for longest makes room.
//!
//! ```text
//! places[proxy's address and port, address of ours] -> session <-> session <-> ...   from the longest idle to the last used
//! ```

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

/// The proxy's end, and the address of ours that it sent to.
pub type Key = (SocketAddr, IpAddr);
/// The client, and the address that it asked.
pub type Ends = (SocketAddr, SocketAddr);

const NONE: u32 = u32::MAX;

struct Session {
    key: Key,
    ends: Ends,
    used: u64,
    older: u32,
    newer: u32,
}

/// The sessions of one listener in one worker: the kernel gives all datagrams of one sender to the same worker.
pub struct Sessions {
    places: HashMap<Key, u32>,
    entries: Vec<Session>,
    free: Vec<u32>,
    oldest: u32,
    newest: u32,
    evicted: u64,
}

impl Default for Sessions {
    fn default() -> Self {
        Self { places: HashMap::new(), entries: Vec::new(), free: Vec::new(), oldest: NONE, newest: NONE, evicted: 0 }
    }
}

impl Sessions {
    /// Remember `ends` for `key`. Of those that were used within `idle` nanoseconds there may be `most`.
    pub fn open(&mut self, key: Key, ends: Ends, now: u64, idle: u64, most: usize) {
        if let Some(&place) = self.places.get(&key) {
            self.entries[place as usize].ends = ends;
            self.touch(place, now);
            return;
        }
        while self.places.len() >= most.max(1) {
            self.evicted += u64::from(!self.is_over(self.oldest, now, idle));
            self.remove(self.oldest);
        }
        let session = Session { key, ends, used: now, older: NONE, newer: NONE };
        let place = match self.free.pop() {
            Some(place) => {
                self.entries[place as usize] = session;
                place
            }
            None => {
                self.entries.push(session);
                self.entries.len() as u32 - 1
            }
        };
        self.places.insert(key, place);
        self.append(place);
    }

    /// The ends of the session, which is used by that; none when it was idle for longer than `idle` nanoseconds.
    pub fn find(&mut self, key: Key, now: u64, idle: u64) -> Option<Ends> {
        let place = *self.places.get(&key)?;
        if self.is_over(place, now, idle) {
            self.remove(place);
            return None;
        }
        self.touch(place, now);
        Some(self.entries[place as usize].ends)
    }

    pub fn take_evicted(&mut self) -> u64 {
        std::mem::take(&mut self.evicted)
    }

    fn is_over(&self, place: u32, now: u64, idle: u64) -> bool {
        now.saturating_sub(self.entries[place as usize].used) > idle
    }

    fn touch(&mut self, place: u32, now: u64) {
        self.entries[place as usize].used = now;
        if self.newest != place {
            self.detach(place);
            self.append(place);
        }
    }

    fn remove(&mut self, place: u32) {
        self.detach(place);
        self.places.remove(&self.entries[place as usize].key);
        self.free.push(place);
    }

    fn append(&mut self, place: u32) {
        self.entries[place as usize].older = self.newest;
        self.entries[place as usize].newer = NONE;
        match self.newest {
            NONE => self.oldest = place,
            newest => self.entries[newest as usize].newer = place,
        }
        self.newest = place;
    }

    fn detach(&mut self, place: u32) {
        let Session { older, newer, .. } = self.entries[place as usize];
        match older {
            NONE => self.oldest = newer,
            older => self.entries[older as usize].newer = newer,
        }
        match newer {
            NONE => self.newest = older,
            newer => self.entries[newer as usize].older = older,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(number: u16) -> Key {
        (SocketAddr::from(([192, 0, 2, 1], number)), IpAddr::from([203, 0, 113, 5]))
    }

    fn ends(number: u16) -> Ends {
        (SocketAddr::from(([198, 51, 100, 1], number)), SocketAddr::from(([203, 0, 113, 5], 53)))
    }

    #[test]
    fn a_session_lives_while_it_is_used() {
        let mut sessions = Sessions::default();
        sessions.open(key(1), ends(1), 0, 30, 10);
        assert_eq!(sessions.find(key(1), 30, 30), Some(ends(1)));
        assert_eq!(sessions.find(key(1), 60, 30), Some(ends(1)));
        assert_eq!(sessions.find(key(1), 91, 30), None);
        assert_eq!(sessions.find(key(2), 0, 30), None);
    }

    #[test]
    fn the_longest_idle_makes_room_and_is_counted_unless_it_was_over() {
        let mut sessions = Sessions::default();
        sessions.open(key(1), ends(1), 0, 30, 2);
        sessions.open(key(2), ends(2), 1, 30, 2);
        assert!(sessions.find(key(1), 2, 30).is_some());
        sessions.open(key(3), ends(3), 3, 30, 2);
        assert_eq!((sessions.find(key(2), 3, 30), sessions.take_evicted()), (None, 1));
        assert_eq!((sessions.find(key(1), 3, 30), sessions.find(key(3), 3, 30)), (Some(ends(1)), Some(ends(3))));
        sessions.open(key(4), ends(4), 100, 30, 2);
        assert_eq!(sessions.take_evicted(), 0, "what was over took no room");
    }

    proptest! {
        /// The table agrees with a list that is searched and sorted each time.
        #[test]
        fn agrees_with_a_list(steps in prop::collection::vec((0..12u16, 0..9u64, any::<bool>(), 0..99u16), 0..200)) {
            const IDLE: u64 = 20;
            let (mut sessions, mut model, mut now) = (Sessions::default(), Vec::<(u16, Ends, u64)>::new(), 0);
            for (number, elapsed, opens, port) in steps {
                now += elapsed;
                let known = model.iter().position(|entry| entry.0 == number).map(|at| model.remove(at));
                if opens {
                    sessions.open(key(number), ends(port), now, IDLE, 5);
                    if model.len() == 5 {
                        model.remove(0);
                    }
                    model.push((number, ends(port), now));
                } else {
                    let known = known.filter(|entry| now - entry.2 <= IDLE);
                    prop_assert_eq!(sessions.find(key(number), now, IDLE), known.map(|entry| entry.1));
                    model.extend(known.map(|entry| (entry.0, entry.1, now)));
                }
                prop_assert!(sessions.places.len() <= 5 && sessions.entries.len() <= 5);
            }
        }
    }
}
