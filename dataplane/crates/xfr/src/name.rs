//! Names of transfers: expanded, in lower case, straight into the record's canonical form.
//!
//! `domain` reads names lazily and checks them again on each use; the walk needs each name once, whole and folded, at
//! some 10 ns. A pointer must lead strictly backwards, and at most as often as a name can have labels: compressors chain
//! them, one for each label of a name below ip6.arpa.

use wire::HEADER_LEN;
use wire::name::{MAX_LABELS, MAX_NAME};

/// Appends the name at `at`, expanded and in lower case; returns the offset behind it. `None`: it is no name, and what
/// was appended means nothing.
#[inline]
pub fn append(message: &[u8], at: usize, into: &mut Vec<u8>) -> Option<usize> {
    let (begin, start) = (into.len(), at);
    match labels(message, at, begin, into)? {
        (end, None) => Some(end),
        (end, Some(target)) => follow(message, target, start, begin, into).map(|()| end),
    }
}

/// Appends the labels at `at` of a name that begins at `begin` of the buffer, up to its end or its pointer; returns the
/// offset behind, and where the pointer leads.
#[inline]
pub fn labels(message: &[u8], at: usize, begin: usize, into: &mut Vec<u8>) -> Option<(usize, Option<usize>)> {
    let mut end = at;
    let (end, pointer) = loop {
        let length = *message.get(end)?;
        match length {
            0 => break (end + 1, None),
            1..=63 if end - at < MAX_NAME => end += 1 + usize::from(length),
            1..=63 => return None,
            64..=191 => return None,
            192.. => break (end, Some(usize::from(length & 0x3f) << 8 | usize::from(*message.get(end + 1)?))),
        }
    };
    let found = message.get(at..end)?;
    // Behind labels and pointer comes one byte at least.
    if into.len() - begin + found.len() + usize::from(pointer.is_some()) > MAX_NAME {
        return None;
    }
    let whole = into.len() + found.len();
    while let Some(missing) = whole.checked_sub(into.len()).filter(|&missing| missing > 0) {
        // Eight bytes at a time, beyond the labels too if the message goes on.
        let from = end - missing;
        match message.get(from..from + 8).and_then(|word| <[u8; 8]>::try_from(word).ok()) {
            Some(word) => into.extend_from_slice(&lower(u64::from_le_bytes(word)).to_le_bytes()),
            None => into.extend(message.get(from..end)?.iter().map(u8::to_ascii_lowercase)),
        }
    }
    into.truncate(whole);
    Some((if pointer.is_some() { end + 2 } else { end }, pointer))
}

/// Eight bytes in lower case: a letter is above 0x40 and not above 0x5a, found in all bytes at once by carries into their
/// eighth bits. Length bytes are below every letter.
#[inline]
const fn lower(word: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let seven = word & (0x7f * EACH);
    let letters = (seven + 0x3f * EACH) & !(seven + 0x25 * EACH) & !word & (0x80 * EACH);
    word | letters >> 2
}

/// Appends what a pointer leads to, of a name that stands at `start` of the message.
pub fn follow(message: &[u8], target: usize, start: usize, begin: usize, into: &mut Vec<u8>) -> Option<()> {
    let (mut target, mut before) = (target, start);
    for _ in 0..MAX_LABELS {
        if target < HEADER_LEN || target >= before {
            return None;
        }
        match labels(message, target, begin, into)? {
            (_, None) => return Some(()),
            (_, Some(next)) => (target, before) = (next, target),
        }
    }
    None
}

/// Appends the name at `at`, in lower case, that may not be compressed.
pub fn append_plain(message: &[u8], at: usize, into: &mut Vec<u8>) -> Option<usize> {
    let (end, _) = wire::name::skip_plain(message, at).ok()?;
    into.extend(message.get(at..end)?.iter().map(u8::to_ascii_lowercase));
    Some(end)
}

/// Whether a name is the zone's apex or below it; both in lower case.
#[inline]
#[must_use]
pub fn is_in_zone(name: &[u8], zone: &[u8]) -> bool {
    let Some(above) = name.len().checked_sub(zone.len()) else { return false };
    if name.get(above..) != Some(zone) {
        return false;
    }
    // The zone's bytes must begin where a label does.
    let mut at = 0;
    while at < above {
        match name.get(at) {
            Some(&length) => at += 1 + usize::from(length),
            None => return false,
        }
    }
    at == above
}

/// The name as in a zone file, for the words of a verdict.
#[must_use]
pub fn text(name: &[u8]) -> String {
    let mut text = String::new();
    let mut rest = name;
    while let Some((&length, tail)) = rest.split_first() {
        if length == 0 {
            break;
        }
        let (label, tail) = tail.split_at(tail.len().min(usize::from(length)));
        for &byte in label {
            match byte {
                b'.' | b'\\' => text.extend(['\\', char::from(byte)]),
                0x21..=0x7e => text.push(char::from(byte)),
                _ => text.push_str(&format!("\\{byte:03}")),
            }
        }
        text.push('.');
        rest = tail;
    }
    if text.is_empty() { ".".to_owned() } else { text }
}
