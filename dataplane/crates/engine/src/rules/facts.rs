//! What the tests of the rules look at: the message as it was read, its client, and the time.

use wire::{Query, Question, name};

use crate::cookies::Shown;
use crate::decide::{Client, Now};
use crate::lists::Lists;

/// One message. Nothing is computed before a test asks for it.
#[derive(Clone, Copy)]
pub(crate) struct Facts<'q, 'm> {
    pub(crate) query: &'q Query<'m>,
    pub(crate) message: &'q [u8],
    pub(crate) client: &'q Client<'q>,
    pub(crate) lists: &'q Lists,
    pub(crate) zone: Option<u32>,
    /// What it shows of a cookie; nothing while cookies are off.
    pub(crate) shown: Shown,
    pub(crate) now: Now,
}

impl<'m> Facts<'_, 'm> {
    #[inline]
    pub(crate) fn question(&self) -> Option<&Question<'m>> {
        self.query.question.as_ref()
    }

    #[inline]
    pub(crate) fn is_verified(&self) -> bool {
        self.shown == Shown::Valid
    }

    /// What the header says of the records in a section, from 0 (question) to 3 (additional).
    #[inline]
    pub(crate) fn count(&self, section: u8) -> u16 {
        let at = 4 + 2 * usize::from(section & 3);
        self.message.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |&pair| u16::from_be_bytes(pair))
    }

    #[inline]
    pub(crate) fn has_option(&self, codes: &[u16]) -> bool {
        self.query.options().any(|(code, _)| codes.contains(&code))
    }

    /// A number below 2^32 that nobody outside can foresee, another one for each `place`: the message's time in
    /// nanoseconds, ID and port, mixed (the finalizer of SplitMix64).
    #[inline]
    pub(crate) fn draw(&self, place: u32) -> u64 {
        let who = u64::from(self.query.id) << 16 | u64::from(self.client.port);
        let seed =
            (self.now.clock ^ who << 32).wrapping_add((u64::from(place) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mixed = (seed ^ seed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) >> 32
    }
}

/// The TLVs of a PROXY header: type, length (2), value.
pub(crate) fn tlvs(mut rest: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (&[kind, l0, l1], behind) = rest.split_first_chunk::<3>()?;
        let (value, next) = behind.split_at_checked(usize::from(u16::from_be_bytes([l0, l1])))?;
        rest = next;
        Some((kind, value))
    })
}

/// The wire form of a host name as TLS writes it (RFC 6066 section 3), with its labels; `None` for what is no name.
pub(crate) fn host_name<'b>(text: &[u8], into: &'b mut [u8; name::MAX_NAME]) -> Option<(&'b [u8], u8)> {
    let mut at = 0;
    let mut labels = 0;
    for label in text.split(|&byte| byte == b'.') {
        if label.is_empty() || label.len() > 63 {
            return None;
        }
        *into.get_mut(at)? = label.len() as u8;
        into.get_mut(at + 1..at + 1 + label.len())?.copy_from_slice(label);
        at += 1 + label.len();
        labels += 1;
    }
    *into.get_mut(at)? = 0;
    Some((&into[..=at], labels))
}
