//! A case that a command line names: by its id, by a seed file, or by the name of its trial.
//!
//! `replay`, `shrink`, `script` and `report` use it. A file tells which tool its case is about; without `--candidate`, that is the tool that is tried.

use std::path::Path;

use super::from::Images;
use crate::base::error::{Error, Result};
use crate::campaign::settings::{self, Settings};
use crate::case::Case;
use crate::frontend::trial::{CAMPAIGN, REGRESSION, SEED_DIRECTORY};
use crate::report::complain;
use crate::report::seed_file::{self, SeedFile};
use crate::tool::ToolSpec;

/// A case and where it comes from.
pub(super) struct NamedCase {
    /// As on the command line.
    pub name: String,
    pub case: Case,
    /// The file, parsed.
    pub seed: Option<SeedFile>,
}

impl NamedCase {
    /// Reads the case of a seed file or of a trial, or decodes that of an id.
    pub(super) fn read(name: &str, settings: &Settings, images: &Images) -> Result<Self> {
        let trial = name.split_once("::");
        let of_seed = trial.filter(|(module, _)| *module == REGRESSION);
        let of_seed = of_seed.map(|(_, stem)| seed_file::path(Path::new(SEED_DIRECTORY), stem));
        let path = of_seed.as_deref().unwrap_or(Path::new(name));
        let (case, seed) = if path.is_dir() {
            return Err(Error::usage(format!(
                "{} is a directory: name a seed file in it, or a case id",
                path.display()
            )));
        } else if of_seed.is_some() || SeedFile::is_named_by(name) {
            let seed = SeedFile::read(path)?;
            let mut case = seed.case()?;
            images.find_again(&mut case);
            (case, Some(seed))
        } else {
            let of_campaign = trial.filter(|(module, _)| *module == CAMPAIGN);
            let id = of_campaign.map_or(name, |(_, id)| id);
            (images.case(&id.parse()?, settings)?, None)
        };
        Ok(Self {
            name: name.to_owned(),
            case,
            seed,
        })
    }

    fn spec(&self) -> Option<&str> {
        self.seed.as_ref()?.spec()
    }
}

/// The settings with the candidate that the files are about, unless the command line, a variable or `imgduel.toml` names one. Files about different tools
/// leave the settings as they are, and a line says so.
pub(super) fn with_candidate_of(settings: &Settings, cases: &[NamedCase]) -> Result<Settings> {
    let mut settings = settings.clone();
    let mut told = cases.iter().filter_map(|case| Some((case, case.spec()?)));
    let Some((first, spec)) = told.next() else {
        return Ok(settings);
    };
    if settings::is_candidate_named()? {
        return Ok(settings);
    }
    if let Some((other, another)) = told.find(|(_, other)| *other != spec) {
        let usual = settings.candidates.iter().map(ToolSpec::to_string);
        let usual: Vec<String> = usual.collect();
        complain(&Error::usage(format!(
            "{} is about {spec} and {} about {another}: all are tried with {} (--candidate names another tool)",
            first.name,
            other.name,
            usual.join(", ")
        )));
        return Ok(settings);
    }
    let spec: ToolSpec = spec.parse().map_err(|_| {
        Error::usage(format!(
            "{} was found with {spec}, which no name of a tool stands for: give it with --candidate",
            first.name
        ))
    })?;
    settings.candidates = vec![spec];
    Ok(settings)
}
