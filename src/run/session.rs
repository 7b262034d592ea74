//! A session: the two tools, the catalogue and the settings of a run, opened once. It takes a case and returns its
//! record.
//!
//! A candidate set opens one session for each candidate.

mod canary;
mod confirmation;
mod programs;

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use jiff::Timestamp;
use tracing::span::EnteredSpan;

use crate::base::error::{Error, Result};
use crate::base::program;
use crate::case::Case;
use crate::case::generation::Selection;
use crate::case::known::{Catalogue, Said, Sighting};
use crate::oracle::verdict::{InconclusiveKind, Verdict};
use crate::run::case_worker::{CaseWorkers, Doubt, Reached, Tried};
use crate::run::evidence::shell_line;
use crate::run::record::{Elsewhere, Explained, Record, ToolName};
use crate::run::runner::{DifferentialRunner, Outcome};
use crate::tool::Tool;
use crate::tool::cache::{CaseAnswers, Sharing, Store, cached, shared};
use programs::Programs;

/// The opened tools and everything else that is needed to run cases.
#[derive(Clone)]
pub struct Session {
    runner: DifferentialRunner,
    /// The reference without the cache in front of it: confirmation runs call it anew.
    reference: Arc<dyn Tool>,
    catalogue: Arc<Catalogue>,
    terms: Terms,
    /// Cases that run in parallel hold it for reading; a confirmation that must run alone holds it for writing.
    gate: Arc<RwLock<()>>,
    programs: Programs,
    /// Workers that run whole cases with the candidate and the model alone, where the model is the reference.
    workers: Option<Arc<CaseWorkers>>,
    /// A second reference, which is asked about what the model as reference finds.
    second: Option<Arc<dyn Tool>>,
}

/// How to set up the same session from a command line.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// The candidate as given on the command line, e.g. `qemu-img:/usr/bin/qemu-img`.
    pub candidate: String,
    /// The other command-line flags.
    pub flags: Vec<String>,
}

impl Session {
    /// Returns a session of its own, for tools that are already open.
    pub fn new(runner: DifferentialRunner, catalogue: Catalogue) -> Self {
        let catalogue = Arc::new(catalogue);
        Self::in_run(runner, catalogue, Terms::default(), Arc::default())
    }

    /// Returns one of several sessions of a run. Sessions with the same `gate` wait for each other's confirmations.
    pub fn in_run(
        runner: DifferentialRunner,
        catalogue: Arc<Catalogue>,
        terms: Terms,
        gate: Arc<RwLock<()>>,
    ) -> Self {
        Self {
            reference: Arc::clone(&runner.reference),
            programs: Programs::for_tools([&*runner.candidate, &*runner.reference]),
            runner,
            catalogue,
            terms,
            gate,
            workers: None,
            second: None,
        }
    }

    /// Returns what the candidate's workers have reached, if they count.
    pub fn regions_reached(&self) -> Option<Reached> {
        self.workers.as_ref()?.reached()
    }

    /// Returns the same session with workers that run whole cases, if there are any.
    pub fn with_workers(self, workers: Option<Arc<CaseWorkers>>) -> Self {
        Self { workers, ..self }
    }

    /// Returns the same session with a second reference, if there is one.
    pub fn with_second_reference(self, second: Option<Arc<dyn Tool>>) -> Self {
        Self { second, ..self }
    }

    /// Runs a case once: in a worker if the model alone can judge it, and, if that finds anything, call by call.
    fn run_once(&self, case: &Case) -> Result<Outcome> {
        let workers = self.workers.as_ref().filter(|_| CaseWorkers::can(case));
        let Some(workers) = workers else {
            return self.runner.run(case);
        };
        let doubt = match workers.run(case)? {
            Tried::Clean(outcome) => return Ok(outcome),
            Tried::Doubtful(doubt) => doubt,
        };
        let mut outcome = self.runner.run(case)?;
        let mut verdicts = outcome
            .operations
            .iter()
            .map(|operation| &operation.verdict);
        let is_match = verdicts.all(|verdict| *verdict == Verdict::Match);
        if let (Doubt::Found(summary), true, [first, ..]) =
            (doubt, is_match, &mut outcome.operations[..])
        {
            let reason = format!("in a worker: {summary}; call by call it is a match");
            first.verdict = Verdict::inconclusive(InconclusiveKind::NotRepeated, reason);
        }
        Ok(outcome)
    }

    /// Returns a session that answers reference calls from `store` where it can.
    pub fn with_cache(&self, store: Arc<Store>) -> Self {
        let runner = DifferentialRunner {
            reference: cached(Arc::clone(&self.runner.reference), store),
            // Its own fixtures: an image that the reference made in this run may differ from the one that its cached
            // answers are about.
            fixtures: Arc::default(),
            ..self.runner.clone()
        };
        Self {
            runner,
            ..self.clone()
        }
    }

