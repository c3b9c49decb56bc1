//! One query and the messages of its answer: each is judged when it is whole, and passed on only then.
//!
//! The order of the checks: limits, header, question, RCODE, records, signature. The message with which an answer ends
//! leaves together with the verdict, after the last check; so a node that gets it has got nothing wrong before it.

use std::sync::Arc;

use wire::HEADER_LEN;

use crate::hold::Held;
use crate::limits::Limits;
use crate::query::{Ask, Query};
use crate::reason::{Reason, Wrong};
use crate::transfer::{Kind, Transfer};
use crate::tsig::{Keys, Signature, Verifier};
use crate::verdict::Verdict;
use crate::walk::Record;

/// Messages without a record, one behind the other. NSD 4.6 sends them for ever at a record that its buffer can't hold.
const MOST_EMPTY: u32 = 1_000;
const OPT: u16 = wire::qtype::OPT;
/// The signature of a message, in class ANY (RFC 2931).
const SIG: (u16, u16) = (24, 255);
const TSIG: u16 = wire::qtype::TSIG;

/// A query that waits for its answer, or for more of it.
pub struct Exchange {
    query: Query,
    transfer: Option<Box<Transfer>>,
    verifier: Option<Verifier>,
    /// Of the answer to a query for SOA.
    serial: Option<u32>,
    rcode: u16,
    failed: bool,
    truncated: bool,
    empty: u32,
    pub held: Held,
    pub messages: u64,
    pub records: u64,
    pub bytes: u64,
    pub started: f64,
    /// When it began by the clock on the wall.
    asked: f64,
}

/// What is known of a message when its records were walked.
struct Tail {
    /// Where the TSIG record stands.
    tsig: Option<usize>,
    /// The upper bits of the RCODE (RFC 6891 section 6.1.3).
    rcode: u16,
}

impl Exchange {
    #[must_use]
    pub fn new(query: Query, limits: &Limits, keys: &Arc<Keys>, now: f64, at: f64) -> Self {
        let transfer = (query.ask != Ask::Soa).then(|| Box::new(Transfer::new(&query, limits)));
        let verifier = query.signed.as_ref().and_then(|signed| Verifier::new(signed, keys, now));
        Self {
            query,
            transfer,
            verifier,
            serial: None,
            rcode: 0,
            failed: false,
            truncated: false,
            empty: 0,
            held: Held::default(),
            messages: 0,
            records: 0,
            bytes: 0,
            started: at,
            asked: now,
        }
    }

    /// Forget the datagram that was judged last: it was another's.
    pub fn begin_again(&mut self, limits: &Limits, keys: &Arc<Keys>) {
        *self = Self::new(self.query.clone(), limits, keys, self.asked, self.started);
    }

    /// Whether this can be an answer to the query at all: what a datagram must be to be judged.
    #[must_use]
    pub fn is_answered_by(&self, message: &[u8], record: &mut Record) -> bool {
        let flags = message.get(2).copied().unwrap_or(0);
        flags & 0xf8 == 0x80 && self.question(message, record).is_ok()
    }

