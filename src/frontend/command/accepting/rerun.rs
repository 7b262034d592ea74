//! The case of a new seed once more: whether it still shows the difference now that a recipe took the place of guest data.
//!
//! `imgduel accept` calls it. That the difference is gone refuses nothing: the person decides what the seed is worth.

use crate::base::error::Result;
use crate::campaign::candidate_set::CandidateSet;
use crate::campaign::settings::Settings;
use crate::report::seed_file::SeedFile;
use crate::tool::{ToolEnv, ToolSpec};

/// Runs the case with the candidate of this spec, or else the one that the file is about, and returns what came of it in one line.
pub(super) fn said(seed: &SeedFile, candidate: Option<&ToolSpec>) -> String {
    let (Ok(case), Some(seen)) = (seed.case(), &seed.seen) else {
        return String::new();
    };
    let told = || seed.spec().and_then(|spec| spec.parse().ok());
    let spec = candidate.cloned().or_else(told);
    let spec = spec.unwrap_or_else(|| ToolSpec::named(&seen.candidate.name));
    let run = || -> Result<String> {
        let mut settings = Settings::from_flags::<&str>([])?;
        settings.candidates = vec![spec.clone()];
        let tool_env = ToolEnv::of_this_program(settings.timeout, settings.launcher())?;
        let (candidate_set, ..) = CandidateSet::open_available(&settings, &tool_env)?;
        let record = candidate_set.only()?.try_case(case.clone())?;
        let shows = |group: &crate::oracle::signature::Group| {
            (&group.kind, &group.operation) == (&seen.kind, &seen.operation)
        };
        Ok(match record.group() {
            Some(group) if shows(&group) => format!("with {spec} it still shows the difference\n"),
            _ => format!(
                "the difference is gone with {spec} ({}): it needs the data that a guest wrote; accept it with --keep-data, if they may be published, or name the candidate that showed it (--candidate)\n",
                record.verdict
            ),
        })
    };
    run().unwrap_or_else(|error| {
        format!("it was not run again ({error}): replay it once to see that it still shows the difference\n")
    })
}
