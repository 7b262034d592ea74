//! `imgduel fuzz`: a campaign of fresh cases, guided by their behaviour or not.

use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use super::from::{FromArguments, Images};
use super::issues::{Filing, IssueFormat};
use super::resuming::Resumed;
use super::run::{Run, Telling};
use crate::base::error::{Error, Result};
use crate::base::rng::fresh_seed;
use crate::campaign;
use crate::campaign::candidate_set::CandidateSet;
use crate::campaign::corpus::Corpus;
use crate::campaign::guide::Guide;
use crate::campaign::settings::{FUZZ_ITERATIONS, Settings};
use crate::case::Case;
use crate::case::cost;
use crate::case::generation::Generation;
use crate::report::findings::try_to_keep;
use crate::report::{complain, python};
use crate::run::record::{Record, Summary};
use crate::run::session::Session;
use crate::tool::ToolSpec;

#[derive(Args)]
pub(super) struct FuzzArguments {
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

    /// How issues are titled and written
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = IssueFormat::Imgduel, requires = "create_issues")]
    issue_format: IssueFormat,

    /// The URL of the workflow run, for the issues
    #[arg(long, value_name = "URL")]
    workflow_url: Option<String>,

    /// Keep new findings as they were drawn, without shrinking them
    #[arg(long)]
    no_shrink: bool,

    /// Print the whole evidence of each new group of divergences as it is found, not only the differences in its shrunken case
    #[arg(short, long)]
    verbose: bool,

    /// Mutate cases that showed new behaviour (generations native1 to native4 only; default: --no-guidance)
    #[arg(long, overrides_with = "no_guidance", conflicts_with = "paths")]
    guided: bool,

    /// Run whole cases in workers of WORKER, a build that counts regions of the candidate's crate (contrib/coverage), each a behaviour (with --reference model)
    #[arg(long, value_name = "WORKER")]
    coverage: Option<PathBuf>,

    /// Begin with the cases in DIR, and keep cases there that show new behaviour (with --guided)
    #[arg(long, value_name = "DIR")]
    corpus: Option<PathBuf>,

    /// Draw every case from its own number alone
    #[arg(long, overrides_with = "guided")]
    no_guidance: bool,

    /// Continue the campaign that wrote these records
    #[arg(long, value_name = "RECORDS", conflicts_with = "paths")]
    resume: Option<PathBuf>,

    #[command(flatten)]
    from: FromArguments,
}

/// Which cases a campaign draws.
struct Range {
    generation: &'static Generation,
    seed: u64,
    start: u64,
    /// How many; none where that depends on the time alone.
    total: Option<u64>,
}

impl Range {
    fn of_settings(settings: &Settings) -> Result<Self> {
        let generation = settings.generation()?;
        let is_without_end = settings.duration.is_some() && settings.iterations.is_none();
        let (start, count) = settings.range(FUZZ_ITERATIONS)?;
        Ok(Self {
            generation,
            seed: settings.seed.unwrap_or_else(fresh_seed),
            start,
            total: (!is_without_end).then_some(count),
        })
    }

    fn guide(&self, settings: &Settings) -> Result<Guide> {
        let most = self.total.unwrap_or(u64::MAX);
        Guide::new(
            self.generation,
            self.seed,
            self.start,
            &settings.selection(),
            most,
        )
    }

    fn cases(
        &self,
        settings: &Settings,
        images: &Images,
    ) -> Result<Box<dyn Iterator<Item = Case> + Send>> {
        let (generation, selection) = (self.generation, settings.selection());
        Ok(match images.is_empty() {
            true => Box::new(generation.cases(self.seed, self.start, &selection)?),
            false => {
                let starts = images.starts();
                Box::new(generation.cases_from(self.seed, self.start, &selection, starts)?)
            }
        })
    }

    /// Prints generation, seed and number of cases on standard error, so that the campaign can be repeated.
    fn tell(&self, settings: &Settings) {
        let (name, seed) = (self.generation.name, self.seed);
        let total = self.total.map(|total| format!(", iterations {total}"));
        let time = settings.duration.map(|duration| duration.as_secs_f64());
        let time = time.map(|seconds| format!(", for {seconds} s"));
        let (total, time) = (total.unwrap_or_default(), time.unwrap_or_default());
        let _ = writeln!(
            std::io::stderr(),
            "generation {name}, seed {seed}{total}{time}"
        );
    }
}

