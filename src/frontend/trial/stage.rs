//! The state that the trials of one run share: the tools, which the first trial opens, and the reports.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use super::SEED_DIRECTORY;
use super::kept::{Kept, TrialCase};
use crate::base::error::{Cause, Error, Result};
use crate::base::program;
use crate::campaign::candidate_set::{CandidateSet, second_judge};
use crate::campaign::settings::Settings;
use crate::campaign::{passing_over, required};
use crate::case::{Case, CaseId};
use crate::frontend::libtest::{Format, Outcome};
use crate::frontend::trace::{Trace, is_one_of_many, target_directory};
use crate::oracle::signature::Group;
use crate::process::own_cpu_time;
use crate::report::findings;
use crate::report::junit::{Fault, JunitFile};
use crate::report::seed_file::{Drawn, SeedFile};
use crate::report::sinks::Sinks;
use crate::report::{self, against_recipe, github, is_on_github, terminal};
use crate::run::record::{Class, Record, Summary};
use crate::tool::ToolEnv;
use crate::tool::cache::Store;

mod image_trial;
mod model_trial;
mod seed_candidates;
mod source;
mod trial_case;

pub(super) use source::{Source, read};

/// The directory of the cached reference answers in the target directory.
const CACHE_DIRECTORY: &str = "imgduel-cache";

/// The state that the trials of one run share.
pub(super) struct TestSession {
    settings: Settings,
    trace: Option<Trace>,
    candidate_set: OnceLock<Result<Opened>>,
    /// The candidates behind a cache of reference answers, for cases that are the same in every run; `None` without a
    /// cache.
    with_answers: OnceLock<Option<CandidateSet>>,
    written: Mutex<Option<Written>>,
    of_seeds: seed_candidates::SeedCandidates,
    of_images: image_trial::ToolsOfImages,
    /// The first trial that showed a group of divergences, by candidate and group.
    shown: Mutex<HashMap<(String, Group), String>>,
    /// What the trial against the model has to say, when it has ended.
    said: Mutex<Option<String>>,
    /// The connection to the process that is kept for trials, for the one case of this process.
    kept: Mutex<Option<Kept>>,
    started: Instant,
    /// The time after which no more cases of the campaign are begun.
    until: Option<Instant>,
}

/// The opened tools, and why the default reference is not among them, if the model takes its place.
struct Opened {
    candidate_set: CandidateSet,
    absent: Option<Error>,
}

/// The reports in progress. The lock is held while a record is written, never while a case runs.
struct Written {
    summary: Summary,
    /// The figures of the fresh cases alone.
    campaign: Summary,
    sinks: Sinks,
    /// The JUnit document for standard output, if that is the format.
    document: Option<JunitFile<Vec<u8>>>,
}

impl TestSession {
    /// Returns the state for listing; it touches no file.
    pub(super) fn for_listing(settings: Settings) -> Self {
        Self {
            settings,
            trace: None,
            candidate_set: OnceLock::new(),
            with_answers: OnceLock::new(),
            written: Mutex::new(None),
            of_seeds: seed_candidates::SeedCandidates::default(),
            of_images: image_trial::ToolsOfImages::default(),
            shown: Mutex::default(),
            said: Mutex::default(),
            kept: Mutex::default(),
            started: Instant::now(),
            until: None,
        }
    }

    /// Returns the state for running, with the report files opened.
    pub(super) fn open(
        settings: Settings,
        trace: Option<Trace>,
        junit_on_stdout: bool,
    ) -> Result<Self> {
        let sinks = match is_one_of_many() {
            true => Sinks::open_for_one_trial(&settings)?,
            false => Sinks::open(&settings)?,
        };
        let document = junit_on_stdout
            .then(|| JunitFile::begin(Vec::new(), Path::new("standard output"), settings.strict));
        let written = Written {
            summary: Summary::new(None, None, 0),
            campaign: Summary::new(None, None, 0),
            sinks,
            document: document.transpose()?,
        };
        // Under nextest each trial is a run of its own, without a common deadline.
        let until = settings.deadline().filter(|_| !is_one_of_many());
        Ok(Self {
            written: Mutex::new(Some(written)),
            until,
            trace,
            ..Self::for_listing(settings)
        })
    }

