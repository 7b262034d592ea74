//! Exchanges as tests write them out: what each tool answered, without any tool.
//!
//! Called by the tests of the judges alone.

use serde_json::Value;

use super::{ExitExpectation, Inspection, Observations, Output, Side, SideRun, Step, StepResult};
use crate::image::content::{Contents, Write};
use crate::image::format::Format;
use crate::oracle::observations::Task;
use crate::oracle::verdict::OutputRole;
pub use crate::process::Limit;
use crate::process::{Captured, HitLimit, PostMortem};
use crate::tool::request::{Answer, Exit, ImageFile, Request};

/// The size of the images in [`contents`].
pub const BYTES: u64 = 1 << 20;

/// An answer that came out so.
pub fn answer(exit: Exit) -> Answer {
    Answer {
        exit,
        partial: false,
        calls: 1,
        ..Answer::unsupported(String::new())
    }
}

/// It was done, and nothing said.
pub fn done() -> Answer {
    answer(Exit::Success)
}

/// It was refused with exit code 1 in these words.
pub fn refused(words: &str) -> Answer {
    Answer {
        stderr: Captured::from_text(words),
        ..answer(Exit::Refused(1))
    }
}

/// It was done, and this text said.
pub fn said(text: &str) -> Answer {
    Answer {
        stdout: Captured::from_text(text),
        ..done()
    }
}

/// It was done, and this JSON said.
pub fn told(json: &Value) -> Answer {
    said(&json.to_string())
}

/// It was read, and this seen.
pub fn read(contents: &Contents) -> Answer {
    Answer {
        contents: Some(contents.clone()),
        ..done()
    }
}

/// It died.
pub fn crashed() -> Answer {
    answer(Exit::Crashed("SIGSEGV".to_owned()))
}

/// It ran out of time.
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

/// It used up all that it may have of this.
pub fn used_up(limit: Limit) -> Answer {
    answer(Exit::HitLimit(HitLimit { limit, allowed: 1 }))
}

/// It does not know a feature.
pub fn unsupported() -> Answer {
    answer(Exit::Unsupported("zstd".to_owned()))
}

/// The contents of an image that was written to with this byte alone; none at all for 0.
pub fn contents(byte: u8) -> Contents {
    let write = Write {
        offset: 0,
        length: 4096,
        byte,
    };
    Contents::of_writes(BYTES, &[write])
}

/// The image of [`output`].
pub fn file() -> ImageFile {
    ImageFile::new("0-convert", Format::Qcow2)
}

/// An output in which a guest must see `contents(1)`.
pub fn output() -> Output {
    Output::new(file(), OutputRole::Convert, contents(1))
}

/// A step of the side's own tool, with this rule.
pub fn step(rule: ExitExpectation) -> Step {
    Step {
        rule,
        ..Step::own(Request::Info { file: file() })
    }
}

/// A step that was carried out.
pub fn step_result(step: &Step, by: Side, answer: Answer) -> StepResult {
    StepResult {
        step: step.clone(),
        by,
        answer,
        file_bytes: None,
        changed_files: Vec::new(),
        scratch_bytes: 0,
    }
}

/// A step, and what the candidate and the reference answered, each by its own tool; one without an answer was not asked.
pub type Asked = (Step, Option<Answer>, Option<Answer>);

/// What both sides did in these steps.
pub fn observations(steps: &[Asked]) -> Observations {
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

/// A look at the only output: at whose copy, by whom, what was asked and answered.
pub type Look = (Side, Side, Request, Answer);

/// What was seen of the only output of an operation.
pub fn looked(looks: Vec<Look>) -> Observations {
    let mut observations = observations(&[]);
    for (owner, by, request, answer) in looks {
        let side_run = match owner {
            Side::Candidate => &mut observations.candidate,
            Side::Reference => observations.reference.get_or_insert_default(),
        };
        side_run.readings.push(Inspection {
            output: 0,
            by,
            task: Task::Tool(request),
            answer,
        });
    }
    observations
}

/// The looks of the reference at both copies.
pub fn by_reference(request: Request, candidate: Answer, reference: Answer) -> Vec<Look> {
    vec![
        (Side::Candidate, Side::Reference, request.clone(), candidate),
        (Side::Reference, Side::Reference, request, reference),
    ]
}
