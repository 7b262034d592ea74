//! Observations for tests: the answers of both sides, written out without any tool.
//!
//! Only the tests of the judges use them.

use serde_json::Value;

use super::{ExitExpectation, Inspection, Observations, Output, Side, SideRun, Step, StepResult};
use crate::image::content::{Contents, Fill, Write};
use crate::image::format::Format;
use crate::oracle::observations::Task;
use crate::oracle::verdict::OutputRole;
pub use crate::process::Limit;
use crate::process::{Captured, HitLimit, PostMortem};
use crate::tool::request::{Answer, Exit, ImageFile, Report, Request, RequestKind};

/// The size of the images in [`contents`].
pub const BYTES: u64 = 1 << 20;

/// Returns an answer with this exit.
pub fn answer(exit: Exit) -> Answer {
    let mut answer = Answer::from(exit);
    answer.usage.calls = 1;
    answer
}

/// Returns a success without output.
pub fn done() -> Answer {
    answer(Exit::Success)
}

/// Returns a refusal with exit code 1 and this message.
pub fn refused(words: &str) -> Answer {
    let mut answer = done();
    answer.refuse(1, words);
    answer
}

/// Returns a success with this output.
pub fn output_text(text: &str) -> Answer {
    let mut answer = done();
    answer.transcript.stdout = Captured::from_text(text);
    answer
}

/// Returns a success of a request of this kind, with this output.
pub fn reported(kind: RequestKind, text: &str) -> Answer {
    let mut answer = output_text(text);
    answer.report = Report::parse(kind, text.as_bytes(), false);
    answer
}

/// Returns a description of an image.
pub fn described(json: &Value) -> Answer {
    reported(RequestKind::Info, &json.to_string())
}

/// Returns a check with this JSON.
pub fn checked(json: &Value) -> Answer {
    reported(RequestKind::Check, &json.to_string())
}

/// Returns a success with these contents.
pub fn read(contents: &Contents) -> Answer {
    let mut answer = done();
    answer.report = Report::Contents(contents.clone());
    answer
}

/// Returns a crash.
pub fn crashed() -> Answer {
    answer(Exit::Crashed("SIGSEGV".to_owned()))
}

/// Returns a timeout.
pub fn timed_out() -> Answer {
    answer(Exit::TimedOut(PostMortem {
        limit_seconds: 30.0,
        is_busy: false,
        cpu_seconds: 0.0,
        bytes_written: 0,
        processes: Vec::new(),
        progress: None,
    }))
}

/// Returns the exit of a tool that exhausted this limit.
pub fn used_up(limit: Limit) -> Answer {
    answer(Exit::HitLimit(HitLimit { limit, allowed: 1 }))
}

/// Returns a refusal because of an unknown feature.
pub fn unsupported() -> Answer {
    answer(Exit::Unsupported("zstd".to_owned()))
}

/// Returns the contents of an image into which only this byte was written; an empty image for 0.
pub fn contents(byte: u8) -> Contents {
    let write = Write {
        offset: 0,
        length: 4096,
        fill: Fill::Byte(byte),
    };
    Contents::of_writes(BYTES, &[write])
}

/// Returns the image of [`output`].
pub fn file() -> ImageFile {
    ImageFile::new("0-convert", Format::Qcow2)
}

/// Returns an output in which a guest must see `contents(1)`.
pub fn output() -> Output {
    Output::new(file(), OutputRole::Convert, contents(1))
}

/// Returns a step of the side's own tool, with this exit expectation.
pub fn step(expected_exit: ExitExpectation) -> Step {
    Step {
        expected_exit,
        ..Step::own(Request::Info { file: file() })
    }
}

/// Returns the result of a step.
pub fn step_result(step: &Step, by: Side, answer: Answer) -> StepResult {
    StepResult {
        step: step.clone(),
        by,
        answer,
        file_bytes: None,
        changed_files: Vec::new(),
        scratch_bytes: 0,
        measured_again: None,
    }
}

/// A step with the answers of the candidate and of the reference, each by its own tool. `None` means that the side did
/// not run the step.
pub type SampleStep = (Step, Option<Answer>, Option<Answer>);

/// Returns the observations of these steps.
pub fn observations(steps: &[SampleStep]) -> Observations {
    let mut candidate = SideRun::default();
    let mut reference = SideRun::default();
    for (step, ours, theirs) in steps {
        let step_result =
            |by, answer: &Option<Answer>| Some(step_result(step, by, answer.clone()?));
        candidate
            .step_results
            .extend(step_result(Side::Candidate, ours));
        reference
            .step_results
            .extend(step_result(Side::Reference, theirs));
    }
    Observations {
        candidate,
        reference: Some(reference),
        ..Observations::default()
    }
}

/// An inspection of the only output: the owner of the copy, the inspecting tool, the request and the answer.
pub type SampleInspection = (Side, Side, Request, Answer);

/// Returns the observations with these inspections of the only output.
pub fn inspected(inspections: Vec<SampleInspection>) -> Observations {
    let mut observations = observations(&[]);
    for (owner, by, request, answer) in inspections {
        let side_run = match owner {
            Side::Candidate => &mut observations.candidate,
            Side::Reference => observations.reference.get_or_insert_default(),
        };
        side_run.inspections.push(Inspection {
            output: 0,
            by,
            task: Task::Tool(request),
            answer,
        });
    }
    observations
}

/// Returns the reference's inspections of both copies.
pub fn by_reference(
    request: Request,
    candidate: Answer,
    reference: Answer,
) -> Vec<SampleInspection> {
    vec![
        (Side::Candidate, Side::Reference, request.clone(), candidate),
        (Side::Reference, Side::Reference, request, reference),
    ]
}
