//! The test target: cases as named tests of `cargo test --test differential`.
//!
//! The module `frontend::libtest` lists and runs them. Listing starts no tool and decodes no case:
//! the first trial that runs opens the tools. A trial prints nothing; its output is its failure text or the reason why
//! it is ignored.

mod against_model;
mod kept;
mod stage;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory, Parser};

use crate::base::error::{Error, Result};
use crate::base::program;
use crate::campaign::candidate_set::CandidateSet;
use crate::campaign::settings::{
    self, FUZZ_ITERATIONS, Read, Settings, TEST_ITERATIONS, TEST_SEED,
};
use crate::case::CaseId;
use crate::case::cost;
use crate::case::generation::{Generation, Selection};
use crate::frontend::libtest::{self, Flags, Format, Trial};
use crate::frontend::serve_if_asked;
use crate::frontend::trace::{Trace, is_one_of_many};
use crate::report::seed_file::{self, SeedPath};
use crate::report::terminal;
use crate::run::kept_image;
use crate::tool::libraries;
use against_model::AgainstModel;
use kept::Kept;
use stage::{Source, TestSession};

/// The directory of the regression seeds in the package.
pub const SEED_DIRECTORY: &str = "fuzz-seeds";

/// The largest number of fresh cases in one run: each has a name that is kept until the end.
const FRESH_TRIALS_MAX: u64 = 1_000_000;

/// The exit code of a libtest binary with failures.
const EXIT_FAILED: u8 = 101;

/// The exit code if the campaign compared nothing.
const EXIT_VACUOUS: u8 = 3;

/// The module of the regression seeds' trials, `regression::STEM`.
pub(super) const REGRESSION: &str = "regression";

/// The module of the fresh cases' trials, `campaign::CASE-ID`.
pub(super) const CAMPAIGN: &str = "campaign";

/// The commands that somebody may write alone, as if they were no filters.
const COMMANDS: [&str; 7] = [
    "fuzz", "replay", "shrink", "script", "report", "accept", "config",
];

/// The module of the kept images' trials, `image::STEM`.
const IMAGE: &str = "image";

/// The module of the trial against the model, `model::GENERATION_sSEED`.
const MODEL: &str = "model";

/// Runs every regression seed and some fresh cases with two disk-image tools, as named trials.
#[derive(Parser)]
#[command(
    name = "differential",
    args_override_self = true,
    after_help = "In a target with libraries of its own, a command of imgduel may stand in place of filters: fuzz --duration 1m, replay ID, shrink, script,\n\
        report, accept, merge, config . (see imgduel --help)"
)]
struct Arguments {
    #[command(flatten, next_help_heading = "Flags of every libtest binary")]
    flags: Flags,

    #[command(flatten, next_help_heading = "Settings")]
    settings: Settings,

    /// Where each trial that has a process of its own writes its record (default: imgduel-records/ in the target directory)
    #[arg(long, value_name = "DIR", env = "IMGDUEL_RECORDS")]
    records: Option<PathBuf>,

    /// How many cases are held against the model alone in one trial, as far as its nine seconds last; 0: no such trial
    #[arg(long, value_name = "N", env = "IMGDUEL_MODEL_CASES", default_value_t = against_model::CASES)]
    model_cases: u64,

    /// Let each trial of nextest open the tools itself, instead of one process that is kept for all of them
    #[arg(long, env = "IMGDUEL_NO_KEPT_PROCESS", value_parser = settings::parse_switch)]
    no_kept_process: bool,
}

/// The definition of the command line, for a caller that checks a command line without running it.
pub fn grammar() -> clap::Command {
    Arguments::command()
}

