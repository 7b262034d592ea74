//! All chance, behind seeds.
//!
//! The only room that names a random generator. Who draws: the generations, and the operations they call.

pub mod native;
pub mod python;

use std::hash::{BuildHasher, RandomState};

pub use native::NativeRandom;
pub use python::PythonRandom;

/// A seed from the operating system, for a campaign to which none was given. 32 bits, as the Python harness drew it.
pub fn fresh_seed() -> u64 {
    // Its keys are drawn by the operating system: no crate is needed for one number.
    RandomState::new().hash_one(()) & u64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn fresh_seeds_have_32_bits_and_hardly_repeat() {
        let seeds: HashSet<u64> = (0..100).map(|_| fresh_seed()).collect();
        assert!(seeds.len() > 90, "{seeds:?}");
        assert!(seeds.iter().all(|seed| u32::try_from(*seed).is_ok()));
    }
}
