//! The settings that the command and the test target share: flags, with environment variables as fallback.
//!
//! The parsers, the help and the separation of the test target's arguments are all derived from one struct. This module checks values;
//! files and tools are checked where they are opened.

/// `imgduel.toml`.
pub mod file;
mod flags;
mod from_flags;
mod hidden_variables;
/// How the command line and the environment are read.
pub mod reading;
mod resolution;
mod values;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::base::error::{Error, Result};
use crate::base::log::{self, Filter};
use crate::case::generation::{Generation, ITERATION_MAX, Selection};
use crate::case::known::Catalogue;
use crate::disk_format::damage::structure_names;
use crate::image::format::Format;
use crate::process::{SandboxPolicy, pass_on};
use crate::run::scratch_dir::Place;
use crate::tool::launcher::{ExecMode, Launcher};
use crate::tool::{ToolSpec, libraries, model};
pub use reading::{Read, is_candidate_named, read};
pub use resolution::{Resolved, resolved};
pub use values::{jobs as parse_jobs, switch as parse_switch};

/// The default number of cases of a campaign of the command.
pub const FUZZ_ITERATIONS: u64 = 1000;

/// The maximum of `--duration`: one year.
const DURATION_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// The default number of fresh cases in the test target.
pub const TEST_ITERATIONS: u64 = 12;

/// The default seed of the test target.
pub const TEST_SEED: u64 = 1;

/// The default reference.
pub(super) const DEFAULT_REFERENCE: &str = "qemu-img";

/// The embedded library that writes, whose generations fit others that write.
const WRITING_LIBRARY: &str = "imago";

/// The formats that its generations change.
const OF_WRITERS: [Format; 2] = [Format::Raw, Format::Qcow2];

