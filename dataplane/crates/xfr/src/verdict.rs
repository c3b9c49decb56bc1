//! What is said of an answer when it ended, well or not.

use crate::digest::Digest;
use crate::reason::Reason;
use crate::tally::Tally;
use crate::transfer::Kind;
use crate::tsig::Signature;

/// The judgement on the answer to one query, and what it brought.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    pub reason: Reason,
    /// What was wrong, in words.
    pub detail: String,
    pub kind: Kind,
    pub signature: Signature,
    /// In wire form and lower case.
    pub zone: Vec<u8>,
    pub rcode: u16,
    /// Of the first SOA.
    pub serial: Option<u32>,
    /// Of the query, if it was an IXFR.
    pub from_serial: Option<u32>,
    pub messages: u64,
    /// In answer sections.
    pub records: u64,
    /// Length prefixes included.
    pub bytes: u64,
    /// Type and number of the records that were added or deleted; of a whole zone, its SOA once.
    pub counts: Vec<(u16, u64)>,
    /// Records of the zone, or that an IXFR adds and deletes, SOA included.
    pub added: u64,
    pub removed: u64,
    pub plus: Digest,
    pub minus: Digest,
    /// Owner names of what was added, each once, in wire form and lower case.
    pub names: Option<Vec<u8>>,
    pub seconds: f64,
}

impl Default for Verdict {
    fn default() -> Self {
        Self {
            reason: Reason::Accepted,
            detail: String::new(),
            kind: Kind::Soa,
            signature: Signature::None,
            zone: Vec::new(),
            rcode: 0,
            serial: None,
            from_serial: None,
            messages: 0,
            records: 0,
            bytes: 0,
            counts: Vec::new(),
            added: 0,
            removed: 0,
            plus: Digest::default(),
            minus: Digest::default(),
            names: None,
            seconds: 0.0,
        }
    }
}

impl Verdict {
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.reason == Reason::Accepted
    }

    pub(crate) fn take(&mut self, tally: &mut Tally) {
        self.counts = tally.counts().collect();
        (self.added, self.removed) = (tally.added, tally.removed);
        (self.plus, self.minus) = tally.digests();
        self.names = tally.take_names();
    }
}
