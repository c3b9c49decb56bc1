//! NOTIFY for the zones of `[[zones]]` (RFC 1996): it is not passed to one backend as a query would be, but handed to
//! Python, which tells all backends of the zone.
//!
//! ```text
//! NOTIFY for a zone of ours -> address named? -> known ----> 10/s for each address and zone, 2000/s in all -> handed over
//!                              key named?     -> signed ---> 100/s for each /24 or /56, 200/s in all ------> handed over
//!                              other key?     -> stranger -> 5/s for each /24 or /56, 50/s in all ---------> handed over
//!                              else           -> nobody                                                     -> REFUSED
//! ```
//! The numbers bound what a forged source costs us. A known address costs a look at a table, and NOTIFY for one zone
//! can't crowd out another's. A signature costs an HMAC in Python, some 150 µs; and one by a key that nobody knows a
//! look and an answer (BADKEY, RFC 8945 section 5.2.1). What is over a limit is dropped: primaries send again.

use std::collections::HashMap;
use std::net::IpAddr;

use sets::PrefixSet;
use wire::name::{MAX_NAME, lowercase};
use wire::{Query, class, qtype, tsig_key};

use crate::decide::Client;
use crate::limits::{Algorithm, Meter, Prefix, Unit, tag};
use crate::table::Limits;
use crate::zones::mark;

/// Of whom a zone takes NOTIFY.
#[derive(Clone, Debug, Default)]
pub struct NotifySpec {
    /// In wire form.
    pub zone: Vec<u8>,
    /// Addresses that may send it unsigned, and bits of each prefix.
    pub from: Vec<(IpAddr, u8)>,
    /// Names of keys, in wire form, with which it may come from everywhere.
    pub keys: Vec<Vec<u8>>,
}

/// What is known of who sent a NOTIFY before anything is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// From an address that is named; the number stands for the zone.
    Known(u64),
    /// From elsewhere, signed by a key that is named.
    Signed,
    /// From elsewhere, signed by another key.
    Stranger,
    /// From elsewhere, not signed.
    Nobody,
}

#[derive(Debug)]
struct Zone {
    mark: u64,
    from: PrefixSet,
    keys: Vec<Box<[u8]>>,
}

/// Rates a second; a bucket holds twice that.
const KNOWN: (u32, u32) = (10, 2000);
const SIGNED: (u32, u32) = (100, 200);
const STRANGER: (u32, u32) = (5, 50);

/// A bucket for each prefix of senders, and one for all.
#[derive(Debug)]
struct Pace {
    of_prefix: (Prefix, Meter),
    of_all: ([u8; 8], Meter),
}

/// Names of buckets, beside those of the rate limits and of the error budget.
const NOTIFY: u32 = 258;

impl Pace {
    fn new(number: u32, (each, all): (u32, u32), bits: (u8, u8)) -> Result<Self, String> {
        let meter = |rate| Meter::new(Algorithm::Bucket, Unit::Packets, rate, 2 * rate, 1);
        Ok(Self {
            of_prefix: (Prefix::new((NOTIFY, number), bits, each, 2 * each), meter(each)?),
            of_all: (tag(&[NOTIFY, number, all]), meter(all)?),
        })
    }
}

#[derive(Debug)]
pub(crate) struct Notifies {
    /// By name, in lower case.
    zones: HashMap<Box<[u8]>, Zone>,
    /// Of known, signed and strangers.
    paces: [Pace; 3],
}

impl Notifies {
    /// # Errors
    /// What is wrong with which zone.
    pub(crate) fn new(specs: Vec<NotifySpec>) -> Result<Self, String> {
        let mut zones = HashMap::with_capacity(specs.len());
        for (index, spec) in specs.into_iter().enumerate() {
            let lower = |name: &[u8]| name.to_ascii_lowercase().into_boxed_slice();
            let from = PrefixSet::new(spec.from.into_iter().map(|(address, bits)| (address, bits, 0)))
                .map_err(|error| format!("NOTIFY of zone {index}: {error}"))?;
            let keys = spec.keys.iter().map(|key| lower(key)).collect();
            let mark = mark(&spec.zone.to_ascii_lowercase());
            zones.insert(lower(&spec.zone), Zone { mark, from, keys });
        }
        let paces =
            [Pace::new(0, KNOWN, (32, 128))?, Pace::new(1, SIGNED, (24, 56))?, Pace::new(2, STRANGER, (24, 56))?];
        Ok(Self { zones, paces })
    }

    /// Who sent this NOTIFY. `None`: it is for no zone whose NOTIFY is taken here, or not about its SOA.
    pub(crate) fn sender(&self, query: &Query<'_>, message: &[u8], address: IpAddr) -> Option<Sender> {
        let question =
            query.question.filter(|question| (question.qtype, question.qclass) == (qtype::SOA, class::IN))?;
        let mut name = [0; MAX_NAME];
        let zone = self.zones.get(lowercase(question.name, &mut name)?)?;
        if zone.from.get(address).is_some() {
            return Some(Sender::Known(zone.mark));
        }
        Some(match tsig_key(message, &mut name).filter(|_| query.signed) {
            Some(key) if zone.keys.iter().any(|known| **known == *key) => Sender::Signed,
            Some(_) => Sender::Stranger,
            None => Sender::Nobody,
        })
    }

    /// Takes one NOTIFY of such a sender. The bucket of all pays only for what its prefix may.
    pub(crate) fn take(&self, limits: &Limits<'_>, client: &Client<'_>, sender: Sender, now: u64) -> bool {
        let (pace, mark) = match sender {
            Sender::Known(mark) => (&self.paces[0], mark),
            Sender::Signed => (&self.paces[1], 0),
            Sender::Stranger => (&self.paces[2], 0),
            Sender::Nobody => return false,
        };
        let (prefix, of_prefix) = &pace.of_prefix;
        let (of_all, meter) = &pace.of_all;
        limits.charge((prefix.key(limits, client.address) ^ mark).max(1), of_prefix, 1, now)
            && limits.charge(limits.key(of_all), meter, 1, now)
    }
}
