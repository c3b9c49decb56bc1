//! A zone transfer (RFC 5936 section 2.2): answers that begin and end with the same SOA, each behind its length in two
//! bytes. Names may be compressed (RFC 1035 section 4.1.4).

use std::io::{self, BufRead, Read};

use wire::HEADER_LEN;
use wire::name::{MAX_NAME, equal};

use super::rpz::{Data, Zone};
use super::{ReadError, judge};
use crate::builder::ListBuilder;

const CNAME: u16 = 5;
const SOA: u16 = 6;
/// DS, RRSIG, NSEC, DNSKEY, NSEC3, NSEC3PARAM, CDS, CDNSKEY.
const SIGNATURES: [u16; 8] = [43, 46, 47, 48, 50, 51, 59, 60];

pub(crate) fn read(input: &mut dyn BufRead, strict: bool, builder: &mut ListBuilder) -> Result<(), ReadError> {
    let mut message = Vec::new();
    let mut walk = Walk { apex: None, soas: 0, owner: Vec::new(), target: Vec::new() };
    for number in 1.. {
        let mut length = [0; 2];
        match input.read_exact(&mut length) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error.into()),
        }
        message.clear();
        let length = u16::from_be_bytes(length);
        (&mut *input).take(length.into()).read_to_end(&mut message)?;
        if message.len() != usize::from(length) {
            return Err(ReadError::Transfer(number, "it is cut"));
        }
        walk.message(&message, number, strict, builder)?;
    }
    match walk.soas {
        2 => Ok(()),
        _ => Err(ReadError::Transfer(0, "it does not end with the SOA that it began with")),
    }
}

struct Walk {
    apex: Option<Vec<u8>>,
    soas: u8,
    owner: Vec<u8>,
    target: Vec<u8>,
}

impl Walk {
    fn message(
        &mut self,
        message: &[u8],
        number: u64,
        strict: bool,
        builder: &mut ListBuilder,
    ) -> Result<(), ReadError> {
        let broken = |what| ReadError::Transfer(number, what);
        let header: &[u8; HEADER_LEN] = message.first_chunk().ok_or(broken("it is too short"))?;
        if header[3] & 0x0f != 0 || header[2] & 0x80 == 0 {
            return Err(broken("it is an error, or no answer"));
        }
        let mut at = HEADER_LEN;
        for _ in 0..u16::from_be_bytes([header[4], header[5]]) {
            at = name(message, at, &mut self.owner).ok_or(broken("a name is malformed"))? + 4;
        }
        for _ in 0..u16::from_be_bytes([header[6], header[7]]) {
            if self.soas == 2 {
                return Err(broken("records behind the closing SOA"));
            }
            at = name(message, at, &mut self.owner).ok_or(broken("a name is malformed"))?;
            let head: &[u8; 10] =
                message.get(at..).and_then(|rest| rest.first_chunk()).ok_or(broken("a record is cut"))?;
            let end = at + 10 + usize::from(u16::from_be_bytes([head[8], head[9]]));
            if end > message.len() {
                return Err(broken("a record is cut"));
            }
            let data = match u16::from_be_bytes([head[0], head[1]]) {
                SOA => {
                    if self.apex.as_ref().is_some_and(|apex| !equal(apex, &self.owner)) {
                        return Err(broken("the SOA of another zone"));
                    }
                    self.soas += 1;
                    Data::Soa
                }
                _ if self.soas == 0 => return Err(broken("it does not begin with the SOA")),
                CNAME => {
                    let target = name(message, at + 10, &mut self.target);
                    if target != Some(end) {
                        return Err(broken("a name is malformed"));
                    }
                    Data::Cname(&self.target)
                }
                kind if SIGNATURES.contains(&kind) => Data::Signature,
                _ => Data::Other,
            };
            let mut zone = Zone { apex: self.apex.take(), builder };
            let result = zone.record(&self.owner, data);
            self.apex = zone.apex;
            judge(result, number, strict, builder)?;
            at = end;
        }
        Ok(())
    }
}

/// How many SOA records the answer section of a message has; none if it is an error, no answer, or malformed.
#[must_use]
pub fn count_soas(message: &[u8]) -> Option<u32> {
    let header: &[u8; HEADER_LEN] = message.first_chunk()?;
    if header[3] & 0x0f != 0 || header[2] & 0x80 == 0 {
        return None;
    }
    let (mut at, mut soas, mut scratch) = (HEADER_LEN, 0, Vec::new());
    for _ in 0..u16::from_be_bytes([header[4], header[5]]) {
        at = name(message, at, &mut scratch)? + 4;
    }
    for _ in 0..u16::from_be_bytes([header[6], header[7]]) {
        at = name(message, at, &mut scratch)?;
        let head: &[u8; 10] = message.get(at..)?.first_chunk()?;
        soas += u32::from(u16::from_be_bytes([head[0], head[1]]) == SOA);
        at += 10 + usize::from(u16::from_be_bytes([head[8], head[9]]));
    }
    (at <= message.len()).then_some(soas)
}

/// Copies the name at `at` without compression, and returns where it ends. Each pointer must lead before the part that
/// it stands in, so that none is followed twice.
fn name(message: &[u8], mut at: usize, out: &mut Vec<u8>) -> Option<usize> {
    out.clear();
    let (mut end, mut low) = (None, at);
    loop {
        let length = *message.get(at)?;
        match length {
            0 => {
                out.push(0);
                return Some(end.unwrap_or(at + 1));
            }
            1..=63 => {
                let behind = at + 1 + usize::from(length);
                out.extend(message.get(at..behind)?);
                if out.len() >= MAX_NAME {
                    return None;
                }
                at = behind;
            }
            64..=191 => return None,
            192.. => {
                let target = usize::from(length & 0x3f) << 8 | usize::from(*message.get(at + 1)?);
                if target >= low {
                    return None;
                }
                end = end.or(Some(at + 2));
                (at, low) = (target, target);
            }
        }
    }
}