    /// Returns a session that shares the reference's answers on one case with other candidates, or with itself, if its
    /// candidate is the `only` one that the case concerns: `first` holds the answers of first runs, `again` those of
    /// confirmation runs.
    pub fn with_shared_answers(
        &self,
        first: &Arc<CaseAnswers>,
        again: &Arc<CaseAnswers>,
        only: bool,
    ) -> Self {
        let sharing = match self.runner.candidate.capabilities().can("snapshot") {
            _ if only => Sharing::Readings,
            true => Sharing::AllButSnapshots,
            false => Sharing::All,
        };
        let behind = |reference: &Arc<dyn Tool>, answers: &Arc<CaseAnswers>| {
            shared(Arc::clone(reference), Arc::clone(answers), sharing)
        };
        let runner = DifferentialRunner {
            reference: behind(&self.runner.reference, first),
            ..self.runner.clone()
        };
        Self {
            runner,
            reference: behind(&self.reference, again),
            ..self.clone()
        }
    }

    /// Whether the candidate cannot write to images.
    pub fn is_of_reader(&self) -> bool {
        !self.runner.candidate.capabilities().can("write")
    }

    /// The tool under test.
    pub fn candidate(&self) -> &dyn Tool {
        &*self.runner.candidate
    }

    /// The name and version of the reference.
    pub fn reference_name(&self) -> ToolName {
        tool_name(&self.runner.reference)
    }

    /// The candidate as given on the command line, e.g. `qemu-img:/usr/bin/qemu-img`.
    pub fn spec(&self) -> &str {
        &self.terms.candidate
    }

    /// The candidate's name and version.
    pub fn candidate_name(&self) -> ToolName {
        tool_name(&self.runner.candidate)
    }

    /// The reference.
    pub fn reference(&self) -> &dyn Tool {
        &*self.runner.reference
    }

    /// An error that names the witness tools that are not installed; `None` if all are.
    pub fn missing_witnesses(&self) -> Option<Error> {
        self.runner.witnesses.missing().map(Error::missing_tool)
    }

    /// All supported witness tools, each with its version, or `None` if it is not installed.
    pub fn witnesses(&self) -> BTreeMap<&'static str, Option<String>> {
        self.runner.witnesses.versions()
    }

    /// Whether the candidate supports at least one operation of the case.
    pub fn concerns(&self, case: &Case) -> bool {
        self.runner.concerns(case)
    }

    /// Runs a case once, without confirmation.
    pub fn try_case(&self, case: Case) -> Result<Record> {
        let _case = self.span(&case);
        let started = Timestamp::now();
        let outcome = self.run_once(&case)?;
        Ok(self.record(case, outcome, started))
    }

    /// Runs a case and confirms timeouts and new divergences by a second run: see [`confirmation`]. Fails if a tool's
    /// program was replaced meanwhile.
    pub fn run_confirmed(&self, case: Case) -> Result<Record> {
        let _case = self.span(&case);
        let started = Timestamp::now();
        let outcome = self.run_and_confirm(&case)?;
        self.programs.check_unchanged()?;
        Ok(self.record(case, outcome, started))
    }

    /// The tracing span of a case, for `--log`.
    fn span(&self, case: &Case) -> EnteredSpan {
        let tool = &self.runner.candidate;
        tracing::info_span!("case", id = %case.id(), candidate = tool.name(), version = tool.version()).entered()
    }

    /// The catalogue of known divergences.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// Looks up a divergence of the operation at `index` in the catalogue.
    fn explained(&self, case: &Case, index: usize, verdict: &Verdict) -> Explained {
        let Verdict::Divergence(finding) = verdict else {
            return Explained::No;
        };
        let (candidate, reference) = (&self.runner.candidate, &self.runner.reference);
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
        let id = case.id().to_string();
        let reproduce = self.reproduce(&id, &case.selection());
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
            candidate_spec: Some(self.terms.candidate.clone()).filter(|spec| !spec.is_empty()),
            known_reached: reached,
            ..record
        }
    }

    /// The command line that runs a case again with the same settings.
    pub fn reproduce(&self, id: &str, selection: &Selection) -> String {
        let mut words = program::words();
        words.extend(["replay", id].map(str::to_owned));
        words.extend(selection.flags());
        words.extend(self.terms.flags.iter().cloned());
        shell_line(&words)
    }

    /// The ids of the catalogue's entries whose operations and parameters this case has, counting only operations that
    /// were not skipped. An entry that is reached often but never matches is stale.
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
