//! What an operation asks of each side, and what came back.
//!
//! Operations write [`Step`]s and [`Output`]s; the duel carries them out on each side; the judges get the [`Exchange`]. Plain
//! data: nothing here runs anything.

use crate::content::Contents;
use crate::image::ImageRecipe;
use crate::request::{Answer, ImageFile, Request};
use crate::verdict::DivergenceKind;

/// What an operation may know when it writes its steps.
#[derive(Clone, Debug)]
pub struct Ground<'case> {
    /// The case's source image.
    pub recipe: &'case ImageRecipe,
    /// Each side's private copy of it.
    pub source: ImageFile,
    /// The beginning of the names of the files that this operation makes; no other operation of the case has it.
    pub stem: String,
    /// A number that belongs to the case: whatever data an operation adds on its own is derived from it.
    pub salt: u64,
}

/// Who carries out a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The side's own tool.
    Side,
    /// The side's own tool, or, where it cannot, the reference: what counts comes later.
    SideOrReference,
    /// The reference, on both sides: it prepares an image.
    Reference,
}

/// One request of an operation, made on each side.
#[derive(Clone, Debug)]
pub struct Step {
    /// Who carries it out.
    pub actor: Actor,
    /// What is asked.
    pub request: Request,
    /// The kind of divergence when it succeeds on one side only.
    pub kind: DivergenceKind,
}

impl Step {
    /// A step of the side's own tool; success on one side only is an exit-code divergence.
    pub fn own(request: Request) -> Self {
        Self {
            actor: Actor::Side,
            request,
            kind: DivergenceKind::EXIT_CODE,
        }
    }
}

/// An image that an operation leaves on each side, to be examined there.
#[derive(Clone, Debug)]
pub struct Output {
    /// The file.
    pub file: ImageFile,
    /// The first word of the kinds of divergence found in it (`convert`, `create`, …).
    pub subject: &'static str,
    /// What a guest must see in it.
    pub expected: Contents,
}

/// Which tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The tool under test.
    Candidate,
    /// qemu-img.
    Reference,
}

impl Side {
    /// Its name: in records, and of its directory.
    pub fn name(self) -> &'static str {
        match self {
            Self::Candidate => "candidate",
            Self::Reference => "reference",
        }
    }
}

/// A step that was carried out.
#[derive(Clone, Debug)]
pub struct Turn {
    /// The step.
    pub step: Step,
    /// Whose tool did it.
    pub by: Side,
    /// What came of it.
    pub answer: Answer,
    /// The length in bytes of the request's file afterwards, when it is there.
    pub file_bytes: Option<u64>,
}

/// A look at an output.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Which of the operation's outputs.
    pub output: usize,
    /// Whose tool looked.
    pub by: Side,
    /// What it was asked.
    pub request: Request,
    /// What it said.
    pub answer: Answer,
}

/// All that happened on one side in one operation.
#[derive(Clone, Debug, Default)]
pub struct Deed {
    /// The steps that were carried out: all, or up to the first that did not succeed.
    pub turns: Vec<Turn>,
    /// The looks at what they left.
    pub readings: Vec<Reading>,
}

impl Deed {
    /// What `reader` said when it was asked `name` of the output.
    pub fn reading(&self, output: usize, reader: Side, name: &str) -> Option<&Answer> {
        let found = self.readings.iter().find(|reading| {
            reading.output == output && reading.by == reader && reading.request.name() == name
        });
        found.map(|reading| &reading.answer)
    }
}

/// Both sides of one operation.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The candidate's side.
    pub candidate: Deed,
    /// The reference's side; `None` when the reference cannot do the operation and it is judged without it.
    pub reference: Option<Deed>,
}

impl Exchange {
    /// The answers of both sides to the last step, when both got there. For operations that judge what a tool said.
    pub fn last_answers(&self) -> Option<(&Answer, &Answer)> {
        let candidate = &self.candidate.turns.last()?.answer;
        let reference = &self.reference.as_ref()?.turns.last()?.answer;
        Some((candidate, reference))
    }
}
