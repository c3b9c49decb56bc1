//! The flow table: queries that wait for their answer. Bounded, safe in its IDs, and expiring in order.
//!
//! A flow is found by the backend socket and the ID that its query left with. The IDs of one socket are all different, so an ID is used
//! again only when its flow is gone. Each backend has a list in order of arrival, which is that of the deadlines too: its flows share one
//! time-out, and one that a reload shortens holds for those that wait as well. So only the head of a list can be due:
//!
//! ```text
//! by_id[socket][id] -> flow      flow <-> flow <-> flow      one list for each backend slot
//! ```

use std::net::SocketAddr;

use engine::Treatment;
use wire::proxy::SPP_LENGTH;

use super::sending::Datagram;
use crate::ids::Ids;
use crate::sys::Local;

const NONE: u32 = u32::MAX;

/// IDs tried before a socket counts as full. With half of all IDs taken, eight fail once in 256 times.
const TRIES: usize = 8;

/// Whether a query came by way of a proxy, or left with a header that comes back. Then the table has a [`Detour`] for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Via {
    pub proxy: bool,
    /// An SPP header stands before the answer to the proxy.
    pub returns: bool,
    /// An SPP header stands before the answer of the backend.
    pub told: bool,
}

/// What few flows have: the proxy that the answer goes to, and the SPP header, which is the same on both sides.
#[derive(Clone, Copy, Debug)]
pub struct Detour {
    pub proxy: SocketAddr,
    pub header: [u8; SPP_LENGTH],
}

impl Detour {
    /// Send an answer this way, behind its header where the proxy wants that. `whole` is the slot that it stands in.
    pub fn take(&self, via: &Via, whole: &mut [u8], answer: &mut Datagram) {
        if via.proxy {
            answer.to = self.proxy;
        }
        if via.returns {
            let start = answer.start - SPP_LENGTH;
            whole[start..answer.start].copy_from_slice(&self.header);
            answer.start = start;
            answer.length += SPP_LENGTH;
        }
    }
}

/// A query that left for a backend.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    pub client: SocketAddr,
    pub via: Via,
    pub local: Option<Local>,
    pub listener: usize,
    /// The backend socket that it left by.
    pub socket: usize,
    /// The ID that it left with, and the one that it came with.
    pub id: u16,
    pub client_id: u16,
    pub question: u64,
    pub treatment: Treatment,
    pub backend: usize,
    pub backend_address: SocketAddr,
    pub sent: u64,
    /// When it is given up, in nanoseconds of the monotonic clock.
    pub deadline: u64,
}

struct Entry {
    flow: Flow,
    older: u32,
    newer: u32,
}

#[derive(Clone, Copy)]
struct List {
    oldest: u32,
    newest: u32,
}

const EMPTY: List = List { oldest: NONE, newest: NONE };

pub struct Flows {
    entries: Vec<Entry>,
    /// At the places of the entries; empty until one is needed.
    detours: Vec<Detour>,
    free: Vec<u32>,
    capacity: usize,
    by_id: Vec<Box<[u32]>>,
    lists: Vec<List>,
    ids: Ids,
}

