//! The steps of an operation, and their results on both sides.
//!
//! Operations return `Step`s and `Output`s; the runner performs the steps and inspects the outputs on each side; the
//! judges get the `Observations`. Plain data: nothing here runs anything.

#[cfg(test)]
pub mod sample;
mod task;

pub use task::{HarnessAction, Task};

pub use super::side::Side;

use std::time::Duration;

use crate::base::version;
use crate::image::ImageRecipe;
use crate::image::content::{Contents, Fill, Write};
use crate::oracle::verdict::{DivergenceKind, OutputAspect, OutputRole, Verdict};
use crate::tool::request::{Answer, Exit, ImageFile, Request};

/// What an operation knows when it builds its steps.
#[derive(Clone, Debug)]
pub struct StepContext<'case> {
    /// The recipe of the case's source image.
    pub recipe: &'case ImageRecipe,
    /// Each side's private copy of the source image.
    pub source: ImageFile,
    /// The prefix of the names of files that this operation creates, unique within the case.
    pub stem: String,
    /// A number that depends on the case; an operation derives its own data from it.
    pub salt: u64,
}

impl StepContext<'_> {
    /// Returns a guest write whose byte depends on the case and on `index`: never zero, and different for every index
    /// below 7.
    pub fn write(&self, index: u32, offset: u64, length: u64) -> Write {
        let own = (self.salt % 31) as u8;
        Write {
            offset,
            length,
            fill: Fill::Byte(1 + own + 32 * (index % 7) as u8),
        }
    }
}

/// Who performs a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Executor {
    /// The side's own tool.
    Side,
    /// The side's own tool or, if it does not support the step, the reference; later steps matter more.
    SideOrReference,
    /// The side's own tool; if it does not support the step, nobody does it, and later steps follow.
    SideIfAble,
    /// The reference, on both sides: the step prepares an image.
    Reference,
    /// The harness, on both sides: no tool performs it.
    Harness,
    /// The reference, on its own side alone: the harness gives the result to both.
    Once,
}

/// The resource limits of one call in an operation that knows what suffices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceBounds {
    /// The address space in bytes, which is enforced.
    pub memory_bytes_max: u64,
    /// The wall time, unless the limit of the run is shorter.
    pub time: Duration,
}

/// What the exit of a step means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitExpectation {
    /// Both sides must succeed or both refuse; a refusal ends the operation.
    Agree,
    /// Both sides must succeed: the recipe gives no reason to refuse.
    Succeed,
    /// Both sides must succeed or both refuse; the next step follows in either case.
    GoOn,
    /// Both sides must refuse, and change nothing; the next step follows.
    Refuse,
    /// Any exit but a crash or a timeout is allowed; the operation's own judge compares the results.
    Free,
}

impl ExitExpectation {
    /// Whether a refusal ends the operation.
    pub fn ends(self) -> bool {
        matches!(self, Self::Agree | Self::Succeed)
    }
}

/// One step of an operation, performed on each side.
#[derive(Clone, Debug)]
pub struct Step {
    /// Who performs it.
    pub executor: Executor,
    /// The request to a tool, or the action of the harness.
    pub task: Task,
    /// The kind of divergence if it succeeds on one side only.
    pub kind: DivergenceKind,
    /// What its exit means.
    pub expected_exit: ExitExpectation,
}

impl Step {
    /// Returns a step of the side's own tool; success on one side only is an exit-code divergence.
    pub fn own(request: Request) -> Self {
        Self {
            executor: Executor::Side,
            task: Task::Tool(request),
            kind: DivergenceKind::ExitCode,
            expected_exit: ExitExpectation::Agree,
        }
    }

    /// Returns a step of the harness, whose answer the operation's own judge compares.
    pub fn harness(action: HarnessAction) -> Self {
        Self {
            executor: Executor::Harness,
            task: Task::Harness(action),
            kind: DivergenceKind::ExitCode,
            expected_exit: ExitExpectation::Free,
        }
    }

