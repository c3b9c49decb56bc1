//! Lines of bounded length, numbered from 1, without their ends (LF or CRLF). A BOM before the first one is no part of
//! it, and the last one needs no end.

use std::io::{self, BufRead, Read};

use crate::builder::Why;

/// Bytes of a longest line.
pub(crate) const MAX_LINE: usize = 1 << 16;

/// A line with its number; garbage if it is too long.
pub(crate) type Line<'l> = (u64, Result<&'l [u8], Why>);

pub(crate) struct Lines<'i> {
    input: &'i mut dyn BufRead,
    number: u64,
    line: Vec<u8>,
}

impl<'i> Lines<'i> {
    pub(crate) const fn new(input: &'i mut dyn BufRead) -> Self {
        Self { input, number: 0, line: Vec::new() }
    }

    /// The next line, if there is one.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        // Room for the line, CR and LF.
        let taken = (&mut *self.input).take(MAX_LINE as u64 + 2).read_until(b'\n', &mut self.line)?;
        if taken == 0 {
            return Ok(None);
        }
        self.number += 1;
        let whole = self.line.pop_if(|last| *last == b'\n').is_some();
        self.line.pop_if(|last| *last == b'\r');
        if self.line.len() > MAX_LINE {
            if !whole {
                self.skip_rest()?;
            }
            return Ok(Some((self.number, Err(Why::TooLong))));
        }
        let mut line = &self.line[..];
        if self.number == 1 {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        Ok(Some((self.number, Ok(line))))
    }

    fn skip_rest(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.input.fill_buf()?;
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let (used, done) = (end.map_or(buffer.len(), |at| at + 1), end.is_some() || buffer.is_empty());
            self.input.consume(used);
            if done {
                return Ok(());
            }
        }
    }
}
