//! The wire check: what a client may send. Every rule has a row in `docs/wire-check.md`.
//!
//! The order is that of the message, with one exception: the opcode is judged before the counts, because other opcodes
//! give the sections another meaning. Structure comes before meaning, so that a message which is both broken and
//! refused is called broken, as BIND and NSD do.

use crate::message::{
    AnyOverUdp, Checks, Choice, Fault, HEADER_LEN, Query, Question, Reaction, Transport, class, opcode, qtype, rcode,
};
use crate::name::{NameFault, skip_plain};
use crate::reason::Reason;
use crate::records::{Found, walk};

/// Bytes of the largest datagram that is read: one Ethernet frame. Queries and NOTIFY are far smaller, and an UPDATE
/// that does not fit goes over TCP.
pub const UDP_MAX: usize = 1500;
/// Bytes of the largest QUERY or NOTIFY over a stream; an UPDATE may fill the 64 KiB that the length prefix can say.
pub const TCP_MAX: usize = 4096;
/// NSD reads over as many authority records of an IXFR; one, the client's SOA, makes sense (RFC 1995 section 3).
const IXFR_AUTHORITY_MAX: u16 = 64;

const QR: u16 = 0x8000;
const TC: u16 = 0x0200;
const RCODE: u16 = 0x000f;

type Refusal = (Reason, Reaction);

const fn reply(reason: Reason, code: u16) -> Refusal {
    (reason, Reaction::Reply { rcode: code, truncated: false })
}

const fn formerr(reason: Reason) -> Refusal {
    reply(reason, rcode::FORMERR)
}

const fn choose(choice: Choice, reason: Reason) -> Result<(), Refusal> {
    match choice {
        Choice::Pass => Ok(()),
        Choice::Formerr => Err(formerr(reason)),
        Choice::Drop => Err((reason, Reaction::Drop)),
    }
}

/// Checks a message that a client sent.
///
/// `message` is the DNS message alone, without the length prefix of a stream. Over a stream [`Reaction::Drop`] means
/// that the connection is of no further use: no honest client sends such a message.
///
/// # Errors
/// A [`Fault`] with the first rule that the message breaks and the reaction to it.
#[inline]
pub fn check_query<'m>(message: &'m [u8], transport: Transport, checks: &Checks) -> Result<Query<'m>, Fault> {
    let mut question = None;
    let mut found = Found::default();
    match pass(message, transport, checks, &mut question, &mut found) {
        Ok(header) => Ok(Query {
            id: header.id,
            flags: header.flags,
            opcode: header.opcode(),
            question,
            edns: found.edns,
            cookie: found.cookie,
            signed: found.signed,
        }),
        Err((reason, reaction)) => Err(Fault {
            reason,
            reaction,
            question_len: question.map_or(0, |question| question.wire_len()),
            edns: found.edns,
            cookie: found.cookie,
        }),
    }
}

#[inline]
fn pass<'m>(
    message: &'m [u8],
    transport: Transport,
    checks: &Checks,
    question: &mut Option<Question<'m>>,
    found: &mut Found,
) -> Result<Header, Refusal> {
    let header = Header::read(message).ok_or((Reason::TooShort, Reaction::Drop))?;
    header.check(message.len(), transport, checks)?;
    let mut end = HEADER_LEN;
    if header.questions == 1 {
        let read = read_question(message).map_err(formerr)?;
        end += usize::from(read.wire_len());
        header.check_authority(read.qtype)?;
        *question = Some(read);
    }
    let plain = u32::from(header.answers) + u32::from(header.authorities);
    end = walk(message, end, plain, header.additionals, found).map_err(formerr)?;
    if end != message.len() {
        choose(checks.trailing_bytes, Reason::TrailingBytes)?;
    }
    if found.edns.is_some_and(|edns| edns.version > 0) {
        return Err(reply(Reason::EdnsVersion, rcode::BADVERS));
    }
    match question {
        Some(question) => check_meaning(question, header.opcode(), transport, checks)?,
        // RFC 7873 section 5.4: a query without a question asks for a server cookie and for nothing else.
        None if found.cookie.is_some() => {}
        None => return Err(formerr(Reason::QuestionCount)),
    }
    Ok(header)
}

struct Header {
    id: u16,
    flags: u16,
    questions: u16,
    answers: u16,
    authorities: u16,
    additionals: u16,
}

impl Header {
    #[inline]
    fn read(message: &[u8]) -> Option<Self> {
        let &[i0, i1, f0, f1, q0, q1, a0, a1, n0, n1, r0, r1] = message.first_chunk::<HEADER_LEN>()?;
        Some(Self {
            id: u16::from_be_bytes([i0, i1]),
            flags: u16::from_be_bytes([f0, f1]),
            questions: u16::from_be_bytes([q0, q1]),
            answers: u16::from_be_bytes([a0, a1]),
            authorities: u16::from_be_bytes([n0, n1]),
            additionals: u16::from_be_bytes([r0, r1]),
        })
    }

    const fn opcode(&self) -> u8 {
        (self.flags >> 11) as u8 & 0x0f
    }

