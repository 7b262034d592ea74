//! What an operation asks of each side, and what came back.
//!
//! Operations write `Step`s and `Output`s; the duel carries them out on each side; the judges get the `Observations`. Plain
//! data: nothing here runs anything.

#[cfg(test)]
pub mod sample;
mod task;

pub use task::{HarnessAction, Task};

pub use super::side::Side;

use std::time::Duration;

use crate::base::version;
use crate::image::ImageRecipe;
use crate::image::content::{Contents, Write};
use crate::oracle::verdict::{DivergenceKind, OutputAspect, OutputRole, Verdict};
use crate::tool::request::{Answer, Exit, ImageFile, Request};

/// What an operation may know when it writes its steps.
#[derive(Clone, Debug)]
pub struct StepContext<'case> {
    /// The case's source image.
    pub recipe: &'case ImageRecipe,
    /// Each side's private copy of it.
    pub source: ImageFile,
    /// The beginning of the names of the files that this operation makes; no other operation of the case has it.
    pub stem: String,
    /// A number that belongs to the case: whatever data an operation adds on its own is derived from it.
    pub salt: u64,
}

impl StepContext<'_> {
    /// A guest write whose byte belongs to the case and to `index`: never zero, other for every index below 7.
    pub fn write(&self, index: u32, offset: u64, length: u64) -> Write {
        let own = (self.salt % 31) as u8;
        Write {
            offset,
            length,
            byte: 1 + own + 32 * (index % 7) as u8,
        }
    }
}

/// Who carries out a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Executor {
    /// The side's own tool.
    Side,
    /// The side's own tool, or, where it cannot, the reference: what counts comes later.
    SideOrReference,
    /// The reference, on both sides: it prepares an image.
    Reference,
    /// The harness itself, on both sides: no tool does it.
    Harness,
    /// The reference, on its own side alone: it makes what the harness will give to both.
    Once,
}

/// What one call of a tool may take in an operation that knows what is enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceBounds {
    /// Address space in bytes: enforced.
    pub memory_bytes_max: u64,
    /// Wall time, where the run's own limit is not shorter.
    pub time: Duration,
}

/// What a step's exit means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitExpectation {
    /// Both sides must succeed or both refuse; a refusal is the end of the operation.
    Agree,
    /// Both sides must succeed: the recipe leaves no reason to refuse.
    Succeed,
    /// Both sides must succeed or both refuse; either way the next step follows.
    GoOn,
    /// Both sides must refuse, and change nothing; the next step follows.
    Refuse,
    /// Any exit will do but a crash or a timeout; the operation's own judge looks at what came of it.
    Free,
}

impl ExitExpectation {
    /// Whether a refusal is the end of the operation.
    pub fn ends(self) -> bool {
        matches!(self, Self::Agree | Self::Succeed)
    }
}

/// One request of an operation, made on each side.
#[derive(Clone, Debug)]
pub struct Step {
    /// Who carries it out.
    pub executor: Executor,
    /// What is asked of a tool, or done by the harness.
    pub task: Task,
    /// The kind of divergence when it succeeds on one side only.
    pub kind: DivergenceKind,
    /// What its exit means.
    pub rule: ExitExpectation,
}

impl Step {
    /// A step of the side's own tool; success on one side only is an exit-code divergence.
    pub fn own(request: Request) -> Self {
        Self {
            executor: Executor::Side,
            task: Task::Tool(request),
            kind: DivergenceKind::ExitCode,
            rule: ExitExpectation::Agree,
        }
    }

    /// A step of the harness itself, whose answer the operation's own judge looks at.
    pub fn harness(action: HarnessAction) -> Self {
        Self {
            executor: Executor::Harness,
            task: Task::Harness(action),
            kind: DivergenceKind::ExitCode,
            rule: ExitExpectation::Free,
        }
    }

    /// A step of the reference on both sides, which prepares an image.
    pub fn fixture(request: Request, kind: DivergenceKind) -> Self {
        Self {
            executor: Executor::Reference,
            task: Task::Tool(request),
            kind,
            rule: ExitExpectation::Agree,
        }
    }
}

/// An image that an operation leaves on each side, to be examined there.
#[derive(Clone, Debug)]
pub struct Output {
    /// The file.
    pub file: ImageFile,
    /// What it is to the operation: the first words of the kinds of divergence found in it (`convert`, `commit_backing`, …).
    pub role: OutputRole,
    /// What it is called when the contents differ.
    pub content_aspect: OutputAspect,
    /// What a guest must see in it.
    pub expected: Contents,
    /// Its internal snapshots, when they are to be listed and read back.
    pub snapshots: Option<Vec<ExpectedSnapshot>>,
    /// What a description of it lists, where that is known.
    pub inventory: Option<Inventory>,
    /// Whether the reference maps it and the harness audits it as well, for the operation's own judge.
    pub closely: bool,
}

/// What a description of an image lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Its internal snapshots: ids and names, in the order of the ids.
    pub snapshots: Vec<(u64, String)>,
    /// The names of its persistent bitmaps, in their order.
    pub bitmaps: Vec<String>,
}

