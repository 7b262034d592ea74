//! The command `imgduel`: its sub-commands, each a few library calls, and its exit code.

mod accepting;
mod issues;
mod merge;
mod resuming;
mod show;
mod shrinking;
mod stubs;
mod tools;
mod vacuity;

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

use crate::arena::Arena;
use crate::campaign::{self, Ended, Pace};
use crate::case::Case;
use crate::cost;
use crate::error::{Cause, Error, Result};
use crate::findings::Findings;
use crate::generation::Generation;
use crate::process::{self, warden};
use crate::record::{Class, Record, Summary};
use crate::report::digest::Digest;
use crate::report::junit::Fault;
use crate::report::outlets::Outlets;
use crate::report::progress::Progress;
use crate::report::{self, complain, github, is_on_github, python, terminal};
use crate::rng::fresh_seed;
use crate::script;
use crate::seed_file::SeedFile;
use crate::settings::{FUZZ_ITERATIONS, Settings, one_line};
use crate::tool::{Means, ToolSpec, worker};

use accepting::{AcceptArguments, accept};
use resuming::Resumed;
use show::{ShowArguments, show};

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
    /// Make a diverging case smaller
    Shrink(CaseArguments),
    /// Print a program that shows a divergence without this one
    Script(CaseArguments),
    /// Make a pending finding a regression seed or an entry of the catalogue
    Accept(AcceptArguments),
    /// List every tool: whether it is there, its version, how to get it
    Tools(tools::ToolsArguments),
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
    /// Keep new findings as they were drawn
    #[arg(long)]
    no_shrink: bool,

    /// Succeed even when too little was compared to prove anything
    #[arg(long)]
    allow_vacuous: bool,

    /// Go on with the campaign that left these records
    #[arg(long, value_name = "RECORDS")]
    resume: Option<PathBuf>,
}

#[derive(Args)]
struct CaseArguments {
    #[command(flatten)]
    settings: Settings,

    /// A case id (ops7_s1_i000042) or a seed file
    #[arg(value_name = "ID|SEED-FILE")]
    case: String,
}

#[derive(Args)]
struct ReplayArguments {
    #[command(flatten)]
    settings: Settings,

    /// Case ids (ops7_s1_i000042) or seed files
    #[arg(required = true, value_name = "ID|SEED-FILE")]
    cases: Vec<String>,
}

/// The whole command.
pub fn main() -> ExitCode {
    if let Some(code) = warden::serve_if_asked().or_else(worker::serve_if_asked) {
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
                "which command? fuzz, replay, show, shrink, script, accept, tools, merge or stubs (see --help)",
            ));
        }
        Err(error) => return failed(&one_line(&error)),
    };
    let done = match arguments.command {
        Command::Fuzz(arguments) => fuzz(arguments),
        Command::Replay(arguments) => replay(&arguments),
        Command::Shrink(arguments) => shrink(&arguments),
        Command::Script(arguments) => script(&arguments),
        Command::Accept(arguments) => accept(arguments),
        Command::Show(arguments) => show(&arguments),
        Command::Tools(arguments) => tools::tools(&arguments),
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
        no_shrink,
        allow_vacuous,
        resume,
    } = arguments;
    if let Some(path) = instar {
        settings.candidate = ToolSpec {
            name: "instar".to_owned(),
            path: Some(path),
        };
    }
    let resumed = resume.map(|path| Resumed::read(&path, &mut settings));
    let resumed = resumed.transpose()?;
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
    let done = resumed.as_ref().map(Resumed::done).unwrap_or_default();
    let run = Run::open_for(&settings, log_dir, resumed)?;
    run.arena.must_find_a_lie()?;
    let _ = writeln!(
        std::io::stderr(),
        "generation {}, seed {seed}, iterations {iterations}",
        generation.name
    );
    let summary = Summary::new(Some(generation.name.to_owned()), Some(seed), total);
    let cases = cases
        .take(total as usize)
        .filter(|case| !done.contains(&case.iteration))
        .map(Ok);
    let cases = cost::long_first(cases);
    let run = Run {
        issues: create_issues.then_some(workflow_url),
        must_prove: !allow_vacuous,
        ..run
    };
    run.campaign(cases, summary, Telling::Groups { shrink: !no_shrink })
}

fn replay(arguments: &ReplayArguments) -> Result<ExitCode> {
    let pool = arguments.settings.pool();
    let named: Vec<(Case, Option<SeedFile>)> = arguments
        .cases
        .iter()
        .map(|name| named_case(name, pool.as_deref()))
        .collect::<Result<_>>()?;
    let mut run = Run::open(&arguments.settings, None)?;
    let files = std::iter::zip(&named, &arguments.cases).filter(|((_, seed), _)| seed.is_some());
    run.seed_files = files
        .map(|((case, _), name)| (case.id().to_string(), name.clone()))
        .collect();
    let cases: Vec<Case> = named.into_iter().map(|(case, _)| case).collect();
    let summary = Summary::new(None, None, cases.len() as u64);
    run.campaign(cases.into_iter().map(Ok), summary, Telling::Every)
}

/// The case of a seed file, with that file, or of an id.
fn named_case(name: &str, pool: Option<&[String]>) -> Result<(Case, Option<SeedFile>)> {
    if SeedFile::is_named_by(name) {
        let seed = SeedFile::read(Path::new(name))?;
        return Ok((seed.case()?, Some(seed)));
    }
    Ok((Generation::case(&name.parse()?, pool)?, None))
}

