//! Prefixes of few lengths in a hash table: one place to look at for each length, where a tree of ranges takes a block for
//! each of its levels. Most lists hold addresses, or prefixes of one length.
//!
//! ```text
//! places | number | bits u32, value u32 | ...     open addressing, a power of two, at most half full; value 2^32 - 1: free
//! ```
//! The hash is seeded: who fills a list can't make its prefixes collide.

use crate::flat;
use crate::hash::fold;
use crate::ranges::{Entry, NONE, Number};

/// Lengths that a table has at most; with more the ranges are faster.
const MAX_LENGTHS: usize = 4;
/// Places that a look-up tries; see `names`.
const MAX_PROBES: usize = 256;
const SALT: u64 = 0x9e37_79b9_7f4a_7c15;

/// The lengths of a table, from the longest: one byte each, one more than the bits; 0 ends them. 0: there is no table.
pub(crate) type Lengths = u32;

const fn place_size<N: Number>() -> usize {
    N::BYTES + 8
}

/// Bytes of a table; none if it can't be one.
pub(crate) fn size<N: Number>(places: u32) -> Option<usize> {
    if places.is_power_of_two() { usize::try_from(places).ok()?.checked_mul(place_size::<N>()) } else { None }
}

/// A table of `entries`, its lengths and how many different entries there are; of two that are the same prefix the first
/// counts. None if a table is not the right thing for them.
pub(crate) fn build<N: Number>(entries: &[Entry<N>], seed: u64) -> Option<(Vec<u8>, Lengths, usize)> {
    let mut bits: Vec<u8> = Vec::new();
    for entry in entries {
        if !bits.contains(&entry.bits) {
            bits.push(entry.bits);
        }
        if bits.len() > MAX_LENGTHS {
            return None;
        }
    }
    bits.sort_unstable();
    let lengths = bits.iter().fold(0, |lengths, &bits| lengths << 8 | Lengths::from(bits + 1));
    let places = entries.len().checked_mul(2)?.checked_next_power_of_two().filter(|&places| places <= 1 << 31)?;
    if entries.is_empty() {
        return None;
    }
    let mut memory = vec![0xff; places.checked_mul(place_size::<N>())?];
    let mut different = 0;
    for entry in entries {
        let number = entry.number.span(entry.bits).0;
        if let Err(at) = seek(&memory, places as u32, seed, number, entry.bits) {
            let place = memory.get_mut(at?..)?.get_mut(..place_size::<N>())?;
            number.put(place);
            place[N::BYTES..N::BYTES + 4].copy_from_slice(&u32::from(entry.bits).to_le_bytes());
            place[N::BYTES + 4..].copy_from_slice(&entry.value.to_le_bytes());
            different += 1;
        }
    }
    Some((memory, lengths, different))
}

/// The value of the longest prefix that `number` lies in.
#[inline]
pub(crate) fn get<N: Number>(memory: &[u8], places: u32, lengths: Lengths, seed: u64, number: N) -> Option<u32> {
    let mut left = lengths;
    while left != 0 {
        let bits = ((left & 0xff) as u8).wrapping_sub(1);
        if let Ok(value) = seek(memory, places, seed, number.span(bits).0, bits) {
            return Some(value);
        }
        left >>= 8;
    }
    None
}

/// The value of a prefix, or else where its place would be, if one is left.
#[inline]
fn seek<N: Number>(memory: &[u8], places: u32, seed: u64, number: N, bits: u8) -> Result<u32, Option<usize>> {
    let (low, high) = number.words();
    let hash = fold(low ^ seed, high ^ u64::from(bits).wrapping_mul(SALT) ^ seed.rotate_left(32));
    let mask = places.wrapping_sub(1);
    let mut index = (fold(hash ^ SALT, SALT) as u32) & mask;
    for _ in 0..MAX_PROBES {
        let at = index as usize * place_size::<N>();
        let Some(value) = flat::u32_at(memory, at + N::BYTES + 4) else { break };
        if value == NONE {
            return Err(Some(at));
        }
        if N::read(memory, at) == Some(number) && flat::u32_at(memory, at + N::BYTES) == Some(u32::from(bits)) {
            return Ok(value);
        }
        index = (index + 1) & mask;
    }
    Err(None)
}
