//! The command `imgduel`: its sub-commands, each a few library calls, and its exit code.

mod issues;
mod merge;
mod stubs;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

use crate::arena::Arena;
use crate::campaign::{self, Ended, Pace};
use crate::case::{Case, CaseId};
use crate::error::{Cause, Error, Result};
use crate::generation::Generation;
use crate::process;
use crate::record::{Class, Record, Summary};
use crate::report::digest::Digest;
use crate::report::junit::Fault;
use crate::report::outlets::Outlets;
use crate::report::progress::Progress;
use crate::report::{self, complain, github, is_on_github, python, terminal};
use crate::rng::fresh_seed;
use crate::seed_file::SeedFile;
use crate::settings::{FUZZ_ITERATIONS, Settings, one_line};
use crate::tool::{self, Means, TOOLS, ToolSpec, worker};
use crate::witness::Witnesses;

/// Exit codes, as `interface` docs in the README list them.
const EXIT_DIVERGENCE: u8 = 1;
const EXIT_USAGE: u8 = 2;
const EXIT_INTERRUPTED: u8 = 130;

/// Runs the same operation on the same disk image with two tools and says whether they agree.
#[derive(Parser)]
#[command(name = "imgduel", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Try fresh cases
    Fuzz(FuzzArguments),
    /// Try these cases and print the evidence
    Replay(ReplayArguments),
    /// Print decoded cases, one JSON line each, running nothing
    Show(ShowArguments),
    /// List every tool: whether it is there, its version, how to get it
    Tools(ToolsArguments),
    /// Join the records of many processes or machines into one summary, JUnit and page
    Merge(merge::MergeArguments),
    /// Write the functions by which editors find the regression seeds
    Stubs(stubs::StubsArguments),
}

#[derive(Args)]
struct FuzzArguments {
    #[command(flatten)]
    settings: Settings,

    /// Short for --candidate instar:PATH
    #[arg(long, value_name = "PATH", conflicts_with = "candidate")]
    instar: Option<PathBuf>,

    /// Write records, summary and one report per divergence into DIR
    #[arg(long, value_name = "DIR")]
    log_dir: Option<PathBuf>,

    /// File an issue for each new group of divergences, through gh
    #[arg(long)]
    create_issues: bool,

    /// The page of the run that found them, for the issues
    #[arg(long, value_name = "URL")]
    workflow_url: Option<String>,
}

#[derive(Args)]
struct ReplayArguments {
    #[command(flatten)]
    settings: Settings,

    /// Case ids (ops7_s1_i000042) or seed files
    #[arg(required = true, value_name = "ID|SEED-FILE")]
    cases: Vec<String>,
}

#[derive(Args)]
struct ShowArguments {
    #[command(flatten)]
    settings: Settings,

    /// Case ids; one may end in a range: ops7_s1_i0..9 (both ends included)
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
}

#[derive(Args)]
struct ToolsArguments {
    #[command(flatten)]
    settings: Settings,
}

/// The whole command.
pub fn main() -> ExitCode {
    if let Some(code) = worker::serve_if_asked() {
        return code;
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            ) =>
        {
            return said(&error.to_string());
        }
        Err(error) if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            return failed(&Error::usage(
                "which command? fuzz, replay, show, tools, merge or stubs (see --help)",
            ));
        }
        Err(error) => return failed(&one_line(&error)),
    };
    let done = match arguments.command {
        Command::Fuzz(arguments) => fuzz(arguments),
        Command::Replay(arguments) => replay(&arguments),
        Command::Show(arguments) => show(&arguments),
        Command::Tools(arguments) => tools(&arguments.settings),
        Command::Merge(arguments) => merge::merge(&arguments),
        Command::Stubs(arguments) => stubs::stubs(&arguments),
    };
    done.unwrap_or_else(|error| failed(&error))
}

