//! The generator of the native generations: ChaCha with 8 rounds, which returns the same values in every release and on every machine.
//!
//! It draws integers only, so that no rounding can differ between machines.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Part of the key: separates these draws from those of any other use of the same seed.
const TAG: &[u8; 16] = b"imgduel native 1";

/// A random generator that also counts the 32-bit words it has returned.
pub struct NativeRandom {
    generator: ChaCha8Rng,
    words_used: u64,
}

impl NativeRandom {
    /// The generator for the case with the iteration seed `iter_seed`.
    pub fn new(iter_seed: u64) -> Self {
        Self::keyed(iter_seed, 0)
    }

    /// The seed of one iteration of a campaign, computed without the iterations before it.
    pub fn iteration_seed(seed: u64, iteration: u64) -> u64 {
        Self::keyed(seed, iteration.wrapping_add(1)).word()
    }

    fn keyed(first: u64, second: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&first.to_le_bytes());
        key[8..16].copy_from_slice(&second.to_le_bytes());
        key[16..].copy_from_slice(TAG);
        Self {
            generator: ChaCha8Rng::from_seed(key),
            words_used: 0,
        }
    }

    /// How many 32-bit words have been drawn so far.
    pub fn words_used(&self) -> u64 {
        self.words_used
    }

    fn word(&mut self) -> u64 {
        self.words_used += 2;
        self.generator.next_u64()
    }

    /// A number in [0, `limit`). Panics if `limit` is zero. For limits below 2^40, the bias of the multiplication is below one in 2^24.
    pub fn below(&mut self, limit: u64) -> u64 {
        assert!(limit > 0, "a draw needs a limit above zero");
        ((u128::from(self.word()) * u128::from(limit)) >> 64) as u64
    }

    /// A number from `low` to `high`, both inclusive.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True with a probability of `percent` in a hundred.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of `items`, all equally likely. Panics if the slice is empty.
    pub fn choice<'items, T>(&mut self, items: &'items [T]) -> &'items T {
        &items[self.below(items.len() as u64) as usize]
    }

    /// An index into `weights`, drawn with these weights. Panics if their sum is zero.
    pub fn weighted(&mut self, weights: &[u64]) -> usize {
        let mut rest = self.below(weights.iter().sum());
        for (index, weight) in weights.iter().enumerate() {
            match rest.checked_sub(*weight) {
                Some(less) => rest = less,
                None => return index,
            }
        }
        unreachable!("a number below the sum of the weights lies within one of them")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drawn_values_are_those_of_the_first_release() {
        assert_eq!(
            NativeRandom::iteration_seed(1, 0),
            5_719_505_303_130_476_662
        );
        let mut random = NativeRandom::new(7);
        let drawn: Vec<u64> = (0..6).map(|_| random.below(1000)).collect();
        assert_eq!(drawn, [504, 306, 815, 834, 862, 365]);
        assert_eq!(random.words_used(), 12);
    }

    #[test]
    fn a_weight_of_zero_is_never_drawn() {
        let mut random = NativeRandom::new(3);
        assert!((0..1000).all(|_| random.weighted(&[0, 3, 0, 1, 0]) % 2 == 1));
    }
}
