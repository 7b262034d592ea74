//! Runs one case through both tools.
//!
//! For each operation: whether both sides support it is decided before anything runs; then the reference runs, then
//! the candidate; then the images that they leave are inspected, and the judges compare. A divergence in one operation
//! does not stop the following ones. The session calls it.

mod agreement;
pub mod dmg_command;
mod fault;
mod harness;
mod inspections;
mod picture;
mod preparation;
mod side_run;
mod source;
mod writing;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::base::error::{Error, Result};
use crate::base::phase::Phase;
use crate::case::Case;
use crate::operation::Perform;
use crate::oracle::coverage::Observed;
use crate::oracle::judge;
use crate::oracle::observations::{
    Executor, Observations, ResourceBounds, Side, SideRun, Step, StepContext,
};
use crate::oracle::verdict::{InconclusiveKind, Verdict};
use crate::oracle::witness::Witnesses;
use crate::process::SandboxPolicy;
use crate::run::case_image::Reading;
use crate::run::evidence::Evidence;
use crate::run::fixture::Fixtures;
use crate::run::scratch_dir::{Remover, ScratchDir};
use crate::run::writers::Writers;
use crate::tool::request::{ImageFile, Request};
use crate::tool::{Support, Tool, same_program};
use source::Source;

/// The two tools and the settings with which they run.
#[derive(Clone)]
pub struct DifferentialRunner {
    /// The tool under test.
    pub candidate: Arc<dyn Tool>,
    /// The reference.
    pub reference: Arc<dyn Tool>,
    /// Time limit of one tool call, in wall time.
    pub limit: Duration,
    /// Limits on the resources and files that a tool may use.
    pub sandbox: SandboxPolicy,
    /// The directory in which scratch directories are made.
    pub workdir: PathBuf,
    /// Independent tools for cross-checks.
    pub witnesses: Witnesses,
    /// Whether to keep the scratch directories of cases that did not match.
    pub keep: bool,
    /// Source images that earlier cases made.
    pub fixtures: Arc<Fixtures>,
    /// The thread that deletes files in the background.
    pub remover: Arc<Remover>,
    /// Whether the candidate's side alone is run, and judged by the model: chains only.
    pub is_alone: bool,
    /// The tools that write images for cases that name a writer.
    pub writers: Arc<Writers>,
}

/// The result of a case.
#[derive(Debug)]
pub struct Outcome {
    /// One outcome per operation, in the case's order.
    pub operations: Vec<OperationOutcome>,
    /// Wall time.
    pub duration: Duration,
    /// Number of tool calls, including those that make fixtures and inspect images.
    pub tool_calls: u64,
    /// CPU time of those calls.
    pub tool_cpu: Duration,
    /// The scratch directory, if it was kept.
    pub kept: Option<PathBuf>,
}

/// The result of one operation.
#[derive(Debug)]
pub struct OperationOutcome {
    /// The verdict.
    pub verdict: Verdict,
    /// The evidence, unless the operation matched or nothing ran.
    pub evidence: Option<Evidence>,
    /// The behaviours and checks that were observed, for coverage.
    pub observed: Observed,
    /// Whether the candidate had stopped making progress when it timed out.
    pub is_stuck: bool,
    /// Wall time.
    pub duration: Duration,
}

impl DifferentialRunner {
    /// Runs all operations of a case. An error is a fault of the harness, never of a tool.
    pub fn run(&self, case: &Case) -> Result<Outcome> {
        let all: Vec<usize> = (0..case.ops.len()).collect();
        self.run_operations(case, &all, false)
    }

    /// Runs the given operations of a case again; each outcome has evidence, even a match.
    pub fn rerun(&self, case: &Case, operations: &[usize]) -> Result<Outcome> {
        self.run_operations(case, operations, true)
    }

    /// Returns the same runner with flushes off.
    pub fn without_flushes(&self) -> Self {
        Self {
            sandbox: self.sandbox.without_flushes(),
            ..self.clone()
        }
    }

    /// Whether the candidate supports at least one operation, as far as that can be decided without running it.
    pub fn concerns(&self, case: &Case) -> bool {
        (0..case.ops.len()).any(|index| {
            let (operation, context) = (case.ops[index].perform(), case.context(index));
            let steps = operation.steps(&context);
            operation.skipped().is_none() && self.support(operation, &context, &steps).is_ok()
        })
    }

