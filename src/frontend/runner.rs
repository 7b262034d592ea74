//! Cases in a program of one's own: opens the tools that the settings name, takes the id of a case, and returns its records.
//!
//! For other programs; imgduel itself does not call it. It runs no campaigns and writes no reports: the command and the
//! test target do that.

use std::sync::Arc;

use crate::base::error::Result;
use crate::campaign::candidate_set::CandidateSet;
use crate::campaign::settings::Settings;
use crate::case::CaseId;
use crate::case::generation::{Generation, Selection};
use crate::run::record::Record;
use crate::tool::{Tool, ToolEnv};

/// The reference and one or more candidates, opened.
///
/// Dropping it ends the processes that it keeps and removes their scratch directories.
pub struct Runner {
    candidate_set: CandidateSet,
}

impl Runner {
    /// Opens the tools that the settings name. An error says which tool is missing and how to install it.
    ///
    /// A program that opens an embedded candidate (`imago`, …) must call [`serve_if_asked`](crate::serve_if_asked) first: it is started again as
    /// that candidate's worker.
    pub fn open(settings: &Settings) -> Result<Self> {
        let tool_env = ToolEnv::of_this_program(settings.timeout, settings.launcher())?;
        let candidate_set = CandidateSet::open_available(settings, &tool_env)?.0;
        Ok(Self { candidate_set })
    }

    /// Opens the reference that the settings name, and compares it with a tool of the caller's own. It ignores the candidates in the settings.
    pub fn with_candidate(candidate: Arc<dyn Tool>, settings: &Settings) -> Result<Self> {
        let tool_env = ToolEnv::of_this_program(settings.timeout, settings.launcher())?;
        let candidate_set = CandidateSet::with_candidate(candidate, settings, &tool_env)?;
        Ok(Self { candidate_set })
    }

    /// Runs a case with every candidate and confirms divergences. Returns one record for each candidate, in the order of
    /// the settings.
    ///
    /// A tool that fails, crashes or hangs gives a record. An error means that the harness itself failed, or that the case
    /// does not exist.
    pub fn run(&self, id: &CaseId) -> Result<Vec<Record>> {
        self.candidate_set
            .run_confirmed(&Generation::case(id, &Selection::ALL)?)
    }
}
