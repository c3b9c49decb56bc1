//! Samples of what passes: each second a few messages stand for all, for the detectors and for `zonegate top`.
//!
//! Two reservoirs, of queries with their verdicts and of the answers that clients got, keep a uniform sample of bounded
//! size (Li, "Reservoir-sampling algorithms of time complexity O(n(1+log(N/n)))", 1994: Algorithm L). It draws how many
//! messages to skip, so that one that is not kept costs a count and a comparison. What is kept is copied into a place
//! that is used again: nothing is allocated per message. Malformed messages are kept as well, with their reason.
//!
//! ```text
//! take:  version | queries seen, kept | answers seen, kept | records          see record.rs
//! ```

mod record;
mod reservoir;
mod sketch;
mod tally;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use engine::{Act, Client};
use wire::{Checks, Reason, Transport, check_query};

pub use record::{Batch, Header, Kind, Sample};
pub use sketch::{SKETCH, estimate};
pub use tally::{Counter, Group, ONE, SampleTally, View};

use record::Record;
use reservoir::{Random, Reservoir};

/// The samples of one relay.
pub struct Samples {
    random: Random,
    queries: Reservoir<Record>,
    answers: Reservoir<Record>,
}

impl Samples {
    /// Keeps nothing until [`Samples::set_most`].
    ///
    /// # Errors
    /// When the kernel has no random bytes.
    pub fn new() -> Result<Self, getrandom::Error> {
        // A seed that nobody knows: who could foresee what is sampled could hide between the samples.
        Ok(Self { random: Random::new(getrandom::u64()?), queries: Reservoir::new(0), answers: Reservoir::new(0) })
    }

    /// How many of each are kept between two calls of [`Samples::take`]; 0 keeps none. What was kept is forgotten.
    pub fn set_most(&mut self, most: usize) {
        self.queries = Reservoir::new(most);
        self.answers = Reservoir::new(most);
    }

    /// A message of a client, and what became of it. `message` begins with the query, or the reply in its place.
    #[inline]
    pub fn query(&mut self, client: &Client<'_>, act: Act, reason: Reason, message: &[u8]) {
        if let Some(record) = self.queries.pick(&mut self.random) {
            let reason = reason_behind(reason, client.transport, message);
            record.put(client.address, client.transport, message, Kind::Query { act, reason });
        }
    }

    /// A backend's answer on its way to a client; the query left for the backend in `slot` at `sent`.
    #[inline]
    pub fn answer(
        &mut self,
        client: IpAddr,
        transport: Transport,
        slot: usize,
        (sent, now): (u64, u64),
        message: &[u8],
    ) {
        if let Some(record) = self.answers.pick(&mut self.random) {
            let latency = u32::try_from(now.saturating_sub(sent) / 1000).unwrap_or(u32::MAX);
            let rcode = message.get(3).map_or(0, |flags| flags & 0x0f);
            record.put(client, transport, message, Kind::Answer { rcode, slot: slot as u8, latency });
        }
    }

    /// All that was kept since the last call, and how much passed. Begins anew.
    pub fn take(&mut self, into: &mut Vec<u8>) {
        Header::of(&self.queries, &self.answers).write(into);
        for record in self.queries.kept().iter().chain(self.answers.kept()) {
            record.write(into);
        }
        self.queries.restart();
        self.answers.restart();
    }
}

/// A faulty message beyond the error budget is dropped for that; what was wrong with it is found out anew. Only for what
/// is kept, which is little.
fn reason_behind(reason: Reason, transport: Transport, message: &[u8]) -> Reason {
    match reason {
        Reason::ErrorBudget | Reason::SourcePort => match check_query(message, transport, &Checks::default()) {
            Err(fault) => fault.reason,
            Ok(_) => reason,
        },
        _ => reason,
    }
}
