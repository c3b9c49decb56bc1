//! What a backend's answer must look like before it is matched to a query. Records are not read: the node is ours, and
//! the client gets its bytes unchanged.

use crate::message::{HEADER_LEN, Question};
use crate::query::read_question;
use crate::reason::Reason;

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
