//! The file of a list: a header, a set of names, a set of prefixes.
//!
//! ```text
//!  0                  8         12       16        24         32
//!  | "zonelist"       | version | 0      | length  | checksum | ...     of all that follows byte 32
//!  32     40              56      60       64        68   72   76        80
//!  | seed | label counts  | names | places | records | v4 | v6 | prefixes |
//!  80             96         104       112           120   128
//!  | stamp        | garbage  | not applicable | lengths v4, v6 | seed | names, prefixes ...
//! ```
//! Numbers are little-endian. The checksum finds accidents; it is no signature, and a forged file that has it right is
//! read with checked access all the same. The stamp is the builder's: it says which version of which source this is.

use crate::flat::{u32_at, u64_at};
use crate::hash;
use crate::names::Shape;
use crate::prefixes::Counts;

pub(crate) const HEADER: usize = 128;
const MAGIC: &[u8; 8] = b"zonelist";
/// Raised with every change of the format or of the hash.
const VERSION: u32 = 2;
/// Where what the checksum covers begins.
const COVERED: usize = 32;

/// All that the header says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Header {
    pub length: u64,
    pub checksum: u64,
    pub names: Shape,
    pub prefixes: Counts,
    pub stamp: u128,
    pub garbage: u64,
    pub not_applicable: u64,
}

impl Header {
    pub(crate) fn write(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        let mut put = |at: usize, number: &[u8]| bytes[at..at + number.len()].copy_from_slice(number);
        put(0, MAGIC);
        put(8, &VERSION.to_le_bytes());
        put(16, &self.length.to_le_bytes());
        put(24, &self.checksum.to_le_bytes());
        put(32, &self.names.seed.to_le_bytes());
        put(40, &self.names.label_counts.to_le_bytes());
        put(56, &self.names.entries.to_le_bytes());
        put(60, &self.names.places.to_le_bytes());
        put(64, &self.names.records.to_le_bytes());
        put(68, &self.prefixes.v4.to_le_bytes());
        put(72, &self.prefixes.v6.to_le_bytes());
        put(76, &self.prefixes.entries.to_le_bytes());
        put(80, &self.stamp.to_le_bytes());
        put(96, &self.garbage.to_le_bytes());
        put(104, &self.not_applicable.to_le_bytes());
        put(112, &self.prefixes.lengths[0].to_le_bytes());
        put(116, &self.prefixes.lengths[1].to_le_bytes());
        put(120, &self.prefixes.seed.to_le_bytes());
        bytes
    }

    /// The header of a list, or none if this is no list of this version.
    pub(crate) fn read(memory: &[u8]) -> Option<Self> {
        if memory.get(..8)? != MAGIC || u32_at(memory, 8)? != VERSION || memory.len() < HEADER {
            return None;
        }
        let wide = |at| Some(u128::from(u64_at(memory, at)?) | u128::from(u64_at(memory, at + 8)?) << 64);
        Some(Self {
            length: u64_at(memory, 16)?,
            checksum: u64_at(memory, 24)?,
            names: Shape {
                seed: u64_at(memory, 32)?,
                label_counts: wide(40)?,
                entries: u32_at(memory, 56)?,
                places: u32_at(memory, 60)?,
                records: u32_at(memory, 64)?,
            },
            prefixes: Counts {
                v4: u32_at(memory, 68)?,
                v6: u32_at(memory, 72)?,
                entries: u32_at(memory, 76)?,
                lengths: [u32_at(memory, 112)?, u32_at(memory, 116)?],
                seed: u64_at(memory, 120)?,
            },
            stamp: wide(80)?,
            garbage: u64_at(memory, 96)?,
            not_applicable: u64_at(memory, 104)?,
        })
    }
}

/// The checksum of a whole list.
pub(crate) fn checksum(header: &[u8; HEADER], body: Checksum) -> u64 {
    let mut sum = Checksum::default();
    sum.add(&header[COVERED..]);
    sum.end() ^ body.end().rotate_left(1)
}

/// Sums up bytes in pieces; how they are cut doesn't matter.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checksum {
    state: u64,
    length: u64,
    rest: Vec<u8>,
}

const PIECE: usize = 16;

impl Checksum {
    pub(crate) fn add(&mut self, mut bytes: &[u8]) {
        self.length = self.length.wrapping_add(bytes.len() as u64);
        if !self.rest.is_empty() {
            let (more, behind) = bytes.split_at(bytes.len().min(PIECE - self.rest.len()));
            self.rest.extend(more);
            bytes = behind;
            if let Some(piece) = self.rest.first_chunk() {
                self.state = hash::chain(self.state, piece);
                self.rest.clear();
            }
        }
        if !bytes.is_empty() {
            let (pieces, rest) = bytes.as_chunks::<PIECE>();
            self.state = pieces.iter().fold(self.state, hash::chain);
            self.rest.extend(rest);
        }
    }

    pub(crate) fn end(mut self) -> u64 {
        self.rest.resize(PIECE, 0);
        let state = self.rest.first_chunk().map_or(self.state, |piece| hash::chain(self.state, piece));
        hash::chain(state, &u128::from(self.length).to_le_bytes())
    }
}