/// The default time limit of one tool call. The default value of the flag repeats it as `30`.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// The shared settings of the command and the test target. A flag takes precedence over its environment variable.
#[derive(clap::Args, Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// The tool under test: NAME, NAME:PATH, adapter:COMMAND, or all; more with commas or repeated (see imgduel tools)
    #[arg(long = "candidate", value_name = "SPEC", env = "IMGDUEL_CANDIDATE", default_value = "imago", value_delimiter = ',', value_parser = parse::<ToolSpec>)]
    pub candidates: Vec<ToolSpec>,

    /// The tool to compare with: qemu-img, qemu-img:PATH, model, which is part of this program, or a reader for images that others wrote (default: qemu-img; where that is not installed, model)
    #[arg(long = "reference", value_name = "SPEC", env = "IMGDUEL_REFERENCE", value_parser = parse::<ToolSpec>)]
    named_reference: Option<ToolSpec>,

    /// The program whose workers count what the candidate runs; a flag of `fuzz` alone.
    #[arg(skip)]
    pub coverage: Option<PathBuf>,

    /// The images from outside with which cases begin; a flag of the commands that take cases.
    #[arg(skip)]
    pub from: Vec<PathBuf>,

    /// The tools that write the images of cases that name a writer: NAME, NAME:PATH, or all; more with commas or repeated
    #[arg(long = "writer", value_name = "SPEC", env = "IMGDUEL_WRITER", default_value = "all", value_delimiter = ',', value_parser = parse::<ToolSpec>)]
    pub writers: Vec<ToolSpec>,

    /// The generation that decodes seeds into cases (default: what fits the candidate: ops16 for qemu-img and instar, native1_imago for imago, native1_readers for others)
    #[arg(long, value_name = "NAME", env = "IMGDUEL_GENERATION")]
    pub generation: Option<String>,

    /// Draw everything of native1 to native4 and malformed1 for imago too (default: only what it supports, as native1_imago does)
    #[arg(long, env = "IMGDUEL_WIDE", value_parser = values::switch)]
    pub wide: bool,

    /// The campaign's seed, a whole number (default: 1 in the test target, else random)
    #[arg(long, value_name = "N", env = "IMGDUEL_SEED", allow_negative_numbers = true, value_parser = values::seed)]
    pub seed: Option<u64>,

    /// How many cases (default: 12 in the test target, else 1000; with --duration, 1000 in the test target, else any number)
    #[arg(long, value_name = "N", env = "IMGDUEL_ITERATIONS", allow_negative_numbers = true, value_parser = values::iterations)]
    pub iterations: Option<u64>,

    /// How long new cases are started, as in 90s, 10m or 2h; running cases are finished
    #[arg(long, value_name = "TIME", env = "IMGDUEL_DURATION", value_parser = duration)]
    pub duration: Option<Duration>,

    /// The first iteration
    #[arg(long, value_name = "N", env = "IMGDUEL_START", allow_negative_numbers = true, default_value_t = 0, value_parser = values::iteration)]
    pub start: u64,

    /// The operations to draw from, with commas; order and repeats count (default: the generation's)
    #[arg(long, value_name = "A,B", env = "IMGDUEL_OPS")]
    pub ops: Option<String>,

    /// The structures or fields (STRUCTURE.FIELD) that malformed1 damages, with commas (default: all)
    #[arg(long, value_name = "A,B", env = "IMGDUEL_FIELDS", long_help = fields_help())]
    pub fields: Option<String>,

    /// Seconds for one tool call, fractions allowed
    #[arg(long, value_name = "SECONDS", env = "IMGDUEL_TIMEOUT", allow_negative_numbers = true, default_value = "30", value_parser = values::seconds)]
    pub timeout: Duration,

    /// Cases at a time that keep a CPU busy; above 1, twice as many run, because they wait in between (default: the number of CPUs)
    #[arg(long, value_name = "N", env = "IMGDUEL_JOBS", allow_negative_numbers = true, value_parser = values::jobs)]
    pub jobs: Option<usize>,

    /// Where scratch directories are created (default: TMPDIR, or memory if there is enough, or the system's temporary directory)
    #[arg(long, value_name = "DIR", env = "IMGDUEL_WORKDIR")]
    workdir: Option<PathBuf>,

    /// How to start tools: spawn, fork (from an already loaded process), or check (both ways, compared)
    #[arg(long, value_name = "MODE", env = "IMGDUEL_EXEC_MODE", default_value_t = ExecMode::Fork, value_parser = parse::<ExecMode>)]
    pub exec_mode: ExecMode,

    /// Let the flushes of forked tools reach the disk
    #[arg(long, env = "IMGDUEL_DURABLE", value_parser = values::switch)]
    pub durable: bool,

    /// Do not reuse cached answers of the reference, in regression trials and in the default campaign of the test target
    #[arg(long, env = "IMGDUEL_NO_CACHE", value_parser = values::switch)]
    pub no_cache: bool,

    /// The cache directory for the reference's answers (default: imgduel-cache/ in the target directory)
    #[arg(long, value_name = "DIR", env = "IMGDUEL_CACHE")]
    pub cache: Option<PathBuf>,

    /// Stop at the first divergence
    #[arg(long, env = "IMGDUEL_FAIL_FAST", value_parser = values::switch)]
    pub fail_fast: bool,

    /// Keep the scratch directories of cases that did not match
    #[arg(long, env = "IMGDUEL_KEEP", value_parser = values::switch)]
    pub keep: bool,

    /// A catalogue of known divergences, a directory or a file, in addition to the built-in one (default: known/ in the current directory, if it exists)
    #[arg(long, value_name = "DIR", env = "IMGDUEL_CATALOGUE")]
    pub catalogue: Option<PathBuf>,

    /// Fail when an entry of the catalogue could have fired so often that it should have, and never did
    #[arg(long, env = "IMGDUEL_STRICT_KNOWN", value_parser = values::switch)]
    pub strict_known: bool,

    /// Pass these environment variables on to tools, with commas or repeated: PYTHONPATH, LD_LIBRARY_PATH (default: none but PATH)
    #[arg(long, value_name = "NAME", env = "IMGDUEL_PASS_ENV", value_delimiter = ',', value_parser = values::variable)]
    pub pass_env: Vec<String>,

    /// The directory of the regression seeds (default: fuzz-seeds/ in the package)
    #[arg(long, value_name = "DIR", env = "IMGDUEL_SEEDS")]
    pub seeds: Option<PathBuf>,

    /// The directory for new findings, until they are accepted
    #[arg(
        long,
        value_name = "DIR",
        env = "IMGDUEL_FINDINGS",
        default_value = "fuzz-findings"
    )]
    pub findings: PathBuf,

    /// Write the records to FILE, one JSON object per line
    #[arg(long, value_name = "FILE", env = "IMGDUEL_JSON")]
    pub json: Option<PathBuf>,

    /// Write the summary as JSON to FILE
    #[arg(long, value_name = "FILE", env = "IMGDUEL_SUMMARY")]
    pub summary: Option<PathBuf>,

    /// Write JUnit XML to FILE, case by case
    #[arg(long, value_name = "FILE", env = "IMGDUEL_JUNIT")]
    pub junit: Option<PathBuf>,

    /// Write a self-contained HTML page to FILE
    #[arg(long, value_name = "FILE", env = "IMGDUEL_HTML")]
    pub html: Option<PathBuf>,

    /// Disable the flushes of tools: they succeed without effect
    #[arg(long, env = "IMGDUEL_NO_FLUSH", value_parser = values::switch)]
    pub no_flush: bool,

    /// Run tools without the sandbox: no limits of memory, files, processes and disk, no confinement
    #[arg(long, env = "IMGDUEL_NO_CAGE", value_parser = values::switch)]
    pub no_cage: bool,

    /// Run tools without namespaces of their own; the other layers of the sandbox stay active
    #[arg(long, env = "IMGDUEL_NO_NAMESPACES", value_parser = values::switch)]
    pub no_namespaces: bool,

    /// Succeed even when too little was compared to prove anything
    #[arg(long, env = "IMGDUEL_ALLOW_VACUOUS", value_parser = values::switch)]
    pub allow_vacuous: bool,

    /// Treat inconclusive cases as failures
    #[arg(long, env = "IMGDUEL_STRICT", value_parser = values::switch)]
    pub strict: bool,

    /// Fail unless these are installed, with commas or repeated: tools of imgduel tools, or witnesses such as qcowinfo
    #[arg(
        long = "require-tool",
        value_name = "NAME",
        env = "IMGDUEL_REQUIRE_TOOL",
        value_delimiter = ','
    )]
    pub required_tools: Vec<String>,

    /// Fail if a witness is not installed: a second opinion about a whole format would silently be missing
    #[arg(long, env = "IMGDUEL_FAIL_WITHOUT_WITNESS", value_parser = values::switch)]
    pub fail_without_witness: bool,

    /// A file of settings, which flags and variables overrule (default: imgduel.toml here or beside the package's Cargo.toml)
    #[arg(long, value_name = "FILE", env = "IMGDUEL_CONFIG")]
    config: Option<PathBuf>,

    /// The profile of imgduel.toml that is put over its other settings
    #[arg(long, value_name = "NAME", env = "IMGDUEL_PROFILE")]
    profile: Option<String>,

    /// Log on standard error what the harness itself does, from LEVEL on: info (cases), debug (operations, calls of tools), trace (steps); MODULE=LEVEL narrows it (default: off)
    #[arg(long, value_name = "LEVEL", env = "IMGDUEL_LOG", value_parser = parse::<Filter>)]
    pub log: Option<Filter>,
}