    /// Sets the number of trials for the summary.
    pub(super) fn expect(&self, total: u64) {
        if let Some(written) = &mut *self.lock() {
            written.summary.iterations = total;
        }
    }

    /// Fails if a tool that the settings require is not installed.
    pub(super) fn check_required(&self) -> Result<()> {
        let tool_env = ToolEnv::of_this_program(self.settings.timeout, self.settings.launcher())?;
        required::check(&self.settings, &tool_env)
    }

    /// The tools that the settings name, opened at the first call. Fails if a named tool is missing or wrong, because
    /// nothing could be tested. Returns `None` if the default reference is missing or another error occurs; then each
    /// trial reports it.
    pub(super) fn tools(&self) -> Result<Option<&CandidateSet>> {
        let error = match self.candidate_set() {
            Ok(candidate_set) => return Ok(Some(candidate_set)),
            Err(error) => error,
        };
        let is_of_a_tool = matches!(error.cause(), Cause::MissingTool | Cause::Usage);
        let tool_env = ToolEnv::of_this_program(self.settings.timeout, self.settings.launcher())?;
        let is_reference = self.settings.has_default_reference()
            && !CandidateSet::has_reference(&self.settings, &tool_env);
        match is_of_a_tool && !is_reference {
            true => Err(error),
            false => Ok(None),
        }
    }

    fn opened(&self) -> Result<&Opened> {
        let open = || {
            ToolEnv::of_this_program(self.settings.timeout, self.settings.launcher())
                .and_then(|tool_env| CandidateSet::open_available(&self.settings, &tool_env))
                .map(|(candidate_set, _, absent)| Opened {
                    candidate_set,
                    absent,
                })
        };
        let opened = self.candidate_set.get_or_init(open);
        opened.as_ref().map_err(Clone::clone)
    }

    /// The notice that the default reference is not installed, if the model takes its place.
    pub(super) fn absent_reference(&self) -> Option<Error> {
        let opened = self.opened().ok()?;
        opened.absent.as_ref().map(second_judge)
    }

    fn candidate_set(&self) -> Result<&CandidateSet> {
        Ok(&self.opened()?.candidate_set)
    }

    /// The ids of the first `count` cases that at least one candidate supports.
    pub(super) fn supported(
        candidate_set: &CandidateSet,
        cases: impl Iterator<Item = Case> + Send,
        count: u64,
    ) -> Vec<CaseId> {
        let cases = passing_over(cases, |case| candidate_set.concerns(case));
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        cases.take(count).map(|case| case.id()).collect()
    }

    /// Runs a trial: decodes its case, runs it, and writes its records.
    pub(super) fn run(&self, name: &str, source: &Source) -> Outcome {
        let is_over = self.until.is_some_and(|until| Instant::now() >= until);
        if is_over && matches!(source, Source::Fresh(_)) {
            return Outcome::Ignored("not run: the time limit of --duration is reached".to_owned());
        }
        let recorded = match source {
            Source::Model(cases) => return self.against_model(name, cases),
            Source::Image(image) => return self.kept_image(name, image),
            Source::Seed(_) | Source::Fresh(_) => self.record(name, source),
        };
        match recorded {
            Ok((records, seed)) => self.outcome_of_all(name, &records, seed.as_ref()),
            Err(error) => self.not_possible(name, &error),
        }
    }

