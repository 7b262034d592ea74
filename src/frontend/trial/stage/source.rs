//! Where a trial's case comes from.
//!
//! The list of trials makes it, the session runs it.

use crate::base::error::{Error, Result};
use crate::case::generation::{Generation, Selection};
use crate::case::{Case, CaseId};
use crate::frontend::trial::against_model::AgainstModel;
use crate::report::seed_file::{SeedFile, SeedPath};
use crate::run::kept_image::KeptPath;

/// The source of a trial's case.
#[derive(Clone)]
pub(in crate::frontend::trial) enum Source {
    /// A regression seed.
    Seed(SeedPath),
    /// A fresh case of the campaign.
    Fresh(CaseId),
    /// A kept image.
    Image(KeptPath),
    /// As many cases as there is time for, against the model alone.
    Model(Box<AgainstModel>),
}

/// Returns the case of a source, and the parsed seed file if it is a seed. Fails for many cases.
pub(in crate::frontend::trial) fn read(
    source: &Source,
    selection: &Selection,
) -> Result<(Case, Option<SeedFile>)> {
    match source {
        Source::Seed(path) => {
            let seed = SeedFile::read(&path.path)?;
            Ok((seed.case()?, Some(seed)))
        }
        Source::Fresh(id) => Ok((Generation::case(id, selection)?, None)),
        Source::Image(_) => Err(Error::usage("an image is no case")),
        Source::Model(_) => Err(Error::usage("there are many cases, not one")),
    }
}
