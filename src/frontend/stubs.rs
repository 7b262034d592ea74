//! Empty test functions, one per regression seed, for editors that look for `#[test]` in the source.
//!
//! rust-analyzer and RustRover list tests by reading the source and run them by path; a target with its own harness has none. The
//! stubs give each seed a function whose path is its trial's name. rustc drops them, because the target has no libtest
//! harness. Written by `imgduel stubs`; a test holds them against the seeds.

use crate::report::seed_file::SeedPath;

/// Where the stubs lie in the package. A directory of its own, so that cargo does not take the file for a test target.
pub const STUBS_FILE: &str = "tests/regression/mod.rs";

const HEAD: &str = "\
//! Where editors find the regression seeds. Made by `cargo run -- stubs`; do not edit.
//!
//! The functions are empty and never run: `tests/differential.rs` has its own harness, which runs the trial of the same path.
";

/// The stubs' source text.
pub fn source(seeds: &[SeedPath]) -> String {
    let stubs = seeds.iter().map(|seed| {
        let stem = &seed.stem;
        format!("\n/// Runs `fuzz-seeds/{stem}.json`.\n#[test]\nfn {stem}() {{}}\n")
    });
    std::iter::once(HEAD.to_owned()).chain(stubs).collect()
}
