//! The command line, list and event stream of a libtest binary.
//!
//! libtest-mimic runs tests and prints them for people (`pretty`, `terse`). This module adds what cargo, nextest and
//! editors need beyond that: all of libtest's flags, several filters, the event stream, shuffling. It knows nothing of
//! cases; the test target gives it the trials.

mod events;
mod people;

use std::fs::File;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use clap::{Args, ValueEnum};

use crate::base::error::{Error, Result};
use crate::base::rng::{PythonRandom, fresh_seed};
use crate::campaign::settings::parse_jobs;

/// libtest's flags, as `rustc --test` binaries of Rust 1.95 have them. Flags that are unstable there need no `-Z
/// unstable-options` here.
#[derive(Args, Clone, Debug, Default)]
pub struct Flags {
    /// Run only the trials whose names contain one of these filters filters filters
    #[arg(value_name = "FILTER")]
    pub filters: Vec<String>,

    /// Run the ignored trials too
    #[arg(long)]
    include_ignored: bool,

    /// Run only the ignored trials
    #[arg(long)]
    ignored: bool,

    /// List the trials without running them
    #[arg(long)]
    pub list: bool,

    /// Match filters with whole names, not parts of them
    #[arg(long)]
    pub exact: bool,

    /// Leave out the trials whose names contain FILTER
    #[arg(long, value_name = "FILTER")]
    skip: Vec<String>,

    /// Output format
    #[arg(long, value_enum, value_name = "pretty|terse|json|junit")]
    format: Option<Format>,

    /// Short for --format terse
    #[arg(short, long)]
    quiet: bool,

    /// Number of parallel trials (default: --jobs, RUST_TEST_THREADS, the number of CPUs)
    #[arg(long, value_name = "N", value_parser = parse_jobs)]
    test_threads: Option<usize>,

    /// Run the trials in random order
    #[arg(long)]
    shuffle: bool,

    /// Run the trials in the random order given by SEED
    #[arg(long, value_name = "SEED")]
    shuffle_seed: Option<u64>,

    /// Report the duration of each trial (formats json and junit)
    #[arg(long)]
    report_time: bool,

    /// Coloured output
    #[arg(long, value_enum, value_name = "auto|always|never")]
    color: Option<Color>,

    /// Also write one line per trial to PATH
    #[arg(long, value_name = "PATH")]
    logfile: Option<PathBuf>,

    /// No effect: trials print nothing while they run
    #[arg(long, alias = "nocapture")]
    no_capture: bool,

    /// No effect: a trial that passes has no output
    #[arg(long)]
    show_output: bool,

    /// No effect: trials have no time limit, only tool calls have (--timeout)
    #[arg(long)]
    ensure_time: bool,

    /// No effect
    #[arg(long, hide = true)]
    force_run_in_process: bool,

    /// No effect
    #[arg(long, hide = true)]
    exclude_should_panic: bool,

    /// No effect: all trials are tests
    #[arg(long, hide = true)]
    test: bool,

    /// Run benchmarks only: there are none, so every trial is ignored
    #[arg(long, hide = true)]
    bench: bool,

    /// No effect: unstable flags of libtest are always accepted
    #[arg(short = 'Z', value_name = "unstable-options")]
    unstable: Vec<Unstable>,
}

impl Flags {
    /// Whether a word of a command line is a flag of a libtest binary.
    pub fn has(word: &str) -> bool {
        let word = word.split('=').next().unwrap_or_default();
        let grammar = Self::augment_args(clap::Command::default());
        let is_it = |flag: &clap::Arg| {
            let long = word.strip_prefix("--");
            let short = word.strip_prefix('-').filter(|rest| rest.len() == 1);
            let aliases = flag.get_all_aliases().unwrap_or_default();
            let letter = flag.get_short().map(String::from);
            long.is_some_and(|long| flag.get_long() == Some(long) || aliases.contains(&long))
                || (short.is_some() && short == letter.as_deref())
        };
        grammar.get_arguments().any(is_it)
    }
}

/// The output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One line per trial.
    Pretty,
    /// One letter per trial.
    Terse,
    /// One JSON event per line.
    Json,
    /// No output; the caller writes a JUnit document when all trials have ended.
    Junit,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Unstable {
    UnstableOptions,
}

