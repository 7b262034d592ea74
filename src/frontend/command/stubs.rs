//! `imgduel stubs`: writes the stub test functions by which editors find the regression seeds.
//!
//! The module `frontend::stubs` generates them and says why they are needed.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::print_text;
use crate::base::error::{Error, Result};
use crate::base::prose::counted;
use crate::frontend::stubs::{STUBS_FILE, source};
use crate::frontend::trial::SEED_DIRECTORY;
use crate::report::seed_file::{self, check_stem};

#[derive(Args)]
pub(super) struct StubsArguments {
    /// The package with fuzz-seeds/ and tests/
    #[arg(long, value_name = "DIR", default_value = ".")]
    package: PathBuf,
}

pub(super) fn stubs(arguments: &StubsArguments) -> Result<ExitCode> {
    let seeds = seed_file::list(&arguments.package.join(SEED_DIRECTORY))?;
    for seed in &seeds {
        let at = |error: Error| Error::usage(format!("{}: {error}", seed.path.display()));
        check_stem(&seed.stem).map_err(at)?;
    }
    let path = arguments.package.join(STUBS_FILE);
    let write = |error| Error::io("write the stubs to", &path, &error);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(write)?;
    }
    std::fs::write(&path, source(&seeds)).map_err(write)?;
    Ok(print_text(&format!(
        "{}: {}\n",
        path.display(),
        counted(seeds.len() as u64, "seed")
    )))
}