    fn record(&self, name: &str, source: &Source) -> Result<(Vec<Record>, Option<SeedFile>)> {
        let (case, seed) = read(source, &self.settings.selection())?;
        let is_the_same_each_time = match source {
            Source::Seed(_) => true,
            Source::Fresh(_) | Source::Image(_) | Source::Model(_) => {
                self.settings.has_usual_campaign()
            }
        };
        let trial_case = TrialCase {
            case,
            seed,
            is_the_same_each_time,
        };
        let mut records = self.records_of(&trial_case)?;
        let seed = trial_case.seed;
        for record in &mut records {
            record.trial = Some(name.to_owned());
            if let Source::Seed(seed) = source {
                let directory = self.settings.seeds.as_deref();
                let directory = directory.unwrap_or(Path::new(SEED_DIRECTORY));
                let file = directory.join(format!("{}.json", seed.stem));
                record.came_from_file(file.display().to_string());
            }
        }
        if let Some(trace) = &self.trace {
            trace.keep(name, &records)?;
        }
        if let Some(written) = &mut *self.lock() {
            written.summary.add_case(&records);
            if let Source::Fresh(_) = source {
                written.campaign.add_case(&records);
            }
            for record in &records {
                written.sinks.add(record)?;
                let document = written.document.as_mut();
                document.map_or(Ok(()), |document| document.append(record))?;
            }
        }
        Ok((records, seed))
    }

    /// The outcome of all candidates. The trial fails if any of them fails, with all their texts; otherwise
    /// inconclusive takes precedence over match, and match over unsupported.
    fn outcome_of_all(&self, name: &str, records: &[Record], seed: Option<&SeedFile>) -> Outcome {
        let rank = |record: &&Record| match record.class() {
            Class::Divergence => 0,
            Class::KnownElsewhere => 1,
            Class::Inconclusive => 2,
            Class::Flaky => 3,
            Class::Match => 4,
            Class::Known => 5,
            Class::Unsupported => 6,
        };
        let outcomes = records
            .iter()
            .map(|record| self.outcome(name, record, seed));
        let texts: Vec<String> = outcomes
            .filter_map(|outcome| match outcome {
                Outcome::Failed(text) => Some(text),
                Outcome::Passed | Outcome::Ignored(_) => None,
            })
            .collect();
        if !texts.is_empty() {
            return Outcome::Failed(texts.join("\n"));
        }
        let decisive = records.iter().min_by_key(rank);
        decisive.map_or(Outcome::Passed, |record| self.outcome(name, record, seed))
    }

    fn cached(&self, candidate_set: &CandidateSet) -> Option<CandidateSet> {
        // The key of a cached answer does not contain environment variables that are passed to tools.
        if self.settings.no_cache || !self.settings.pass_env.is_empty() {
            return None;
        }
        let named = self.settings.cache.clone();
        let directory = named.or_else(|| Some(target_directory()?.join(CACHE_DIRECTORY)))?;
        Some(candidate_set.with_cache(&Arc::new(Store::open(&directory))))
    }

    fn outcome(&self, name: &str, record: &Record, seed: Option<&SeedFile>) -> Outcome {
        let is_failure = match record.class() {
            Class::Match => return Outcome::Passed,
            Class::Divergence | Class::KnownElsewhere => true,
            Class::Inconclusive | Class::Flaky => self.settings.strict,
            Class::Known | Class::Unsupported => false,
        };
        if !is_failure {
            return Outcome::Ignored(terminal::ignored_reason(record).unwrap_or_default());
        }
        if let Some(text) = self.seen_before(name, record) {
            return Outcome::Failed(text);
        }
        let mut text = terminal::evidence_block(record);
        if seed.is_none() {
            text.push_str(&self.kept(record));
        }
        if let Some(SeedFile { why, expected, .. }) = seed {
            text.push_str(&format!("  kept because: {why}\n  expected: {expected}\n"));
        }
        text.push_str(&terminal::as_assertion(name, record));
        Outcome::Failed(text)
    }