    /// Judges the next message, without its length prefix; whether the answer is complete.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn message(
        &mut self,
        message: &[u8],
        record: &mut Record,
        limits: &Limits,
        now: f64,
        datagram: bool,
    ) -> Result<bool, Wrong> {
        self.messages += 1;
        self.bytes += message.len() as u64 + 2;
        if self.bytes > limits.bytes {
            return Err(Wrong::new(Reason::TooManyBytes, format!("more than {} bytes", limits.bytes)));
        }
        if self.messages > limits.messages {
            return Err(Wrong::new(Reason::TooManyMessages, format!("more than {} messages", limits.messages)));
        }
        self.header(message, datagram)?;
        let at = self.question(message, record)?;
        let before = self.records;
        let tail = self.sections(message, at, record, limits)?;
        if self.messages == 1 {
            self.rcode |= tail.rcode;
            // NSD and PowerDNS do not see the upper bits: records in such a message are judged as a transfer.
            self.failed |= self.rcode != 0 && self.records == 0;
        }
        let done = self.is_complete(before, datagram)?;
        if let Some(verifier) = &mut self.verifier {
            verifier.message(message, tail.tsig, (done, self.failed), now)?;
        }
        Ok(done)
    }

    /// Whether the message that was judged last, of so many bytes, waits for the end of the answer.
    pub fn waits(&mut self, length: usize, limits: &Limits, at: f64) -> bool {
        if !self.transfer.as_ref().is_some_and(|transfer| transfer.commits_early) {
            return false;
        }
        let verified = self.verifier.as_ref().is_none_or(Verifier::is_even);
        self.held.waits(length, verified, limits.held, at)
    }

    fn header(&mut self, message: &[u8], datagram: bool) -> Result<(), Wrong> {
        let (high, low) = (message.get(2).copied().unwrap_or(0), message.get(3).copied().unwrap_or(0));
        if high & 0x80 == 0 {
            return Err(Wrong::new(Reason::NotResponse, "QR is not set"));
        }
        if high & 0x78 != 0 {
            return Err(Wrong::new(Reason::Opcode, format!("opcode {}", high >> 3 & 0xf)));
        }
        if high & 0x02 != 0 {
            if !datagram {
                return Err(Wrong::new(Reason::TcBit, "TC is set, over TCP"));
            }
            self.truncated = true;
        }
        let rcode = u16::from(low & 0xf);
        if self.messages == 1 {
            (self.rcode, self.failed) = (rcode, rcode != 0);
        } else if rcode != 0 {
            let detail = format!("message {} has RCODE {rcode}", self.messages);
            return Err(Wrong::new(Reason::LaterError, detail));
        }
        Ok(())
    }

    /// The question must be the one that was asked, and stand in the first message, unless that says what was wrong
    /// with the query. Returns the offset behind it.
    fn question(&self, message: &[u8], record: &mut Record) -> Result<usize, Wrong> {
        let wrong = |detail: &str| Err(Wrong::new(Reason::Question, detail));
        let count = be16(message, 4);
        let failed = message.get(3).is_some_and(|low| low & 0xf != 0);
        if count == 0 {
            let may = self.messages > 1 || failed;
            return if may { Ok(HEADER_LEN) } else { wrong("no question in the first message") };
        }
        if count > 1 {
            return wrong("more than one question");
        }
        let Some(at) = record.read_question(message, HEADER_LEN) else { return wrong("the question can't be read") };
        let same = record.owner() == self.query.zone
            && (be16(message, at), be16(message, at + 2)) == (self.query.qtype, self.query.class);
        if same { Ok(at + 4) } else { wrong("not the question that was asked") }
    }

    fn sections(&mut self, message: &[u8], mut at: usize, record: &mut Record, limits: &Limits) -> Result<Tail, Wrong> {
        record.begin();
        for _ in 0..be16(message, 6) {
            at = record.read(message, at)?;
            self.records += 1;
            if self.records > limits.records {
                return Err(Wrong::new(Reason::TooManyRecords, format!("more than {} records", limits.records)));
            }
            // A failure or a truncated answer is no transfer, whatever else is in it.
            match &mut self.transfer {
                Some(transfer) if !self.failed && !self.truncated => transfer.record(record)?,
                _ => self.look_for_serial(record),
            }
        }
        self.tail(message, at, record)
    }

    fn look_for_serial(&mut self, record: &Record) {
        if self.serial.is_none() && record.rtype == wire::qtype::SOA && record.owner() == self.query.zone {
            self.serial = record.serial();
        }
    }

    /// The authority and additional sections: nothing of a zone, to whatever there is of one; TSIG last of all.
    fn tail(&self, message: &[u8], mut at: usize, record: &mut Record) -> Result<Tail, Wrong> {
        let (authority, additional) = (be16(message, 8), be16(message, 10));
        let strict = self.transfer.is_some() && !self.failed && !self.truncated;
        let mut tail = Tail { tsig: None, rcode: 0 };
        for number in 0..u32::from(authority) + u32::from(additional) {
            if tail.tsig.is_some() {
                return Err(Wrong::new(Reason::TsigForm, "records behind TSIG"));
            }
            let start = at;
            at = record.read(message, at)?;
            match record.rtype {
                TSIG if number < u32::from(authority) => {
                    return Err(Wrong::new(Reason::TsigForm, "TSIG in the authority section"));
                }
                TSIG => tail.tsig = Some(start),
                OPT if number >= u32::from(authority) => tail.rcode = (record.ttl >> 20) as u16 & 0xff0,
                kind if strict && (kind, record.class) != SIG => {
                    let detail = format!("a record of type {kind} stands in a section where a transfer has none");
                    return Err(Wrong::new(Reason::Section, detail));
                }
                _ => {}
            }
        }
        if at == message.len() {
            return Ok(tail);
        }
        let detail = format!("{} bytes behind the last record", message.len() - at);
        Err(Wrong::new(Reason::TrailingBytes, detail))
    }

    fn is_complete(&mut self, before: u64, datagram: bool) -> Result<bool, Wrong> {
        let Some(transfer) = &mut self.transfer else { return Ok(true) };
        if self.failed || self.truncated {
            return Ok(true);
        }
        if self.records == 0 {
            return Err(Wrong::new(Reason::NoSoa, "the first message has no records"));
        }
        if self.records > before {
            self.empty = 0;
            transfer.message_ends(datagram);
        } else {
            self.empty += 1;
            if self.empty > MOST_EMPTY {
                let detail = format!("more than {MOST_EMPTY} messages without a record, one behind the other");
                return Err(Wrong::new(Reason::TooManyMessages, detail));
            }
        }
        if datagram && !transfer.is_done() {
            return Err(Wrong::new(Reason::DatagramIncomplete, "the differences do not end in the datagram"));
        }
        Ok(transfer.is_done())
    }

    /// What is to be said at the end. `wrong`: why it was not accepted.
    #[must_use]
    pub fn verdict(&mut self, wrong: Option<Wrong>, at: f64) -> Verdict {
        let kind = match &self.transfer {
            _ if self.failed => Kind::Error,
            _ if self.truncated => Kind::Truncated,
            Some(transfer) => transfer.kind,
            None => Kind::Soa,
        };
        let signature = match (&self.verifier, &self.query.signed) {
            (Some(verifier), _) => verifier.signature,
            (None, Some(_)) => Signature::Unverified,
            (None, None) => Signature::None,
        };
        let (serial, from_serial) = match (&self.transfer, self.query.ask) {
            (Some(transfer), Ask::Ixfr(from)) => (transfer.serial(), Some(from)),
            (Some(transfer), _) => (transfer.serial(), None),
            (None, _) => (self.serial, None),
        };
        let mut verdict = Verdict {
            reason: Reason::Accepted,
            detail: String::new(),
            kind,
            signature,
            zone: self.query.zone.clone(),
            rcode: self.rcode,
            serial,
            from_serial,
            messages: self.messages,
            records: self.records,
            bytes: self.bytes,
            seconds: (at - self.started).max(0.0),
            ..Verdict::default()
        };
        if let Some(transfer) = &mut self.transfer {
            verdict.take(&mut transfer.tally);
        }
        if let Some(wrong) = wrong {
            (verdict.reason, verdict.detail) = (wrong.reason, wrong.detail);
        }
        verdict
    }
}

fn be16(message: &[u8], at: usize) -> u16 {
    match message.get(at..at + 2) {
        Some(&[high, low]) => u16::from_be_bytes([high, low]),
        _ => 0,
    }
}