/// Runs a campaign.
pub(super) fn fuzz(arguments: FuzzArguments) -> Result<ExitCode> {
    let FuzzArguments {
        mut settings,
        instar,
        log_dir,
        create_issues,
        issue_format,
        workflow_url,
        no_shrink,
        verbose,
        guided,
        coverage,
        corpus,
        no_guidance: _,
        resume,
        from,
    } = arguments;
    settings.candidates = instar.map_or(settings.candidates, instar_at);
    begin_with(&from, &mut settings)?;
    settings.narrow();
    if corpus.is_some() {
        may_have_corpus(guided, resume.is_some(), &settings)?;
    }
    settings.coverage = coverage.map(counting_worker).transpose()?;
    let resumed = resume.map(|path| Resumed::read(&path, guided, corpus.is_some(), &mut settings));
    let resumed = resumed.transpose()?;
    let range = Range::of_settings(&settings)?;
    // A generation that cannot be guided, and a selection that it lacks, are refused before anything is opened.
    if guided {
        range.guide(&settings)?;
    }
    let corpus = corpus.map(|directory| Corpus::open(&directory, range.generation));
    let corpus = corpus.transpose()?;
    let images = from.open(&settings)?;
    let cases = range.cases(&settings, &images)?;
    if let Some(directory) = &log_dir {
        log_into(directory, range.seed, &mut settings)?;
    }
    try_to_keep(&settings.findings)?;
    let run = Run::open_for(&settings, log_dir, resumed)?;
    can_judge(&run.candidate_set.sessions()[0], &range, &images)?;
    range.tell(&settings);
    let counted = Arc::clone(&run.candidate_set);
    if settings.coverage.is_some() && counted.sessions()[0].regions_reached().is_none() {
        return Err(Error::usage(
            "--coverage counts in workers that run whole cases: add --reference model, and name an embedded library",
        ));
    }
    let run = Run {
        issues: create_issues.then_some(Filing {
            format: issue_format,
            workflow_url,
        }),
        must_prove: true,
        ..run
    };
    let telling = Telling::Groups {
        shrink: !no_shrink,
        verbose,
    };
    let ended = match guided {
        true => guided_campaign(run, &range, &settings, corpus, telling),
        false => plain_campaign(run, &range, cases, telling),
    };
    if settings.coverage.is_some() {
        tell_reached(&counted);
    }
    ended
}

/// Fails if the cases want images that the reference does not make, or a planted difference is not noticed.
fn can_judge(session: &Session, range: &Range, images: &Images) -> Result<()> {
    let reference = session.reference();
    let is_asked = images.is_empty() && range.generation.wants_made_images();
    match is_asked && !reference.capabilities().can("create") {
        false => session.run_canary(),
        true => Err(Error::usage(format!(
            "--reference: {} makes no images: it can judge the generations readers3 and writers3, and images from outside (--from)",
            reference.name()
        ))),
    }
}

/// Notes the images of `--from`, and chooses the generation for them if none is named.
fn begin_with(from: &FromArguments, settings: &mut Settings) -> Result<()> {
    settings.from.clone_from(&from.paths);
    if !from.paths.is_empty() && settings.generation.is_none() {
        settings.generation = Some(settings.generation()?.of_images().to_owned());
    }
    Ok(())
}

/// Returns the program as an absolute path: workers work elsewhere.
fn counting_worker(program: PathBuf) -> Result<PathBuf> {
    match program.is_file() {
        true => std::path::absolute(&program).map_err(|error| Error::io("find", &program, &error)),
        false => Err(Error::usage(format!(
            "--coverage {}: there is no such program: contrib/coverage/build makes one",
            program.display()
        ))),
    }
}

/// Says how many regions of the candidates were reached, and which functions were not.
fn tell_reached(candidate_set: &CandidateSet) {
    let reached = candidate_set
        .sessions()
        .iter()
        .filter_map(Session::regions_reached);
    for reached in reached.filter(|reached| reached.all > 0) {
        let unreached: Vec<&str> = reached.unreached().collect();
        let _ = writeln!(
            std::io::stderr(),
            "{} of {} regions reached; {} of {} functions never:",
            reached.regions.len(),
            reached.all,
            unreached.len(),
            reached.functions.len()
        );
        for name in unreached {
            let _ = writeln!(std::io::stderr(), "  {name}");
        }
    }
}

fn guided_campaign(
    run: Run,
    range: &Range,
    settings: &Settings,
    corpus: Option<Corpus>,
    telling: Telling,
) -> Result<ExitCode> {
    let guide = || Ok(range.guide(settings)?.passing_over(concerns(&run, range)));
    let guide = Guide::after(guide, &run.resumed)?;
    let guide = match corpus {
        None => guide,
        Some(corpus) => with_corpus(guide, corpus, &run.resumed),
    };
    run.campaign(guide, summary(range, true), telling)
}

fn plain_campaign(
    run: Run,
    range: &Range,
    cases: impl Iterator<Item = Case> + Send + 'static,
    telling: Telling,
) -> Result<ExitCode> {
    let done = run.resumed.iter().filter_map(|record| record.iteration);
    let done: HashSet<u64> = done.collect();
    let most = range.total.and_then(|most| usize::try_from(most).ok());
    let cases = campaign::passing_over(cases, concerns(&run, range))
        .take(most.unwrap_or(usize::MAX))
        .filter(move |case| case.iteration.is_none_or(|it| !done.contains(&it)))
        .map(Ok);
    run.campaign(cost::long_first(cases), summary(range, false), telling)
}

fn summary(range: &Range, guided: bool) -> Summary {
    let name = Some(range.generation.name.to_owned());
    let mut summary = Summary::new(name, Some(range.seed), range.total.unwrap_or(0));
    summary.guided = guided;
    summary
}

/// Whether a case concerns any of the candidates, where its generation draws some that concern none.
fn concerns(run: &Run, range: &Range) -> impl Fn(&Case) -> bool + Clone + Send + use<> {
    let candidate_set = Arc::clone(&run.candidate_set);
    let passes_over = range.generation.passes_over();
    move |case: &Case| !passes_over || candidate_set.concerns(case)
}

/// The one candidate that `--instar` names.
fn instar_at(path: PathBuf) -> Vec<ToolSpec> {
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
