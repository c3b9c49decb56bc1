//! TSIG of answers (RFC 8945), verified where the query's key is known.
//!
//! ```text
//! first message:   HMAC(key, length of the request MAC | request MAC | message without TSIG | variables)
//! later, signed:   HMAC(key, length of the last MAC | last MAC | unsigned messages | message without TSIG | timers)
//!
//! message without TSIG: its ID is the original ID, ARCOUNT is one less
//! variables: key name | class ANY | TTL 0 | algorithm | time 48 | fudge 16 | error 16 | length of other 16 | other
//! timers:    time 48 | fudge 16                                                                 (sections 4.3, 5.3.1)
//! ```
//!
//! The first and the last message are signed, and at most 99 between two that are. Unsigned messages run through the hash
//! as they pass, so none is kept. `domain` parses the record; its own client sequence wants `ring` and to take the
//! record off the message, which here is never changed.

use std::collections::HashMap;
use std::sync::Arc;

use domain::base::record::ParsedRecord;
use domain::base::{ParsedName, iana::Class};
use domain::dep::octseq::Parser;
use domain::rdata::Tsig;
use hmac::{Hmac, KeyInit, Mac};

use crate::query::{Signed, lower};
use crate::reason::{Reason, Wrong};

/// Unsigned messages between two signed ones (RFC 8945 section 5.3.1).
pub const MOST_UNSIGNED: u32 = 99;
/// Bytes of the shortest cut MAC (RFC 8945 section 5.2.2.1).
const SHORTEST: usize = 10;

const BADSIG: u16 = 16;
const BADKEY: u16 = 17;
const BADTIME: u16 = 18;

/// The algorithms that are known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl Algorithm {
    pub const ALL: [Self; 5] = [Self::Sha1, Self::Sha224, Self::Sha256, Self::Sha384, Self::Sha512];

    /// As in settings: the name without its root.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Sha1 => "hmac-sha1",
            Self::Sha224 => "hmac-sha224",
            Self::Sha256 => "hmac-sha256",
            Self::Sha384 => "hmac-sha384",
            Self::Sha512 => "hmac-sha512",
        }
    }

    /// Bytes of a whole MAC.
    const fn length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha224 => 28,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// The name in wire form.
    fn name(self) -> Vec<u8> {
        let label = self.label().as_bytes();
        [&[label.len() as u8], label, &[0]].concat()
    }

    fn start(self, secret: &[u8]) -> Option<Box<dyn Running>> {
        Some(match self {
            Self::Sha1 => Box::new(Hmac::<sha1::Sha1>::new_from_slice(secret).ok()?),
            Self::Sha224 => Box::new(Hmac::<sha2::Sha224>::new_from_slice(secret).ok()?),
            Self::Sha256 => Box::new(Hmac::<sha2::Sha256>::new_from_slice(secret).ok()?),
            Self::Sha384 => Box::new(Hmac::<sha2::Sha384>::new_from_slice(secret).ok()?),
            Self::Sha512 => Box::new(Hmac::<sha2::Sha512>::new_from_slice(secret).ok()?),
        })
    }
}

/// A MAC that is being computed.
trait Running: Send + Sync {
    fn take(&mut self, bytes: &[u8]);
    /// Whether the MAC, or its first bytes, are these. In constant time.
    fn holds(self: Box<Self>, mac: &[u8]) -> bool;
}

macro_rules! running {
    ($($hash:ty),+) => { $(
        impl Running for Hmac<$hash> {
            fn take(&mut self, bytes: &[u8]) {
                self.update(bytes);
            }

            fn holds(self: Box<Self>, mac: &[u8]) -> bool {
                self.verify_truncated_left(mac).is_ok()
            }
        }
    )+ };
}

running!(sha1::Sha1, sha2::Sha224, sha2::Sha256, sha2::Sha384, sha2::Sha512);

/// Keys by name. Says nothing of the secrets in `Debug`.
#[derive(Default)]
pub struct Keys(HashMap<Vec<u8>, (Algorithm, Vec<u8>)>);

