//! How many different names: a sketch of fixed size (KMV, the k minimum values: Bar-Yossef and others, "Counting distinct
//! elements in a data stream", 2002).
//!
//! Hashes of names are spread evenly; if the k-th smallest lies at a part p of the range, there are about k / p of them.
//! Up to k names the count is exact, beyond it errs by about 1 in the root of k. Sketches of several seconds join by
//! keeping the smallest of all. Whoever does not know the key of the hash can't choose names that count as one.

/// The k of the sketch: hashes kept.
pub const SKETCH: usize = 64;

/// The smallest hashes, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sketch {
    smallest: Vec<u64>,
}

impl Sketch {
    pub fn add(&mut self, hash: u64) {
        if self.smallest.len() == SKETCH && self.smallest.last().is_some_and(|&largest| hash >= largest) {
            return;
        }
        if let Err(place) = self.smallest.binary_search(&hash) {
            self.smallest.insert(place, hash);
            self.smallest.truncate(SKETCH);
        }
    }

    pub fn hashes(&self) -> &[u64] {
        &self.smallest
    }
}

/// How many different values are behind the smallest hashes of them, of several sketches together and in any order.
#[must_use]
pub fn estimate(mut hashes: Vec<u64>) -> u64 {
    hashes.sort_unstable();
    hashes.dedup();
    match hashes.get(SKETCH - 1) {
        None => hashes.len() as u64,
        Some(&largest) => ((SKETCH - 1) as f64 * (u64::MAX as f64 / largest.max(1) as f64)) as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use siphasher::sip::SipHasher13;
    use std::hash::Hasher;

    fn hash(number: u64) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(1, 2);
        hasher.write_u64(number);
        hasher.finish()
    }

    #[test]
    fn few_are_counted_exactly_and_many_nearly() {
        for count in [0u64, 1, 63, 500, 20_000] {
            let mut sketches = [Sketch::default(), Sketch::default()];
            for number in 0..count {
                // Half of them twice, in both.
                sketches[(number % 2) as usize].add(hash(number));
                sketches[0].add(hash(number));
            }
            let all: Vec<u64> = sketches.iter().flat_map(|sketch| sketch.hashes().to_vec()).collect();
            let found = estimate(all);
            let off = found.abs_diff(count) as f64 / count.max(1) as f64;
            assert!(off < if count < SKETCH as u64 { 1e-9 } else { 0.5 }, "{count} counted as {found}");
        }
    }
}
