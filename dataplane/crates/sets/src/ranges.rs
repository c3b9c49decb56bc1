//! A map from disjoint ranges of numbers to values: a static tree of sorted starts.
//!
//! ```text
//! level 2                    | s0 s256 ... |                  at most FAN starts
//! level 1      | s0 s16 s32 ...            | s256 ... |        the first start of each block below
//! level 0      | s0 s1 ... s15 | s16 ...   | ...      |        all starts, in blocks of FAN
//! values       | v0 v1 ...     |                              one for each start, u32
//! ```
//! Levels lie in memory from 0 up, each filled to whole blocks with the largest number, the values behind them. A look-up
//! reads one block of each level: one million ranges take five. The first start is always 0.

use std::io::{self, Write};
use std::marker::PhantomData;

use crate::flat;

/// Starts in a block: one cache line of `u32`.
const FAN: usize = 16;
/// Levels of 2^32 starts.
const MAX_LEVELS: usize = 8;
/// The value of what lies in no entry.
pub(crate) const NONE: u32 = u32::MAX;

/// A number that ranges are over.
pub(crate) trait Number: Copy + Ord {
    const BYTES: usize;
    const BITS: u8;
    const ZERO: Self;
    const MAX: Self;
    fn write(self, into: &mut dyn Write) -> io::Result<()>;
    /// How many of the starts of the block that `memory` begins with are not above `self`.
    fn rank(self, memory: &[u8]) -> Option<usize>;
    /// The number that stands at `at`.
    fn read(memory: &[u8], at: usize) -> Option<Self>;
    /// Writes it to the beginning of `into`, which is longer.
    fn put(self, into: &mut [u8]);
    /// Its lower and its upper half.
    fn words(self) -> (u64, u64);
    /// The number behind this one, if there is one.
    fn next(self) -> Option<Self>;
    /// The first and the last number whose first `bits` bits are those of `self`.
    fn span(self, bits: u8) -> (Self, Self);
}

/// Looks at all starts: four at a time.
#[inline]
fn count(starts: &[[u8; 4]; FAN], number: u32) -> usize {
    starts.iter().map(|start| usize::from(u32::from_le_bytes(*start) <= number)).sum()
}

/// Halves the block, without a branch: for starts of which each takes several instructions.
#[inline]
fn bisect(starts: &[[u8; 16]; FAN], number: u128) -> usize {
    let is_below = |at: usize| usize::from(u128::from_le_bytes(starts[at % FAN]) <= number);
    let mut rank = 0;
    for step in [8, 4, 2, 1] {
        rank += step * is_below(rank + step - 1);
    }
    rank + is_below(rank)
}

macro_rules! number {
    ($kind:ty, $rank:path) => {
        impl Number for $kind {
            const BYTES: usize = size_of::<Self>();
            const BITS: u8 = Self::BITS as u8;
            const ZERO: Self = 0;
            const MAX: Self = Self::MAX;

            fn write(self, into: &mut dyn Write) -> io::Result<()> {
                into.write_all(&self.to_le_bytes())
            }

            #[inline]
            fn rank(self, memory: &[u8]) -> Option<usize> {
                let (starts, _) = memory.first_chunk::<{ FAN * size_of::<Self>() }>()?.as_chunks();
                Some($rank(starts.first_chunk()?, self))
            }

            #[inline]
            fn read(memory: &[u8], at: usize) -> Option<Self> {
                memory.get(at..)?.first_chunk().map(|bytes| Self::from_le_bytes(*bytes))
            }

            fn put(self, into: &mut [u8]) {
                into[..Self::BYTES].copy_from_slice(&self.to_le_bytes());
            }

            #[inline]
            fn words(self) -> (u64, u64) {
                let all = u128::from(self);
                (all as u64, (all >> 64) as u64)
            }

            fn next(self) -> Option<Self> {
                self.checked_add(1)
            }

            #[inline]
            fn span(self, bits: u8) -> (Self, Self) {
                let rest = Self::MAX.checked_shr(u32::from(bits)).unwrap_or(0);
                (self & !rest, self | rest)
            }
        }
    };
}

number!(u32, count);
number!(u128, bisect);

/// Where the parts of the map lie in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ranges<N> {
    /// The offset and the number of starts of each level.
    levels: [(usize, usize); MAX_LEVELS],
    depth: usize,
    values: usize,
    number: PhantomData<N>,
}

