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
    let begin = into.len();
    let (mut at, mut before, mut end, mut pointers) = (at, at, 0, 0);
    loop {
        let length = *message.get(at)?;
        match length {
            0 => {
                into.push(0);
                return Some(if pointers == 0 { at + 1 } else { end });
            }
            1..=63 => {
                let label = message.get(at..=at + usize::from(length))?;
                // Room for the root label is left.
                if into.len() - begin + label.len() >= MAX_NAME {
                    return None;
                }
                into.extend(label.iter().map(u8::to_ascii_lowercase));
                at += label.len();
            }
            64..=191 => return None,
            192.. => {
                let target = usize::from(length & 0x3f) << 8 | usize::from(*message.get(at + 1)?);
                if pointers == 0 {
                    end = at + 2;
                }
                pointers += 1;
                if target < HEADER_LEN || target >= before || pointers > MAX_LABELS {
                    return None;
                }
                (at, before) = (target, target);
            }
        }
    }
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
