//! BLAKE3 of many short inputs at once, in the lanes of the processor's vectors.
//!
//! A record is some forty bytes, and one compression of BLAKE3 alone costs more than all else that the guard does with
//! it. With AVX2 eight compressions that do not depend on each other take little longer than one. So inputs wait, by
//! their length in blocks, until eight are there.
//!
//! `blake3` has the code for that for its own trees and calls it unstable; so its version is pinned, and a property test
//! compares with its plain function.

use blake3::IncrementCounter;
use blake3::platform::Platform;

pub const BLOCK: usize = blake3::BLOCK_LEN;
const LANES: usize = 8;

/// The initialization vector and flags of the BLAKE3 specification, sections 2.1 and 2.2: an input of up to 1,024 bytes
/// is one chunk, which is the root.
const IV: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];
const CHUNK_START: u8 = 1;
const CHUNK_END: u8 = 2;
const ROOT: u8 = 8;

/// Inputs of `N` bytes that wait: whole blocks.
pub struct Lanes<const N: usize> {
    waiting: usize,
    inputs: [[u8; N]; LANES],
}

impl<const N: usize> Default for Lanes<N> {
    fn default() -> Self {
        Self { waiting: 0, inputs: [[0; N]; LANES] }
    }
}

impl<const N: usize> Lanes<N> {
    /// Puts an input of at most `N` bytes, filled up with zeros, to those that wait. Eight hashes when there are eight.
    #[inline]
    pub fn add(&mut self, platform: Platform, input: &[u8]) -> Option<[[u8; blake3::OUT_LEN]; LANES]> {
        let lane = self.inputs.get_mut(self.waiting)?;
        let (head, tail) = lane.split_at_mut_checked(input.len())?;
        head.copy_from_slice(input);
        tail.fill(0);
        self.waiting += 1;
        if self.waiting < LANES {
            return None;
        }
        self.waiting = 0;
        let mut hashes = [[0; blake3::OUT_LEN]; LANES];
        let inputs = self.inputs.each_ref();
        let end = CHUNK_END | ROOT;
        platform.hash_many(&inputs, &IV, 0, IncrementCounter::No, 0, CHUNK_START, end, hashes.as_flattened_mut());
        Some(hashes)
    }

    /// Those that wait, filled up.
    pub fn waiting(&self) -> &[[u8; N]] {
        self.inputs.get(..self.waiting).unwrap_or_default()
    }
}
