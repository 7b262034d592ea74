//! The two tools, the catalogue and the terms of a run, opened once: takes a case, gives its record.
//!
//! Opened by the contest, one for each candidate.

mod canary;
mod hearing;
mod programs;

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use jiff::Timestamp;
use tracing::span::EnteredSpan;

use crate::base::error::{Error, Result};
use crate::case::Case;
use crate::case::known::{Catalogue, Said, Sighting};
use crate::oracle::verdict::Verdict;
use crate::run::duel::{Duel, Outcome};
use crate::run::evidence::shell_line;
use crate::run::record::{Elsewhere, Explained, Record, ToolName};
use crate::tool::cache::{OfCase, Store, cached, shared};
use crate::tool::{self, Tool};
use programs::Programs;

/// Where cases are tried.
#[derive(Clone)]
pub struct Arena {
    duel: Duel,
    /// The reference itself, whatever its answers are kept behind: what is heard again is asked again.
    reference: Arc<dyn Tool>,
    catalogue: Arc<Catalogue>,
    terms: Terms,
    /// Shared by cases that run side by side; held alone by a hearing that is not to be disturbed.
    gate: Arc<RwLock<()>>,
    programs: Programs,
}

/// How an arena is set up again from a command line.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// How the candidate was named.
    pub candidate: String,
    /// The flags that set the same terms.
    pub flags: Vec<String>,
}

impl Arena {
    /// An arena of tools that are open.
    pub fn new(duel: Duel, catalogue: Catalogue) -> Self {
        let catalogue = Arc::new(catalogue);
        Self::in_run(duel, catalogue, Terms::default(), Arc::default())
    }

    /// One of several in a run, which wait for each other at `gate`.
    pub fn in_run(
        duel: Duel,
        catalogue: Arc<Catalogue>,
        terms: Terms,
        gate: Arc<RwLock<()>>,
    ) -> Self {
        Self {
            reference: Arc::clone(&duel.reference),
            programs: Programs::of([&*duel.candidate, &*duel.reference]),
            duel,
            catalogue,
            terms,
            gate,
        }
    }

    /// The same with the reference behind a store of its answers.
    pub fn with_cache(&self, store: Arc<Store>) -> Self {
        let duel = Duel {
            reference: cached(Arc::clone(&self.duel.reference), store),
            // Not shared: what was made anew in this run is not what was answered before.
            fixtures: Arc::default(),
            ..self.duel.clone()
        };
        Self {
            duel,
            ..self.clone()
        }
    }

    /// The same with the reference asked only what it was not asked for another candidate on the same case: the first time, and anew when it is
    /// heard again.
    pub fn beside(&self, first: &Arc<OfCase>, again: &Arc<OfCase>) -> Self {
        let makes_none = !tool::can(&*self.duel.candidate, "snapshot");
        let behind = |reference: &Arc<dyn Tool>, answers: &Arc<OfCase>| {
            shared(Arc::clone(reference), Arc::clone(answers), makes_none)
        };
        let duel = Duel {
            reference: behind(&self.duel.reference, first),
            ..self.duel.clone()
        };
        Self {
            duel,
            reference: behind(&self.reference, again),
            ..self.clone()
        }
    }

    /// Whether the candidate writes to no image.
    pub fn is_of_reader(&self) -> bool {
        !tool::can(&*self.duel.candidate, "write")
    }

    /// The tool under test.
    pub fn candidate(&self) -> &dyn Tool {
        &*self.duel.candidate
    }

    /// qemu-img's name and version.
    pub fn reference_name(&self) -> ToolName {
        tool_name(&self.duel.reference)
    }

    /// How it was named.
    pub fn spec(&self) -> &str {
        &self.terms.candidate
    }

    /// Its name and version.
    pub fn candidate_name(&self) -> ToolName {
        tool_name(&self.duel.candidate)
    }

    /// qemu-img.
    pub fn reference(&self) -> &dyn Tool {
        &*self.duel.reference
    }

    /// The witnesses that are missing, when any is.
    pub fn missing_witnesses(&self) -> Option<Error> {
        self.duel.witnesses.missing().map(Error::missing_tool)
    }

