//! Master files (RFC 1035 section 5.1), as far as a response policy zone needs them: $ORIGIN and $TTL, owners that are
//! left out, `@`, TTL and class in any order, comments, quotes, and parentheses over several lines.

use std::io::BufRead;

use super::lines::{Lines, MAX_LINE};
use super::name::{Letters, parse};
use super::rpz::{Data, Zone};
use super::{ReadError, Stop, judge};
use crate::builder::{ListBuilder, Why};

/// The words of one record, and where each ends.
#[derive(Default)]
struct Record {
    text: Vec<u8>,
    ends: Vec<usize>,
    /// It begins with a blank: the owner is that of the record before.
    inherits: bool,
    depth: usize,
    first_line: u64,
    fault: Option<Why>,
}

impl Record {
    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
        (self.depth, self.fault) = (0, None);
    }

    fn word(&self, index: usize) -> Option<&[u8]> {
        let start = if index == 0 { 0 } else { *self.ends.get(index - 1)? };
        self.text.get(start..*self.ends.get(index)?)
    }

    /// Takes the words of one line.
    fn scan(&mut self, line: &[u8]) {
        let mut open = false;
        let mut bytes = line.iter().copied();
        let mut quoted = false;
        while let Some(byte) = bytes.next() {
            match byte {
                b'"' => {
                    quoted = !quoted;
                    open = true;
                    continue;
                }
                _ if quoted => {}
                b';' => break,
                b'(' | b')' | b' ' | b'\t' => {
                    if std::mem::take(&mut open) {
                        self.ends.push(self.text.len());
                    }
                    match byte {
                        b'(' => self.depth += 1,
                        b')' if self.depth == 0 => self.fault = Some(Why::Parentheses),
                        b')' => self.depth -= 1,
                        _ => {}
                    }
                    continue;
                }
                _ => {}
            }
            open = true;
            self.text.push(byte);
            if byte == b'\\' {
                self.text.extend(bytes.next());
            }
        }
        if open {
            self.ends.push(self.text.len());
        }
        if quoted {
            self.fault = Some(Why::Quotes);
        }
        if self.text.len() > MAX_LINE {
            self.fault = Some(Why::TooLong);
        }
    }
}

/// Reads a master file. `zone` is its name, if the file does not begin with $ORIGIN or its SOA has a relative owner.
pub(crate) fn read(
    input: &mut dyn BufRead,
    zone: Option<&[u8]>,
    strict: bool,
    builder: &mut ListBuilder,
) -> Result<(), ReadError> {
    let origin = zone.map(<[u8]>::to_vec);
    let mut reader = Reader { apex: origin.clone(), origin, owner: None, target: Vec::new(), name: Vec::new() };
    let mut record = Record::default();
    let mut lines = Lines::new(input);
    while let Some((number, line)) = lines.next()? {
        if record.depth == 0 {
            record.clear();
            record.first_line = number;
            record.inherits = line.is_ok_and(|line| matches!(line.first(), Some(b' ' | b'\t')));
        }
        match line {
            Ok(line) => record.scan(line),
            Err(why) => record.fault = Some(why),
        }
        // A record that goes on and on is given up; what follows is read as new.
        let given_up = record.fault == Some(Why::TooLong);
        if record.depth == 0 || given_up {
            let result = reader.take(&record, builder);
            judge(result, record.first_line, strict, builder)?;
            record.depth = 0;
        }
    }
    if record.depth > 0 {
        judge(Err(Why::Parentheses.into()), record.first_line, strict, builder)?;
    }
    Ok(())
}

struct Reader {
    apex: Option<Vec<u8>>,
    origin: Option<Vec<u8>>,
    owner: Option<Vec<u8>>,
    name: Vec<u8>,
    target: Vec<u8>,
}

impl Reader {
    fn take(&mut self, record: &Record, builder: &mut ListBuilder) -> Result<(), Stop> {
        if let Some(why) = record.fault {
            return Err(why.into());
        }
        let Some(first) = record.word(0) else { return Ok(()) };
        if first.starts_with(b"$") && !record.inherits {
            return self.directive(first, record.word(1));
        }
        let mut next = 0;
        if !record.inherits {
            self.owner = None;
            absolute(first, self.origin.as_deref(), &mut self.name)?;
            self.owner = Some(self.name.clone());
            next = 1;
        }
        let owner = self.owner.as_deref().ok_or(Why::NoOwner)?;
        // TTL and class, each at most once, in any order.
        let mut kind = record.word(next).ok_or(Why::Record)?;
        for _ in 0..2 {
            if is_ttl(kind) || kind.eq_ignore_ascii_case(b"IN") {
                next += 1;
                kind = record.word(next).ok_or(Why::Record)?;
            }
        }
        let kind = kind.to_ascii_uppercase();
        let data = match &kind[..] {
            b"SOA" => Data::Soa,
            b"CNAME" => {
                let target = record.word(next + 1).ok_or(Why::Record)?;
                absolute(target, self.origin.as_deref(), &mut self.target)?;
                Data::Cname(&self.target)
            }
            b"RRSIG" | b"NSEC" | b"NSEC3" | b"NSEC3PARAM" | b"DNSKEY" | b"CDS" | b"CDNSKEY" | b"DS" => Data::Signature,
            [b'A'..=b'Z', rest @ ..] if rest.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-') => {
                record.word(next + 1).ok_or(Why::Record)?;
                Data::Other
            }
            _ => return Err(Why::Record.into()),
        };
        let mut zone = Zone { apex: self.apex.take(), builder };
        let result = zone.record(owner, data);
        self.apex = zone.apex;
        result
    }

    fn directive(&mut self, word: &[u8], value: Option<&[u8]>) -> Result<(), Stop> {
        if word.eq_ignore_ascii_case(b"$ORIGIN") {
            absolute(value.ok_or(Why::Directive)?, self.origin.as_deref(), &mut self.name)?;
            self.origin = Some(self.name.clone());
            return Ok(());
        }
        if word.eq_ignore_ascii_case(b"$TTL") { Ok(()) } else { Err(Why::Directive.into()) }
    }
}

/// The name of a word, which may be relative to the origin.
fn absolute(word: &[u8], origin: Option<&[u8]>, out: &mut Vec<u8>) -> Result<(), Why> {
    let whole = word == b"." || word.last() == Some(&b'.') && !word.ends_with(b"\\.");
    let origin = match origin {
        Some(origin) => origin,
        None if whole => &[0],
        None => return Err(Why::NoOrigin),
    };
    if word == b"@" {
        out.clear();
        out.extend(origin);
        return Ok(());
    }
    parse(word, Letters::Any, Some(origin), out)
}

/// A TTL: digits, with units as BIND writes them (1h30m).
fn is_ttl(word: &[u8]) -> bool {
    word.first().is_some_and(u8::is_ascii_digit)
        && word.iter().all(|byte| matches!(byte.to_ascii_lowercase(), b'0'..=b'9' | b's' | b'm' | b'h' | b'd' | b'w'))
}
