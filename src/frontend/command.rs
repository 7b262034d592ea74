//! The command `imgduel`: its sub-commands, each of which makes a few library calls, and its exit codes.

mod accepting;
mod adapter_check;
mod bug_report;
mod converting;
mod inspect;
mod issues;
mod manual;
mod merge;
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

use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::base::error::{Cause, Error, Result};
use crate::base::prose::printable;
use crate::base::rng::fresh_seed;
use crate::campaign;
use crate::campaign::corpus::Corpus;
use crate::campaign::guide::Guide;
use crate::campaign::settings::{self, FUZZ_ITERATIONS, Read, Settings};
use crate::case::Case;
use crate::case::cost;
use crate::case::generation::Generation;
use crate::frontend::serve_if_asked;
use crate::report::findings::try_to_keep;
use crate::report::script;
use crate::report::seed_file::SeedFile;
use crate::report::{complain, python};
use crate::run::record::{Record, Summary};
use crate::tool::ToolSpec;

use accepting::{AcceptArguments, accept};
use adapter_check::{AdapterCheckArguments, adapter_check};
use resuming::Resumed;
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
    Shrink(CaseArguments),
    /// Print a program that reproduces a divergence without imgduel
    Script(CaseArguments),
    /// Print the bug report of a divergence, in Markdown
    Report(CaseArguments),
    /// Print what lies on disk in a qcow2
    Inspect(inspect::InspectArguments),
    /// Turn a pending finding into a regression seed or an entry of the catalogue
    Accept(AcceptArguments),
    /// Make a directory of a catalogue that is one file of JSON
    #[command(hide = true)]
    ConvertCatalogue(converting::ConvertArguments),
    /// List every tool: whether it is installed, its version, how to get it
    Tools(tools::ToolsArguments),
    /// Check whether a program conforms to the adapter protocol (docs/adapters.md)
    AdapterCheck(AdapterCheckArguments),
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
struct FuzzArguments {
    #[command(flatten)]
    settings: Settings,

    /// Short for --candidate instar:PATH
    #[arg(long, value_name = "PATH", conflicts_with = "candidates")]
    instar: Option<PathBuf>,

    /// Write records, summary and one report per divergence into DIR
    #[arg(long, value_name = "DIR")]
    log_dir: Option<PathBuf>,

    /// File an issue for each new group of divergences, through gh
    #[arg(long)]
    create_issues: bool,

    /// The URL of the workflow run, for the issues
    #[arg(long, value_name = "URL")]
    workflow_url: Option<String>,

    /// Keep new findings as they were drawn, without shrinking them
    #[arg(long)]
    no_shrink: bool,

    /// Print the whole evidence of each new group of divergences as it is found, not only the differences in its shrunken case
    #[arg(short, long)]
    verbose: bool,

    /// Mutate cases that showed new behaviour (generations native1 and native2 only; default: --no-guidance)
    #[arg(long, overrides_with = "no_guidance")]
    guided: bool,

    /// Begin with the cases in DIR, and keep cases there that show new behaviour (with --guided)
    #[arg(long, value_name = "DIR")]
    corpus: Option<PathBuf>,

    /// Draw every case from its own number alone
    #[arg(long, overrides_with = "guided")]
    no_guidance: bool,

    /// Continue the campaign that wrote these records
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
                "which command? fuzz, replay, show, shrink, script, report, inspect, accept, tools, adapter-check, merge, stubs, completions or man (see --help)",
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
        Command::Accept(arguments) => accept(arguments),
        Command::ConvertCatalogue(arguments) => converting::convert(&arguments),
        Command::Show(arguments) => show(&arguments),
        Command::Tools(arguments) => tools::tools(&arguments),
        Command::AdapterCheck(arguments) => adapter_check(&arguments),
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
         \x20 Stateful: an image on a chain of backing files, and steps that each go on with what the last one left; _imago and _readers are\n\
         \x20 narrowed to what such tools can do\n    {}\n\
         \x20 Damaged images: a valid one with one to four fields replaced (--fields)\n    {}\n\n\
         Examples:\n\
         \x20 imgduel fuzz --candidate qemu-img --generation native1 --iterations 500\n\
         \x20 imgduel fuzz --generation native2 --ops write,snapshot,commit --seed 7 --json records.jsonl\n\
         \x20 imgduel fuzz --generation malformed1 --candidate all --html page.html\n\
         \x20 imgduel fuzz --resume records.jsonl",
        named("ops"),
        named("native"),
        named("malformed")
    )
}

