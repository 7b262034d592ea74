//! Seeded random generators.
//!
//! No other room names a random generator's crate. The generations draw from these generators, and so do the operations that they call.

/// The generator of the native generations.
pub mod native;

/// CPython's `random.Random`, for the Python generations.
pub mod python;

use std::hash::{BuildHasher, RandomState};

pub use native::NativeRandom;
pub use python::PythonRandom;

/// Returns a random seed of 32 bits, for a campaign without `--seed`. The Python harness drew 32 bits as well.
pub fn fresh_seed() -> u64 {
    // The standard library seeds a `RandomState` from the operating system, so one number needs no crate.
    RandomState::new().hash_one(()) & u64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn fresh_seeds_have_32_bits_and_rarely_repeat() {
        let seeds: HashSet<u64> = (0..100).map(|_| fresh_seed()).collect();
        assert!(seeds.len() > 90, "{seeds:?}");
        assert!(seeds.iter().all(|seed| u32::try_from(*seed).is_ok()));
    }
}
