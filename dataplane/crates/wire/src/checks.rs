//! What is done about a message that breaks a row of the wire check: one choice for each reason.
//!
//! The usual choice is what NSD, Knot DNS and BIND do. An operator may choose another where it makes sense; `observe`
//! counts the fault and lets the message pass, so that a row can be tried before it is enforced. Three rows leave no
//! choice: a message without a header has nobody to be passed to, one that was cut is not whole, and a response is never
//! answered nor passed on, because either could start a loop.

use crate::message::{Reaction, rcode};
use crate::reason::Reason;

/// What is done about one kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// It is no fault.
    Pass,
    /// It is counted, and the message passes.
    Observe,
    /// The message does not pass.
    Refuse(Reaction),
}

const DROP: Row = Row::Refuse(Reaction::Drop);
const TRUNCATE: Row = Row::Refuse(Reaction::Reply { rcode: rcode::NOERROR, truncated: true });

const fn reply(rcode: u16) -> Row {
    Row::Refuse(Reaction::Reply { rcode, truncated: false })
}

/// The choice for every reason of the wire check and of the source check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checks {
    rows: [Row; Reason::COUNT],
}

impl Default for Checks {
    fn default() -> Self {
        Self { rows: Reason::ALL.map(usual) }
    }
}

/// What the field's servers do.
const fn usual(reason: Reason) -> Row {
    match reason {
        Reason::TcBit => Row::Pass,
        Reason::TooShort
        | Reason::TooLarge
        | Reason::IsResponse
        | Reason::SourcePort
        | Reason::SourceAddress
        | Reason::OwnAddress => DROP,
        Reason::Opcode => reply(rcode::NOTIMP),
        Reason::EdnsVersion => reply(rcode::BADVERS),
        Reason::AnyOverUdp => TRUNCATE,
        Reason::TkeyRefused | Reason::ChaosRefused | Reason::ClassRefused => reply(rcode::REFUSED),
        _ => reply(rcode::FORMERR),
    }
}

impl Checks {
    /// The choice for a reason; one that is none of the wire check's is not looked up.
    #[inline]
    #[must_use]
    pub const fn row(&self, reason: Reason) -> Row {
        self.rows[reason as usize]
    }

    /// Chooses by the word of the settings: pass, observe, drop, formerr, notimp, refuse, badvers or truncate.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn choose(&mut self, reason: Reason, word: &str) -> Result<(), String> {
        if !reason.is_of_wire_check() {
            return Err(format!("{} is no reason of the wire check", reason.label()));
        }
        let row = match word {
            "pass" => Row::Pass,
            "observe" => Row::Observe,
            "drop" => DROP,
            "formerr" => reply(rcode::FORMERR),
            "notimp" => reply(rcode::NOTIMP),
            "refuse" => reply(rcode::REFUSED),
            "badvers" => reply(rcode::BADVERS),
            "truncate" => TRUNCATE,
            _ => return Err(format!("{word:?} is no choice of a check")),
        };
        let fixed = matches!(reason, Reason::TooShort | Reason::TooLarge | Reason::IsResponse);
        if fixed && row != DROP {
            return Err(format!("{} leaves no choice: it is dropped", reason.label()));
        }
        let legal = matches!(
            reason,
            Reason::TcBit | Reason::TrailingBytes | Reason::AnyOverUdp | Reason::ChaosRefused | Reason::ClassRefused
        );
        if row == Row::Pass && !legal {
            return Err(format!("{} is a fault: observe it, and it passes and is counted", reason.label()));
        }
        // Where a reply may go to somebody else, or would be taken for a query, there is none.
        let silent = matches!(reason, Reason::SourcePort | Reason::SourceAddress | Reason::OwnAddress);
        if silent && matches!(row, Row::Refuse(Reaction::Reply { .. })) {
            return Err(format!("{} is never answered", reason.label()));
        }
        self.rows[reason as usize] = row;
        Ok(())
    }
}