/// A named test that can be run.
pub struct Trial {
    /// The trial's name, `module::name`.
    pub name: String,
    /// Why the trial is ignored unless ignored trials are requested.
    pub ignored: Option<String>,
    /// The file that the trial comes from, for editors.
    pub source: Option<PathBuf>,
    /// Runs the trial. It prints nothing; all output is in its outcome.
    pub run: Box<dyn FnOnce() -> Outcome + Send>,
}

/// The result of a trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The trial passed.
    Passed,
    /// The trial failed, with this text.
    Failed(String),
    /// The trial could not be judged, for this reason.
    Ignored(String),
}

/// The result of all trials.
#[derive(Clone, Debug, Default)]
pub struct Conclusion {
    /// Number of failed trials.
    pub failed: u64,
    /// Names and reasons of the trials that are shown as ignored without running.
    pub not_run: Vec<(String, String)>,
}

/// The trials to run, and how to run them.
struct Schedule {
    trials: Vec<Trial>,
    filtered_out: u64,
    threads: usize,
    shuffle_seed: Option<u64>,
    report_time: bool,
}

impl Flags {
    /// The output format.
    pub fn format(&self) -> Format {
        match self.format {
            Some(format) => format,
            None if self.quiet => Format::Terse,
            None => Format::Pretty,
        }
    }

    /// Whether only ignored trials are to be listed.
    pub fn lists_ignored(&self) -> bool {
        self.list && self.ignored
    }

    /// Whether all trials are selected.
    pub fn means_all(&self) -> bool {
        self.filters.is_empty() && self.skip.is_empty() && !self.ignored
    }

    /// Whether a trial is selected.
    fn selects(&self, trial: &Trial) -> bool {
        let fits = |filter: &String| match self.exact {
            true => trial.name == *filter,
            false => trial.name.contains(filter.as_str()),
        };
        (self.filters.is_empty() || self.filters.iter().any(fits))
            && !self.skip.iter().any(fits)
            && (!self.ignored || trial.ignored.is_some())
    }

    /// Why a selected trial is not run.
    fn objection(&self, trial: &Trial) -> Option<String> {
        if self.bench && !self.test {
            return Some(trial.ignored.clone().unwrap_or_default());
        }
        let asked_for = self.ignored || self.include_ignored;
        trial.ignored.clone().filter(|_| !asked_for)
    }

    /// The seed of the random order, if the order is to be random.
    fn shuffle_seed(&self) -> Result<Option<u64>> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        if let Some(seed) = self.shuffle_seed {
            return Ok(Some(seed));
        }
        if let Some(text) = variable("RUST_TEST_SHUFFLE_SEED") {
            let wrong = || {
                Error::usage(format!(
                    "RUST_TEST_SHUFFLE_SEED is '{text}': write a whole number"
                ))
            };
            return text.parse().map(Some).map_err(|_| wrong());
        }
        let shuffle =
            self.shuffle || variable("RUST_TEST_SHUFFLE").is_some_and(|value| value != "0");
        Ok(shuffle.then(fresh_seed))
    }

    fn threads(&self, jobs: Option<usize>) -> Result<usize> {
        if let Some(threads) = self.test_threads.or(jobs) {
            return Ok(threads);
        }
        match std::env::var("RUST_TEST_THREADS") {
            Ok(text) if !text.is_empty() => parse_jobs(&text)
                .map_err(|error| Error::usage(format!("RUST_TEST_THREADS is '{text}': {error}"))),
            _ => Ok(std::thread::available_parallelism().map_or(1, std::num::NonZero::get)),
        }
    }
}

