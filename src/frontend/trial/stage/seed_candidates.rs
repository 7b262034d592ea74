//! The candidates that seeds name themselves: a seed about an operation that the usual candidate lacks is carried out by one that has it, in
//! addition to the candidates of the run.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::base::error::Result;
use crate::campaign::candidate_set::CandidateSet;
use crate::campaign::settings::Settings;
use crate::case::Case;
use crate::report::seed_file::SeedFile;
use crate::run::record::Record;
use crate::tool::{ToolEnv, ToolSpec};

/// The opened candidates, by their specs.
#[derive(Default)]
pub(super) struct SeedCandidates(Mutex<HashMap<String, Arc<CandidateSet>>>);

impl SeedCandidates {
    /// Runs a seed's case with the candidate that it names, unless it names none or the settings name it anyway. An error says which tool is missing.
    pub(super) fn run(
        &self,
        seed: Option<&SeedFile>,
        settings: &Settings,
        case: &Case,
    ) -> Result<Vec<Record>> {
        let Some(spec) = seed.and_then(|seed| seed.candidate.as_ref()) else {
            return Ok(Vec::new());
        };
        let parsed: ToolSpec = spec.parse()?;
        if settings
            .candidates
            .iter()
            .any(|named| named.name == parsed.name || named.is_all())
        {
            return Ok(Vec::new());
        }
        let opened = {
            let mut opened = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match opened.get(spec) {
                Some(candidate_set) => Arc::clone(candidate_set),
                None => {
                    let mut settings = settings.clone();
                    settings.candidates = vec![parsed];
                    let tool_env = ToolEnv::of_this_program(settings.timeout, settings.launcher())?;
                    let made = Arc::new(CandidateSet::open(&settings, &tool_env)?);
                    opened.insert(spec.to_owned(), Arc::clone(&made));
                    made
                }
            }
        };
        opened.run_confirmed(case)
    }
}