fn shrink(arguments: &CaseArguments) -> Result<ExitCode> {
    let CaseArguments { settings, case } = arguments;
    let (case, seed) = named_case(case, settings.pool().as_deref())?;
    let run = Run::open(settings, None)?;
    shrinking::shrink_one(&run.arena, settings, case, seed.as_ref())
}

fn script(arguments: &CaseArguments) -> Result<ExitCode> {
    let CaseArguments { settings, case } = arguments;
    let (case, _) = named_case(case, settings.pool().as_deref())?;
    let arena = Run::open(settings, None)?.arena;
    let record = arena.try_case(case)?;
    let (candidate, reference) = (arena.candidate(), arena.reference());
    Ok(said(&script::script(
        &record,
        candidate,
        reference,
        settings.timeout,
    )?))
}

/// What goes to standard output of the cases of a run.
enum Telling {
    /// One evidence block for every group of divergences; new groups are kept, shrunk first if that is wanted.
    Groups { shrink: bool },
    /// The evidence of every case.
    Every,
}

/// Tools and report files of one run, open.
struct Run {
    arena: Arena,
    outlets: Outlets,
    settings: Settings,
    log_dir: Option<PathBuf>,
    /// The seed files that cases came from, by the case's id.
    seed_files: HashMap<String, String>,
    /// Whether issues are to be filed, and by which workflow.
    issues: Option<Option<String>>,
    /// Whether too little to prove anything is a failure.
    must_prove: bool,
    /// The records of the run that is resumed.
    resumed: Vec<Record>,
}

impl Run {
    fn open(settings: &Settings, log_dir: Option<PathBuf>) -> Result<Self> {
        Self::open_for(settings, log_dir, None)
    }

    fn open_for(
        settings: &Settings,
        log_dir: Option<PathBuf>,
        resumed: Option<Resumed>,
    ) -> Result<Self> {
        let arena = Arena::open(
            settings,
            &Means::of_this_program(settings.timeout, settings.launcher())?,
        )?;
        let outlets = match &resumed {
            Some(resumed) => {
                let records = resumed.go_on(settings, &arena)?;
                Outlets::open_with(settings, Some(records))?
            }
            None => Outlets::open(settings)?,
        };
        arena.notices().iter().for_each(complain);
        ctrlc::set_handler(process::request_stop)
            .map_err(|error| Error::system(format!("cannot listen for Ctrl-C: {error}")))?;
        Ok(Self {
            arena,
            outlets,
            settings: settings.clone(),
            log_dir,
            seed_files: HashMap::new(),
            issues: None,
            must_prove: false,
            resumed: resumed.map_or_else(Vec::new, |resumed| resumed.records),
        })
    }

    /// Runs the cases; what is told of them goes to standard output as they end, the summary after it.
    fn campaign(
        mut self,
        cases: impl Iterator<Item = Result<Case>> + Send,
        summary: Summary,
        telling: Telling,
    ) -> Result<ExitCode> {
        let mut progress = Progress::new(summary.iterations);
        let mut summary = summary;
        summary.witnesses = self.arena.witnesses();
        let pace = Pace {
            jobs: self.settings.jobs(),
            fail_fast: self.settings.fail_fast,
        };
        let mut findings = Findings::default();
        for record in &self.resumed {
            summary.add_resumed(record);
            progress.add_resumed();
            findings.add(record);
            self.outlets.remember(record)?;
        }
        let Ended { summary, cut_short } =
            campaign::run(&self.arena, cases, pace, summary, |record| {
                let mut from_file;
                let mut record = record;
                if let Some(file) = self.seed_files.get(&record.id) {
                    from_file = record.clone();
                    from_file.came_from_file(file.clone());
                    record = &from_file;
                }
                progress.add(record);
                let is_told = match telling {
                    Telling::Groups { .. } => findings.add(record),
                    Telling::Every => true,
                };
                if is_told {
                    let block = terminal::evidence_block(record);
                    progress.aside(|| said(&format!("{block}\n")));
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
        let mut summary = summary;
        summary.vacuous = self
            .must_prove
            .then(|| vacuity::complaint(&summary, self.outlets.digest(), &self.settings))
            .flatten();
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
        let is_shrinking = matches!(telling, Telling::Groups { shrink: true });
        let found = findings.in_order();
        let (kept, stopped) =
            shrinking::keep_new(&self.arena, &self.settings, &found, is_shrinking);
        let written = self.outlets.finish(&summary);
        said(&format!("{kept}{}", terminal::summary(&summary)));
        tell_github(&summary, self.outlets.digest());
        if let Some(workflow_url) = &self.issues {
            issues::create(&self.outlets.digest().groups, workflow_url.as_deref());
        }
        let compared = self.arena.compared().transpose();
        if let Ok(Some(line)) = &compared {
            said(&format!("{line}\n"));
        }
        match cut_short.or(stopped).or(compared.err()) {
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
    let inconclusive = settings.strict && summary.inconclusive_count + summary.flaky_count > 0;
    let stale = settings.strict_known && !summary.stale_known().is_empty();
    match summary.divergences_found {
        0 if !inconclusive && !stale && summary.vacuous.is_none() => ExitCode::SUCCESS,
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
