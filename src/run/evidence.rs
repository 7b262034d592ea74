//! The evidence for a verdict: every call of an operation with its result.
//!
//! Made from the observations of both sides, for records and the terminal. No code matches on its texts.

mod diff;
mod picture;

pub use diff::{OutputDiff, has_a_value};
pub use picture::{Extent, Picture, Strip};

use serde::{Deserialize, Serialize};

use crate::oracle::observations::{Inspection, Observations, Side, SideRun, StepResult, Task};
use crate::oracle::verdict::{Difference, Verdict};
use crate::process::Captured;
use crate::tool::request::Answer;

/// How much of each output stream of a call is kept, in bytes.
const SHOWN_TEXT_BYTES: usize = 2000;

/// What a person needs to understand a verdict other than a match.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Evidence {
    /// What differs, or why nothing could be compared, in one line.
    pub summary: String,
    /// The values that differ.
    pub differences: Vec<Difference>,
    /// Every call, in the order of each side.
    pub calls: Vec<Call>,
    /// Unified diffs of both sides' outputs for the same request, where they contain a differing value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diffs: Vec<OutputDiff>,
    /// The commands that make the source image, for an operation that reads it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fixture: Vec<Vec<String>>,
    /// Allocation maps of the image, for a divergence in an operation that has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<Picture>,
    /// The evidence of the confirmation run, if that had another result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<Box<Evidence>>,
}

/// One call of a tool.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Call {
    /// The side whose directory the call worked in.
    pub side: Side,
    /// The side whose tool was called.
    pub by: Side,
    /// The name of the request.
    pub request: String,
    /// The command line that was run.
    pub command: Vec<String>,
    /// The exit status or signal, in words.
    pub exit: String,
    /// The beginning of its standard output.
    pub stdout: String,
    /// The beginning of its standard error.
    pub stderr: String,
    /// Wall time.
    pub duration_ms: f64,
    /// CPU time.
    pub cpu_ms: f64,
    /// The image file that the request is about.
    pub file: String,
    /// The length of that file after the call, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_bytes: Option<u64>,
}

impl Evidence {
    /// Returns the evidence for a verdict; `None` for a match or a skipped operation.
    pub fn from_verdict(verdict: &Verdict, observations: &Observations) -> Option<Self> {
        let is_told = !matches!(verdict, Verdict::Match | Verdict::Unsupported { .. });
        is_told.then(|| Self::of_anything(verdict, observations))
    }

    /// Returns the evidence for any verdict, even a match.
    pub fn of_anything(verdict: &Verdict, observations: &Observations) -> Self {
        let summary = verdict
            .reason()
            .unwrap_or(verdict.name().as_str())
            .to_owned();
        let mut calls = calls(Side::Candidate, &observations.candidate);
        calls.extend(
            observations
                .reference
                .iter()
                .flat_map(|side_run| self::calls(Side::Reference, side_run)),
        );
        Self {
            summary,
            diffs: observations
                .reference
                .as_ref()
                .map_or_else(Vec::new, |reference| {
                    diff::diffs(&observations.candidate, reference, verdict.differences())
                }),
            differences: verdict.differences().to_vec(),
            calls,
            fixture: Vec::new(),
            picture: None,
            again: None,
        }
    }
}

fn calls(side: Side, side_run: &SideRun) -> Vec<Call> {
    let step_result = |step_result: &StepResult| Call {
        file_bytes: step_result.file_bytes,
        ..call(
            side,
            step_result.by,
            &step_result.step.task,
            &step_result.answer,
        )
    };
    let inspection =
        |inspection: &Inspection| call(side, inspection.by, &inspection.task, &inspection.answer);
    side_run
        .step_results
        .iter()
        .map(step_result)
        .chain(side_run.inspections.iter().map(inspection))
        .collect()
}

fn call(side: Side, by: Side, task: &Task, answer: &Answer) -> Call {
    Call {
        side,
        by,
        request: task.name().to_owned(),
        command: answer.transcript.command.clone(),
        exit: answer.exit.describe(),
        stdout: shown(&answer.transcript.stdout),
        stderr: shown(&answer.transcript.stderr),
        duration_ms: milliseconds(answer.usage.duration),
        cpu_ms: milliseconds(answer.usage.cpu),
        file: task.file().path.clone(),
        file_bytes: None,
    }
}

fn shown(captured: &Captured) -> String {
    let shown = &captured.bytes[..captured.bytes.len().min(SHOWN_TEXT_BYTES)];
    let mut text = String::with_capacity(shown.len());
    for chunk in shown.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    let left_out = (captured.bytes.len() - shown.len()) as u64 + captured.dropped_bytes;
    if left_out > 0 {
        text.push_str(&format!("… ({left_out} more bytes)"));
    }
    text
}

/// A duration in milliseconds, rounded to microseconds.
pub fn milliseconds(duration: std::time::Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// A command line, quoted for a POSIX shell.
pub fn shell_line(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    words.join(" ")
}

/// A word, quoted for a POSIX shell if it needs quotes.
pub fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-+=./:,@%".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn words_are_quoted_as_a_shell_reads_them() {
        assert_eq!(quoted("-O"), "-O");
        assert_eq!(quoted("write -P 1 0 512"), "'write -P 1 0 512'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
