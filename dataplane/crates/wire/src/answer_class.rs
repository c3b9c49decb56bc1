//! What kind of answer a backend gave, as response rate limiting tells them apart, and the name that such answers share.
//!
//! ```text
//!  rcode 3                          nxdomain   the zone: the owner of SOA in the authority section
//!  another rcode but 0              error      none
//!  no answer, NS and not AA         referral   the delegation: the owner of NS
//!  no answer else                   nodata     the zone
//!  RRSIG with fewer labels          wildcard   the closest encloser: what its wildcard stands below
//!  asked for ANY, for DNSKEY        any, dnskey   QNAME
//!  else                             positive   QNAME
//! ```
//! The name is one that an attacker can't make up: random names below a zone all end in the same one. The expansion of a
//! wildcard shows only in signed answers (RFC 4034 section 3.1.3); an unsigned one counts as positive. An answer that is
//! truncated already and holds nothing counts as positive too.

use crate::answer::Answer;
use crate::labelled;
use crate::message::{HEADER_LEN, qtype};
use crate::name::{MAX_NAME, expand, labels};
use crate::records::Record;

labelled! {
    /// The classes of NSD and BIND.
    pub enum AnswerClass {
        Positive = "positive",
        Nodata = "nodata",
        Nxdomain = "nxdomain",
        Referral = "referral",
        Wildcard = "wildcard",
        Any = "any",
        Dnskey = "dnskey",
        Error = "error",
    }
}

/// Records that are looked at in search of SOA, NS or RRSIG: more than any honest answer puts before them.
const MOST_RECORDS: u16 = 64;

/// The class of `message`, which `answer` was read from, and the name that such answers share, in lower case. The name
/// is empty where there is none or where the message does not say.
#[must_use]
pub fn classify<'b>(message: &[u8], answer: &Answer<'_>, into: &'b mut [u8; MAX_NAME]) -> (AnswerClass, &'b [u8]) {
    let (class, length) = look(message, answer, into);
    let name = &mut into[..length];
    name.make_ascii_lowercase();
    (class, name)
}

fn look(message: &[u8], answer: &Answer<'_>, into: &mut [u8; MAX_NAME]) -> (AnswerClass, usize) {
    let Some(&[_, _, flags, _, _, _, a0, a1, n0, n1, ..]) = message.first_chunk::<HEADER_LEN>() else {
        return (AnswerClass::Error, 0);
    };
    let answers = u16::from_be_bytes([a0, a1]);
    let sections = Sections { message, answers, authorities: u16::from_be_bytes([n0, n1]), start: start(answer) };
    match answer.rcode {
        0 => {}
        3 => return (AnswerClass::Nxdomain, sections.authority(into).1),
        _ => return (AnswerClass::Error, 0),
    }
    if answers == 0 && !answer.truncated {
        return match sections.authority(into) {
            (qtype::NS, length) if flags & 0x04 == 0 => (AnswerClass::Referral, length),
            (_, length) => (AnswerClass::Nodata, length),
        };
    }
    if let Some(length) = sections.wildcard(into) {
        return (AnswerClass::Wildcard, length);
    }
    let Some(question) = answer.question else { return (AnswerClass::Positive, 0) };
    // A question that was read is at most 255 bytes long.
    let length = question.name.len().min(MAX_NAME);
    into[..length].copy_from_slice(&question.name[..length]);
    match question.qtype {
        qtype::ANY => (AnswerClass::Any, length),
        qtype::DNSKEY => (AnswerClass::Dnskey, length),
        _ => (AnswerClass::Positive, length),
    }
}

fn start(answer: &Answer<'_>) -> usize {
    HEADER_LEN + answer.question.map_or(0, |question| usize::from(question.wire_len()))
}

struct Sections<'m> {
    message: &'m [u8],
    answers: u16,
    authorities: u16,
    start: usize,
}

impl Sections<'_> {
    /// The type of the first SOA or NS of the authority section, and the length of its owner, which goes to `into`;
    /// zeroes if there is none.
    fn authority(&self, into: &mut [u8; MAX_NAME]) -> (u16, usize) {
        let mut at = self.start;
        let all = self.answers.saturating_add(self.authorities);
        for index in 0..all.min(MOST_RECORDS) {
            let Ok(record) = Record::read(self.message, at) else { break };
            if index >= self.answers && matches!(record.kind, qtype::SOA | qtype::NS) {
                return (record.kind, expand(self.message, at, into).unwrap_or(0));
            }
            at = record.end;
        }
        (0, 0)
    }

    /// The length of the closest encloser, if the first signature of the answer section is that of a wildcard.
    fn wildcard(&self, into: &mut [u8; MAX_NAME]) -> Option<usize> {
        let mut at = self.start;
        for _ in 0..self.answers.min(MOST_RECORDS) {
            let record = Record::read(self.message, at).ok()?;
            if record.kind == qtype::RRSIG {
                // Type covered (2), algorithm, labels: without the root and without a leading "*" (RFC 4034 3.1.3).
                let signed = usize::from(*record.rdata.get(3)?);
                let length = expand(self.message, at, into)?;
                let mut walked = labels(&into[..length]);
                let count = labels(&into[..length]).count();
                let asterisk = usize::from(into.starts_with(b"\x01*"));
                if signed + asterisk >= count {
                    return None;
                }
                for _ in signed..count {
                    walked.next();
                }
                let kept = walked.rest().len();
                into.copy_within(length - kept..length, 0);
                return Some(kept);
            }
            at = record.end;
        }
        None
    }
}