impl Settings {
    /// Returns whether the test target runs its default campaign, which is the same in every run.
    pub fn has_usual_campaign(&self) -> bool {
        let numbers = self.seed.is_some() || self.iterations.is_some() || self.duration.is_some();
        !numbers && self.start == 0
    }

    /// Returns the first iteration and the number of iterations, by default `usual`. Fails if they exceed [`ITERATION_MAX`].
    pub fn range(&self, usual: u64) -> Result<(u64, u64)> {
        let count = self.iterations.unwrap_or(usual);
        let left = ITERATION_MAX + 1 - self.start.min(ITERATION_MAX);
        match count <= left {
            true => Ok((self.start, count)),
            false if self.iterations.is_none() => Ok((self.start, left)),
            false => Err(Error::usage(format!(
                "{count} iterations from {} on: they are numbered from 0 to {ITERATION_MAX}",
                self.start
            ))),
        }
    }

    /// Returns the generation that `--generation` names, otherwise the default one for the candidates. Fails if the name is unknown.
    pub fn generation(&self) -> Result<&'static Generation> {
        if let Some(name) = &self.generation {
            return Generation::named(name);
        }
        let names = self.candidates.iter().map(drawn_like);
        let names: Vec<&str> = names.collect();
        let is_wide = self.wide || self.candidates.iter().any(writes_other_formats);
        Ok(Generation::fitting(&names, &self.selection(), is_wide))
    }

    /// Returns the reference.
    pub fn reference(&self) -> ToolSpec {
        let usual = || ToolSpec::named(DEFAULT_REFERENCE);
        self.named_reference.clone().unwrap_or_else(usual)
    }

    /// Returns whether the reference is the default one.
    pub fn has_default_reference(&self) -> bool {
        self.reference().to_string() == DEFAULT_REFERENCE
    }

    /// Returns the same settings with the model as reference if none is named, and the model can judge every candidate: embedded libraries.
    pub fn with_model_instead(&self) -> Option<Self> {
        let can_judge = |spec: &ToolSpec| libraries::is_embedded(&spec.name);
        let is_unnamed = self.named_reference.is_none();
        let is_possible = is_unnamed && self.candidates.iter().all(can_judge);
        is_possible.then(|| Self {
            named_reference: Some(ToolSpec::named(model::NAME)),
            ..self.clone()
        })
    }

    /// Returns the same settings with the model as reference and only those candidates that are libraries; `None` if there are none.
    pub fn against_model(&self) -> Option<Self> {
        let mut own = Self {
            named_reference: Some(ToolSpec::named(model::NAME)),
            ..self.clone()
        };
        own.candidates
            .retain(|spec| libraries::is_embedded(&spec.name));
        (!own.candidates.is_empty()).then_some(own)
    }

    /// Returns the time at which `--duration` ends if the campaign starts now.
    pub fn deadline(&self) -> Option<Instant> {
        Instant::now().checked_add(self.duration?)
    }

    /// Replaces the requested generation by its narrower variant for the only candidate, if there is one. Does nothing with `--wide` or
    /// `--fields`, or if `--ops` names operations that the narrower variant lacks.
    pub fn narrow(&mut self) {
        let [spec] = &*self.candidates else { return };
        let wanted = self.generation.as_deref().map(Generation::named);
        if let (Some(Ok(wide)), false, None) = (wanted, self.wide, &self.fields)
            && let Some(narrowed) = wide.narrowed_to(drawn_like(spec), &self.selection())
        {
            self.generation = Some(narrowed.name.to_owned());
        }
    }

    /// Returns the operations of `--ops` and the fields of `--fields`: the comma-separated names without blanks.
    pub fn selection(&self) -> Selection {
        Selection {
            operations: self.ops.as_deref().map(comma_list),
            fields: self.fields.as_deref().map(comma_list),
        }
    }

    /// Returns the flags that reproduce these settings for one candidate: both tools as given, and every other setting that changes
    /// results and is not the default.
    pub fn terms(&self, candidate: &ToolSpec) -> Vec<String> {
        let mut terms = vec!["--candidate".to_owned(), candidate.to_string()];
        if !self.has_default_reference() {
            terms.extend(["--reference".to_owned(), self.reference().to_string()]);
        }
        if self.timeout != DEFAULT_TIMEOUT {
            let seconds = self.timeout.as_secs_f64().to_string();
            terms.extend(["--timeout".to_owned(), seconds]);
        }
        if !self.pass_env.is_empty() {
            terms.extend(["--pass-env".to_owned(), self.pass_env.join(",")]);
        }
        for path in &self.from {
            terms.extend(["--from".to_owned(), path.display().to_string()]);
        }
        let switches = [(self.no_flush, "--no-flush"), (self.no_cage, "--no-cage")];
        terms.extend(
            switches
                .into_iter()
                .filter(|(is_on, _)| *is_on)
                .map(|(_, flag)| flag.to_owned()),
        );
        terms
    }

    /// Opens the catalogue of known divergences.
    pub fn catalogue(&self) -> Result<Catalogue> {
        Catalogue::open(self.catalogue.as_deref())
    }

    /// Returns the sandbox policy: the limits and permissions of tools.
    pub fn sandbox(&self) -> SandboxPolicy {
        let sandbox = if self.no_cage {
            SandboxPolicy::OPEN
        } else {
            SandboxPolicy::default()
        };
        SandboxPolicy {
            flushes_off: self.no_flush,
            is_apart: sandbox.is_apart && !self.no_namespaces,
            ..sandbox
        }
    }

    /// Creates the launcher for the tools of this run.
    pub fn launcher(&self) -> Arc<Launcher> {
        pass_on(&self.pass_env);
        Launcher::new(self.exec_mode, self.durable)
    }

    /// Starts logging if `--log` is set.
    pub fn begin_log(&self) {
        self.log.iter().for_each(log::begin);
    }

    /// Returns the flags of [`Settings::terms`] for all candidates, in one line.
    pub fn all_terms(&self) -> String {
        let terms = self.candidates.iter().flat_map(|spec| self.terms(spec));
        terms.collect::<Vec<String>>().join(" ")
    }

    /// Returns where scratch directories are created.
    pub fn scratch(&self) -> Place {
        match &self.workdir {
            Some(directory) => Place::at(directory),
            None => Place::usual(self.jobs()),
        }
    }

    /// Returns the directory of [`Settings::scratch`].
    pub fn workdir(&self) -> PathBuf {
        self.scratch().path
    }

    /// Returns how many cases are to keep a CPU busy at a time, by default the number of CPUs.
    pub fn jobs(&self) -> usize {
        let processors = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.jobs.unwrap_or_else(processors)
    }
}