impl<N: Number> Ranges<N> {
    /// A map of `count` ranges that begins at `offset`, and where it ends; none if that is too large to address.
    pub(crate) fn place(offset: usize, count: u32) -> Option<(Self, usize)> {
        let mut levels = [(0, 0); MAX_LEVELS];
        let (mut at, mut left, mut depth) = (offset, usize::try_from(count).ok()?, 0);
        while left > 0 {
            *levels.get_mut(depth)? = (at, left);
            depth += 1;
            at = left.checked_next_multiple_of(FAN)?.checked_mul(N::BYTES)?.checked_add(at)?;
            left = if left > FAN { left.div_ceil(FAN) } else { 0 };
        }
        let end = usize::try_from(count).ok()?.checked_mul(4)?.checked_add(at)?;
        Some((Self { levels, depth, values: at, number: PhantomData }, end))
    }

    /// The value of the range that `number` lies in.
    #[inline]
    pub(crate) fn get(&self, memory: &[u8], number: N) -> Option<u32> {
        let mut block = 0;
        if self.depth == 0 {
            return None;
        }
        for &(offset, count) in self.levels.get(..self.depth)?.iter().rev() {
            let start = offset + block * FAN * N::BYTES;
            let rank = number.rank(memory.get(start..)?)?;
            // What fills up the last block may equal the largest number.
            block = (block * FAN + rank).min(count).checked_sub(1)?;
        }
        match flat::u32_at(memory, self.values + block * 4)? {
            NONE => None,
            value => Some(value),
        }
    }
}

/// Writes the map of `starts` and their `values`.
pub(crate) fn write<N: Number>(starts: &[N], values: &[u32], into: &mut dyn Write) -> io::Result<()> {
    let mut step = 1;
    while !starts.is_empty() {
        let level = starts.iter().step_by(step);
        let count = level.len();
        for start in level {
            start.write(into)?;
        }
        for _ in count..count.next_multiple_of(FAN) {
            N::MAX.write(into)?;
        }
        if count <= FAN {
            break;
        }
        step *= FAN;
    }
    values.iter().try_for_each(|value| into.write_all(&value.to_le_bytes()))
}

/// A prefix with its value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<N> {
    pub number: N,
    pub bits: u8,
    pub value: u32,
}

/// Turns prefixes, of which longer ones lie within shorter ones, into disjoint ranges. Of two that are the same prefix
/// the first counts. Returns the starts, which are sorted, and their values; and how many prefixes there are.
pub(crate) fn flatten<N: Number>(entries: &mut Vec<Entry<N>>) -> (Vec<N>, Vec<u32>, usize) {
    entries.sort_by_key(|entry| (entry.number.span(entry.bits).0, entry.bits));
    entries.dedup_by_key(|entry| (entry.number.span(entry.bits).0, entry.bits));
    let mut ranges = Flat { starts: Vec::new(), values: Vec::new() };
    if !entries.is_empty() {
        ranges.begin(N::ZERO, NONE);
    }
    // The prefixes that the sweep is in, with their last numbers: each lies within the one before.
    let mut open: Vec<(N, u32)> = Vec::new();
    for entry in entries.iter() {
        let (first, last) = entry.number.span(entry.bits);
        ranges.close(&mut open, |end| end < first);
        ranges.begin(first, entry.value);
        open.push((last, entry.value));
    }
    ranges.close(&mut open, |_| true);
    (ranges.starts, ranges.values, entries.len())
}

struct Flat<N> {
    starts: Vec<N>,
    values: Vec<u32>,
}

impl<N: Number> Flat<N> {
    fn begin(&mut self, start: N, value: u32) {
        if self.starts.last() == Some(&start) {
            self.starts.pop();
            self.values.pop();
        }
        if self.values.last() != Some(&value) {
            self.starts.push(start);
            self.values.push(value);
        }
    }

    /// Leaves the innermost prefixes for as long as `over` says so of their last numbers.
    fn close(&mut self, open: &mut Vec<(N, u32)>, over: impl Fn(N) -> bool) {
        while let Some((end, _)) = open.pop_if(|(end, _)| over(*end)) {
            if let Some(next) = end.next() {
                self.begin(next, open.last().map_or(NONE, |(_, value)| *value));
            }
        }
    }
}
