//! `random.Random` of CPython 3.11 to 3.13, bit for bit.
//!
//! The Python generations draw from it. The engine is MT19937 of the `rand_mt` crate; this module adds how CPython seeds the engine and turns
//! its words into numbers (Lib/random.py, Modules/_randommodule.c). Only the methods that the generations use are here.

use rand_mt::Mt;
use sha2::{Digest, Sha512};

/// A random generator that also counts the 32-bit words it has returned.
pub struct PythonRandom {
    engine: Mt,
    words_used: u64,
}

impl PythonRandom {
    /// `random.Random(seed)`. The key is the seed in 32-bit limbs, least significant first, without leading zero limbs.
    pub fn new(seed: u64) -> Self {
        let [low, high] = [seed as u32, (seed >> 32) as u32];
        let engine = if high == 0 {
            Mt::new_with_key([low])
        } else {
            Mt::new_with_key([low, high])
        };
        Self {
            engine,
            words_used: 0,
        }
    }

    /// `random.Random(text)`, seeding of version 2: the key is the text in UTF-8 and its SHA-512 digest, together one big-endian number.
    pub fn of_text(text: &str) -> Self {
        let mut bytes = text.as_bytes().to_vec();
        bytes.extend(Sha512::digest(text.as_bytes()));
        // The digest is never all zeros, so that only leading zero limbs of a text that begins with NUL would have to go.
        let mut key: Vec<u32> = bytes.rchunks(4).map(big_endian).collect();
        while key.len() > 1 && key.last() == Some(&0) {
            key.pop();
        }
        Self {
            engine: Mt::new_with_key(key),
            words_used: 0,
        }
    }

    /// How many 32-bit words have been drawn so far.
    pub fn words_used(&self) -> u64 {
        self.words_used
    }

    /// `random()`: a number in [0, 1) of 53 bits, made of two words.
    pub fn random(&mut self) -> f64 {
        let high = u64::from(self.word() >> 5);
        let low = u64::from(self.word() >> 6);
        ((high << 26) | low) as f64 / (1_u64 << 53) as f64
    }

    /// True with probability `probability`: one `random()` call.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.random() < probability
    }

    /// `getrandbits(bits)` for 1 to 64 bits: one word up to 32, two above, least significant first.
    pub fn getrandbits(&mut self, bits: u32) -> u64 {
        assert!(
            (1..=64).contains(&bits),
            "getrandbits draws 1 to 64 bits, not {bits}"
        );
        if bits <= 32 {
            return u64::from(self.word() >> (32 - bits));
        }
        let low = u64::from(self.word());
        let high = u64::from(self.word() >> (64 - bits));
        low | (high << 32)
    }

    /// `_randbelow(bound)`, an integer in [0, `bound`): draws as many bits as `bound` has until the value is below it. Panics if `bound` is zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "a draw needs a bound above zero");
        let bits = u64::BITS - bound.leading_zeros();
        loop {
            let value = self.getrandbits(bits);
            if value < bound {
                return value;
            }
        }
    }

    /// `randint(low, high)`, both ends inclusive.
    pub fn randint(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// `choice(items)`. A list of one element consumes words as well. Panics if the list is empty.
    pub fn choice<'items, T>(&mut self, items: &'items [T]) -> &'items T {
        &items[self.below(items.len() as u64) as usize]
    }

    /// `choices(items, weights)[0]`: scales one `random()` call to the total weight and finds it in the cumulative weights, as `bisect_right` does.
    pub fn weighted_choice<'items, T>(&mut self, items: &'items [(T, u32)]) -> &'items T {
        let total: u32 = items.iter().map(|(_, weight)| weight).sum();
        let point = self.random() * f64::from(total);
        let mut sum = 0;
        let passed = items.iter().take_while(|(_, weight)| {
            sum += weight;
            f64::from(sum) <= point
        });
        let index = passed.count().min(items.len() - 1);
        &items[index].0
    }

    /// Fills `bytes` as `randbytes(len(bytes))` does, whose number has the first byte as its lowest: a word for each four bytes. Panics if
    /// the length is not a multiple of four.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        assert!(
            bytes.len().is_multiple_of(4),
            "whole words are drawn, not {} bytes",
            bytes.len()
        );
        for four in bytes.chunks_exact_mut(4) {
            four.copy_from_slice(&self.word().to_le_bytes());
        }
    }

    /// Draws `count` words that nobody looks at.
    pub fn skip(&mut self, count: u64) {
        (0..count).for_each(|_| {
            self.word();
        });
    }

    fn word(&mut self) -> u32 {
        self.words_used += 1;
        self.engine.next_u32()
    }
}

/// The number of up to four bytes, the highest first.
fn big_endian(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .fold(0, |number, byte| (number << 8) | u32::from(*byte))
}

#[cfg(test)]
mod tests;