    /// Checks that both sides support their steps. `Ok` says whether the reference takes part; `Err` says why the
    /// operation is skipped.
    fn support(
        &self,
        operation: &dyn Perform,
        context: &StepContext<'_>,
        steps: &[Step],
    ) -> Result<bool, String> {
        let objection = |tool: &dyn Tool| {
            let own = steps.iter().filter(|step| step.executor == Executor::Side);
            own.filter_map(|step| step.task.request())
                .map(|request| tool.support(request))
                .find_map(|support| match support {
                    Support::Yes => None,
                    Support::No(reason) => Some(reason),
                })
        };
        if let Some(reason) = objection(&*self.candidate) {
            return Err(reason);
        }
        if let Some(reason) = self.writers.objection(steps) {
            return Err(reason);
        }
        let idle = |tool: &dyn Tool| {
            let is_own =
                |step: &&Step| !matches!(step.executor, Executor::Reference | Executor::Once);
            let own = steps.iter().filter(is_own);
            own.filter_map(|step| step.task.request())
                .all(|request| tool.support(request) != Support::Yes)
        };
        let reads =
            |file: ImageFile| self.candidate.support(&Request::Contents { file }) == Support::Yes;
        let reads_none = || !operation.leaves(context).into_iter().any(reads);
        if !steps.is_empty() && idle(&*self.candidate) && reads_none() {
            return Err("the candidate can do none of its steps".to_owned());
        }
        if let Some(lack) = self.lack(operation, context, steps) {
            return Err(lack);
        }
        match objection(&*self.reference) {
            None => Ok(!self.is_alone),
            Some(_) if operation.stands_alone() => Ok(false),
            Some(reason) => Err(reason),
        }
    }

    /// Returns what the reference's build lacks for the steps that it carries out for both sides, the source image
    /// included.
    fn lack(
        &self,
        operation: &dyn Perform,
        context: &StepContext<'_>,
        steps: &[Step],
    ) -> Option<String> {
        let is_made_by_it = operation.reads_source() && context.source.format.is_written();
        let source = is_made_by_it.then(|| Request::Create {
            file: context.source.clone(),
            size: context.recipe.size_to_create(),
        });
        let is_its = |step: &&Step| {
            !matches!(
                step.executor,
                Executor::Side | Executor::SideIfAble | Executor::Harness
            )
        };
        let its = steps
            .iter()
            .filter(is_its)
            .filter_map(|step| step.task.request());
        let mut made = source.iter().chain(its);
        let no = |request| match self.reference.support(request) {
            Support::No(why) => Some(why),
            Support::Yes => None,
        };
        made.find_map(|request| self.reference.lack(request).or_else(|| no(request)))
    }

    fn run_operations(
        &self,
        case: &Case,
        wanted: &[usize],
        with_evidence: bool,
    ) -> Result<Outcome> {
        Phase::Other.time(|| {
            if let Some(outcome) = self.run_once(case, wanted, with_evidence, false)? {
                return Ok(outcome);
            }
            // An operation modified the shared source image. With private copies the run shows which one, and how.
            let outcome = self.run_once(case, wanted, with_evidence, true)?;
            outcome.ok_or_else(|| Error::system("a case was not tried to its end".to_owned()))
        })
    }

    /// Runs a case once. Returns `None` if an operation may have modified the source image that both sides share: no
    /// result counts then, and the caller retries with `privately` set, which gives each side a copy and checks it
    /// after each operation.
    fn run_once(
        &self,
        case: &Case,
        wanted: &[usize],
        with_evidence: bool,
        privately: bool,
    ) -> Result<Option<Outcome>> {
        let started = Instant::now();
        if let Some(from) = &case.from {
            let reading = Reading {
                workdir: &self.workdir,
                limit: self.limit,
                sandbox: &self.sandbox,
                reference: &*self.reference,
            };
            self.fixtures.begin_with(from, &reading)?;
        }
        let scratch_dir = ScratchDir::new(&self.workdir, &case.id(), &self.remover)?;
        let mut case_run = CaseRun {
            runner: self,
            case,
            scratch_dir: &scratch_dir,
            with_evidence,
            privately,
            same_program: same_program(&*self.candidate, &*self.reference),
            is_void: false,
            source: Source::NotMade,
            fixture: Vec::new(),
            tool_calls: 0,
            tool_cpu: Duration::ZERO,
            bounds: None,
            handed_over: 0,
        };
        let mut operations = Vec::with_capacity(wanted.len());
        for index in wanted {
            operations.push(case_run.operation(*index)?);
            if case_run.is_void {
                return Ok(None);
            }
        }
        let CaseRun {
            tool_calls,
            tool_cpu,
            ..
        } = case_run;
        let matched = operations
            .iter()
            .all(|operation| operation.verdict == Verdict::Match);
        if !matched {
            scratch_dir.is_sound()?;
        }
        let kept = (self.keep && !matched).then(|| scratch_dir.keep());
        let outcome = Outcome {
            operations,
            duration: started.elapsed(),
            tool_calls,
            tool_cpu,
            kept,
        };
        Ok(Some(outcome))
    }
}

/// The result of carrying out an operation.
struct Performed {
    verdict: Verdict,
    evidence: Option<Evidence>,
    is_stuck: bool,
}

/// For an operation that was skipped.
impl From<Verdict> for Performed {
    fn from(verdict: Verdict) -> Self {
        Self {
            verdict,
            evidence: None,
            is_stuck: false,
        }
    }
}

