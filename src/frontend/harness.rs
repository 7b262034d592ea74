//! The harness for programs of one's own: opens the tools that settings name, takes a case by its id, gives its records.
//!
//! Called from outside, and by nothing here. It draws no campaign and writes no report: those are the command's and the test target's.

use std::sync::Arc;

use crate::base::error::Result;
use crate::campaign::contest::Contest;
use crate::campaign::settings::Settings;
use crate::case::CaseId;
use crate::case::generation::Generation;
use crate::run::record::Record;
use crate::tool::{Means, Tool};

/// The reference and one or more candidates, open.
///
/// Dropping it ends the processes that it keeps and removes their scratch directories.
pub struct Harness {
    contest: Contest,
}

impl Harness {
    /// Opens the tools that the settings name. An error says which tool is not there and how to install it.
    ///
    /// A program that opens an embedded candidate (`imago`, …) must call [`serve_if_asked`](crate::serve_if_asked) first: it is started again as
    /// that candidate's worker.
    pub fn open(settings: &Settings) -> Result<Self> {
        let means = Means::of_this_program(settings.timeout, settings.launcher())?;
        let contest = Contest::open(settings, &means)?;
        Ok(Self { contest })
    }

    /// Opens the reference that the settings name, against a tool of the caller's own. Their candidates do not count.
    pub fn with_candidate(candidate: Arc<dyn Tool>, settings: &Settings) -> Result<Self> {
        let means = Means::of_this_program(settings.timeout, settings.launcher())?;
        let contest = Contest::with_candidate(candidate, settings, &means)?;
        Ok(Self { contest })
    }

    /// Runs a case with every candidate and confirms what differs: one record for each candidate, in the order of the settings.
    ///
    /// A tool that fails, crashes or hangs is a record; an error means that the harness itself could not go on, or that there is no such case.
    pub fn run(&self, id: &CaseId) -> Result<Vec<Record>> {
        self.contest
            .try_surely(&Generation::case_of_fields(id, None, None)?)
    }
}
