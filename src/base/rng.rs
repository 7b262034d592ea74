//! All chance, behind seeds.
//!
//! The only room that names a random generator. Who draws: the generations, and the operations they call.

pub mod native;
pub mod python;

pub use native::NativeRandom;
pub use python::PythonRandom;

/// A seed from the operating system, for a campaign to which none was given. 32 bits, as the Python harness drew it.
pub fn fresh_seed() -> u64 {
    u64::from(rand::random::<u32>())
}