/// Runs a test target with `harness = false`: every seed of `fuzz-seeds/` in the directory `package`, and some fresh
/// cases, as named trials, with libtest's flags and imgduel's settings. Returns the exit code of `main`: 0, 101 for
/// failures, 2 for wrong usage, 3 if the campaign compared nothing.
#[must_use = "main has to return it"]
pub fn main(package: &Path) -> ExitCode {
    if let Some(code) = serve_if_asked() {
        return code;
    }
    let done = match settings::read::<Arguments>() {
        Ok(Read::Arguments(arguments)) => run(package, *arguments),
        Ok(Read::Help(text)) => {
            terminal::write_bytes(text.as_bytes());
            return ExitCode::SUCCESS;
        }
        // The test target has no sub-commands.
        Ok(Read::NoCommand) => return ExitCode::SUCCESS,
        Err(error) => Err(error),
    };
    done.unwrap_or_else(|error| {
        crate::report::complain(&error);
        ExitCode::from(2)
    })
}

fn run(package: &Path, arguments: Arguments) -> Result<ExitCode> {
    let Arguments {
        flags,
        mut settings,
        records,
        model_cases,
        no_kept_process,
    } = arguments;
    settings.narrow();
    if kept::is_asked() {
        return kept::serve(settings);
    }
    let trace = Trace::open(records, settings.all_terms());
    if let Some(trace) = trace.as_ref().filter(|_| flags.lists_ignored()) {
        trace.carry_over()?;
    }
    let trials = Trials {
        seeds: match &settings.seeds {
            Some(directory) => directory.clone(),
            None => seed_directory(package),
        },
        fresh: Fresh::from_settings(&settings)?,
        model: AgainstModel::from_settings(&settings, model_cases)?.map(Box::new),
        trace: trace.clone(),
    };
    let (jobs, fail_fast) = (settings.jobs, settings.fail_fast);
    let junit_on_stdout = flags.format() == Format::Junit && !flags.list;
    settings.begin_log();
    let stage = match flags.list {
        true => TestSession::for_listing(settings.clone()),
        false => TestSession::open(settings.clone(), trace, junit_on_stdout)?,
    };
    let kept = (!no_kept_process).then(|| Kept::for_trial(&flags, &settings));
    let tools = opened(&flags, &stage, kept.flatten())?;
    if tools.is_some() && !flags.list {
        let notice = stage.absent_reference();
        notice.iter().for_each(crate::report::complain);
    }
    let is_whole = flags.means_all() && !is_one_of_many();
    let drawn = tools
        .filter(|_| is_whole || flags.list)
        .map(|tools| trials.fresh.supported(tools))
        .transpose()?;
    let has_tools = tools.is_some();
    let (mut named, left_out) = trials.named(&flags, drawn)?;
    if !flags.list {
        long_first(&mut named, &settings);
        stage.expect(named.len() as u64);
    }
    let stage = Arc::new(stage);
    hint_at_command(&flags);
    let runnable = runnable(named, &stage);
    let conclusion = libtest::run(&flags, runnable, left_out, jobs, fail_fast)?;
    if flags.list {
        return Ok(ExitCode::SUCCESS);
    }
    let to_prove = is_whole && has_tools;
    let vacuous = stage.finish(&conclusion.not_run, flags.format(), to_prove)?;
    if let Some(why) = &vacuous {
        crate::report::complain(&Error::system(format!(
            "{why}: that proves nothing (--allow-vacuous lets it pass)"
        )));
    }
    Ok(match (conclusion.failed, vacuous) {
        (0, None) => ExitCode::SUCCESS,
        (0, Some(_)) => ExitCode::from(EXIT_VACUOUS),
        _ => ExitCode::from(EXIT_FAILED),
    })
}

/// Opens the tools, as far as they are needed. Listing needs none, but to know which cases a library of this target supports.
fn opened<'stage>(
    flags: &Flags,
    stage: &'stage TestSession,
    kept: Option<Kept>,
) -> Result<Option<&'stage CandidateSet>> {
    if let Some(kept) = kept {
        // The kept process has opened them.
        stage.take_from(kept);
        return Ok(None);
    }
    match flags.list {
        true if libraries::brought().is_empty() => Ok(None),
        true => Ok(stage.tools().ok().flatten()),
        false => {
            stage.check_required()?;
            stage.tools()
        }
    }
}