/// Why no flow could be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl Flows {
    pub fn new(capacity: usize, sockets: usize, backends: usize) -> Self {
        Flows {
            entries: Vec::new(),
            detours: Vec::new(),
            free: Vec::new(),
            capacity,
            // Zero means none, so that the kernel need not back untouched pages.
            by_id: (0..sockets).map(|_| vec![0; 1 << 16].into_boxed_slice()).collect(),
            lists: vec![EMPTY; backends],
            ids: Ids::default(),
        }
    }

    /// Make room for the IDs of one more socket.
    pub fn add_socket(&mut self) {
        self.by_id.push(vec![0; 1 << 16].into_boxed_slice());
    }

    /// No flow of this backend waits longer than until `latest`.
    pub fn hasten(&mut self, backend: usize, latest: u64) {
        let mut index = self.lists[backend].newest;
        // From the newest, because the later ones stand there.
        while index != NONE && self.entries[index as usize].flow.deadline > latest {
            self.entries[index as usize].flow.deadline = latest;
            index = self.entries[index as usize].older;
        }
    }

    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Add a flow under a fresh random ID on its socket; `flow.id` is set to it, and the ID is returned.
    ///
    /// # Errors
    /// `Full` when the table is full, when no free ID was found, or when the kernel gives no random bytes.
    pub fn add(&mut self, mut flow: Flow) -> Result<u16, Full> {
        if self.len() >= self.capacity {
            return Err(Full);
        }
        flow.id = self.free_id(flow.socket)?;
        let list = self.lists[flow.backend];
        let entry = Entry { flow, older: list.newest, newer: NONE };
        let index = match self.free.pop() {
            Some(index) => {
                self.entries[index as usize] = entry;
                index
            }
            None => {
                self.entries.push(entry);
                self.entries.len() as u32 - 1
            }
        };
        match list.newest {
            NONE => self.lists[flow.backend].oldest = index,
            newest => self.entries[newest as usize].newer = index,
        }
        self.lists[flow.backend].newest = index;
        self.by_id[flow.socket][usize::from(flow.id)] = index + 1;
        Ok(flow.id)
    }

    fn free_id(&mut self, socket: usize) -> Result<u16, Full> {
        for _ in 0..TRIES {
            let id = self.ids.draw().ok_or(Full)?;
            if self.by_id[socket][usize::from(id)] == 0 {
                return Ok(id);
            }
        }
        Err(Full)
    }

    /// Note the detour of a flow that was just added.
    pub fn set_detour(&mut self, socket: usize, id: u16, detour: Detour) {
        let Some(index) = self.index(socket, id) else { return };
        if self.detours.len() <= index {
            self.detours.resize(self.entries.len(), detour);
        }
        self.detours[index] = detour;
    }

    /// The detour of a flow whose `via` says that it has one.
    pub fn detour(&self, socket: usize, id: u16) -> Option<&Detour> {
        self.detours.get(self.index(socket, id)?)
    }

    /// Whether any flow has had a detour.
    pub fn has_detours(&self) -> bool {
        !self.detours.is_empty()
    }

    fn index(&self, socket: usize, id: u16) -> Option<usize> {
        self.by_id[socket][usize::from(id)].checked_sub(1).map(|index| index as usize)
    }

    /// The flow that waits on `socket` for an answer with this ID.
    pub fn get(&self, socket: usize, id: u16) -> Option<&Flow> {
        Some(&self.entries[self.index(socket, id)?].flow)
    }

    pub fn remove(&mut self, socket: usize, id: u16) -> Option<Flow> {
        let index = self.by_id[socket][usize::from(id)].checked_sub(1)?;
        self.by_id[socket][usize::from(id)] = 0;
        let Entry { flow, older, newer } = self.entries[index as usize];
        match older {
            NONE => self.lists[flow.backend].oldest = newer,
            older => self.entries[older as usize].newer = newer,
        }
        match newer {
            NONE => self.lists[flow.backend].newest = older,
            newer => self.entries[newer as usize].older = older,
        }
        self.free.push(index);
        Some(flow)
    }

    /// Remove and return one flow whose deadline has come, oldest of its backend first.
    pub fn expire(&mut self, now: u64) -> Option<Flow> {
        for list in 0..self.lists.len() {
            let oldest = self.lists[list].oldest;
            if oldest != NONE {
                let flow = self.entries[oldest as usize].flow;
                if flow.deadline <= now {
                    return self.remove(flow.socket, flow.id);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn flow(socket: usize, backend: usize, deadline: u64) -> Flow {
        let address = SocketAddr::from(([192, 0, 2, 1], 5353));
        Flow {
            client: address,
            via: Via::default(),
            local: None,
            listener: 0,
            socket,
            id: 0,
            client_id: 7,
            question: 0,
            treatment: Treatment::default(),
            backend,
            backend_address: address,
            sent: 0,
            deadline,
        }
    }

    #[test]
    fn a_full_table_says_so_and_room_comes_back() {
        let mut flows = Flows::new(2, 1, 1);
        let id = flows.add(flow(0, 0, 10)).unwrap();
        flows.add(flow(0, 0, 11)).unwrap();
        assert_eq!(flows.add(flow(0, 0, 12)), Err(Full));
        assert_eq!(flows.remove(0, id).unwrap().deadline, 10);
        assert!(flows.remove(0, id).is_none());
        flows.add(flow(0, 0, 12)).unwrap();
        assert_eq!(flows.len(), 2);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Add(usize, usize),
        Remove(usize),
        Expire(u64),
        Hasten(usize, u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0..2usize, 0..3usize).prop_map(|(socket, backend)| Step::Add(socket, backend)),
            2 => (0..50usize).prop_map(Step::Remove),
            1 => (0..30u64).prop_map(Step::Expire),
            1 => (0..3usize, 1..40u64).prop_map(|(backend, timeout)| Step::Hasten(backend, timeout)),
        ];
        prop::collection::vec(step, 0..200)
    }

    proptest! {
        /// The table agrees with a map, IDs are never shared, and nothing outlives its deadline.
        #[test]
        fn agrees_with_a_map(steps in steps()) {
            let mut flows = Flows::new(20, 2, 3);
            let mut model: HashMap<(usize, u16), u64> = HashMap::new();
            let mut clock = 0u64;
            let mut timeouts = [20u64; 3];
            for step in steps {
                match step {
                    Step::Add(socket, backend) => match flows.add(flow(socket, backend, clock + timeouts[backend])) {
                        Ok(id) => prop_assert!(model.insert((socket, id), clock + timeouts[backend]).is_none()),
                        Err(Full) => prop_assert_eq!(model.len(), 20),
                    },
                    Step::Remove(nth) => {
                        let Some(&(socket, id)) = model.keys().nth(nth) else { continue };
                        prop_assert_eq!(flows.remove(socket, id).map(|f| f.deadline), model.remove(&(socket, id)));
                    }
                    Step::Hasten(backend, timeout) => {
                        timeouts[backend] = timeout;
                        flows.hasten(backend, clock + timeout);
                        for (&(socket, id), deadline) in &mut model {
                            if flows.get(socket, id).is_some_and(|f| f.backend == backend) {
                                *deadline = (*deadline).min(clock + timeout);
                            }
                        }
                    }
                    Step::Expire(elapsed) => {
                        clock += elapsed;
                        while let Some(gone) = flows.expire(clock) {
                            prop_assert!(gone.deadline <= clock);
                            prop_assert!(model.remove(&(gone.socket, gone.id)).is_some());
                        }
                        prop_assert!(model.values().all(|&deadline| deadline > clock));
                    }
                }
                prop_assert_eq!(flows.len(), model.len());
                for &(socket, id) in model.keys() {
                    prop_assert!(flows.get(socket, id).is_some_and(|f| f.id == id && f.socket == socket));
                }
            }
        }
    }
}