    /// Returns a step of the reference on both sides, which prepares an image.
    pub fn fixture(request: Request, kind: DivergenceKind) -> Self {
        Self {
            executor: Executor::Reference,
            task: Task::Tool(request),
            kind,
            expected_exit: ExitExpectation::Agree,
        }
    }
}

/// A final image of an operation, which is inspected on each side.
#[derive(Clone, Debug)]
pub struct Output {
    /// The file.
    pub file: ImageFile,
    /// Its role in the operation: the beginning of the names of its kinds of divergence (`convert`, `commit_backing`,
    /// …).
    pub role: OutputRole,
    /// The aspect of a divergence of its contents.
    pub content_aspect: OutputAspect,
    /// The guest-visible contents that it must have.
    pub expected: Contents,
    /// The internal snapshots, if they are to be listed and read.
    pub snapshots: Option<Vec<ExpectedSnapshot>>,
    /// What a description of it must list, if that is known.
    pub inventory: Option<Inventory>,
    /// Whether the reference also maps it and the harness audits it, for the operation's own judge.
    pub closely: bool,
}

/// The lists in a description of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The internal snapshots: ids and names, in the order of the ids.
    pub snapshots: Vec<(u64, String)>,
    /// The names of the persistent bitmaps, in order.
    pub bitmaps: Vec<String>,
}

impl Inventory {
    /// Returns the lists of a description in the shape of `qemu-img info --output=json`.
    pub fn of_description(json: &serde_json::Value) -> Self {
        let name =
            |entry: &serde_json::Value| entry["name"].as_str().unwrap_or_default().to_owned();
        let list = |entries: &serde_json::Value| entries.as_array().cloned().unwrap_or_default();
        let snapshots = list(&json["snapshots"]);
        let id = |entry: &serde_json::Value| entry["id"].as_str()?.parse().ok();
        let mut snapshots: Vec<(u64, String)> = snapshots
            .iter()
            .map(|entry| (id(entry).unwrap_or_default(), name(entry)))
            .collect();
        let bitmaps = list(&json["format-specific"]["data"]["bitmaps"]);
        let mut bitmaps: Vec<String> = bitmaps.iter().map(name).collect();
        snapshots.sort();
        bitmaps.sort();
        Self { snapshots, bitmaps }
    }
}

/// An internal snapshot that an output must have.
#[derive(Clone, Debug)]
pub struct ExpectedSnapshot {
    /// The unique id string.
    pub id: String,
    /// The guest-visible contents that it must have.
    pub contents: Contents,
}

impl Output {
    /// Returns an output whose contents, if they differ, give a `ROLE_content_divergence`.
    pub fn new(file: ImageFile, role: OutputRole, expected: Contents) -> Self {
        Self {
            file,
            role,
            content_aspect: OutputAspect::Content,
            expected,
            snapshots: None,
            inventory: None,
            closely: false,
        }
    }
}

/// The result of a step.
#[derive(Clone, Debug)]
pub struct StepResult {
    /// The step.
    pub step: Step,
    /// The side whose tool performed it; actions of the harness count as the reference's.
    pub by: Side,
    /// The answer.
    pub answer: Answer,
    /// The length in bytes of the request's file after the step, if it exists.
    pub file_bytes: Option<u64>,
    /// The files of the side's directory that were created, removed or written, in the order of their names. A write
    /// within a few milliseconds of the previous one to the same file may be missed if it does not change the length.
    pub changed_files: Vec<String>,
    /// The space in bytes of all files of the side after the step; 0 in an operation without [`ResourceBounds`].
    pub scratch_bytes: u64,
    /// Of a measurement of a snapshot by the candidate: what the reference measures for the same file, of the snapshot and of the image itself.
    pub measured_again: Option<[Answer; 2]>,
}

/// An inspection of an output.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// The index of the output.
    pub output: usize,
    /// The side whose tool inspected it.
    pub by: Side,
    /// The request, or the action of the harness.
    pub task: Task,
    /// The answer.
    pub answer: Answer,
}