impl Inventory {
    /// What a description in the shape of `qemu-img info --output=json` lists.
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
    /// Its unique id string.
    pub id: String,
    /// What a guest must see when it is applied.
    pub contents: Contents,
}

impl Output {
    /// An output; when its contents differ, that is a `ROLE_content_divergence`.
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

/// A step that was carried out.
#[derive(Clone, Debug)]
pub struct StepResult {
    /// The step.
    pub step: Step,
    /// Whose tool did it; what the harness does itself counts as the reference's.
    pub by: Side,
    /// What came of it.
    pub answer: Answer,
    /// The length in bytes of the request's file afterwards, when it is there.
    pub file_bytes: Option<u64>,
    /// The files of the side's directory that came, went, or were written to, in the order of their names. A write within a few
    /// milliseconds of the last one to the same file may be missed, where it does not change the length.
    pub changed_files: Vec<String>,
    /// The space in bytes that all files of the side take afterwards; 0 in an operation without [`ResourceBounds`].
    pub scratch_bytes: u64,
}

/// A look at an output.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// Which of the operation's outputs.
    pub output: usize,
    /// Whose tool looked.
    pub by: Side,
    /// What it was asked, or what the harness did in its place.
    pub task: Task,
    /// What it said.
    pub answer: Answer,
}

/// All that happened on one side in one operation.
#[derive(Clone, Debug, Default)]
pub struct SideRun {
    /// The steps that were carried out: all, or up to the first that did not succeed.
    pub step_results: Vec<StepResult>,
    /// The looks at what they left.
    pub readings: Vec<Inspection>,
    /// The features that the side's tool met and said it does not know.
    pub lacks: Vec<String>,
}

impl SideRun {
    /// Unsupported, when the candidate was asked and said each time that it does not know a feature: then nothing was tested.
    pub fn untested(&self) -> Option<Verdict> {
        let reason = self.lacks.first()?.clone();
        let step_results = self
            .step_results
            .iter()
            .map(|step_result| (step_result.by, &step_result.answer));
        let readings = self
            .readings
            .iter()
            .map(|reading| (reading.by, &reading.answer));
        let tested = |(by, answer): (Side, &Answer)| {
            by == Side::Candidate && !matches!(answer.exit, Exit::Unsupported(_))
        };
        (!step_results.chain(readings).any(tested)).then_some(Verdict::Unsupported { reason })
    }

    /// Whether its last step ran out of time.
    pub fn timed_out(&self) -> bool {
        let last = self.step_results.last();
        last.is_some_and(|step_result| matches!(step_result.answer.exit, Exit::TimedOut(_)))
    }

    /// What the harness says of the space that the output takes on the host.
    pub fn audit(&self, output: usize) -> Option<&Answer> {
        let found = self.readings.iter().find(|reading| {
            let is_audit = matches!(reading.task, Task::Harness(HarnessAction::Audit { .. }));
            reading.output == output && is_audit
        });
        found.map(|reading| &reading.answer)
    }

    /// What `reader` said when it was asked of the output what `asked` looks for.
    pub fn reading(
        &self,
        output: usize,
        reader: Side,
        asked: impl Fn(&Request) -> bool,
    ) -> Option<&Answer> {
        let found = self.readings.iter().find(|reading| {
            reading.output == output
                && reading.by == reader
                && reading.task.request().is_some_and(&asked)
        });
        found.map(|reading| &reading.answer)
    }
}

/// What a witness said of the candidate's copy of the source image.
#[derive(Clone, Debug)]
pub struct CrossCheck {
    /// The witness's name.
    pub witness: &'static str,
    /// What it said.
    pub answer: Answer,
}

/// Which tool said something: what a release says may be what another does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolVersion {
    /// Its name, as in a tool spec.
    pub name: String,
    /// Its version, as it says itself.
    pub version: String,
}

impl ToolVersion {
    /// Whether it is a release of `tool` before `release`, whose numbers are given from the most significant one. A version that does not
    /// begin with numbers is before none.
    pub fn is_before(&self, tool: &str, release: &[u64]) -> bool {
        let numbers = version::numbers(&self.version);
        self.name == tool && !numbers.is_empty() && *numbers < *release
    }
}

/// Both sides of one operation.
#[derive(Clone, Debug, Default)]
pub struct Observations {
    /// The tools of the two sides, the candidate first.
    pub speakers: [ToolVersion; 2],
    /// The candidate's side.
    pub candidate: SideRun,
    /// The reference's side; `None` when the reference cannot do the operation and it is judged without it.
    pub reference: Option<SideRun>,
    /// A third opinion, where the operation wants one and a witness gave one.
    pub cross_check: Option<CrossCheck>,
}

impl Observations {
    /// The answers of both sides to the last step, when both got there. For operations that judge what a tool said.
    pub fn last_answers(&self) -> Option<(&Answer, &Answer)> {
        let candidate = &self.candidate.step_results.last()?.answer;
        let reference = &self.reference.as_ref()?.step_results.last()?.answer;
        Some((candidate, reference))
    }
}
