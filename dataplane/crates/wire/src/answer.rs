//! What a backend's answer must look like before it is matched to a query. Records are not read: the node is ours, and
//! the client gets its bytes unchanged.

use crate::message::{Echo, HEADER_LEN, Question, rcode};
use crate::query::read_question;
use crate::reason::Reason;
use crate::records::{Found, walk};
use crate::reply::write_reply;

/// What the match needs of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'m> {
    pub id: u16,
    pub opcode: u8,
    /// The lower 4 bits; the upper ones stand in OPT, which is not read.
    pub rcode: u8,
    pub truncated: bool,
    /// `None`: servers leave it out of some errors.
    pub question: Option<Question<'m>>,
}

/// Checks a message that a backend sent.
///
/// # Errors
/// One of the reasons `Answer…`.
#[inline]
pub fn check_answer(message: &[u8]) -> Result<Answer<'_>, Reason> {
    let Some(&[i0, i1, f0, f1, q0, q1, ..]) = message.first_chunk::<HEADER_LEN>() else {
        return Err(Reason::AnswerShort);
    };
    if f0 & 0x80 == 0 {
        return Err(Reason::AnswerNotResponse);
    }
    let question = match u16::from_be_bytes([q0, q1]) {
        0 => None,
        1 => Some(read_question(message).map_err(|_| Reason::AnswerQuestion)?),
        _ => return Err(Reason::AnswerQuestionCount),
    };
    Ok(Answer {
        id: u16::from_be_bytes([i0, i1]),
        opcode: f0 >> 3 & 0x0f,
        rcode: f1 & 0x0f,
        truncated: f0 & 0x02 != 0,
        question,
    })
}

/// Cuts the answer at the start of `buffer`, `length` bytes long, to its question and a bare OPT if it has one, with TC
/// set and NOERROR; returns the new length. `None`, and nothing is changed, if it is signed, which a cut would break, or
/// if it can't be read.
pub fn cut_answer(buffer: &mut [u8], length: usize) -> Option<usize> {
    let message = buffer.get(..length)?;
    let question_len = check_answer(message).ok()?.question.map_or(0, |question| question.wire_len());
    let &[_, _, _, _, _, _, a0, a1, n0, n1, r0, r1] = message.first_chunk::<HEADER_LEN>()?;
    let plain = u32::from(u16::from_be_bytes([a0, a1])) + u32::from(u16::from_be_bytes([n0, n1]));
    let mut found = Found::default();
    let start = HEADER_LEN + usize::from(question_len);
    walk(message, start, plain, u16::from_be_bytes([r0, r1]), &mut found).ok()?;
    if found.signed {
        return None;
    }
    let echo = Echo { question_len, edns: found.edns, ..Echo::default() };
    // The OPT that is written is no longer than the one that was there.
    Some(write_reply(buffer.get_mut(..length)?, echo, rcode::NOERROR, true)).filter(|&length| length > 0)
}
