//! Little-endian numbers in flat memory. What lies outside reads as `None`.

/// The `u32` at `at`.
#[inline]
pub(crate) fn u32_at(memory: &[u8], at: usize) -> Option<u32> {
    memory.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

/// The `u64` at `at`.
#[inline]
pub(crate) fn u64_at(memory: &[u8], at: usize) -> Option<u64> {
    memory.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}