fn fuzz(arguments: FuzzArguments) -> Result<ExitCode> {
    let FuzzArguments {
        mut settings,
        instar,
        log_dir,
        create_issues,
        workflow_url,
        no_shrink,
        verbose,
        guided,
        corpus,
        no_guidance: _,
        resume,
    } = arguments;
    settings.candidates = instar.map_or(settings.candidates, of_instar);
    settings.narrow();
    if corpus.is_some() {
        may_have_corpus(guided, resume.is_some(), &settings)?;
    }
    let resumed = resume.map(|path| Resumed::read(&path, guided, corpus.is_some(), &mut settings));
    let resumed = resumed.transpose()?;
    let generation = settings.generation()?;
    let seed = settings.seed.unwrap_or_else(fresh_seed);
    let is_without_end = settings.duration.is_some() && settings.iterations.is_none();
    let (start, count) = settings.range(FUZZ_ITERATIONS)?;
    // Without --iterations, the number of cases depends on the time alone.
    let total = (!is_without_end).then_some(count);
    let most = total.unwrap_or(u64::MAX);
    let pool = settings.pool();
    let pool = pool.as_deref();
    let guide = || Guide::new(generation, seed, start, pool, most);
    // A generation that cannot be guided is refused before anything is opened.
    let guide = guided.then(|| guide().map(|_| guide)).transpose()?;
    let corpus = corpus.map(|directory| Corpus::open(&directory, generation));
    let corpus = corpus.transpose()?;
    let fields = settings.fields();
    let cases = generation.cases_of_fields(seed, start, pool, fields.as_deref())?;
    if let Some(directory) = &log_dir {
        log_into(directory, seed, &mut settings)?;
    }
    try_to_keep(&settings.findings)?;
    let run = Run::open_for(&settings, log_dir, resumed)?;
    let done = run.resumed.iter().filter_map(|record| record.iteration);
    let done: HashSet<u64> = done.collect();
    run.candidate_set.arenas()[0].run_canary()?;
    tell_beginning(generation, seed, total, &settings);
    let name = Some(generation.name.to_owned());
    let mut summary = Summary::new(name, Some(seed), total.unwrap_or(0));
    summary.guided = guided;
    let candidate_set = Arc::clone(&run.candidate_set);
    let concerns = move |case: &Case| !generation.passes_over() || candidate_set.concerns(case);
    let run = Run {
        issues: create_issues.then_some(workflow_url),
        must_prove: true,
        ..run
    };
    let telling = Telling::Groups {
        shrink: !no_shrink,
        verbose,
    };
    if let Some(guide) = guide {
        let guide = Guide::after(|| Ok(guide()?.passing_over(concerns.clone())), &run.resumed)?;
        let guide = match corpus {
            None => guide,
            Some(corpus) => with_corpus(guide, corpus, &run.resumed),
        };
        return run.campaign(guide, summary, telling);
    }
    let cases = campaign::passing_over(cases, concerns)
        .take(usize::try_from(most).unwrap_or(usize::MAX))
        .filter(move |case| case.iteration.is_none_or(|it| !done.contains(&it)))
        .map(Ok);
    run.campaign(cost::long_first(cases), summary, telling)
}

