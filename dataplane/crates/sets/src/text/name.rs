//! Names as text (RFC 1035 section 5.1), read into wire form.

use wire::name::MAX_NAME;

use crate::builder::Why;

/// What may stand in a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Letters {
    /// Letters, digits, hyphen and underscore: what names of hosts and services have. Anything else in a list of names
    /// is a page of HTML, or a typing error.
    Host,
    /// What a master file may have, with escapes.
    Any,
}

/// Writes the name into `out` in wire form. `origin` (also in wire form) is put behind a relative name; without it every
/// name is absolute.
pub(crate) fn parse(text: &[u8], letters: Letters, origin: Option<&[u8]>, out: &mut Vec<u8>) -> Result<(), Why> {
    out.clear();
    if text == b"." {
        out.push(0);
        return Ok(());
    }
    let mut label = 0;
    out.push(0);
    let mut rest = text.iter().copied();
    let mut ended = false;
    while let Some(byte) = rest.next() {
        ended = false;
        let byte = match byte {
            b'.' => {
                label = close(out, label)?;
                ended = true;
                continue;
            }
            b'\\' if letters == Letters::Any => escaped(&mut rest)?,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => byte,
            0x21..=0x7e if letters == Letters::Any => byte,
            0x80.. => return Err(Why::NotText),
            _ => return Err(Why::NoName),
        };
        out.push(byte);
        if out.len() > MAX_NAME {
            return Err(Why::NoName);
        }
    }
    if !ended {
        close(out, label)?;
        if let Some(origin) = origin {
            out.pop();
            out.extend(origin);
        }
    }
    if out.len() > MAX_NAME { Err(Why::NoName) } else { Ok(()) }
}

/// Ends the label whose length byte is at `start`, and begins the next one.
fn close(out: &mut Vec<u8>, start: usize) -> Result<usize, Why> {
    match out.len() - start - 1 {
        length @ 1..=63 => {
            out[start] = length as u8;
            out.push(0);
            Ok(out.len() - 1)
        }
        _ => Err(Why::NoName),
    }
}

/// What stands behind a backslash: three digits, or the character itself.
fn escaped(rest: &mut impl Iterator<Item = u8>) -> Result<u8, Why> {
    let first = rest.next().ok_or(Why::NoName)?;
    if !first.is_ascii_digit() {
        return Ok(first);
    }
    let mut value = u16::from(first - b'0');
    for _ in 0..2 {
        let digit = rest.next().filter(u8::is_ascii_digit).ok_or(Why::NoName)?;
        value = value * 10 + u16::from(digit - b'0');
    }
    u8::try_from(value).map_err(|_| Why::NoName)
}
