//! The test door: every regression seed and some fresh cases as named trials, on real tools.
//!
//! `cargo test --test differential -- --list` names them; all settings of the command work here too, as flags behind
//! `--` or in the environment.

mod regression;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    imgduel::frontend::trial::main(Path::new(env!("CARGO_MANIFEST_DIR")))
}
