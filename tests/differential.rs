//! The test target: every regression seed and some fresh cases as named trials, on real tools.
//!
//! `cargo test --test differential -- --list` lists them. All settings of the command work here too, as flags after `--` or as environment
//! variables.

mod regression;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    imgduel::test_main(Path::new(env!("CARGO_MANIFEST_DIR")))
}
