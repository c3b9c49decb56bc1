//! A hash of names that does not see case.
//!
//! Setting bit 5 of every byte makes letters equal (and some other bytes, which the comparison tells apart). Two words
//! at a time are folded by a multiplication of 64 by 64 bits whose halves are mixed, as in wyhash. The seed is secret
//! and new for each set: who fills a list, or makes names be blocked, can't make them collide.

use std::hash::{BuildHasher, Hasher, RandomState};

const CASE: u64 = 0x2020_2020_2020_2020;
const FIRST: u64 = 0xa076_1d64_78bd_642f;
const SECOND: u64 = 0xe703_7ed1_a0b4_28db;

/// A number that nobody can know.
pub(crate) fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[inline]
pub(crate) const fn fold(left: u64, right: u64) -> u64 {
    let product = left as u128 * right as u128;
    product as u64 ^ (product >> 64) as u64
}

/// The hash of `name` in wire form, in any case.
#[inline]
pub(crate) fn hash(name: &[u8], seed: u64) -> u64 {
    let mut state = seed ^ name.len() as u64;
    let (pairs, tail) = name.as_chunks::<16>();
    for pair in pairs {
        let word = u128::from_le_bytes(*pair);
        state = fold((word as u64 | CASE) ^ FIRST ^ seed, ((word >> 64) as u64 | CASE) ^ state);
    }
    if !tail.is_empty() {
        let (first, last) = ends(name);
        state = fold((first | CASE) ^ FIRST ^ seed, (last | CASE) ^ state);
    }
    fold(state ^ SECOND, SECOND)
}

/// Two words that hold the last up to 16 bytes of a name that is not empty. They may overlap: so nothing is copied.
#[inline]
fn ends(name: &[u8]) -> (u64, u64) {
    let short = |bytes: &[u8; 4]| u64::from(u32::from_le_bytes(*bytes));
    if let Some(last) = name.last_chunk::<16>() {
        let word = u128::from_le_bytes(*last);
        (word as u64, (word >> 64) as u64)
    } else if let (Some(first), Some(last)) = (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        (u64::from_le_bytes(*first), u64::from_le_bytes(*last))
    } else if let (Some(first), Some(last)) = (name.first_chunk::<4>(), name.last_chunk::<4>()) {
        (short(first), short(last))
    } else {
        let byte = |at: usize| name.get(at).map_or(0, |&byte| u64::from(byte));
        (byte(0) | byte(1) << 8 | byte(2) << 16, 0)
    }
}

/// Goes on with the sum of a file by 16 bytes.
#[inline]
pub(crate) const fn chain(state: u64, piece: &[u8; 16]) -> u64 {
    let word = u128::from_le_bytes(*piece);
    // The sum itself is added, so that a factor of zero doesn't wipe out what came before.
    fold(word as u64 ^ FIRST, (word >> 64) as u64 ^ SECOND ^ state).wrapping_add(state.rotate_left(23))
}
