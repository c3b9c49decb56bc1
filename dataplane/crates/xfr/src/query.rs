//! What was asked: kind, zone, and what the answer is judged by. Read once for each query, by `domain`.
//!
//! ```text
//! AXFR, SOA: header | question                      [| OPT] [| TSIG]      RFC 5936 section 2.1
//! IXFR:      header | question | authority: SOA     [| OPT] [| TSIG]      RFC 1995 section 3
//! ```

use domain::base::iana::Rtype;
use domain::base::name::ToName;
use domain::base::{Message, ParsedName, Serial};
use domain::dep::octseq::Octets;
use domain::rdata::{Soa, Tsig};
use wire::{opcode, qtype};

/// Why a query can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable(pub &'static str);

/// What a query asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    Soa,
    Axfr,
    /// With the serial that the node has.
    Ixfr(u32),
}

/// How a query was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// In wire form and lower case, as the algorithm.
    pub key: Vec<u8>,
    pub algorithm: Vec<u8>,
    pub mac: Vec<u8>,
    /// When, in seconds since the epoch by the node's clock.
    pub time: u64,
}

/// A query that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    pub id: u16,
    pub ask: Ask,
    /// In wire form and lower case.
    pub zone: Vec<u8>,
    pub qtype: u16,
    pub class: u16,
    pub signed: Option<Signed>,
}

impl Query {
    /// Reads a message without its length prefix.
    ///
    /// # Errors
    /// Not a query for SOA, AXFR or IXFR with one question; or an IXFR without its SOA.
    pub fn read(message: &[u8]) -> Result<Self, Unreadable> {
        let message = Message::from_slice(message).map_err(|_| Unreadable("shorter than a header"))?;
        let header = message.header();
        if header.qr() || header.opcode().to_int() != opcode::QUERY {
            return Err(Unreadable("not a query"));
        }
        let question = message.sole_question().map_err(|_| Unreadable("not one question"))?;
        let ask = match question.qtype().to_int() {
            qtype::SOA => Ask::Soa,
            qtype::AXFR => Ask::Axfr,
            qtype::IXFR => Ask::Ixfr(serial(message)?),
            _ => return Err(Unreadable("asks for other than SOA, AXFR or IXFR")),
        };
        Ok(Self {
            id: header.id(),
            ask,
            zone: lower(question.qname()),
            qtype: question.qtype().to_int(),
            class: question.qclass().to_int(),
            signed: signed(message)?,
        })
    }
}

/// The serial that the node has.
fn serial(message: &Message<[u8]>) -> Result<u32, Unreadable> {
    let none = Unreadable("an IXFR without the SOA of the version at hand");
    let mut records = message.authority().map_err(|_| none)?.limit_to::<Soa<ParsedName<_>>>();
    let record = records.next().and_then(Result::ok).ok_or(none)?;
    Ok(record.data().serial().into_int())
}

fn signed(message: &Message<[u8]>) -> Result<Option<Signed>, Unreadable> {
    let records = message.additional().map_err(|_| Unreadable("records that can't be read"))?;
    let mut last = None;
    for record in records {
        last = Some(record.map_err(|_| Unreadable("records that can't be read"))?);
    }
    let Some(record) = last.filter(|record| record.rtype() == Rtype::TSIG) else { return Ok(None) };
    let key = lower(&record.owner());
    let record = record.to_record::<Tsig<_, ParsedName<_>>>().ok().flatten();
    let data = record.ok_or(Unreadable("a TSIG record that can't be read"))?.into_data();
    let time = data.time_signed().into_octets().iter().fold(0, |time, &byte| time << 8 | u64::from(byte));
    Ok(Some(Signed { key, algorithm: lower(data.algorithm()), mac: data.mac_slice().to_vec(), time }))
}

/// A name in wire form and lower case.
pub(crate) fn lower(name: &ParsedName<impl Octets>) -> Vec<u8> {
    name.to_vec().as_slice().to_ascii_lowercase()
}

/// Whether a serial is newer than another. Equal distance both ways is undefined in RFC 1982, and is not newer here.
#[must_use]
pub fn is_newer(serial: u32, than: u32) -> bool {
    Serial::from(serial) > Serial::from(than)
}