fn fuzz(arguments: FuzzArguments) -> Result<ExitCode> {
    let FuzzArguments {
        mut settings,
        instar,
        log_dir,
        create_issues,
        workflow_url,
    } = arguments;
    if let Some(path) = instar {
        settings.candidate = ToolSpec {
            name: "instar".to_owned(),
            path: Some(path),
        };
    }
    let generation = settings.generation()?;
    let seed = settings.seed.unwrap_or_else(fresh_seed);
    let iterations = settings.iterations.unwrap_or(FUZZ_ITERATIONS);
    let total = iterations;
    let pool = settings.pool();
    let cases = generation.cases(seed, settings.start, pool.as_deref())?;
    if let Some(directory) = &log_dir {
        fs::create_dir_all(directory)
            .map_err(|error| Error::io("make the log directory", directory, &error))?;
        settings
            .json
            .get_or_insert(python::records_path(directory, seed));
        settings
            .summary
            .get_or_insert(python::summary_path(directory, seed));
    }
    let run = Run::open(&settings, log_dir)?;
    let _ = writeln!(
        std::io::stderr(),
        "generation {}, seed {seed}, iterations {iterations}",
        generation.name
    );
    let summary = Summary::new(Some(generation.name.to_owned()), Some(seed), total);
    let cases = cases.take(total as usize).map(Ok);
    let run = Run {
        issues: create_issues.then_some(workflow_url),
        ..run
    };
    run.campaign(cases, summary, |record| record.class() == Class::Divergence)
}

fn replay(arguments: &ReplayArguments) -> Result<ExitCode> {
    let pool = arguments.settings.pool();
    let cases: Vec<Case> = arguments
        .cases
        .iter()
        .map(|name| named_case(name, pool.as_deref()))
        .collect::<Result<_>>()?;
    let run = Run::open(&arguments.settings, None)?;
    let summary = Summary::new(None, None, cases.len() as u64);
    run.campaign(cases.into_iter().map(Ok), summary, |_| true)
}

/// The case of a seed file, or of an id.
fn named_case(name: &str, pool: Option<&[String]>) -> Result<Case> {
    let path = Path::new(name);
    if path.extension().is_some_and(|ending| ending == "json") || path.is_file() {
        return SeedFile::read(path)?.case();
    }
    Generation::case(&name.parse()?, pool)
}