impl Keys {
    /// From names in wire form.
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = (Vec<u8>, Algorithm, Vec<u8>)>) -> Self {
        Self(keys.into_iter().map(|(name, how, secret)| (name.to_ascii_lowercase(), (how, secret))).collect())
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What is known of the signatures of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// The query was not signed.
    None,
    /// The query's key is not known here: passed unchanged, to be verified by the node.
    Unverified,
    Verified,
    /// The primary refused the query's signature.
    BadSig,
    /// The primary does not know the query's key.
    BadKey,
    /// The primary's clock is another than the node's.
    BadTime,
}

impl Signature {
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Unverified => "unverified",
            Self::Verified => "verified",
            Self::BadSig => "badsig",
            Self::BadKey => "badkey",
            Self::BadTime => "badtime",
        }
    }
}

/// Verifies the messages of one answer.
pub struct Verifier {
    keys: Arc<Keys>,
    key: Vec<u8>,
    algorithm: Algorithm,
    running: Box<dyn Running>,
    first: bool,
    unsigned: u32,
    /// Seconds that the node's clock is ahead of ours: the node judges by it.
    ahead: f64,
    pub signature: Signature,
}

impl Verifier {
    /// `None`: the key is not known, or under another algorithm.
    #[must_use]
    pub fn new(signed: &Signed, keys: &Arc<Keys>, now: f64) -> Option<Self> {
        let (algorithm, secret) = keys.0.get(&signed.key)?;
        if algorithm.name() != signed.algorithm {
            return None;
        }
        Some(Self {
            keys: keys.clone(),
            key: signed.key.clone(),
            algorithm: *algorithm,
            running: chained(*algorithm, secret, &signed.mac)?,
            first: true,
            unsigned: 0,
            ahead: signed.time as f64 - now,
            signature: Signature::Verified,
        })
    }

    /// Whether everything so far is verified.
    #[must_use]
    pub fn is_even(&self) -> bool {
        self.unsigned == 0
    }

    /// Takes the next message, whose TSIG record stands at `place`. `last`: no other follows. `failed`: it has an
    /// RCODE, so it may say what is wrong with the query's signature (sections 5.2 and 5.3.2).
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn message(
        &mut self,
        message: &[u8],
        place: Option<usize>,
        (last, failed): (bool, bool),
        now: f64,
    ) -> Result<(), Wrong> {
        let Some(place) = place else { return self.unsigned(message, last, failed) };
        let record = Record::read(message, place).ok_or_else(|| {
            Wrong::new(Reason::TsigForm, "the TSIG record can't be read, or its class is not ANY or its TTL not 0")
        })?;
        if failed && record.mac.is_empty() && matches!(record.error, BADSIG | BADKEY) {
            self.signature = if record.error == BADSIG { Signature::BadSig } else { Signature::BadKey };
            return Ok(());
        }
        // In messages behind the first the MAC covers neither of the two (section 5.3.1).
        if !failed && (record.error != 0 || !record.other.is_empty()) {
            return Err(Wrong::new(Reason::TsigForm, "TSIG has an error or other data, and the message has no RCODE"));
        }
        if record.key != self.key || record.algorithm != self.algorithm.name() {
            return Err(Wrong::new(Reason::TsigKey, "signed with another key or algorithm than the query"));
        }
        let (shortest, longest) = (SHORTEST.max(self.algorithm.length() / 2), self.algorithm.length());
        if !(shortest..=longest).contains(&record.mac.len()) {
            let detail = format!("a MAC of {} bytes; {shortest} to {longest} are due", record.mac.len());
            return Err(Wrong::new(Reason::TsigTruncated, detail));
        }
        self.verify(message, place, &record)?;
        if failed && record.error == BADTIME {
            self.signature = Signature::BadTime;
        } else {
            record.check_clock(now, self.ahead)?;
        }
        (self.first, self.unsigned) = (false, 0);
        Ok(())
    }