/// Everything that one side did in one operation.
#[derive(Clone, Debug, Default)]
pub struct SideRun {
    /// The results of the steps: of all, or up to the first that did not succeed.
    pub step_results: Vec<StepResult>,
    /// The inspections of the outputs.
    pub inspections: Vec<Inspection>,
    /// The features that the side's tool reported as unknown.
    pub lacks: Vec<String>,
}

impl SideRun {
    /// Returns an unsupported verdict if the candidate reported an unknown feature for every request: then nothing was
    /// tested.
    pub fn untested(&self) -> Option<Verdict> {
        let reason = self.lacks.first()?.clone();
        let step_results = self
            .step_results
            .iter()
            .map(|step_result| (step_result.by, &step_result.answer));
        let inspections = self
            .inspections
            .iter()
            .map(|inspection| (inspection.by, &inspection.answer));
        let tested = |(by, answer): (Side, &Answer)| {
            by == Side::Candidate && !matches!(answer.exit, Exit::Unsupported(_))
        };
        (!step_results.chain(inspections).any(tested)).then_some(Verdict::Unsupported { reason })
    }

    /// Whether the last step timed out.
    pub fn timed_out(&self) -> bool {
        let last = self.step_results.last();
        last.is_some_and(|step_result| matches!(step_result.answer.exit, Exit::TimedOut(_)))
    }

    /// Returns the harness's audit of the output.
    pub fn audit(&self, output: usize) -> Option<&Answer> {
        let found = self.inspections.iter().find(|inspection| {
            let is_audit = matches!(inspection.task, Task::Harness(HarnessAction::Audit { .. }));
            inspection.output == output && is_audit
        });
        found.map(|inspection| &inspection.answer)
    }

    /// Returns the answer of `reader` to the request on the output that `asked` selects.
    pub fn inspection(
        &self,
        output: usize,
        reader: Side,
        asked: impl Fn(&Request) -> bool,
    ) -> Option<&Answer> {
        let found = self.inspections.iter().find(|inspection| {
            inspection.output == output
                && inspection.by == reader
                && inspection.task.request().is_some_and(&asked)
        });
        found.map(|inspection| &inspection.answer)
    }
}

/// The answer of a third tool about the candidate's copy of the source image.
#[derive(Clone, Debug)]
pub struct CrossCheck {
    /// The name of the third tool.
    pub witness: &'static str,
    /// Its answer.
    pub answer: Answer,
}

/// A tool and its version: releases differ in what they report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolVersion {
    /// The name, as in a tool spec.
    pub name: String,
    /// The version that the tool reports.
    pub version: String,
}

impl ToolVersion {
    /// Whether it is a release of `tool` before `release`, whose numbers start with the most significant one. A version
    /// that does not start with numbers is before no release.
    pub fn is_before(&self, tool: &str, release: &[u64]) -> bool {
        let numbers = version::numbers(&self.version);
        self.name == tool && !numbers.is_empty() && *numbers < *release
    }
}

/// The observations of both sides in one operation.
#[derive(Clone, Debug, Default)]
pub struct Observations {
    /// The tools of the two sides, the candidate first.
    pub tool_versions: [ToolVersion; 2],
    /// The candidate's side.
    pub candidate: SideRun,
    /// The reference's side; `None` if the reference does not support the operation and the candidate is judged alone.
    pub reference: Option<SideRun>,
    /// A cross-check by a third tool, if the operation has one and the tool answered.
    pub cross_check: Option<CrossCheck>,
}

impl Observations {
    /// Returns the reference's side. Where no reference takes part it is the candidate's own, so that only the model can
    /// contradict it.
    pub fn reference_or_candidate(&self) -> &SideRun {
        self.reference.as_ref().unwrap_or(&self.candidate)
    }

    /// Returns the answers of both sides to the last step, if both got there, for operations that judge outputs of
    /// tools.
    pub fn last_answers(&self) -> Option<(&Answer, &Answer)> {
        let candidate = &self.candidate.step_results.last()?.answer;
        let reference = &self.reference.as_ref()?.step_results.last()?.answer;
        Some((candidate, reference))
    }
}
