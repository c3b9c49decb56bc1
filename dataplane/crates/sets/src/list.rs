//! A list: names and prefixes with what happens to those who ask for them or from them, in flat memory.

use std::fmt;
use std::net::IpAddr;

use crate::file::{self, Checksum, HEADER, Header};
use crate::names::Names;
use crate::prefixes::Prefixes;

/// What an entry of a list wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Effect {
    /// What the list itself is configured to do.
    Listed = 0,
    /// NXDOMAIN (RPZ: CNAME to the root).
    Nxdomain = 1,
    /// NOERROR without records (RPZ: CNAME to `*.`).
    Nodata = 2,
    /// Let it pass, by later lists too (RPZ: `rpz-passthru.`).
    Pass = 3,
    /// No answer (RPZ: `rpz-drop.`).
    Drop = 4,
    /// An answer with TC over UDP, none of ours over TCP (RPZ: `rpz-tcp-only.`).
    Truncate = 5,
}

impl Effect {
    const fn from_value(value: u32) -> Option<Self> {
        Some(match value {
            0 => Self::Listed,
            1 => Self::Nxdomain,
            2 => Self::Nodata,
            3 => Self::Pass,
            4 => Self::Drop,
            5 => Self::Truncate,
            _ => return None,
        })
    }
}

/// Why memory is no list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListError {
    /// Not a list of this version.
    Foreign,
    /// Shorter or longer than its header says.
    Length,
    /// The header says what can't be.
    Shape,
    /// The checksum does not hold.
    Checksum,
}

impl fmt::Display for ListError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Foreign => "no list of this version of the gateway",
            Self::Length => "not as long as it says",
            Self::Shape => "a header that makes no sense",
            Self::Checksum => "the checksum does not hold",
        })
    }
}

impl std::error::Error for ListError {}

/// A list over memory that is not trusted. Nothing of it is copied.
#[derive(Clone)]
pub struct List<M> {
    names: Names,
    prefixes: Prefixes,
    header: Header,
    memory: M,
}

impl<M> fmt::Debug for List<M> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("List").field("names", &self.names()).field("prefixes", &self.prefixes()).finish()
    }
}

impl<M: AsRef<[u8]>> List<M> {
    /// Reads all of `memory` once, for the checksum.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn open(memory: M) -> Result<Self, ListError> {
        let list = Self::trust(memory)?;
        let (head, body) = list.memory.as_ref().split_first_chunk::<HEADER>().ok_or(ListError::Length)?;
        let mut sum = Checksum::default();
        sum.add(body);
        if file::checksum(head, sum) != list.header.checksum {
            return Err(ListError::Checksum);
        }
        Ok(list)
    }

    /// A list whose checksum nobody looked at, as a forger would have it.
    fn trust(memory: M) -> Result<Self, ListError> {
        let bytes = memory.as_ref();
        let header = Header::read(bytes).ok_or(ListError::Foreign)?;
        if header.length != bytes.len() as u64 {
            return Err(ListError::Length);
        }
        let (names, middle) = Names::place(HEADER, header.names).ok_or(ListError::Shape)?;
        let (prefixes, end) = Prefixes::place(middle, header.prefixes).ok_or(ListError::Shape)?;
        if end != bytes.len() {
            return Err(ListError::Shape);
        }
        Ok(Self { names, prefixes, header, memory })
    }

    /// What the most specific entry wants that `name` lies in. `name` is in wire form and any case, `labels` the number
    /// of its labels without the root.
    #[inline]
    #[must_use]
    pub fn name(&self, name: &[u8], labels: u8) -> Option<Effect> {
        self.names.get(self.memory.as_ref(), name, labels).and_then(Effect::from_value)
    }

    /// What the longest prefix wants that `address` lies in.
    #[inline]
    #[must_use]
    pub fn client(&self, address: IpAddr) -> Option<Effect> {
        self.prefixes.get(self.memory.as_ref(), address).and_then(Effect::from_value)
    }
}

impl<M> List<M> {
    /// Different names.
    #[must_use]
    pub const fn names(&self) -> u32 {
        self.header.names.entries
    }

    /// Different prefixes.
    #[must_use]
    pub const fn prefixes(&self) -> u32 {
        self.header.prefixes.entries
    }

    /// Lines that were skipped when it was built.
    #[must_use]
    pub const fn garbage(&self) -> u64 {
        self.header.garbage
    }

    /// Entries that mean nothing before an answer is there.
    #[must_use]
    pub const fn not_applicable(&self) -> u64 {
        self.header.not_applicable
    }

    /// Which version of which source it was built from.
    #[must_use]
    pub const fn stamp(&self) -> u128 {
        self.header.stamp
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::{Effect, List};
    use crate::{ListBuilder, Scope};

    fn file() -> Vec<u8> {
        let mut builder = ListBuilder::new(100);
        for name in [&b"\x01a\0"[..], b"\x01b\x01a\0", b"\0"] {
            builder.add_name(name, Scope::Suffix, Effect::Drop).expect("a name");
        }
        for last in 0..40 {
            builder.add_prefix([192, 0, 2, last].into(), 32, Effect::Pass).expect("a prefix");
            builder.add_prefix([0x2001, 0xdb8, 0, 0, 0, 0, 0, last.into()].into(), 128, Effect::Pass).expect("one");
        }
        let mut file = Cursor::new(Vec::new());
        builder.write(&mut file, 0).expect("memory takes it");
        file.into_inner()
    }

    proptest! {
        #[test]
        fn a_forged_list_gives_some_answer_and_nothing_else(
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20),
            asked in proptest::collection::vec(any::<u8>(), 0..300),
            labels: u8,
            address: u128,
        ) {
            let mut forged = file();
            for (at, value) in changes {
                let at = at.index(forged.len());
                forged[at] = value;
            }
            if let Ok(list) = List::trust(forged) {
                let effects = [
                    list.name(&asked, labels),
                    list.name(b"\x01b\x01a\0", 2),
                    list.client(address.to_be_bytes().into()),
                    list.client([192, 0, 2, 7].into()),
                ];
                prop_assert!(effects.iter().flatten().all(|effect| (*effect as u32) < 6));
            }
        }
    }
}
