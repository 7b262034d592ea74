//! Runs the steps of an operation on one side, and makes every tool call.
//!
//! The runner calls it; the judges interpret the answers.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::field::Empty;

use super::writing::Recipe;
use super::{CaseRun, harness};
use crate::base::error::{Error, Result};
use crate::base::phase::Phase;
use crate::case::cost::{self, Cost};
use crate::oracle::observations::{
    CrossCheck, Executor, HarnessAction, ResourceBounds, Side, SideRun, Step, StepResult, Task,
    ToolVersion,
};
use crate::run::scratch_dir::{ScratchDir, Stamps};
use crate::tool::request::{Answer, Exit, ImageFile, Request, directory_of};
use crate::tool::{CallContext, Support, Tool, refusals};

/// The grace period of a busy reference beyond its limit, in multiples of the limit.
pub const BUSY_REFERENCE_EXTRA_LIMITS: u32 = 2;

/// What each flush that the reference must make adds to its grace period, as on a slow disk.
pub const SLOW_FLUSH: Duration = Duration::from_millis(2);

/// The longest grace period of the reference, in multiples of the limit.
pub const BUSY_REFERENCE_EXTRA_LIMITS_MAX: u32 = 6;

/// How many times as long as the reference a busy candidate may take for the same step, if that is more than the
/// limit.
pub const MUCH_SLOWER: u32 = 3;

impl<'runner> CaseRun<'runner> {
    /// Runs the steps of an operation on one side, up to the first failure that ends it. `made` is the reference's run
    /// of the same steps.
    pub(super) fn run_steps(
        &mut self,
        side: Side,
        steps: &[Step],
        made: Option<&SideRun>,
        bounds: Option<ResourceBounds>,
    ) -> Result<SideRun> {
        let mut side_run = SideRun::default();
        let costs = cost::of_steps(steps);
        let prepared = self.prepared(side, steps);
        self.bounds = None;
        // The file stamps after one step are those before the next.
        let mut before = self.scratch_dir.stamps(side);
        for (index, step) in steps.iter().enumerate() {
            let _step = tracing::trace_span!("step", index, side = side.name()).entered();
            let done = made.and_then(|made| made.step_results.get(index));
            if let Some(done) = done.filter(|_| index < self.handed_over) {
                side_run.step_results.push(done.clone());
                continue;
            }
            if let Some(done) = done.filter(|_| step.executor == Executor::Once) {
                side_run.step_results.push(done.clone());
                if done.answer.succeeded() {
                    self.bounds = bounds;
                    continue;
                }
                break;
            }
            let (by, answer) = self.step(side, step, done, costs[index], &mut side_run.lacks)?;
            let is_damage = matches!(step.task, Task::Harness(HarnessAction::Damage { .. }));
            let goes_on = match answer.exit {
                Exit::Success => true,
                Exit::Unsupported(_) if step.executor == Executor::SideIfAble => true,
                Exit::Refused(_) => !step.expected_exit.ends(),
                Exit::Unsupported(_) | Exit::Crashed(_) | Exit::TimedOut(_) | Exit::HitLimit(_) => {
                    false
                }
            };
            let file_bytes = self.scratch_dir.length(side, &step.task.file().path);
            let measured_again = match by {
                Side::Candidate => self.measured_again(&step.task, &answer)?,
                Side::Reference => None,
            };
            // Resource bounds apply from the step on that damages the image, not to the steps that make it.
            self.bounds = self.bounds.or(bounds.filter(|_| is_damage));
            let space = self.bounds.map(|_| self.scratch_dir.space(side));
            let after = self.scratch_dir.stamps(side);
            side_run.step_results.push(StepResult {
                step: step.clone(),
                by,
                answer,
                file_bytes,
                changed_files: changed(&before, &after),
                scratch_bytes: space.unwrap_or(0),
                measured_again,
            });
            before = after;
            if !goes_on {
                break;
            }
            if index + 1 == prepared && self.hand_over(&side_run) {
                before = self.scratch_dir.stamps(side);
            }
        }
        Ok(side_run)
    }

    /// Has the reference measure what the candidate measured, if that is a snapshot, and the image itself. How much is required depends on what is
    /// allocated, which is the tools' choice: only another measurement of the same file tells whether the snapshot was measured.
    fn measured_again(&mut self, task: &Task, answer: &Answer) -> Result<Option<[Answer; 2]>> {
        let Task::Tool(request @ Request::Measure { snapshot, .. }) = task else {
            return Ok(None);
        };
        if snapshot.is_none() || !answer.succeeded() || !self.can(Side::Reference, task) {
            return Ok(None);
        }
        let mut of_image = request.clone();
        if let Request::Measure { snapshot, .. } = &mut of_image {
            *snapshot = None;
        }
        let again = |request| self.call(Side::Candidate, Side::Reference, request);
        let [of_snapshot, of_image] = [request, &of_image].map(again);
        Ok(Some([of_snapshot?, of_image?]))
    }