fn show(arguments: &ShowArguments) -> Result<ExitCode> {
    let pool = arguments.settings.pool();
    let mut output = std::io::stdout().lock();
    for text in &arguments.ids {
        let (first, last) = id_range(text)?;
        let generation = Generation::named(&first.generation)?;
        let count = last - first.iteration + 1;
        for case in generation
            .cases(first.seed, first.iteration, pool.as_deref())?
            .take(count as usize)
        {
            let line =
                serde_json::to_string(&case).map_err(|error| Error::system(error.to_string()))?;
            // A reader that has seen enough closes the pipe.
            if writeln!(output, "{line}").is_err() {
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// An id, or `ID..LAST`, both ends included.
fn id_range(text: &str) -> Result<(CaseId, u64)> {
    let Some((first, last)) = text.split_once("..") else {
        let id: CaseId = text.parse()?;
        let last = id.iteration;
        return Ok((id, last));
    };
    let first: CaseId = first.parse()?;
    match last.parse::<u64>() {
        Ok(last) if last >= first.iteration => Ok((first, last)),
        _ => Err(Error::usage(format!(
            "'{text}' is no range: write ID..LAST, as in ops7_s1_i0..9"
        ))),
    }
}

fn tools(settings: &Settings) -> Result<ExitCode> {
    let means = Means::of_this_program(settings.timeout)?;
    let mut text = String::new();
    for row in &TOOLS {
        let chosen = [&settings.candidate, &settings.reference];
        let spec = chosen
            .into_iter()
            .find(|spec| spec.name == row.name)
            .cloned();
        let spec = spec.unwrap_or_else(|| ToolSpec {
            name: row.name.to_owned(),
            path: None,
        });
        text.push_str(&terminal::tool(row, &tool::open(&spec, &means)));
    }
    text.push_str(&terminal::witnesses(
        &Witnesses::find(settings.timeout).versions(),
    ));
    Ok(said(&text))
}

/// Tools and report files of one run, open.
struct Run {
    arena: Arena,
    outlets: Outlets,
    settings: Settings,
    log_dir: Option<PathBuf>,
    /// Whether issues are to be filed, and by which workflow.
    issues: Option<Option<String>>,
}

impl Run {
    fn open(settings: &Settings, log_dir: Option<PathBuf>) -> Result<Self> {
        let arena = Arena::open(settings, &Means::of_this_program(settings.timeout)?)?;
        let outlets = Outlets::open(settings)?;
        arena.notices().iter().for_each(complain);
        ctrlc::set_handler(process::request_stop)
            .map_err(|error| Error::system(format!("cannot listen for Ctrl-C: {error}")))?;
        Ok(Self {
            arena,
            outlets,
            settings: settings.clone(),
            log_dir,
            issues: None,
        })
    }

    /// Runs the cases; the evidence of those that are `told` goes to standard output, the summary after it.
    fn campaign(
        mut self,
        cases: impl Iterator<Item = Result<Case>> + Send,
        summary: Summary,
        told: impl Fn(&Record) -> bool,
    ) -> Result<ExitCode> {
        let mut progress = Progress::new(summary.iterations);
        let mut summary = summary;
        summary.witnesses = self.arena.witnesses();
        let pace = Pace {
            jobs: self.settings.jobs(),
            fail_fast: self.settings.fail_fast,
        };
        let mut blocks = String::new();
        let Ended { summary, cut_short } =
            campaign::run(&self.arena, cases, pace, summary, |record| {
                progress.add(record);
                if told(record) {
                    blocks.push_str(&terminal::evidence_block(record));
                    blocks.push('\n');
                }
                if let Some(directory) = self
                    .log_dir
                    .as_deref()
                    .filter(|_| record.class() == Class::Divergence)
                {
                    python::write_divergence(directory, record)?;
                }
                self.outlets.add(record)
            });
        progress.finish();
        if let Some(error) = cut_short
            .as_ref()
            .filter(|error| error.cause() != Cause::Interrupted)
        {
            self.outlets.add_fault(&Fault {
                name: "imgduel::campaign",
                message: &error.to_string(),
                is_missing_tool: error.cause() == Cause::MissingTool,
            })?;
        }
        let written = self.outlets.finish(&summary);
        said(&format!("{blocks}{}", terminal::summary(&summary)));
        tell_github(&summary, self.outlets.digest());
        if let Some(workflow_url) = &self.issues {
            issues::create(&self.outlets.digest().groups, workflow_url.as_deref());
        }
        match cut_short {
            Some(error) => Err(error),
            None => written.map(|()| exit_code(&summary, &self.settings)),
        }
    }
}

/// Annotations and job summary, when this runs on GitHub.
fn tell_github(summary: &Summary, digest: &Digest) {
    if is_on_github() {
        said(&github::annotations(summary, digest));
    }
    report::tell_github(summary, digest);
}

/// What the figures mean for whoever started the program.
fn exit_code(summary: &Summary, settings: &Settings) -> ExitCode {
    let inconclusive = settings.strict && summary.inconclusive_count > 0;
    let stale = settings.strict_known && !summary.stale_known().is_empty();
    match summary.divergences_found {
        0 if !inconclusive && !stale => ExitCode::SUCCESS,
        _ => ExitCode::from(EXIT_DIVERGENCE),
    }
}

fn said(text: &str) -> ExitCode {
    // A reader that has seen enough closes the pipe.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn failed(error: &Error) -> ExitCode {
    complain(error);
    match error.cause() {
        Cause::Interrupted => ExitCode::from(EXIT_INTERRUPTED),
        Cause::Usage | Cause::MissingTool | Cause::System => ExitCode::from(EXIT_USAGE),
    }
}
