//! The command `imgduel`: its sub-commands, each of which makes a few library calls, and its exit codes.

mod accept_image;
mod accepting;
mod adapter_check;
mod bug_report;
mod config;
mod converting;
mod from;
mod fuzzing;
mod grid;
mod init;
mod inspect;
mod issues;
mod manual;
mod merge;
mod named_case;
mod outcome;
mod record_lines;
mod resuming;
mod run;
mod show;
mod shrinking;
mod stopping;
mod stubs;
mod tools;
mod vacuity;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::slice;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::base::error::{Cause, Error, Result};
use crate::base::prose::printable;
use crate::campaign::settings::{self, Read, Settings};
use crate::case::Case;
use crate::case::generation::Generation;
use crate::frontend::serve_if_asked;
use crate::report::complain;
use crate::report::findings::try_to_keep;
use crate::report::script;
use crate::report::seed_file::SeedFile;
use crate::run::record::Summary;

use accepting::{AcceptArguments, accept};
use adapter_check::{AdapterCheckArguments, adapter_check};
use from::{FromArguments, Images};
use fuzzing::{FuzzArguments, fuzz};
use named_case::{NamedCase, with_candidate_of};
use run::{Run, Telling};
use show::{ShowArguments, show};

/// Exit codes, as documented in the README.
const EXIT_DIVERGENCE: u8 = 1;
const EXIT_USAGE: u8 = 2;
const EXIT_VACUOUS: u8 = 3;
const EXIT_INTERRUPTED: u8 = 130;

/// Runs the same operation on the same disk image with two tools and reports whether they agree.
#[derive(Parser)]
#[command(name = "imgduel", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run fresh cases
    #[command(after_help = generations_help())]
    Fuzz(FuzzArguments),
    /// Run the given cases and print the evidence
    Replay(ReplayArguments),
    /// Print decoded cases, one JSON line each, without running them
    Show(ShowArguments),
    /// Shrink a diverging case
    Shrink(ShrinkArguments),
    /// Print a program that reproduces a divergence without imgduel
    Script(CaseArguments),
    /// Print the bug report of a divergence, in Markdown
    Report(CaseArguments),
    /// Show images to every tool of this machine: who reads them alike; or print what lies on disk in a qcow2
    Inspect(inspect::InspectArguments),
    /// Show who reads whose images: every writer's, by every reader of this machine
    Grid(grid::GridArguments),
    /// Turn a pending finding into a regression seed or an entry of the catalogue
    Accept(AcceptArguments),
    /// Keep an image as a trial of the test target, without its guest data
    AcceptImage(accept_image::AcceptImageArguments),
    /// Make a directory of a catalogue that is one file of JSON
    #[command(hide = true)]
    ConvertCatalogue(converting::ConvertArguments),
    /// Give a repository its test target, seeds, settings and workflow files; overwrite nothing
    Init(init::InitArguments),
    /// List every tool: whether it is installed, its version, how to get it
    Tools(tools::ToolsArguments),
    /// Check whether a program conforms to the adapter protocol (docs/adapters.md)
    AdapterCheck(AdapterCheckArguments),
    /// Print which settings hold, and where each comes from: a flag, a variable, imgduel.toml
    Config(config::ConfigArguments),
    /// Join the records of many processes or machines into one summary, JUnit and page
    Merge(merge::MergeArguments),
    /// Write the stub functions by which editors find the regression seeds
    Stubs(stubs::StubsArguments),
    /// Print completions for a shell
    Completions(manual::CompletionsArguments),
    /// Print the manual page of imgduel or of one of its commands
    Man(manual::ManArguments),
}

#[derive(Args)]
struct CaseArguments {
    #[command(flatten)]
    settings: Settings,

    #[command(flatten)]
    from: FromArguments,

    /// A case id (ops7_s1_i000042) or a seed file
    #[arg(value_name = "ID|SEED-FILE")]
    case: String,
}

#[derive(Args)]
struct ShrinkArguments {
    #[command(flatten)]
    settings: Settings,

    #[command(flatten)]
    from: FromArguments,

