//! A uniform sample of bounded size from a stream of unknown length.

/// A generator for sampling: xorshift64*. Two multiplications and a few shifts; not for secrets.
pub struct Random {
    state: u64,
}

impl Random {
    pub fn new(seed: u64) -> Self {
        // Zero would stay zero.
        Self { state: seed | 1 }
    }

    fn draw(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// In (0, 1): never 0, so that its logarithm is finite.
    fn unit(&mut self) -> f64 {
        ((self.draw() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.draw()) * bound as u128) >> 64) as usize
    }
}

pub struct Reservoir<T> {
    most: usize,
    /// How many passed.
    seen: u64,
    /// Which of them is kept next, counted from 1.
    next: u64,
    /// The largest of the `most` smallest of as many uniform numbers as were seen.
    threshold: f64,
    kept: Vec<T>,
    /// How many places of `kept` are in use; the others wait with their memory.
    used: usize,
}

impl<T: Default> Reservoir<T> {
    pub fn new(most: usize) -> Self {
        let mut new = Self { most, seen: 0, next: 0, threshold: 1.0, kept: Vec::new(), used: 0 };
        new.restart();
        new
    }

    pub fn restart(&mut self) {
        self.seen = 0;
        self.used = 0;
        self.threshold = 1.0;
        self.next = if self.most == 0 { u64::MAX } else { 1 };
    }

    pub fn seen(&self) -> u64 {
        self.seen
    }

    pub fn kept(&self) -> &[T] {
        &self.kept[..self.used]
    }

    /// One more passes. The place to copy it to, if it is kept.
    #[inline]
    pub fn pick(&mut self, random: &mut Random) -> Option<&mut T> {
        self.seen += 1;
        if self.seen < self.next { None } else { self.place(random) }
    }

    #[cold]
    fn place(&mut self, random: &mut Random) -> Option<&mut T> {
        if self.most == 0 {
            return None;
        }
        let place = if self.used < self.most {
            if self.used == self.kept.len() {
                self.kept.push(T::default());
            }
            self.used += 1;
            self.used - 1
        } else {
            random.below(self.most)
        };
        self.next = self.seen + 1;
        if self.used == self.most {
            self.threshold *= (random.unit().ln() / self.most as f64).exp();
            let skip = (random.unit().ln() / (-self.threshold).ln_1p()).floor();
            // A float beyond the range becomes the largest number: nothing more is kept this second.
            self.next = self.next.saturating_add(skip as u64);
        }
        self.kept.get_mut(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(most: usize, seen: u64, seed: u64) -> Vec<u64> {
        let mut random = Random::new(seed);
        let mut reservoir = Reservoir::<u64>::new(most);
        for number in 0..seen {
            if let Some(place) = reservoir.pick(&mut random) {
                *place = number;
            }
        }
        assert_eq!(reservoir.seen(), seen);
        reservoir.kept().to_vec()
    }

    #[test]
    fn few_are_all_kept_and_none_with_a_size_of_zero() {
        assert_eq!(run(10, 7, 3), (0..7).collect::<Vec<_>>());
        assert!(run(0, 100, 3).is_empty());
    }

    #[test]
    fn all_parts_of_the_stream_are_kept_alike() {
        let mut tenths = [0u32; 10];
        for seed in 1..=200 {
            for number in run(50, 5000, seed * 0x9e37_79b9) {
                tenths[number as usize / 500] += 1;
            }
        }
        // 1000 of each expected, with a standard deviation of 30.
        assert!(tenths.iter().all(|&count| (850..1150).contains(&count)), "{tenths:?}");
    }

    #[test]
    fn a_restart_begins_anew_with_the_same_memory() {
        let mut random = Random::new(9);
        let mut reservoir = Reservoir::<u64>::new(4);
        for _ in 0..1000 {
            reservoir.pick(&mut random);
        }
        reservoir.restart();
        assert_eq!((reservoir.seen(), reservoir.kept().len()), (0, 0));
        assert!(reservoir.pick(&mut random).is_some());
        assert_eq!((reservoir.seen(), reservoir.kept().len()), (1, 1));
    }
}
