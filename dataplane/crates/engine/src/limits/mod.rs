//! Rate limits: what shares a bucket, and what happens to a query over the limit.
//!
//! ```text
//!  key.rs     what shares a bucket      meter.rs   how much a message takes and how it comes back: gcra.rs, decay.rs
//!  levels.rs  several prefix lengths    responses.rs  the limits of answers
//! ```
//! A `truncate` limit applies to UDP alone: the truncated reply sends an honest client to TCP, where the same limit
//! must not meet it again. The other actions apply to every transport.

mod decay;
mod exempt;
mod gcra;
mod key;
mod levels;
mod meter;
mod responses;

use std::net::IpAddr;

use wire::Query;

use crate::decide::Client;
use crate::table::Limits;
use crate::zones::Zones;
pub(crate) use exempt::Exempt;
pub(crate) use gcra::SECOND;
pub use key::Key;
pub(crate) use key::{Bytes, Level, tag};
pub use levels::MAX_LEVELS;
pub(crate) use levels::{Levels, Numbers, Prefix};
pub(crate) use meter::Meter;
pub use meter::{Algorithm, Unit};
pub(crate) use responses::Responses;
pub use responses::{Limited, Passage, ResponseSpec, decide_answer};

/// The most rate limits of a policy, and the number of their counters.
pub const MAX_LIMITS: usize = 32;

/// What happens to a query over the limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    #[default]
    Drop,
    /// A reply with TC, so that an honest client comes back over TCP.
    Truncate,
    Refuse,
    /// Count it and let it pass.
    Observe,
}

/// `rate` queries or bytes a second for each value of `key`, of which `burst` may come at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    pub key: Key,
    /// Bits of an IPv4 address that make a prefix, and the factor for rate and burst there; for a key with the client's
    /// prefix, and each of them counts.
    pub prefixes_v4: Vec<(u8, u32)>,
    /// Of an IPv6 address.
    pub prefixes_v6: Vec<(u8, u32)>,
    pub rate: u32,
    pub burst: u32,
    pub unit: Unit,
    pub algorithm: Algorithm,
    pub action: Action,
    /// Only count what is over it.
    pub observe: bool,
    /// Every how many queries over a `Truncate` limit get a reply; the others are dropped. 0: none.
    pub slip: u32,
    /// Clients that it does not look at.
    pub exempt: Vec<(IpAddr, u8)>,
    /// The counter of queries over it.
    pub slot: usize,
}

impl Default for RateLimit {
    /// One query a second from everybody together, the others dropped: to be written over.
    fn default() -> Self {
        Self {
            key: Key::GLOBAL,
            prefixes_v4: vec![(32, 1)],
            prefixes_v6: vec![(56, 1)],
            rate: 1,
            burst: 1,
            unit: Unit::Packets,
            algorithm: Algorithm::Bucket,
            action: Action::Drop,
            observe: false,
            slip: 1,
            exempt: Vec::new(),
            slot: 0,
        }
    }
}

impl RateLimit {
    /// Whether another one could have some of the same buckets but for its ordinal. One prefix length in common is
    /// enough, so they are not compared.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let numbers = |limit: &Self| (limit.key, limit.rate, limit.burst, limit.unit, limit.algorithm);
        numbers(self) == numbers(other)
    }
}

/// Whose numbers are charged.
#[derive(Clone, Debug)]
enum Share {
    Prefixes(Levels),
    All(Level),
}

/// A rate limit, compiled.
#[derive(Debug)]
pub(crate) struct Limit {
    key: Key,
    share: Share,
    unit: Unit,
    pub(crate) action: Action,
    pub(crate) observe: bool,
    pub(crate) slip: u64,
    exempt: Exempt,
    pub(crate) slot: usize,
}

/// What a query shows to the limits. Without a question only limits that need none apply.
pub(crate) struct Subject<'q, 'm> {
    pub(crate) client: &'q Client<'q>,
    pub(crate) query: Option<&'q Query<'m>>,
    pub(crate) zone: Option<u32>,
    /// It has shown a valid cookie.
    pub(crate) verified: bool,
    /// Bytes of the message.
    pub(crate) length: usize,
    pub(crate) now: u64,
}

impl Limit {
    /// `ordinal` tells limits of equal key and numbers apart.
    ///
    /// # Errors
    /// What is out of range.
    pub(crate) fn compile(limit: &RateLimit, ordinal: u32) -> Result<Self, String> {
        let RateLimit { key, rate, burst, unit, algorithm, .. } = *limit;
        let numbers = Numbers { unit, algorithm, rate, burst };
        let name = (key.number(), ordinal);
        let share = if key.has(Key::CLIENT_PREFIX) {
            Share::Prefixes(Levels::compile(&numbers, name, &limit.prefixes_v4, &limit.prefixes_v6)?)
        } else {
            Share::All(numbers.level(name, (0, 1), 0)?)
        };
        if limit.slot >= MAX_LIMITS {
            return Err(format!("there is no counter {}; the last is {}", limit.slot, MAX_LIMITS - 1));
        }
        let observe = limit.observe || limit.action == Action::Observe;
        let (action, slip, exempt) = (limit.action, u64::from(limit.slip), Exempt::new(&limit.exempt)?);
        Ok(Self { key, share, unit, action, observe, slip, exempt, slot: limit.slot })
    }

    /// Whether `subject` is over this limit. If it is not, its buckets have paid. What stands in `bytes` does not matter.
    #[inline]
    pub(crate) fn is_over(
        &self,
        limits: &Limits<'_>,
        zones: &Zones,
        subject: &Subject<'_, '_>,
        bytes: &mut Bytes,
    ) -> bool {
        let client = subject.client;
        // Truncation asks for proof of the address, and this client has given it.
        if self.action == Action::Truncate && (client.transport.is_stream() || subject.verified) {
            return false;
        }
        if self.exempt.contains(client.address) {
            return false;
        }
        if bytes.take(self.key, zones, subject).is_none() {
            return false;
        }
        let units = match self.unit {
            Unit::Packets => 1,
            Unit::Bytes => subject.length as u64,
        };
        !match &self.share {
            Share::Prefixes(levels) => levels.charge(limits, bytes, client.address, units, subject.now),
            Share::All(level) => limits.charge(bytes.at(limits, level), &level.meter, units, subject.now),
        }
    }

    /// Whether it tells client prefixes apart, so that who is over it is to blame.
    pub(crate) const fn is_of_clients(&self) -> bool {
        self.key.has(Key::CLIENT_PREFIX)
    }

    /// What happens to a query that is over: the `count`th one that this worker counts.
    pub(crate) const fn verdict(&self, count: u64) -> Action {
        match self.action {
            Action::Truncate if !is_slipped(self.slip, count) => Action::Drop,
            action => action,
        }
    }
}

/// Whether the `count`th message over a limit is one of every `slip` that get a truncated reply. The worker's own count
/// goes over all clients, so a flood can't time which ones are left out.
pub(crate) const fn is_slipped(slip: u64, count: u64) -> bool {
    slip != 0 && count.is_multiple_of(slip)
}