/// Says what to write if the only filter is the name of a command.
fn hint_at_command(flags: &Flags) {
    let [filter] = &*flags.filters else { return };
    if !libraries::brought().is_empty() && COMMANDS.contains(&&**filter) {
        crate::report::complain(&Error::usage(format!(
            "'{filter}' is taken for a filter: as a command it needs something behind it, as in {} fuzz --duration 1m",
            program::line()
        )));
    }
}

/// Makes the trials runnable.
fn runnable(named: Vec<Named>, stage: &Arc<TestSession>) -> Vec<Trial> {
    let trial = |named: Named| {
        let stage = Arc::clone(stage);
        let Named {
            name,
            ignored,
            source,
        } = named;
        let path = match &source {
            Source::Seed(seed) => Some(seed.path.clone()),
            Source::Image(image) => Some(image.path.clone()),
            Source::Fresh(_) | Source::Model(_) => None,
        };
        let own_name = name.clone();
        Trial {
            name,
            ignored,
            source: path,
            run: Box::new(move || stage.run(&own_name, &source)),
        }
    };
    named.into_iter().map(trial).collect()
}

/// Moves the longest of the first trials to the front, so that no long trial is still running when all others have
/// ended.
fn long_first(named: &mut [Named], settings: &Settings) {
    let selection = settings.selection();
    let first = named.len().min(cost::LOOK_AHEAD_CASES);
    // A single trial needs no order. A seed that cannot be read reports its error when it runs.
    if first > 1 {
        named[..first].sort_by_cached_key(|named| {
            // The trial of many cases takes longest.
            if matches!(named.source, Source::Model(_)) {
                return Reverse(u64::MAX);
            }
            let read = stage::read(&named.source, &selection);
            Reverse(read.map_or(0, |(case, _)| cost::of_case(&case)))
        });
    }
}

/// The directory of the seeds. cargo and nextest say at run time where the package is, which may not be where it was
/// built.
fn seed_directory(package: &Path) -> PathBuf {
    let manifest_directory = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    manifest_directory
        .unwrap_or_else(|| package.to_owned())
        .join(SEED_DIRECTORY)
}

/// The fresh cases of this run, not yet decoded.
struct Fresh {
    generation: &'static Generation,
    seed: u64,
    start: u64,
    count: u64,
    selection: Selection,
}

impl Fresh {
    fn from_settings(settings: &Settings) -> Result<Self> {
        let generation = settings.generation()?;
        let usual_count = match settings.duration {
            Some(_) => FUZZ_ITERATIONS,
            None => TEST_ITERATIONS,
        };
        let (start, count) = settings.range(usual_count)?;
        if count > FRESH_TRIALS_MAX {
            return Err(Error::usage(format!(
                "{count} iterations are too many for the test target, which takes up to {FRESH_TRIALS_MAX}: use {} fuzz",
                program::line()
            )));
        }
        let fresh = Self {
            generation,
            seed: settings.seed.unwrap_or(TEST_SEED),
            start,
            count,
            selection: settings.selection(),
        };
        // Decodes nothing yet, but refuses a selection that the generation does not have.
        drop(generation.cases(fresh.seed, fresh.start, &fresh.selection)?);
        Ok(fresh)
    }

    /// The ids of the cases that at least one candidate supports; all cases, unless the generation passes over
    /// unsupported ones.
    fn supported(&self, tools: &CandidateSet) -> Result<Vec<CaseId>> {
        if !self.generation.passes_over() {
            return Ok(self.ids().collect());
        }
        let cases = self
            .generation
            .cases(self.seed, self.start, &self.selection)?;
        Ok(TestSession::supported(tools, cases, self.count))
    }

