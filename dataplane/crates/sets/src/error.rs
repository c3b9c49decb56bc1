//! What can't be put into a set.

use std::fmt;

/// Why an entry can't be put into a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetError {
    /// The bytes are not one whole name in wire form.
    Name,
    /// A prefix has more bits than an address of its family.
    Bits,
    /// The value `u32::MAX` stands for "none".
    Value,
    /// More entries than 32 bits can count.
    Full,
}

impl fmt::Display for SetError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Name => "not one whole name in wire form",
            Self::Bits => "more prefix bits than the address has",
            Self::Value => "the value is out of range",
            Self::Full => "too many entries",
        })
    }
}

impl std::error::Error for SetError {}