    /// Instead of a case: make an image smaller that the tools describe, read, check or map differently
    #[arg(long, value_name = "FILE", conflicts_with_all = ["case", "paths"])]
    image: Option<PathBuf>,

    /// A case id (ops7_s1_i000042) or a seed file
    #[arg(value_name = "ID|SEED-FILE", required_unless_present = "image")]
    case: Option<String>,
}

impl CaseArguments {
    /// Returns the settings, the case, and the images of `--from`, which the caller holds.
    fn opened(&self) -> Result<(Settings, Case, Images)> {
        let settings = with_from(&self.settings, &self.from);
        let images = self.from.open(&settings)?;
        let named = NamedCase::read(&self.case, &settings, &images)?;
        let settings = with_candidate_of(&settings, slice::from_ref(&named))?;
        Ok((settings, named.case, images))
    }
}

/// The settings with the images, so that command lines which reproduce a case name them.
fn with_from(settings: &Settings, from: &FromArguments) -> Settings {
    let mut settings = settings.clone();
    settings.from.clone_from(&from.paths);
    settings
}

#[derive(Args)]
struct ReplayArguments {
    #[command(flatten)]
    settings: Settings,

    #[command(flatten)]
    from: FromArguments,

    /// Case ids (ops7_s1_i000042) or seed files
    #[arg(required = true, value_name = "ID|SEED-FILE")]
    cases: Vec<String>,
}

/// The definition of the command line, for a caller that checks a command line without running it.
pub fn grammar() -> clap::Command {
    Arguments::command()
}

/// Runs the command `imgduel` with the arguments of this process, and returns one of the exit codes in the README.
#[must_use = "main has to return it"]
pub fn main() -> ExitCode {
    if let Some(code) = serve_if_asked() {
        return code;
    }
    let arguments = match settings::read::<Arguments>() {
        Ok(Read::Arguments(arguments)) => *arguments,
        Ok(Read::Help(text)) => return print_text(&text),
        Ok(Read::NoCommand) => {
            return failed(&Error::usage(
                "which command? fuzz, replay, show, shrink, script, report, inspect, grid, accept, accept-image, init, tools, config, adapter-check, merge, stubs, completions or man (see --help)",
            ));
        }
        Err(error) => return failed(&error),
    };
    let done = match arguments.command {
        Command::Fuzz(arguments) => fuzz(arguments),
        Command::Replay(arguments) => replay(&arguments),
        Command::Shrink(arguments) => shrink(&arguments),
        Command::Script(arguments) => script(&arguments),
        Command::Report(arguments) => bug_report::report(&arguments),
        Command::Inspect(arguments) => inspect::inspect(&arguments),
        Command::Grid(arguments) => grid::grid(&arguments),
        Command::Accept(arguments) => accept(arguments),
        Command::AcceptImage(arguments) => accept_image::accept_image(&arguments),
        Command::ConvertCatalogue(arguments) => converting::convert(&arguments),
        Command::Show(arguments) => show(&arguments),
        Command::Init(arguments) => init::init(&arguments),
        Command::Tools(arguments) => tools::tools(&arguments),
        Command::AdapterCheck(arguments) => adapter_check(&arguments),
        Command::Config(arguments) => config::config(&arguments),
        Command::Merge(arguments) => merge::merge(&arguments),
        Command::Stubs(arguments) => stubs::stubs(&arguments),
        Command::Completions(arguments) => {
            Ok(manual::completions(&arguments, Arguments::command()))
        }
        Command::Man(arguments) => manual::man(&arguments, Arguments::command()),
    };
    done.unwrap_or_else(|error| failed(&error))
}

