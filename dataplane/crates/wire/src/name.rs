//! Domain names in wire form (RFC 1035 section 3.1 and 4.1.4): length byte, label, ..., 0.
//!
//! Label bytes are 8-bit clean; names compare without regard to ASCII case (RFC 4343) and keep the case they came in.
//! A length byte is at most 63 and the letters begin at 65, so a whole name can be folded byte by byte.

/// Bytes of the longest name, root label included (RFC 1035 section 2.3.4).
pub const MAX_NAME: usize = 255;
/// Labels of the longest name, without the root.
pub const MAX_LABELS: usize = 127;

/// Why a name could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameFault {
    /// Runs past the end of the message.
    Cut,
    /// A label type 01 or 10.
    LabelType,
    /// A compression pointer where none may be, or that does not lead strictly backwards.
    Pointer,
    /// Longer than 255 bytes.
    TooLong,
}

/// Reads over the uncompressed name at `start`; returns the offset behind it and the number of labels without the root.
///
/// # Errors
/// The first rule of the grammar that the bytes break.
#[inline]
pub fn skip_plain(message: &[u8], start: usize) -> Result<(usize, u8), NameFault> {
    let mut at = start;
    let mut labels = 0;
    loop {
        let length = *message.get(at).ok_or(NameFault::Cut)?;
        at += 1 + usize::from(length);
        match length {
            0 => return Ok((at, labels)),
            1..=63 => labels += 1,
            64..=191 => return Err(NameFault::LabelType),
            192.. => return Err(NameFault::Pointer),
        }
        if at - start >= MAX_NAME {
            return Err(NameFault::TooLong);
        }
    }
}

/// Reads over the owner name at `start`, which may end in a compression pointer; returns the offset behind it.
///
/// The pointer is not followed: it must lead into the message behind the header and strictly before this name, so
/// that following it elsewhere can't loop. Not following keeps the cost linear in the message.
///
/// # Errors
/// The first rule of the grammar that the bytes break.
#[inline]
pub fn skip_owner(message: &[u8], start: usize) -> Result<usize, NameFault> {
    let mut at = start;
    loop {
        let length = *message.get(at).ok_or(NameFault::Cut)?;
        match length {
            0 => return Ok(at + 1),
            1..=63 => at += 1 + usize::from(length),
            64..=191 => return Err(NameFault::LabelType),
            192.. => {
                let low = *message.get(at + 1).ok_or(NameFault::Cut)?;
                let target = usize::from(length & 0x3f) << 8 | usize::from(low);
                if target < crate::HEADER_LEN || target >= start {
                    return Err(NameFault::Pointer);
                }
                return Ok(at + 2);
            }
        }
        if at - start >= MAX_NAME {
            return Err(NameFault::TooLong);
        }
    }
}

/// Where the compression pointer leads in which the owner name at `start`, that was read over before, ends, if in one.
pub(crate) fn pointer(message: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    loop {
        match *message.get(at)? {
            0 => return None,
            length @ 1..=191 => at += 1 + usize::from(length),
            length => return Some(usize::from(length & 0x3f) << 8 | usize::from(*message.get(at + 1)?)),
        }
    }
}

/// Pointers of one name that are followed: NSD chains them, one for each label of a name below ip6.arpa.
const MOST_POINTERS: usize = MAX_LABELS;

/// Copies the name at `start`, with its compression pointers followed, into `into`; returns its length. `None`: it is
/// no name, or a pointer does not lead strictly backwards.
#[inline]
pub fn expand(message: &[u8], start: usize, into: &mut [u8; MAX_NAME]) -> Option<usize> {
    let (mut at, mut before, mut length, mut pointers) = (start, start, 0, 0);
    loop {
        let first = *message.get(at)?;
        match first {
            0..=63 => {
                let label = message.get(at..=at + usize::from(first))?;
                into.get_mut(length..length + label.len())?.copy_from_slice(label);
                length += label.len();
                at += label.len();
                if first == 0 {
                    return Some(length);
                }
            }
            64..=191 => return None,
            192.. => {
                let target = usize::from(first & 0x3f) << 8 | usize::from(*message.get(at + 1)?);
                pointers += 1;
                if target < crate::HEADER_LEN || target >= before || pointers > MOST_POINTERS {
                    return None;
                }
                (at, before) = (target, target);
            }
        }
    }
}

/// The labels of an uncompressed name in wire form, from the left, without the root.
#[derive(Clone, Debug)]
pub struct Labels<'n> {
    rest: &'n [u8],
}

/// Iterates over the labels of `name`. Bytes that are no name end the iteration early.
#[must_use]
pub const fn labels(name: &[u8]) -> Labels<'_> {
    Labels { rest: name }
}

impl<'n> Labels<'n> {
    /// What has not been walked yet: itself a name in wire form, so the parent of what has been.
    #[must_use]
    pub const fn rest(&self) -> &'n [u8] {
        self.rest
    }
}

impl<'n> Iterator for Labels<'n> {
    type Item = &'n [u8];

    #[inline]
    fn next(&mut self) -> Option<&'n [u8]> {
        let (&length, behind) = self.rest.split_first()?;
        if length == 0 || length > 63 {
            return None;
        }
        let (label, rest) = behind.split_at_checked(usize::from(length))?;
        self.rest = rest;
        Some(label)
    }
}

/// Whether two names in wire form are the same name (RFC 4343).
#[inline]
#[must_use]
pub fn equal(left: &[u8], right: &[u8]) -> bool {
    left.eq_ignore_ascii_case(right)
}

/// Copies `name` in lower case into `into` and returns the copy; `None` if it is longer than a name can be.
#[inline]
pub fn lowercase<'b>(name: &[u8], into: &'b mut [u8; MAX_NAME]) -> Option<&'b [u8]> {
    let copy = into.get_mut(..name.len())?;
    copy.copy_from_slice(name);
    copy.make_ascii_lowercase();
    Some(copy)
}