/// Lists or runs the trials, as the flags say. `left_out` is the number of trials that were not built because the
/// filters exclude them. `jobs` is the number of parallel trials if libtest's own flag is absent. With `fail_fast`, no
/// trial is begun after a failure.
pub fn run(
    flags: &Flags,
    mut trials: Vec<Trial>,
    left_out: u64,
    jobs: Option<usize>,
    fail_fast: bool,
) -> Result<Conclusion> {
    let all = trials.len();
    trials.retain(|trial| flags.selects(trial));
    let filtered_out = (all - trials.len()) as u64 + left_out;
    if flags.list {
        list(flags, &trials);
        return Ok(Conclusion::default());
    }
    let shuffle_seed = flags.shuffle_seed()?;
    if let Some(seed) = shuffle_seed {
        shuffle(&mut trials, seed);
    }
    let mut conclusion = Conclusion::default();
    for trial in &mut trials {
        trial.ignored = flags.objection(trial);
        let not_run = trial.ignored.iter();
        conclusion
            .not_run
            .extend(not_run.map(|reason| (trial.name.clone(), reason.clone())));
    }
    if fail_fast {
        trials = stopping_at_a_failure(trials);
    }
    if let Some(path) = &flags.logfile {
        let file = File::create(path);
        let file = file.map_err(|error| Error::io("write the log to", path, &error))?;
        trials = logged(trials, &Arc::new(Mutex::new(file)));
    }
    let schedule = Schedule {
        trials,
        filtered_out,
        threads: flags.threads(jobs)?,
        shuffle_seed,
        report_time: flags.report_time,
    };
    conclusion.failed = match flags.format() {
        Format::Json => events::run(schedule, &mut std::io::stdout()),
        Format::Junit => events::run(schedule, &mut std::io::sink()),
        Format::Pretty | Format::Terse => people::run(schedule, flags),
    };
    Ok(conclusion)
}

fn list(flags: &Flags, trials: &[Trial]) {
    let mut text = String::new();
    if flags.format() == Format::Json {
        text = events::list(trials);
    } else {
        for trial in trials {
            text.push_str(&format!("{}: test\n", trial.name));
        }
        if flags.format() == Format::Pretty {
            let plural = if trials.len() == 1 { "" } else { "s" };
            let blank = if trials.is_empty() { "" } else { "\n" };
            text.push_str(&format!(
                "{blank}{} test{plural}, 0 benchmarks\n",
                trials.len()
            ));
        }
    }
    // A reader that has seen enough closes the pipe; that is no error.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Runs a trial. A panic is a failure.
fn outcome(run: Box<dyn FnOnce() -> Outcome + Send>) -> Outcome {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or(panic.downcast_ref::<&str>().copied());
        Outcome::Failed(format!("test panicked: {}", text.unwrap_or("?")))
    })
}

/// Wraps every trial in `wrapper`, which gets the trial's name and its function.
fn wrapped(
    trials: Vec<Trial>,
    wrapper: impl Fn(&str, Box<dyn FnOnce() -> Outcome + Send>) -> Outcome + Send + Sync + 'static,
) -> Vec<Trial> {
    let wrapper = Arc::new(wrapper);
    let wrap = |trial: Trial| {
        let (wrapper, name) = (Arc::clone(&wrapper), trial.name.clone());
        let run: Box<dyn FnOnce() -> Outcome + Send> = Box::new(move || wrapper(&name, trial.run));
        Trial { run, ..trial }
    };
    trials.into_iter().map(wrap).collect()
}

fn stopping_at_a_failure(trials: Vec<Trial>) -> Vec<Trial> {
    let failed = AtomicBool::new(false);
    wrapped(trials, move |_, run| {
        if failed.load(Ordering::Relaxed) {
            return Outcome::Ignored("not run: another test failed, with --fail-fast".to_owned());
        }
        let outcome = outcome(run);
        if matches!(outcome, Outcome::Failed(_)) {
            failed.store(true, Ordering::Relaxed);
        }
        outcome
    })
}

fn logged(trials: Vec<Trial>, file: &Arc<Mutex<File>>) -> Vec<Trial> {
    let file = Arc::clone(file);
    wrapped(trials, move |name, run| {
        let outcome = outcome(run);
        let word = match outcome {
            Outcome::Passed => "ok",
            Outcome::Failed(_) => "failed",
            Outcome::Ignored(_) => "ignored",
        };
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        // The log is secondary: a full disk must not change a verdict.
        let _ = writeln!(file, "{word} {name}");
        outcome
    })
}

/// A Fisher-Yates shuffle from the end.
fn shuffle(trials: &mut [Trial], seed: u64) {
    let mut random = PythonRandom::new(seed);
    for last in (1..trials.len()).rev() {
        let other = random.below(last as u64 + 1);
        trials.swap(last, other as usize);
    }
}
