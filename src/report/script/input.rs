//! The parts of a record that the checks need; nothing is run.

use super::ScriptContext;
use crate::base::size::Size;
use crate::image::content::{Contents, Write};
use crate::image::format::Format;
use crate::operation::Operation;
use crate::oracle::observations::{
    Observations, Output, Side, SideRun, Step, StepContext, StepResult,
};
use crate::oracle::verdict::{Blame, Difference, DivergenceKind, Subject};
use crate::run::evidence::Evidence;
use crate::run::evidence::quoted;
use crate::tool::request::{Answer, DataFile, Ended, Exit, ImageFile, Request};

/// The divergence, its operation and its steps.
pub(super) struct ScriptInput<'finding> {
    pub(super) kind: DivergenceKind,
    pub(super) blame: Option<Blame>,
    pub(super) differences: &'finding [Difference],
    pub(super) operation: &'finding Operation,
    pub(super) context: &'finding StepContext<'finding>,
    pub(super) steps: &'finding [Step],
    pub(super) outputs: &'finding [Output],
    /// The exits of the steps, without outputs.
    pub(super) observations: &'finding Observations,
    pub(super) source: &'finding ImageFile,
    pub(super) script_context: &'finding ScriptContext<'finding>,
}

/// Returns the exits of the steps on each side, from the evidence.
pub(super) fn came_out(steps: &[Step], evidence: &Evidence) -> Observations {
    let side_run = |side: Side| {
        let calls = evidence.calls.iter().filter(|call| call.side == side);
        let step_results = std::iter::zip(steps, calls).map(|(step, call)| StepResult {
            changed_files: Vec::new(),
            scratch_bytes: 0,
            measured_again: None,
            step: step.clone(),
            by: call.by,
            answer: answer(&call.exit),
            file_bytes: None,
        });
        SideRun {
            step_results: step_results.collect(),
            inspections: Vec::new(),
            lacks: Vec::new(),
        }
    };
    Observations {
        candidate: side_run(Side::Candidate),
        reference: Some(side_run(Side::Reference))
            .filter(|side_run| !side_run.step_results.is_empty()),
        ..Observations::default()
    }
}

/// Returns an answer of which only the exit is known.
fn answer(exit: &str) -> Answer {
    let exit = match Exit::parted(exit) {
        Some((Ended::Succeeded, _)) => Exit::Success,
        _ => Exit::Refused(1),
    };
    exit.into()
}

impl ScriptInput<'_> {
    /// Returns the subject of the first difference.
    pub(super) fn subject(&self) -> Option<&Subject> {
        self.differences.first().map(|found| &found.subject)
    }

    /// Returns the index of the last step.
    pub(super) fn last(&self) -> Option<usize> {
        self.steps.len().checked_sub(1)
    }

    /// Returns a tool's command line for a request.
    pub(super) fn line(&self, by: Side, request: &Request) -> Option<String> {
        self.script_context.line(by, request)
    }

    /// Returns the lines that create the raw file `name` with the expected contents; `None` if they are too large to
    /// write out.
    pub(super) fn expected(&self, name: &str, contents: &Contents) -> Option<String> {
        self.raw_file(name, contents.size, contents.writes()?)
    }

    /// Returns the lines that create the raw file `name` of `size` bytes with these writes.
    pub(super) fn raw_file(&self, name: &str, size: u64, writes: Vec<Write>) -> Option<String> {
        let file = ImageFile {
            path: name.to_owned(),
            ..ImageFile::new("", Format::Raw)
        };
        let create = Request::Create {
            file: file.clone(),
            size: Size::of_bytes(size),
        };
        let write = (!writes.is_empty()).then_some(Request::Write { file, writes });
        let mut text = "# What a guest must see.\n".to_owned();
        for request in [create].iter().chain(&write) {
            for data in DataFile::needed_by(request) {
                text.push_str(&format!("{} >{}\n", data.in_awk(), quoted(&data.name)));
            }
            let line = self.line(Side::Reference, request)?;
            text.push_str(&format!("{line} >/dev/null || exit 2\n"));
        }
        Some(text)
    }
}