    /// Every witness that there could be, with its version where it is here.
    pub fn witnesses(&self) -> BTreeMap<&'static str, Option<String>> {
        self.duel.witnesses.versions()
    }

    /// Whether the candidate could be asked anything of this case.
    pub fn concerns(&self, case: &Case) -> bool {
        self.duel.concerns(case)
    }

    /// Tries a case, once: what is seen need not be seen again.
    pub fn try_case(&self, case: Case) -> Result<Record> {
        let _case = self.span(&case);
        let started = Timestamp::now();
        let outcome = self.duel.fight(&case)?;
        Ok(self.record(case, outcome, started))
    }

    /// Tries a case, and again what is not to be believed at once: see [`hearing`].
    pub fn try_surely(&self, case: Case) -> Result<Record> {
        let _case = self.span(&case);
        let started = Timestamp::now();
        let outcome = self.hear(&case)?;
        self.programs.are_the_same()?;
        Ok(self.record(case, outcome, started))
    }

    /// The span of a case, for `--log`.
    fn span(&self, case: &Case) -> EnteredSpan {
        let tool = &self.duel.candidate;
        tracing::info_span!("case", id = %case.id(), candidate = tool.name(), version = tool.version()).entered()
    }

    /// What the catalogue says of what was found in an operation.
    fn explained(&self, case: &Case, index: usize, verdict: &Verdict) -> Explained {
        let Verdict::Divergence(finding) = verdict else {
            return Explained::No;
        };
        let (candidate, reference) = (&self.duel.candidate, &self.duel.reference);
        let named = |tool| -> (&str, &str) { (Tool::name(tool), Tool::version(tool)) };
        let (ours, theirs) = (named(&**candidate), named(&**reference));
        let seen = Sighting {
            case,
            index,
            kind: &finding.kind.to_string(),
            blame: Some(finding.blame),
            differences: &finding.differences,
            at: &finding.at,
        };
        match self.catalogue.says(ours, theirs, &seen) {
            None => Explained::No,
            Some(Said::Known(entry)) => Explained::Known(entry.id.clone()),
            Some(Said::Elsewhere(entry)) => Explained::Elsewhere(Elsewhere {
                id: entry.id.clone(),
                tool: match entry.of_reference {
                    true => self.reference_name(),
                    false => self.candidate_name(),
                },
                versions: entry.versions_in_words(),
            }),
        }
    }

    fn record(&self, case: Case, outcome: Outcome, started: Timestamp) -> Record {
        let fields = case.fields_filter.as_deref();
        let id = case.id().to_string();
        let reproduce = self.reproduce(&id, case.ops_filter.as_deref(), fields);
        let (candidate, reference) = (self.candidate_name(), self.reference_name());
        let explained: Vec<Explained> = outcome
            .operations
            .iter()
            .enumerate()
            .map(|(index, operation)| self.explained(&case, index, &operation.verdict))
            .collect();
        let reached = self.reached(named(&candidate), named(&reference), &case, &outcome);
        let record = Record::new(case, outcome, &explained, candidate, reference);
        Record {
            started: Some(started),
            reproduce,
            known_reached: reached,
            ..record
        }
    }

    /// The command line that runs a case again on the same terms.
    pub fn reproduce(
        &self,
        id: &str,
        pool: Option<&[String]>,
        fields: Option<&[String]>,
    ) -> String {
        let mut words = ["imgduel", "replay"].map(str::to_owned).to_vec();
        words.push(id.to_owned());
        if let Some(pool) = pool {
            words.extend(["--ops".to_owned(), pool.join(",")]);
        }
        if let Some(fields) = fields {
            words.extend(["--fields".to_owned(), fields.join(",")]);
        }
        words.extend(self.terms.flags.iter().cloned());
        shell_line(&words)
    }

    /// The entries of the catalogue whose operations and parameters this case had, and that were really made: an entry that is
    /// reached but never fires is stale.
    fn reached(
        &self,
        candidate: (&str, &str),
        reference: (&str, &str),
        case: &Case,
        outcome: &Outcome,
    ) -> Vec<String> {
        let made = |index: &usize| {
            !matches!(
                outcome.operations[*index].verdict,
                Verdict::Unsupported { .. }
            )
        };
        let indices: Vec<usize> = (0..case.ops.len()).filter(made).collect();
        let entries = self.catalogue.reached(candidate, reference, case, &indices);
        entries.map(|entry| entry.id.clone()).collect()
    }
}

fn named(tool: &ToolName) -> (&str, &str) {
    (&tool.name, &tool.version)
}

fn tool_name(tool: &Arc<dyn Tool>) -> ToolName {
    ToolName {
        name: tool.name().to_owned(),
        version: tool.version().to_owned(),
        build: tool.build().map(str::to_owned),
    }
}