    /// Everything that the header alone can tell. Flags that are not named here are ignored, as NSD, Knot and BIND do
    /// (AA, for one, is set in a NOTIFY: RFC 1996 section 3.7).
    #[inline]
    fn check(&self, length: usize, transport: Transport, checks: &Checks) -> Result<(), Refusal> {
        let opcode = self.opcode();
        if self.flags & QR != 0 {
            return Err((Reason::IsResponse, Reaction::Drop));
        }
        let most = match transport {
            Transport::Udp => UDP_MAX,
            _ if opcode == opcode::UPDATE => usize::from(u16::MAX),
            _ => TCP_MAX,
        };
        if length > most {
            return Err((Reason::TooLarge, Reaction::Drop));
        }
        if !matches!(opcode, opcode::QUERY | opcode::NOTIFY | opcode::UPDATE) {
            return Err(reply(Reason::Opcode, rcode::NOTIMP));
        }
        if self.flags & TC != 0 {
            choose(checks.tc_bit, Reason::TcBit)?;
        }
        if self.flags & RCODE != 0 {
            return Err(formerr(Reason::RcodeSet));
        }
        self.check_counts(opcode)
    }

    #[inline]
    fn check_counts(&self, opcode: u8) -> Result<(), Refusal> {
        let cookie_only = opcode == opcode::QUERY
            && self.questions == 0
            && self.answers == 0
            && self.authorities == 0
            && self.additionals == 1;
        if self.questions != 1 && !cookie_only {
            return Err(formerr(Reason::QuestionCount));
        }
        // RFC 2136 section 2: the sections of an UPDATE are prerequisites, changes and additional data, of any number.
        if opcode == opcode::UPDATE {
            return Ok(());
        }
        // A NOTIFY may carry the new SOA (RFC 1996 section 3.7).
        if self.answers > u16::from(opcode == opcode::NOTIFY) {
            return Err(formerr(Reason::AnswerCount));
        }
        if self.additionals > 2 {
            return Err(formerr(Reason::AdditionalCount));
        }
        Ok(())
    }

    /// The authority section depends on the type that is asked for.
    #[inline]
    fn check_authority(&self, kind: u16) -> Result<(), Refusal> {
        let most = match self.opcode() {
            opcode::UPDATE => u16::MAX,
            opcode::QUERY if kind == qtype::IXFR => IXFR_AUTHORITY_MAX,
            _ => 0,
        };
        if self.authorities > most { Err(formerr(Reason::AuthorityCount)) } else { Ok(()) }
    }
}

/// Reads the question that stands behind the header.
#[inline]
pub(crate) fn read_question(message: &[u8]) -> Result<Question<'_>, Reason> {
    let (end, labels) = skip_plain(message, HEADER_LEN).map_err(|fault| match fault {
        NameFault::Cut => Reason::NameCut,
        NameFault::LabelType => Reason::NameLabelType,
        NameFault::Pointer => Reason::NameCompressed,
        NameFault::TooLong => Reason::NameTooLong,
    })?;
    let name = message.get(HEADER_LEN..end).ok_or(Reason::NameCut)?;
    let Some(&[t0, t1, c0, c1]) = message.get(end..).and_then(|rest| rest.first_chunk::<4>()) else {
        return Err(Reason::QuestionCut);
    };
    Ok(Question { name, labels, qtype: u16::from_be_bytes([t0, t1]), qclass: u16::from_be_bytes([c0, c1]) })
}

/// Types and classes that can't be asked for (rows 14 and 15).
#[inline]
fn check_meaning(question: &Question<'_>, op: u8, transport: Transport, checks: &Checks) -> Result<(), Refusal> {
    match (op, question.qtype) {
        (_, 0) => return Err(formerr(Reason::QtypeZero)),
        (opcode::UPDATE, kind) if kind != qtype::SOA => return Err(formerr(Reason::UpdateZoneType)),
        (_, qtype::OPT | qtype::TSIG) => return Err(formerr(Reason::QtypeMeta)),
        // RFC 6895 section 3.1: 128 to 255 are meta types, which have no data that could have changed.
        (opcode::NOTIFY, 128..=255) => return Err(formerr(Reason::QtypeMeta)),
        (_, qtype::TKEY) => return Err(reply(Reason::TkeyRefused, rcode::REFUSED)),
        (_, qtype::AXFR) if transport == Transport::Udp => return Err(formerr(Reason::AxfrOverUdp)),
        (_, qtype::ANY) if transport == Transport::Udp => match checks.any_over_udp {
            AnyOverUdp::Pass => {}
            AnyOverUdp::Truncate => {
                return Err((Reason::AnyOverUdp, Reaction::Reply { rcode: rcode::NOERROR, truncated: true }));
            }
            AnyOverUdp::Refuse => return Err(reply(Reason::AnyOverUdp, rcode::REFUSED)),
        },
        _ => {}
    }
    match question.qclass {
        class::IN => Ok(()),
        class::CHAOS if op == opcode::QUERY && checks.chaos => Ok(()),
        class::CHAOS => Err(reply(Reason::ChaosRefused, rcode::REFUSED)),
        _ => Err(reply(Reason::ClassRefused, rcode::REFUSED)),
    }
}
