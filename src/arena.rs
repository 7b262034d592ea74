//! The two tools, the catalogue and the terms of a run, opened once: takes a case, gives its record.
//!
//! Used by the campaign and by every trial of the test door.

use std::sync::Arc;

use jiff::Timestamp;

use crate::case::Case;
use crate::duel::Duel;
use crate::error::{Error, Result};
use crate::evidence::shell_line;
use crate::known::Catalogue;
use crate::record::{Record, ToolName};
use crate::request::{ImageFile, Request};
use crate::settings::Settings;
use crate::tool::{self, Means, Support, Tool};
use crate::verdict::Verdict;

/// Where cases are tried.
pub struct Arena {
    duel: Duel,
    catalogue: Catalogue,
    /// The flags that set the same terms on a command line.
    terms: Vec<String>,
}

impl Arena {
    /// Opens the tools that the settings name and looks whether the scratch directory can be written to.
    pub fn open(settings: &Settings, means: &Means) -> Result<Self> {
        let reference = tool::open_reference(&settings.reference, means)?;
        let candidate = tool::open(&settings.candidate, means)?;
        can_make_fixtures(&*reference)?;
        let workdir = settings.workdir();
        tempfile::tempfile_in(&workdir)
            .map_err(|error| Error::io("write to the scratch directory", &workdir, &error))?;
        let duel = Duel {
            candidate,
            reference,
            limit: settings.timeout,
            workdir,
            keep: settings.keep,
        };
        Ok(Self {
            duel,
            catalogue: Catalogue::built_in()?,
            terms: settings.terms(),
        })
    }

    /// An arena of tools that are open already.
    pub fn new(duel: Duel, catalogue: Catalogue) -> Self {
        Self {
            duel,
            catalogue,
            terms: Vec::new(),
        }
    }

    /// Tries a case.
    pub fn try_case(&self, case: Case) -> Result<Record> {
        let started = Timestamp::now();
        let reproduce = self.reproduce(&case);
        let outcome = self.duel.fight(&case)?;
        let candidate = tool_name(&self.duel.candidate);
        let known: Vec<Option<String>> = outcome
            .operations
            .iter()
            .enumerate()
            .map(|(index, operation)| match &operation.verdict {
                Verdict::Divergence(finding) => {
                    let ToolName { name, version } = &candidate;
                    let entry = self.catalogue.entry(name, version, &case, index, finding);
                    entry.map(|entry| entry.id.clone())
                }
                _ => None,
            })
            .collect();
        let reference = tool_name(&self.duel.reference);
        let record = Record::new(case, outcome, &known, candidate, reference);
        Ok(Record {
            started: Some(started),
            reproduce,
            ..record
        })
    }

    /// The command line that runs the case again on the same terms.
    fn reproduce(&self, case: &Case) -> String {
        let mut words = ["imgduel", "replay"].map(str::to_owned).to_vec();
        words.push(case.id().to_string());
        if let Some(pool) = &case.ops_filter {
            words.extend(["--ops".to_owned(), pool.join(",")]);
        }
        words.extend(self.terms.iter().cloned());
        shell_line(&words)
    }
}

fn tool_name(tool: &Arc<dyn Tool>) -> ToolName {
    ToolName {
        name: tool.name().to_owned(),
        version: tool.version().to_owned(),
    }
}

/// The reference also writes guest data into fixtures.
fn can_make_fixtures(reference: &dyn Tool) -> Result<()> {
    let write = Request::Write {
        file: ImageFile::new("fixture", crate::format::Format::Raw),
        writes: Vec::new(),
    };
    match reference.support(&write) {
        Support::Yes => Ok(()),
        Support::No(reason) => Err(Error::missing_tool(reason)),
    }
}
