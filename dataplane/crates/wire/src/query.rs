//! The wire check: what a client may send. Every rule has a row in `docs/wire-check.md`.
//!
//! The order is that of the message, with one exception: the opcode is judged before the counts, because other opcodes
//! give the sections another meaning. Structure comes before meaning, so that a message which is both broken and
//! refused is called broken, as BIND and NSD do.

use crate::checks::{Checks, Row};
use crate::message::{Fault, HEADER_LEN, Query, Question, Reaction, Transport, class, opcode, qtype, rcode};
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
    let mut judge = Judge { checks, observed: None };
    match pass(message, transport, &mut judge, &mut question, &mut found) {
        Ok(header) => Ok(Query {
            id: header.id,
            flags: header.flags,
            opcode: header.opcode(),
            question,
            edns: found.edns,
            cookie: found.cookie,
            options: found.options,
            trailing: found.trailing,
            signed: found.signed,
            observed: judge.observed,
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

/// Says what is done about each fault, and remembers the first that is only observed.
struct Judge<'c> {
    checks: &'c Checks,
    observed: Option<Reason>,
}

impl Judge<'_> {
    /// A fault was found. `Ok`: the message passes all the same.
    #[cold]
    fn fault(&mut self, reason: Reason) -> Result<(), Refusal> {
        match self.checks.row(reason) {
            Row::Pass => Ok(()),
            Row::Observe => {
                self.observed.get_or_insert(reason);
                Ok(())
            }
            Row::Refuse(reaction) => Err((reason, reaction)),
        }
    }

    #[inline]
    fn expect(&mut self, holds: bool, reason: Reason) -> Result<(), Refusal> {
        if holds { Ok(()) } else { self.fault(reason) }
    }
}

#[inline]
fn pass<'m>(
    message: &'m [u8],
    transport: Transport,
    judge: &mut Judge<'_>,
    question: &mut Option<Question<'m>>,
    found: &mut Found<'m>,
) -> Result<Header, Refusal> {
    let header = Header::read(message).ok_or((Reason::TooShort, Reaction::Drop))?;
    header.check(message.len(), transport, judge)?;
    if header.questions == 1 && header.is_known() {
        match read_question(message) {
            Ok(read) => {
                judge.expect(header.has_right_authority(read.qtype), Reason::AuthorityCount)?;
                *question = Some(read);
            }
            Err(reason) => {
                judge.fault(reason)?;
                return Ok(header);
            }
        }
    } else if !header.is_cookie_only() {
        // Sections that mean something else, or that nobody can tell apart: what the backend makes of them is matched
        // by the question, if there is one.
        *question = read_question(message).ok().filter(|_| header.questions > 0);
        return Ok(header);
    }
    let begin = HEADER_LEN + question.map_or(0, |question| usize::from(question.wire_len()));
    let plain = u32::from(header.answers) + u32::from(header.authorities);
    match walk(message, begin, plain, header.additionals, found) {
        Ok(end) => {
            // No message has more than 64 KiB.
            found.trailing = (message.len() - end) as u16;
            judge.expect(found.trailing == 0, Reason::TrailingBytes)?;
        }
        Err(reason) => {
            judge.fault(reason)?;
            // The walk did not see all of what passes now, so nothing in it may be changed.
            found.cookie = None;
        }
    }
    judge.expect(found.edns.is_none_or(|edns| edns.version == 0), Reason::EdnsVersion)?;
    match question {
        Some(question) => check_meaning(question, header.opcode(), transport, judge)?,
        // RFC 7873 section 5.4: a query without a question asks for a server cookie and for nothing else.
        None => judge.expect(found.cookie.is_some(), Reason::QuestionCount)?,
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

    const fn is_known(&self) -> bool {
        opcode::is_known(self.opcode())
    }

    /// The counts of a query that may ask for a server cookie and for nothing else.
    const fn is_cookie_only(&self) -> bool {
        let counts = (self.questions, self.answers, self.authorities, self.additionals);
        self.opcode() == opcode::QUERY && matches!(counts, (0, 0, 0, 1))
    }

    /// Everything that the header alone can tell. Flags that are not named here are ignored, as NSD, Knot and BIND do
    /// (AA, for one, is set in a NOTIFY: RFC 1996 section 3.7).
    #[inline]
    fn check(&self, length: usize, transport: Transport, judge: &mut Judge<'_>) -> Result<(), Refusal> {
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
        if !self.is_known() {
            return judge.fault(Reason::Opcode);
        }
        judge.expect(self.flags & TC == 0, Reason::TcBit)?;
        judge.expect(self.flags & RCODE == 0, Reason::RcodeSet)?;
        self.check_counts(opcode, judge)
    }

    #[inline]
    fn check_counts(&self, opcode: u8, judge: &mut Judge<'_>) -> Result<(), Refusal> {
        judge.expect(self.questions == 1 || self.is_cookie_only(), Reason::QuestionCount)?;
        // RFC 2136 section 2: the sections of an UPDATE are prerequisites, changes and additional data, of any number.
        if opcode == opcode::UPDATE {
            return Ok(());
        }
        // A NOTIFY may carry the new SOA (RFC 1996 section 3.7).
        judge.expect(self.answers <= u16::from(opcode == opcode::NOTIFY), Reason::AnswerCount)?;
        judge.expect(self.additionals <= 2, Reason::AdditionalCount)
    }

    /// The authority section depends on the type that is asked for.
    #[inline]
    fn has_right_authority(&self, kind: u16) -> bool {
        let most = match self.opcode() {
            opcode::UPDATE => u16::MAX,
            opcode::QUERY if kind == qtype::IXFR => IXFR_AUTHORITY_MAX,
            _ => 0,
        };
        self.authorities <= most
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
fn check_meaning(question: &Question<'_>, op: u8, transport: Transport, judge: &mut Judge<'_>) -> Result<(), Refusal> {
    let over_udp = transport == Transport::Udp;
    match (op, question.qtype) {
        (_, 0) => judge.fault(Reason::QtypeZero)?,
        (opcode::UPDATE, kind) if kind != qtype::SOA => judge.fault(Reason::UpdateZoneType)?,
        (_, qtype::OPT | qtype::TSIG) => judge.fault(Reason::QtypeMeta)?,
        // RFC 6895 section 3.1: 128 to 255 are meta types, which have no data that could have changed.
        (opcode::NOTIFY, 128..=255) => judge.fault(Reason::QtypeMeta)?,
        (_, qtype::TKEY) => judge.fault(Reason::TkeyRefused)?,
        (_, qtype::AXFR) if over_udp => judge.fault(Reason::AxfrOverUdp)?,
        (_, qtype::ANY) if over_udp => judge.fault(Reason::AnyOverUdp)?,
        _ => {}
    }
    match question.qclass {
        class::IN => Ok(()),
        class::CHAOS => {
            judge.fault(Reason::ChaosRefused)?;
            // It can be let pass in a QUERY only.
            if op == opcode::QUERY {
                Ok(())
            } else {
                Err((Reason::ChaosRefused, Reaction::Reply { rcode: rcode::REFUSED, truncated: false }))
            }
        }
        _ => judge.fault(Reason::ClassRefused),
    }
}
