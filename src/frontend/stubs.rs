//! Empty test functions, one per regression seed, for editors that look for `#[test]` in the source.
//!
//! rust-analyzer and RustRover list tests by reading the source and run them by path; they find none in a target with
//! its own harness. The stubs give each seed a function whose path is its trial's name. rustc drops them, because the
//! target has no libtest harness. `imgduel stubs` writes them; a test compares them with the seeds.

use std::path::Path;

use crate::report::seed_file::SeedPath;

/// The file of the stubs in the package. It has its own directory, so that cargo does not take it for a test target.
pub const STUBS_FILE: &str = "tests/regression/mod.rs";

const HEAD: &str = "\
//! Where editors find the regression seeds. Made by `imgduel stubs`; do not edit.
//!
//! The functions are empty and never run: the test target has its own harness, which runs the trial of the same path.
";

/// Whether a file of stubs made by imgduel is there.
pub fn is_own(path: &Path) -> bool {
    let first = HEAD.lines().next().unwrap_or_default();
    let first = first.split('.').next().unwrap_or_default();
    std::fs::read_to_string(path).is_ok_and(|text| text.starts_with(first))
}

/// Returns the source text of the stubs.
pub fn source(seeds: &[SeedPath]) -> String {
    let stubs = seeds.iter().map(|seed| {
        let stem = &seed.stem;
        format!("\n/// Runs `fuzz-seeds/{stem}.json`.\n#[test]\nfn {stem}() {{}}\n")
    });
    std::iter::once(HEAD.to_owned()).chain(stubs).collect()
}