    /// Whether a side's own tool supports the task; it supports none of the harness's own.
    pub(super) fn can(&self, side: Side, task: &Task) -> bool {
        let request = task.request();
        request.is_some_and(|request| self.tool(side).support(request) == Support::Yes)
    }

    /// Why a side's own tool does not support the task; `None` if it does.
    fn cannot(&self, side: Side, task: &Task) -> Option<String> {
        match self.tool(side).support(task.request()?) {
            Support::Yes => None,
            Support::No(why) => Some(why),
        }
    }

    /// Runs one step on a side. Returns whose tool ran it, and the answer. A feature that the side's tool lacks is added
    /// to `lacks`.
    fn step(
        &mut self,
        side: Side,
        step: &Step,
        done: Option<&StepResult>,
        cost: Cost,
        lacks: &mut Vec<String>,
    ) -> Result<(Side, Answer)> {
        let by = match step.executor {
            Executor::Side => side,
            Executor::SideOrReference if self.can(side, &step.task) => side,
            Executor::SideIfAble => side,
            _ => Side::Reference,
        };
        if step.executor == Executor::SideIfAble
            && let Some(lack) = self.cannot(side, &step.task)
        {
            lacks.push(lack.clone());
            return Ok((by, Answer::unsupported(lack)));
        }
        if let Task::Harness(action @ HarnessAction::Fault { .. }) = &step.task {
            return self.attempted(side, action);
        }
        let request = match &step.task {
            Task::Harness(HarnessAction::WriteByTool {
                writer,
                file,
                files,
                guest,
            }) => {
                let recipe = Recipe {
                    writer,
                    file,
                    files,
                    guest,
                };
                return Ok((by, self.write_by_tool(side, &recipe, done)?));
            }
            Task::Harness(action) => {
                return Ok((by, harness::carry_out(action, self.scratch_dir, side)));
            }
            // Bytes of a raw file are the guest's bytes, so the harness writes raw fixtures itself.
            Task::Tool(request)
                if step.executor == Executor::Reference && harness::writes_itself(request) =>
            {
                let directory = self.scratch_dir.directory(side);
                return Ok((by, harness::carry_out_raw(request, &directory)));
            }
            Task::Tool(request) => request,
        };
        let answer = self.run_step(side, by, request, done, cost)?;
        if let Exit::Unsupported(feature) = &answer.exit {
            lacks.push(feature.clone());
            if step.executor == Executor::SideOrReference {
                let answer = self.run_step(side, Side::Reference, request, done, cost)?;
                return Ok((Side::Reference, answer));
            }
        }
        Ok((by, answer))
    }

    /// Runs one step with a tool. `done`, the reference's result of the same step, scales the grace period. If the
    /// call times out, its progress is added to the post-mortem.
    fn run_step(
        &mut self,
        side: Side,
        by: Side,
        request: &Request,
        done: Option<&StepResult>,
        cost: Cost,
    ) -> Result<Answer> {
        let file = &request.file().path;
        let before = self.scratch_dir.length(side, file);
        let grace = self.grace(by, done, cost);
        let directory = self.scratch_dir.directory(side);
        let mut answer = calls(by).time(|| self.call_in(directory, by, request, grace))?;
        if let Exit::TimedOut(post_mortem) = &mut answer.exit {
            let now = self.scratch_dir.length(side, file).unwrap_or_default();
            let grown = now.saturating_sub(before.unwrap_or_default());
            post_mortem.progress = cost.progress(grown);
        }
        // A refusal that the tool's capabilities name is no answer about this image.
        if let (Exit::Refused(_), Some(feature)) =
            (&answer.exit, refusals::known(self.tool(by).name(), request))
        {
            answer.exit = Exit::Unsupported(feature.to_owned());
        }
        Ok(answer)
    }

    /// Cross-checks an image on the candidate's side with a witness tool. Returns `None` if no witness reads its
    /// format.
    pub(super) fn cross_check(&mut self, file: &ImageFile) -> Result<Option<CrossCheck>> {
        let directory = self.scratch_dir.directory(Side::Candidate);
        let ImageFile { format, path, .. } = file;
        let cross_check = self.runner.witnesses.cross_check(
            *format,
            path,
            &self.call_context(&directory, Duration::ZERO),
        )?;
        if let Some(CrossCheck { answer, .. }) = &cross_check {
            self.tool_calls += answer.usage.calls;
            self.tool_cpu += answer.usage.cpu;
        }
        Ok(cross_check)
    }

