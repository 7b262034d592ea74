//! The two tools, the catalogue and the terms of a run, opened once: takes a case, gives its record.
//!
//! Used by the campaign and by every trial of the test door.

mod canary;
mod hearing;
mod programs;

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use jiff::Timestamp;

use crate::cache::{Store, cached};
use crate::case::Case;
use crate::duel::{Duel, Outcome};
use crate::error::{Error, Result};
use crate::evidence::shell_line;
use crate::known::Catalogue;
use crate::launcher::Launcher;
use crate::process::warden;
use crate::record::{Record, ToolName};
use crate::request::{ImageFile, Request};
use crate::sandbox::Remover;
use crate::settings::Settings;
use crate::tool::{self, Means, Support, Tool, ToolSpec};
use crate::verdict::Verdict;
use crate::witness::Witnesses;
use programs::Programs;

/// Where cases are tried.
pub struct Arena {
    duel: Duel,
    catalogue: Catalogue,
    /// How the candidate was named.
    spec: String,
    /// The flags that set the same terms on a command line.
    terms: Vec<String>,
    /// Shared by cases that run side by side; held alone by a hearing that is not to be disturbed.
    gate: Arc<RwLock<()>>,
    programs: Programs,
    /// What starts the tools, when this arena has opened them.
    launcher: Option<Arc<Launcher>>,
}

impl Arena {
    /// Opens the tools that the settings name and looks whether the scratch directory can be written to.
    pub fn open(settings: &Settings, means: &Means) -> Result<Self> {
        let reference = tool::open_reference(&settings.reference, means)?;
        let spec = settings.candidate()?;
        let candidate = tool::open(spec, means)?;
        Self::of_tools(settings, spec, candidate, reference, Arc::default(), means)
    }

    /// Looks whether these tools can meet. `spec` is what named the candidate, `gate` is shared with the arenas beside this one.
    pub fn of_tools(
        settings: &Settings,
        spec: &ToolSpec,
        candidate: Arc<dyn Tool>,
        reference: Arc<dyn Tool>,
        gate: Arc<RwLock<()>>,
        means: &Means,
    ) -> Result<Self> {
        can_make_fixtures(&*reference)?;
        // Asked now, so that what cannot be forked is said before the run.
        let programs = [&candidate, &reference].into_iter();
        let _ = programs
            .filter_map(|tool| means.launcher.objection(tool.program()?))
            .count();
        let workdir = settings.workdir();
        tempfile::tempfile_in(&workdir)
            .map_err(|error| Error::io("write to the scratch directory", &workdir, &error))?;
        warden::sweep(&workdir);
        warden::post(&means.worker_program, &workdir)?;
        let witnesses = Witnesses::find(settings.timeout);
        let duel = Duel {
            witnesses,
            candidate,
            reference,
            limit: settings.timeout,
            cage: settings.cage(),
            workdir,
            keep: settings.keep,
            fixtures: Arc::default(),
            remover: Arc::new(Remover::start()),
        };
        Ok(Self {
            catalogue: Catalogue::built_in()?,
            spec: spec.to_string(),
            terms: settings.terms(spec),
            gate,
            programs: Programs::of([&*duel.candidate, &*duel.reference]),
            duel,
            launcher: Some(Arc::clone(&means.launcher)),
        })
    }

    /// An arena of tools that are open already.
    pub fn new(duel: Duel, catalogue: Catalogue) -> Self {
        Self {
            programs: Programs::of([&*duel.candidate, &*duel.reference]),
            duel,
            catalogue,
            spec: String::new(),
            terms: Vec::new(),
            gate: Arc::default(),
            launcher: None,
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
            spec: self.spec.clone(),
            gate: Arc::clone(&self.gate),
            programs: Programs::of([&*self.duel.candidate, &*self.duel.reference]),
            duel,
            catalogue: self.catalogue.clone(),
            terms: self.terms.clone(),
            launcher: self.launcher.clone(),
        }
    }

    /// The tool under test.
    pub fn candidate(&self) -> &dyn Tool {
        &*self.duel.candidate
    }

    /// How it was named.
    pub fn spec(&self) -> &str {
        &self.spec
    }

    /// Its name and version.
    pub fn candidate_name(&self) -> ToolName {
        tool_name(&self.duel.candidate)
    }

    /// qemu-img.
    pub fn reference(&self) -> &dyn Tool {
        &*self.duel.reference
    }

    /// What the person should know before the run: witnesses that are missing, tools that cannot be forked.
    pub fn notices(&self) -> Vec<Error> {
        let missing = self.duel.witnesses.missing().map(Error::missing_tool);
        let launcher = self.launcher.iter();
        let fallbacks = launcher.flat_map(|launcher| launcher.fallbacks());
        missing
            .into_iter()
            .chain(fallbacks.map(Error::system))
            .collect()
    }

    /// What came of comparing the two ways of starting tools, in a line; an error when they differed.
    pub fn compared(&self) -> Option<Result<String>> {
        let (calls, differed, first) = self.launcher.as_ref()?.compared()?;
        let line = format!("{calls} calls started both ways, {differed} differed");
        Some(match first {
            None => Ok(line),
            Some(first) => Err(Error::system(format!("{line}; the first: {first}"))),
        })
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
        let started = Timestamp::now();
        let outcome = self.duel.fight(&case)?;
        Ok(self.record(case, outcome, started))
    }

    /// Tries a case, and again what is not to be believed at once: see [`hearing`].
    pub fn try_surely(&self, case: Case) -> Result<Record> {
        let started = Timestamp::now();
        let outcome = self.hear(&case)?;
        self.programs.are_the_same()?;
        Ok(self.record(case, outcome, started))
    }

    /// The id of the catalogue's entry that explains what was found in an operation.
    fn known(&self, case: &Case, index: usize, verdict: &Verdict) -> Option<String> {
        let Verdict::Divergence(finding) = verdict else {
            return None;
        };
        let (candidate, reference) = (&self.duel.candidate, &self.duel.reference);
        let named = |tool| -> (&str, &str) { (Tool::name(tool), Tool::version(tool)) };
        let (ours, theirs) = (named(&**candidate), named(&**reference));
        let entry = self.catalogue.entry(ours, theirs, case, index, finding);
        entry.map(|entry| entry.id.clone())
    }

    fn record(&self, case: Case, outcome: Outcome, started: Timestamp) -> Record {
        let fields = case.fields_filter.as_deref();
        let id = case.id().to_string();
        let reproduce = self.reproduce(&id, case.ops_filter.as_deref(), fields);
        let candidate = tool_name(&self.duel.candidate);
        let reference = tool_name(&self.duel.reference);
        let known: Vec<Option<String>> = outcome
            .operations
            .iter()
            .enumerate()
            .map(|(index, operation)| self.known(&case, index, &operation.verdict))
            .collect();
        let reached = self.reached(named(&candidate), named(&reference), &case, &outcome);
        let record = Record::new(case, outcome, &known, candidate, reference);
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
        words.extend(self.terms.iter().cloned());
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
        let entries = self.catalogue.entries.iter().filter(|entry| {
            entry.is_about(candidate, reference)
                && indices
                    .iter()
                    .any(|index| entry.when.could_hold(case, *index))
        });
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