    /// The failure text if another trial of this run has already shown the same group, whose evidence is there;
    /// `None`, and the trial is noted, if this is the first.
    fn seen_before(&self, name: &str, record: &Record) -> Option<String> {
        let group = record.group()?;
        let key = (record.candidate.to_string(), group);
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(first) = shown.get(&key) else {
            shown.insert(key, name.to_owned());
            return None;
        };
        let first = first.clone();
        drop(shown);
        let line = terminal::line(record);
        Some(format!(
            "{line}\n  the same as in {first}: {}\n  again: {}\n{}",
            against_recipe::title(&key.1),
            record.reproduce,
            terminal::as_assertion(name, record)
        ))
    }

    /// Keeps a new divergence as a pending finding. Returns a line that says so.
    fn kept(&self, record: &Record) -> String {
        let Some(group) = record
            .group()
            .filter(|_| record.class() == Class::Divergence)
        else {
            return String::new();
        };
        let directory = &self.settings.findings;
        if let Some(path) = findings::kept(directory, &record.candidate, &group) {
            return format!("  pending since before: {}\n", path.display());
        }
        let path = findings::path(directory, &record.candidate, &group);
        let drawn = Drawn::from_record(record);
        match SeedFile::resolved(record, &group, drawn.as_ref()).write(&path) {
            Ok(()) => format!(
                "  kept in {} ({} shrink makes it smaller)\n",
                path.display(),
                program::line()
            ),
            Err(error) => format!("  not kept: {error}\n"),
        }
    }

    /// A missing tool leaves nothing to test, so the trial is ignored; any other fault of the harness is a failure.
    fn not_possible(&self, name: &str, error: &Error) -> Outcome {
        let is_missing_tool = error.cause() == Cause::MissingTool;
        let message = error.to_string();
        let fault = Fault {
            name,
            message: &message,
            is_missing_tool,
        };
        if let Some(written) = &mut *self.lock() {
            let document = written.document.as_mut();
            // The trial's outcome is this error, even if the report cannot be written.
            let _ = written.sinks.add_fault(&fault);
            let _ = document.map_or(Ok(()), |document| document.append_fault(&fault));
        }
        match is_missing_tool {
            true => Outcome::Ignored(message),
            false => Outcome::Failed(format!("the harness could not go on: {message}")),
        }
    }

    /// Completes the reports after all trials. `not_run` are the trials that were shown as ignored. With `to_prove`,
    /// returns the reason if the campaign compared nothing.
    pub(super) fn finish(
        &self,
        not_run: &[(String, String)],
        format: Format,
        to_prove: bool,
    ) -> Result<Option<String>> {
        let Some(mut written) = self.lock().take() else {
            return Ok(None);
        };
        let cases = *written.campaign.cases();
        let vacuous = (to_prove && cases.compared() == 0 && !self.settings.allow_vacuous).then(|| {
            format!(
                "nothing was compared in the campaign ({} inconclusive, {} unsupported, {} flaky)",
                cases.inconclusive, cases.unsupported, cases.flaky
            )
        });
        written.summary.vacuous.clone_from(&vacuous);
        written
            .summary
            .finish(self.started.elapsed(), own_cpu_time());
        written.sinks.finish(&written.summary)?;
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let is_for_people = matches!(format, Format::Pretty | Format::Terse);
        if let Some(line) = said.as_ref().filter(|_| is_for_people) {
            terminal::write_text(&format!("{line}\n"));
        }
        if !is_one_of_many() {
            let digest = written.sinks.digest();
            // Programs read the other formats.
            if is_on_github() && is_for_people {
                terminal::write_text(&github::annotations(&written.summary, digest));
            }
            report::tell_github(&written.summary, digest);
        }
        let Some(mut document) = written.document else {
            return Ok(vacuous);
        };
        for (name, reason) in not_run {
            document.append_fault(&Fault {
                name,
                message: reason,
                is_missing_tool: true,
            })?;
        }
        terminal::write_bytes(&document.into_output()?);
        Ok(vacuous)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Written>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