/// Lists the generations in groups, with examples.
fn generations_help() -> String {
    let named = |beginning: &str| {
        let names = Generation::all().iter().map(|generation| generation.name);
        let names: Vec<&str> = names.filter(|name| name.starts_with(beginning)).collect();
        names.join(" ")
    };
    format!(
        "Generations (--generation NAME):\n\
         \x20 The Python harness's, bit for bit: one image, two to four operations on it, each on its own copy\n    {}\n\
         \x20 A retired script of it: a commit, rebase or bench of images with internal snapshots\n    {}\n\
         \x20 Stateful: an image on a chain of backing files, and steps that each go on with what the last one left; _imago and _readers are\n\
         \x20 narrowed to what such tools can do\n    {}\n\
         \x20 Damaged images: a valid one with one to four fields replaced (--fields)\n    {}\n\
         \x20 Images that others than the reference make, in unusual states or by other tools\n    {} {}\n\n\
         Examples:\n\
         \x20 imgduel fuzz --candidate qemu-img --generation native1 --iterations 500\n\
         \x20 imgduel fuzz --generation native2 --ops write,snapshot,commit --seed 7 --json records.jsonl\n\
         \x20 imgduel fuzz --generation malformed1 --candidate all --html page.html\n\
         \x20 imgduel fuzz --resume records.jsonl",
        named("ops"),
        named("cow"),
        named("native"),
        named("malformed"),
        named("readers"),
        named("writers")
    )
}

fn replay(arguments: &ReplayArguments) -> Result<ExitCode> {
    // The catalogue lies among the seeds, so a shell expands `*.json` to it too.
    let (catalogues, names): (Vec<&String>, Vec<&String>) = arguments
        .cases
        .iter()
        .partition(|name| SeedFile::is_catalogue(Path::new(name)));
    for name in catalogues {
        complain(&Error::usage(format!(
            "{name} is the catalogue of known divergences, not a case: passed over"
        )));
    }
    if names.is_empty() {
        return Err(Error::usage("there is no case to replay"));
    }
    let settings = with_from(&arguments.settings, &arguments.from);
    let images = arguments.from.open(&settings)?;
    let named: Vec<NamedCase> = names
        .iter()
        .map(|name| NamedCase::read(name, &settings, &images))
        .collect::<Result<_>>()?;
    let settings = with_candidate_of(&settings, &named)?;
    let mut run = Run::open(&settings, None)?;
    let files = named.iter().filter(|named| named.seed.is_some());
    run.seed_files = files
        .map(|named| (named.case.id().to_string(), named.name.clone()))
        .collect();
    let cases: Vec<Case> = named.into_iter().map(|named| named.case).collect();
    let summary = Summary::new(None, None, cases.len() as u64);
    run.campaign(cases.into_iter().map(Ok), summary, Telling::Every)
}

fn shrink(arguments: &ShrinkArguments) -> Result<ExitCode> {
    let paths = arguments.image.clone().map(|image| vec![image]);
    let from = FromArguments {
        paths: paths.unwrap_or_else(|| arguments.from.paths.clone()),
    };
    let settings = &with_from(&arguments.settings, &from);
    let images = from.open(settings)?;
    let named = match (&arguments.case, images.starts().first()) {
        (Some(name), _) => NamedCase::read(name, settings, &images)?,
        (None, Some(image)) => NamedCase {
            name: image.from.path.display().to_string(),
            case: shrinking::image::looks(image)?,
            seed: None,
        },
        (None, None) => return Err(Error::usage("there is no case to shrink")),
    };
    let settings = &with_candidate_of(settings, slice::from_ref(&named))?;
    let NamedCase { case, seed, .. } = named;
    try_to_keep(&settings.findings)?;
    let run = Run::open(settings, None)?;
    shrinking::shrink_one(run.candidate_set.only()?, settings, case, seed.as_ref())
}

fn script(arguments: &CaseArguments) -> Result<ExitCode> {
    let (settings, case, _images) = arguments.opened()?;
    let settings = &settings;
    let run = Run::open(settings, None)?;
    let session = run.candidate_set.only()?;
    let record = session.try_case(case)?;
    let (candidate, reference) = (session.candidate(), session.reference());
    Ok(print_exact(&script::script(
        &record,
        candidate,
        reference,
        settings.timeout,
    )?))
}

/// Prints text for people on standard output.
fn print_text(text: &str) -> ExitCode {
    print_exact(&printable(text))
}

/// Prints text for programs on standard output, unescaped.
fn print_exact(text: &str) -> ExitCode {
    // A reader that has seen enough closes the pipe; that is no error.
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
