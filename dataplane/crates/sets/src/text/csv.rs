//! One column of a CSV file (RFC 4180). A field may stand in quotes, but not go over several lines. Lines that begin with
//! `#` are comments. The first line is a heading if its column is no entry, or a single word.

use super::Stop;
use super::entries::Entries;
use crate::builder::Why;

/// `first` is taken away by the first line that is no comment.
pub(crate) fn line(line: &[u8], column: usize, first: &mut bool, entries: &mut Entries<'_>) -> Result<(), Stop> {
    if line.trim_ascii().is_empty() || line.starts_with(b"#") {
        return Ok(());
    }
    let heading = std::mem::take(first);
    let result = field(line, column).map_err(Stop::from).and_then(|field| {
        let word = heading && field.iter().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-'));
        if word { Ok(()) } else { entries.add(&field) }
    });
    match result {
        Err(Stop::Garbage(_)) if heading => Ok(()),
        result => result,
    }
}

/// The field of this number, from 0, without quotes and without spaces around it.
fn field(mut rest: &[u8], column: usize) -> Result<Vec<u8>, Why> {
    for number in 0.. {
        rest = rest.trim_ascii_start();
        let (value, end) = if rest.first() == Some(&b'"') {
            quoted(rest)?
        } else {
            let end = rest.iter().position(|byte| *byte == b',').unwrap_or(rest.len());
            (rest[..end].trim_ascii().to_vec(), end)
        };
        if number == column {
            return Ok(value);
        }
        if end >= rest.len() {
            break;
        }
        rest = &rest[end + 1..];
    }
    Err(Why::NoColumn)
}

/// The value in quotes at the beginning of `rest`, and where the comma behind it is (or the end).
fn quoted(rest: &[u8]) -> Result<(Vec<u8>, usize), Why> {
    let mut value = Vec::new();
    let mut at = 1;
    loop {
        match (rest.get(at), rest.get(at + 1)) {
            (None, _) => return Err(Why::Quotes),
            (Some(b'"'), Some(b'"')) => {
                value.push(b'"');
                at += 2;
            }
            (Some(b'"'), _) => break,
            (Some(byte), _) => {
                value.push(*byte);
                at += 1;
            }
        }
    }
    let behind = &rest[at + 1..];
    let blank = behind.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    match behind.get(blank) {
        None | Some(b',') => Ok((value, at + 1 + blank)),
        Some(_) => Err(Why::Quotes),
    }
}