/// One run of a case in progress.
struct CaseRun<'runner> {
    runner: &'runner DifferentialRunner,
    case: &'runner Case,
    scratch_dir: &'runner ScratchDir,
    with_evidence: bool,
    /// Whether each side has its own source image.
    privately: bool,
    /// Whether an operation modified the shared source image.
    is_void: bool,
    same_program: bool,
    source: Source,
    fixture: Vec<Vec<String>>,
    tool_calls: u64,
    tool_cpu: Duration,
    /// The resource bounds of the current operation.
    bounds: Option<ResourceBounds>,
    /// How many of the current operation's first steps left images that the candidate's side was given copies of.
    handed_over: usize,
}

impl<'runner> CaseRun<'runner> {
    fn operation(&mut self, index: usize) -> Result<OperationOutcome> {
        let started = Instant::now();
        let operation = &self.case.ops[index];
        let _operation =
            tracing::debug_span!("operation", index, name = operation.name()).entered();
        let context = self.case.context(index);
        let mut observed = Observed::default();
        let Performed {
            verdict,
            evidence,
            is_stuck,
        } = self.perform(operation.perform(), &context, &mut observed)?;
        if !self.runner.keep {
            self.scratch_dir.sweep(&context.stem);
        }
        Ok(OperationOutcome {
            verdict,
            evidence,
            observed,
            is_stuck,
            duration: started.elapsed(),
        })
    }

    fn perform(
        &mut self,
        operation: &dyn Perform,
        context: &StepContext<'_>,
        observed: &mut Observed,
    ) -> Result<Performed> {
        if let Some(reason) = operation.skipped() {
            return Ok(Verdict::Unsupported { reason }.into());
        }
        let steps = operation.steps(context);
        let with_reference = match self.runner.support(operation, context, &steps) {
            Ok(with_reference) => with_reference,
            Err(reason) => return Ok(Verdict::Unsupported { reason }.into()),
        };
        if operation.reads_source() {
            Phase::Fixture.time(|| self.make_source(context))?;
            if let Source::Failed(verdict) = &self.source {
                return Ok(verdict.clone().into());
            }
        }
        let mut observations = self.observations(operation, &steps, with_reference)?;
        let exits = match operation.judges_exits() {
            true => judge::Exits::left_to_the_operation(),
            false => judge::exits(&observations),
        };
        let mut verdicts: Vec<Verdict> = operation.judge_steps(&observations).into_iter().collect();
        verdicts.extend(exits.verdicts);
        let outputs = operation.outputs(context, &observations);
        if exits.completed {
            self.inspect_outputs(&mut observations, &outputs)?;
            if let Some(file) = operation.witnessed(context, &observations) {
                observations.cross_check = self.cross_check(&file)?;
            }
            Phase::Comparing.time(|| {
                verdicts.extend(operation.judge(context, &observations));
                verdicts.extend(judge::outputs(&observations, &outputs));
            });
        }
        if operation.reads_source() {
            verdicts.extend(self.source_changed(context)?);
        }
        *observed = Observed::from_observations(&observations);
        if operation.judges_by_aspect() {
            // The first aspect that differs is the cause of what differs in later ones.
            verdicts.sort_by_key(|verdict| verdict.aspect());
        }
        verdicts.extend(observations.candidate.untested());
        let mut verdict = Verdict::deciding(verdicts);
        if self.runner.is_alone && verdict == Verdict::Match {
            let unsure = agreement::why_unsure(&observations, &outputs);
            let unsure =
                unsure.map(|why| Verdict::inconclusive(InconclusiveKind::NotRepeated, why));
            verdict = unsure.unwrap_or(verdict);
        }
        if let Verdict::Divergence(finding) = &mut verdict {
            finding.at = operation.facts(context, &observations, &outputs, &finding.place);
        }
        let evidence = match self.with_evidence {
            true => Some(Evidence::of_anything(&verdict, &observations)),
            false => Evidence::from_verdict(&verdict, &observations),
        };
        let evidence = evidence
            .map(|evidence| self.illustrated(evidence, &verdict, operation, context, &outputs))
            .transpose()?;
        Ok(Performed {
            verdict,
            evidence,
            is_stuck: side_run::is_stuck(&observations.candidate),
        })
    }

    /// Runs the steps, first with the reference if it takes part, then with the candidate.
    fn observations(
        &mut self,
        operation: &dyn Perform,
        steps: &[Step],
        with_reference: bool,
    ) -> Result<Observations> {
        self.handed_over = 0;
        let reference = with_reference
            .then(|| self.run_steps(Side::Reference, steps, None, operation.bounds()))
            .transpose()?;
        let hopeless = self.same_program && reference.as_ref().is_some_and(SideRun::timed_out);
        let candidate = if hopeless {
            SideRun::default()
        } else {
            let made = reference.as_ref();
            self.run_steps(Side::Candidate, steps, made, operation.bounds())?
        };
        Ok(Observations {
            tool_versions: [Side::Candidate, Side::Reference].map(|side| self.speaker(side)),
            candidate,
            reference,
            cross_check: None,
        })
    }
}
