//! What passes of the bytes of one call: parts of them where they stand, so that they are copied once, by who takes them.

use std::ops::Range;

use crate::verdict::Verdict;

/// Whole messages of one query, with their length prefixes, to be passed on; and the verdict if it is complete.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    pub id: u16,
    pub data: Vec<u8>,
    pub verdict: Option<Box<Verdict>>,
}

/// The same, still to be put together.
#[derive(Debug)]
pub struct Passed {
    pub id: u16,
    parts: Vec<Part>,
    pub verdict: Option<Box<Verdict>>,
}

#[derive(Debug)]
enum Part {
    /// A message that came in several calls, or those that waited.
    Whole(Vec<u8>),
    /// Messages among the bytes of this call.
    Here(Range<usize>),
}

/// A message, and where it stands among the bytes of this call if it came in one.
pub enum Message<'a> {
    Whole(Vec<u8>),
    Here(&'a [u8], usize),
}

impl Message<'_> {
    /// With its length prefix.
    pub fn framed(&self) -> &[u8] {
        match self {
            Self::Whole(framed) => framed,
            Self::Here(framed, _) => framed,
        }
    }
}

impl Passed {
    #[must_use]
    pub fn new(id: u16, verdict: Option<Box<Verdict>>) -> Self {
        Self { id, parts: Vec::new(), verdict }
    }

    pub fn push(&mut self, message: Message) {
        match (message, self.parts.last_mut()) {
            (Message::Here(framed, at), Some(Part::Here(range))) if range.end == at => range.end += framed.len(),
            (Message::Here(framed, at), _) => self.parts.push(Part::Here(at..at + framed.len())),
            (Message::Whole(framed), _) => self.parts.push(Part::Whole(framed)),
        }
    }

    /// What passes, in order. `data`: the bytes of the call.
    pub fn parts<'a>(&'a self, data: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.parts.iter().map(|part| match part {
            Part::Whole(framed) => framed.as_slice(),
            Part::Here(range) => data.get(range.clone()).unwrap_or_default(),
        })
    }

    /// Put together.
    #[must_use]
    pub fn piece(self, data: &[u8]) -> Piece {
        Piece { id: self.id, data: self.parts(data).collect::<Vec<_>>().concat(), verdict: self.verdict }
    }
}