/// The one candidate that `--instar` names.
fn of_instar(path: PathBuf) -> Vec<ToolSpec> {
    vec![ToolSpec {
        name: "instar".to_owned(),
        path: Some(path),
    }]
}

/// Returns a guide that begins with the cases of a corpus that have not been run yet.
fn with_corpus(guide: Guide, corpus: Corpus, resumed: &[Record]) -> Guide {
    corpus.objections().iter().for_each(complain);
    let tried = resumed.iter().map(|record| record.id.clone());
    let tried: HashSet<String> = tried.collect();
    guide.with_corpus(corpus, |case| tried.contains(&case.id().to_string()))
}

/// Refuses a corpus in an unguided campaign, and in a resumed one without --seed.
fn may_have_corpus(guided: bool, is_resumed: bool, settings: &Settings) -> Result<()> {
    if !guided {
        return Err(Error::usage(
            "--corpus is for guided campaigns: add --guided",
        ));
    }
    if is_resumed && settings.seed.is_none() {
        return Err(Error::usage(
            "a campaign with a corpus has cases of several seeds: name its own with --seed to resume it",
        ));
    }
    Ok(())
}

/// Makes the log directory, and sends records and summary there unless the settings name other files.
fn log_into(directory: &Path, seed: u64, settings: &mut Settings) -> Result<()> {
    fs::create_dir_all(directory)
        .map_err(|error| Error::io("make the log directory", directory, &error))?;
    settings
        .json
        .get_or_insert(python::records_path(directory, seed));
    settings
        .summary
        .get_or_insert(python::summary_path(directory, seed));
    Ok(())
}

/// Prints generation, seed and number of cases on standard error, so that the campaign can be repeated.
fn tell_beginning(generation: &Generation, seed: u64, total: Option<u64>, settings: &Settings) {
    let how_many = total.map_or_else(String::new, |total| format!(", iterations {total}"));
    let how_long = settings.duration.map_or_else(String::new, |duration| {
        format!(", for {} s", duration.as_secs_f64())
    });
    let _ = writeln!(
        std::io::stderr(),
        "generation {}, seed {seed}{how_many}{how_long}",
        generation.name
    );
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
    let named: Vec<(Case, Option<SeedFile>)> = names
        .iter()
        .map(|name| named_case(name, &arguments.settings))
        .collect::<Result<_>>()?;
    let mut run = Run::open(&arguments.settings, None)?;
    let files = std::iter::zip(&named, names).filter(|((_, seed), _)| seed.is_some());
    run.seed_files = files
        .map(|((case, _), name)| (case.id().to_string(), name.clone()))
        .collect();
    let cases: Vec<Case> = named.into_iter().map(|(case, _)| case).collect();
    let summary = Summary::new(None, None, cases.len() as u64);
    run.campaign(cases.into_iter().map(Ok), summary, Telling::Every)
}

/// Returns the case of a seed file, with the parsed file, or the case of an id.
fn named_case(name: &str, settings: &Settings) -> Result<(Case, Option<SeedFile>)> {
    if SeedFile::is_named_by(name) {
        let seed = SeedFile::read(Path::new(name))?;
        return Ok((seed.case()?, Some(seed)));
    }
    let (pool, fields) = (settings.pool(), settings.fields());
    let case = Generation::case_of_fields(&name.parse()?, pool.as_deref(), fields.as_deref())?;
    Ok((case, None))
}

fn shrink(arguments: &CaseArguments) -> Result<ExitCode> {
    let CaseArguments { settings, case } = arguments;
    let (case, seed) = named_case(case, settings)?;
    try_to_keep(&settings.findings)?;
    let run = Run::open(settings, None)?;
    shrinking::shrink_one(run.candidate_set.only()?, settings, case, seed.as_ref())
}

fn script(arguments: &CaseArguments) -> Result<ExitCode> {
    let CaseArguments { settings, case } = arguments;
    let (case, _) = named_case(case, settings)?;
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