    fn ids(&self) -> impl Iterator<Item = CaseId> {
        let last = self.start.saturating_add(self.count);
        (self.start..last)
            .map(|iteration| CaseId::in_campaign(self.generation.name, self.seed, iteration))
    }

    /// The id of the case with this name, if it belongs to this run.
    fn id(&self, name: &str) -> Option<CaseId> {
        let id: CaseId = name.parse().ok()?;
        let (seed, iteration) = id.campaign()?;
        let is_ours = (id.generation.as_str(), seed) == (self.generation.name, self.seed)
            && iteration >= self.start
            && (self.generation.passes_over() || iteration - self.start < self.count);
        (is_ours && id.to_string() == name).then_some(id)
    }
}

/// All trials that can be run.
struct Trials {
    seeds: PathBuf,
    fresh: Fresh,
    model: Option<Box<AgainstModel>>,
    trace: Option<Trace>,
}

/// A trial with its name, not yet runnable.
struct Named {
    name: String,
    ignored: Option<String>,
    source: Source,
}

impl Trials {
    /// The trials that the flags may select, and the number of all others. `drawn` are the cases of the campaign, if
    /// unsupported ones have been passed over already.
    fn named(&self, flags: &Flags, drawn: Option<Vec<CaseId>>) -> Result<(Vec<Named>, u64)> {
        if flags.exact && !flags.filters.is_empty() && !flags.list {
            return self.exactly(&flags.filters);
        }
        let marks = self.trace.as_ref().map_or_else(HashMap::new, Trace::marks);
        let seeds = seed_file::list(&self.seeds)?.into_iter().map(Source::Seed);
        let images = kept_image::list(&self.seeds)?
            .into_iter()
            .map(Source::Image);
        let drawn = drawn.unwrap_or_else(|| self.fresh.ids().collect());
        let model = self.model.iter().cloned().map(Source::Model);
        let drawn = drawn.into_iter().map(Source::Fresh);
        let sources = seeds.chain(images).chain(model).chain(drawn);
        let named = sources.map(|source| {
            let name = trial_name(&source);
            Named {
                ignored: marks.get(&name).cloned(),
                name,
                source,
            }
        });
        Ok((named.collect(), 0))
    }

    /// The trials with exactly these names, found without listing all: nextest starts a process for each trial.
    fn exactly(&self, names: &[String]) -> Result<(Vec<Named>, u64)> {
        let mut found: Vec<Named> = Vec::new();
        for name in names {
            let source = match name.split_once("::") {
                Some((REGRESSION, stem)) => seed_file::find(&self.seeds, stem).map(Source::Seed),
                Some((CAMPAIGN, id)) => self.fresh.id(id).map(Source::Fresh),
                Some((IMAGE, stem)) => kept_image::list(&self.seeds)?
                    .into_iter()
                    .find(|image| image.stem == stem)
                    .map(Source::Image),
                Some((MODEL, name)) => {
                    let model = self.model.clone();
                    model
                        .filter(|model| model.name() == name)
                        .map(Source::Model)
                }
                _ => None,
            };
            let is_new = found.iter().all(|other| other.name != *name);
            found.extend(source.filter(|_| is_new).map(|source| Named {
                name: name.clone(),
                ignored: self.trace.as_ref().and_then(|trace| trace.marked(name)),
                source,
            }));
        }
        let all = seed_file::count(&self.seeds)? + self.fresh.count;
        let images = kept_image::list(&self.seeds)?.len() as u64;
        let all = all + images + u64::from(self.model.is_some());
        let left_out = all.saturating_sub(found.len() as u64);
        Ok((found, left_out))
    }
}

fn trial_name(source: &Source) -> String {
    match source {
        Source::Seed(SeedPath { stem, .. }) => format!("{REGRESSION}::{stem}"),
        Source::Fresh(id) => format!("{CAMPAIGN}::{id}"),
        Source::Image(image) => format!("{IMAGE}::{}", image.stem),
        Source::Model(cases) => format!("{MODEL}::{}", cases.name()),
    }
}
