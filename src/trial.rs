//! Cases as named trials of the test door: `cargo test --test differential`.
//!
//! libtest-mimic runs them. Listing starts no tool: the arena is opened by the first trial that runs. A trial prints nothing; what
//! it has to say is its failure text or the reason it is ignored.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use clap::{CommandFactory, Parser};
use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::arena::Arena;
use crate::case::Case;
use crate::error::{Cause, Error, Result};
use crate::process::own_cpu_time;
use crate::record::{Class, Record, Summary};
use crate::report::{files, terminal};
use crate::seed_file::{self, SeedFile, SeedPath};
use crate::settings::{Settings, TEST_ITERATIONS, TEST_SEED, one_line};
use crate::tool::{Means, worker};

/// The directory of the regression seeds, in the package.
const SEED_DIRECTORY: &str = "fuzz-seeds";

/// Our own flags, beside libtest's.
#[derive(Parser)]
#[command(disable_help_flag = true)]
struct OwnArguments {
    #[command(flatten)]
    settings: Settings,
}

/// The whole test door. `package` is the directory of the package whose `fuzz-seeds/` are run.
pub fn main(package: &Path) -> ExitCode {
    if let Some(code) = worker::serve_if_asked() {
        return code;
    }
    match run(package, std::env::args().collect()) {
        Ok(code) => code,
        Err(error) => {
            crate::report::complain(&error);
            ExitCode::from(2)
        }
    }
}

fn run(package: &Path, arguments: Vec<String>) -> Result<ExitCode> {
    let (own, libtest) = split(arguments);
    let settings = OwnArguments::try_parse_from(own)
        .map_err(|error| one_line(&error))?
        .settings;
    let mut arguments = Arguments::from_iter(libtest);
    arguments.test_threads = arguments.test_threads.or(settings.jobs);

    let seeds = seed_file::list(&seed_directory(package))?;
    let fresh = fresh_cases(&settings)?;
    let total = (seeds.len() + fresh.len()) as u64;
    let stage = Arc::new(Stage::new(settings, total)?);
    let regressions = seeds.into_iter().map(|seed| regression(seed, &stage));
    let campaign = fresh.into_iter().map(|case| fresh_trial(case, &stage));
    let trials = regressions.chain(campaign).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    if !arguments.list {
        stage.write_summary()?;
    }
    Ok(conclusion.exit_code())
}

/// cargo and nextest tell where the package lies when the tests run, which may not be where it was built.
fn seed_directory(package: &Path) -> PathBuf {
    let told = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    told.unwrap_or_else(|| package.to_owned())
        .join(SEED_DIRECTORY)
}

/// Splits a command line into our flags and libtest's, each with the program's name before it. Ours are those that our own
/// parser knows; all others go to libtest-mimic as they came.
fn split(arguments: Vec<String>) -> (Vec<String>, Vec<String>) {
    let parser = OwnArguments::command();
    let mut arguments = arguments.into_iter();
    let program: Vec<String> = arguments.next().into_iter().collect();
    let (mut own, mut libtest) = (program.clone(), program);
    while let Some(word) = arguments.next() {
        let name = word
            .strip_prefix("--")
            .map(|flag| flag.split('=').next().unwrap_or(flag).to_owned());
        let known = name.and_then(|name| {
            parser
                .get_arguments()
                .find(|own| own.get_long() == Some(&name))
        });
        let Some(known) = known else {
            libtest.push(word);
            continue;
        };
        let takes_next = known.get_action().takes_values() && !word.contains('=');
        own.push(word);
        own.extend(takes_next.then(|| arguments.next()).flatten());
    }
    (own, libtest)
}

fn fresh_cases(settings: &Settings) -> Result<Vec<Case>> {
    let seed = settings.seed.unwrap_or(TEST_SEED);
    let count = settings.iterations.unwrap_or(TEST_ITERATIONS);
    let pool = settings.pool();
    let cases = settings
        .generation()?
        .cases(seed, settings.start, pool.as_deref())?;
    Ok(cases.take(count as usize).collect())
}

fn regression(seed: SeedPath, stage: &Arc<Stage>) -> Trial {
    let stage = Arc::clone(stage);
    let seed_path = seed.path;
    Trial::ignorable_test(format!("regression::{}", seed.stem), move || {
        let read = SeedFile::read(&seed_path).and_then(|seed| Ok((seed.case()?, seed)));
        let (case, seed) = read.map_err(|error| Failed::from(error.to_string()))?;
        stage.run(case).map_err(|failed| {
            let text = failed.message().unwrap_or_default();
            Failed::from(format!(
                "{text}  seed file: {}\n  kept because: {}\n  expected: {}\n",
                seed_path.display(),
                seed.why,
                seed.expected
            ))
        })
    })
}

fn fresh_trial(case: Case, stage: &Arc<Stage>) -> Trial {
    let stage = Arc::clone(stage);
    Trial::ignorable_test(format!("campaign::{}", case.id()), move || stage.run(case))
}

/// What the trials of one run share.
struct Stage {
    settings: Settings,
    arena: OnceLock<Result<Arena>>,
    written: Mutex<Written>,
    started: Instant,
}

/// The reports under way. The lock is held for the writing of a record, never while a case runs.
struct Written {
    summary: Summary,
    records: Option<files::RecordFile>,
}

impl Stage {
    fn new(settings: Settings, total: u64) -> Result<Self> {
        let summary = Summary::new(None, None, total);
        let written = Mutex::new(Written {
            summary,
            records: None,
        });
        Ok(Self {
            settings,
            arena: OnceLock::new(),
            written,
            started: Instant::now(),
        })
    }

    fn run(&self, case: Case) -> Result<Completion, Failed> {
        let open = || {
            Means::of_this_program(self.settings.timeout)
                .and_then(|means| Arena::open(&self.settings, &means))
        };
        let arena = match self.arena.get_or_init(open) {
            Ok(arena) => arena,
            Err(error) => return not_possible(error),
        };
        match arena
            .try_case(case)
            .and_then(|record| self.write(&record).map(|()| record))
        {
            Ok(record) => completion(&record),
            Err(error) => not_possible(&error),
        }
    }

    fn write(&self, record: &Record) -> Result<()> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.summary.add(record);
        if let Some(path) = &self.settings.json {
            if written.records.is_none() {
                written.records = Some(files::RecordFile::create(path)?);
            }
            written
                .records
                .iter_mut()
                .try_for_each(|file| file.append(record))?;
        }
        Ok(())
    }

    fn write_summary(&self) -> Result<()> {
        let Some(path) = &self.settings.summary else {
            return Ok(());
        };
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written
            .summary
            .finish(self.started.elapsed(), own_cpu_time());
        files::write_summary(path, &written.summary)
    }
}

fn completion(record: &Record) -> Result<Completion, Failed> {
    match record.class() {
        Class::Match => Ok(Completion::Completed),
        Class::Divergence => Err(Failed::from(terminal::evidence_block(record, &record.id))),
        Class::Known | Class::Inconclusive | Class::Unsupported => Ok(Completion::Ignored {
            reason: terminal::ignored_reason(record),
        }),
    }
}

/// A tool that is not installed leaves nothing to test; every other fault of the harness fails.
fn not_possible(error: &Error) -> Result<Completion, Failed> {
    match error.cause() {
        Cause::MissingTool => Ok(Completion::ignored_with(error)),
        _ => Err(Failed::from(format!(
            "the harness could not go on: {error}"
        ))),
    }
}