    fn unsigned(&mut self, message: &[u8], last: bool, failed: bool) -> Result<(), Wrong> {
        if self.first || last {
            let which = if self.first { "first" } else { "last" };
            let mut detail = format!("the query was signed, the {which} message of the answer is not");
            if failed {
                detail += &format!("; its RCODE is {}", message.get(3).map_or(0, |low| low & 0xf));
            }
            return Err(Wrong::new(Reason::TsigMissing, detail));
        }
        self.unsigned += 1;
        if self.unsigned > MOST_UNSIGNED {
            return Err(Wrong::new(Reason::TsigGap, "more than 99 messages without a signature"));
        }
        self.running.take(message);
        Ok(())
    }

    fn verify(&mut self, message: &[u8], place: usize, record: &Record) -> Result<(), Wrong> {
        let next = self.keys.0.get(&self.key).and_then(|(how, secret)| chained(*how, secret, &record.mac));
        let fault = || Wrong::new(Reason::TsigMac, "the signature does not hold");
        let mut running = std::mem::replace(&mut self.running, next.ok_or_else(fault)?);
        let (header, rest) = message.split_at_checked(wire::HEADER_LEN).ok_or_else(fault)?;
        let [_, _, flags @ .., high, low] = header else { return Err(fault()) };
        running.take(&record.original_id.to_be_bytes());
        running.take(flags);
        running.take(&u16::from_be_bytes([*high, *low]).wrapping_sub(1).to_be_bytes());
        running.take(rest.get(..place.saturating_sub(wire::HEADER_LEN)).unwrap_or_default());
        if self.first {
            running.take(&record.key);
            running.take(&[0, 255, 0, 0, 0, 0]);
            running.take(&record.algorithm);
            running.take(&record.timers);
            running.take(&record.error.to_be_bytes());
            running.take(&(record.other.len() as u16).to_be_bytes());
            running.take(&record.other);
        } else {
            running.take(&record.timers);
        }
        if running.holds(&record.mac) { Ok(()) } else { Err(fault()) }
    }
}

/// A MAC that begins with the one before.
fn chained(algorithm: Algorithm, secret: &[u8], mac: &[u8]) -> Option<Box<dyn Running>> {
    let mut running = algorithm.start(secret)?;
    running.take(&u16::try_from(mac.len()).ok()?.to_be_bytes());
    running.take(mac);
    Some(running)
}

/// A TSIG record (RFC 8945 section 4.2).
struct Record {
    key: Vec<u8>,
    algorithm: Vec<u8>,
    /// Time signed and fudge.
    timers: [u8; 8],
    mac: Vec<u8>,
    original_id: u16,
    error: u16,
    other: Vec<u8>,
}

impl Record {
    fn read(message: &[u8], place: usize) -> Option<Self> {
        let mut parser = Parser::from_ref(message);
        parser.advance(place).ok()?;
        let record = ParsedRecord::parse(&mut parser).ok()?;
        if record.class() != Class::ANY || record.ttl().as_secs() != 0 || parser.remaining() != 0 {
            return None;
        }
        let key = lower(&record.owner());
        let data = record.to_record::<Tsig<_, ParsedName<_>>>().ok()??.into_data();
        let mut timers = [0; 8];
        let (time, fudge) = timers.split_at_mut(6);
        time.copy_from_slice(&data.time_signed().into_octets());
        fudge.copy_from_slice(&data.fudge().to_be_bytes());
        Some(Self {
            key,
            algorithm: lower(data.algorithm()),
            timers,
            mac: data.mac_slice().to_vec(),
            original_id: data.original_id(),
            error: data.error().to_int(),
            other: data.other().to_vec(),
        })
    }

    /// By our clock, or by the node's, which is `ahead`: where ours alone is wrong, nothing is wrong with the transfer.
    fn check_clock(&self, now: f64, ahead: f64) -> Result<(), Wrong> {
        let [a, b, c, d, e, f, high, low] = self.timers;
        let signed = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        let fudge = u16::from_be_bytes([high, low]);
        let apart = signed as f64 - now;
        if apart.abs().min((apart - ahead).abs()) <= f64::from(fudge) {
            return Ok(());
        }
        let way = if apart < 0.0 { "behind" } else { "ahead of" };
        let detail = format!(
            "the signature is good, but its time is {:.0} s {way} our clock, and {fudge} s are allowed: check both clocks",
            apart.abs()
        );
        Err(Wrong::new(Reason::Clock, detail))
    }
}