    pub(super) fn tool(&self, by: Side) -> &'runner dyn Tool {
        match by {
            Side::Candidate => &*self.runner.candidate,
            Side::Reference => &*self.runner.reference,
        }
    }

    pub(super) fn speaker(&self, by: Side) -> ToolVersion {
        let tool = self.tool(by);
        ToolVersion {
            name: tool.name().to_owned(),
            version: tool.version().to_owned(),
        }
    }

    pub(super) fn call(&mut self, side: Side, by: Side, request: &Request) -> Result<Answer> {
        let grace = self.grace(by, None, Cost::default());
        calls(by).time(|| self.call_in(self.scratch_dir.directory(side), by, request, grace))
    }

    /// The grace period of a busy tool beyond its limit. The candidate's depends on how long the reference took for
    /// the same step, if that is known.
    pub(super) fn grace(&self, by: Side, reference: Option<&StepResult>, cost: Cost) -> Duration {
        let limit = self.runner.limit;
        match (by, reference) {
            (Side::Reference, _) => {
                let flushes = match self.runner.sandbox.flushes_off {
                    true => 0,
                    false => u32::try_from(cost.flushes).unwrap_or(u32::MAX),
                };
                let extra = limit * BUSY_REFERENCE_EXTRA_LIMITS + SLOW_FLUSH * flushes;
                extra.min(limit * BUSY_REFERENCE_EXTRA_LIMITS_MAX)
            }
            (Side::Candidate, Some(step_result)) => {
                (step_result.answer.usage.duration * MUCH_SLOWER).saturating_sub(limit)
            }
            (Side::Candidate, None) => Duration::ZERO,
        }
    }

    pub(super) fn call_context<'call>(
        &self,
        directory: &'call Path,
        grace: Duration,
    ) -> CallContext<'call>
    where
        'runner: 'call,
    {
        let limit = self.runner.limit;
        CallContext {
            directory,
            limit: self.bounds.map_or(limit, |bounds| bounds.time.min(limit)),
            grace: if self.bounds.is_some() {
                Duration::ZERO
            } else {
                grace
            },
            sandbox: &self.runner.sandbox,
            memory_bytes_max: self.bounds.map(|bounds| bounds.memory_bytes_max),
        }
    }

    pub(super) fn call_in(
        &mut self,
        directory: PathBuf,
        by: Side,
        request: &Request,
        grace: Duration,
    ) -> Result<Answer> {
        // A tool that opens a named pipe would block for ever, so it is not called.
        if let Some(wrong) = ScratchDir::in_place_of_a_file(&directory, &request.images()) {
            return Ok(harness::refusal(request, wrong));
        }
        make_place(&directory, request)?;
        let call_context = self.call_context(&directory, grace);
        let call = tracing::debug_span!(
            "call",
            by = by.name(),
            request = request.name(),
            exit = Empty
        );
        let answer = match request.names_its_directory() {
            true => {
                // The tool is told the path; what is compared has a mark that both sides share.
                let own = directory.to_string_lossy();
                let request = request.in_directory(&own);
                let answer = call.in_scope(|| self.tool(by).ask(&request, &call_context))?;
                answer.without_directory(&own)
            }
            false => call.in_scope(|| self.tool(by).ask(request, &call_context))?,
        };
        if !call.is_disabled() {
            call.record("exit", answer.exit.describe());
        }
        self.tool_calls += answer.usage.calls;
        self.tool_cpu += answer.usage.cpu;
        Ok(answer)
    }
}

/// Whether the last step timed out without making progress.
pub(super) fn is_stuck(side_run: &SideRun) -> bool {
    side_run.step_results.last().is_some_and(
        |step_result| matches!(&step_result.answer.exit, Exit::TimedOut(post_mortem) if !post_mortem.is_busy),
    )
}

/// Makes the directory in which a new image is to lie: tools make none.
fn make_place(directory: &Path, request: &Request) -> Result<()> {
    let Request::Create { file, .. } = request else {
        return Ok(());
    };
    let place = directory_of(&file.path);
    if place.is_empty() {
        return Ok(());
    }
    let place = directory.join(place);
    std::fs::create_dir_all(&place).map_err(|error| Error::io("make", &place, &error))
}

fn calls(by: Side) -> Phase {
    match by {
        Side::Candidate => Phase::CandidateCalls,
        Side::Reference => Phase::ReferenceCalls,
    }
}

/// The names that only one of two listings has, or that have another stamp in it.
fn changed(before: &Stamps, after: &Stamps) -> Vec<String> {
    let names = before.keys().chain(after.keys());
    let names: BTreeSet<&String> = names
        .filter(|name| before.get(*name) != after.get(*name))
        .collect();
    names.into_iter().cloned().collect()
}