/// Returns the name of the tool whose generations fit this one. A library that writes qcow2 or raw is given what imago is given: what it does not support is
/// passed over.
fn drawn_like(spec: &ToolSpec) -> &str {
    let written = libraries::written_formats(&spec.name);
    match written.iter().any(|format| OF_WRITERS.contains(format)) {
        true => WRITING_LIBRARY,
        false => &spec.name,
    }
}

/// Whether a library writes only formats that no narrower generation changes.
fn writes_other_formats(spec: &ToolSpec) -> bool {
    let written = libraries::written_formats(&spec.name);
    !written.is_empty() && !written.iter().any(|format| OF_WRITERS.contains(format))
}

fn comma_list(text: &str) -> Vec<String> {
    let names = text.split(',').map(str::trim);
    let names = names.filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

fn fields_help() -> String {
    format!(
        "The structures or fields (STRUCTURE.FIELD) that malformed1 damages, with commas (default: all): {}",
        structure_names().join(", ")
    )
}

fn parse<T: std::str::FromStr<Err = Error>>(text: &str) -> Result<T> {
    text.parse()
}

/// Parses a duration in the syntax of jiff: `90s`, `10m`, `2h`, `1h 30m`.
fn duration(text: &str) -> Result<Duration> {
    let read = text.parse::<jiff::SignedDuration>().ok();
    let read = read.and_then(|read| Duration::try_from(read).ok());
    let read = read.filter(|read| !read.is_zero() && *read <= DURATION_MAX);
    read.ok_or_else(|| Error::usage("write a time above 0 with its unit, as in 90s, 10m or 2h"))
}
