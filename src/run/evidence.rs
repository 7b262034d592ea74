//! What happened, for a person: every call of an operation with what came of it.
//!
//! Made from an exchange; goes into records and onto the terminal. No code matches on it.

mod diff;
mod picture;

pub use diff::{OutputDiff, has_a_value};
pub use picture::{Extent, Picture, Strip};

use serde::{Deserialize, Serialize};

use crate::oracle::exchange::{Deed, Exchange, Reading, Side, Turn};
use crate::oracle::verdict::{Difference, Verdict};
use crate::process::Captured;
use crate::tool::request::{Answer, Request};

/// How much of one stream of one call is shown.
const SHOWN_TEXT_BYTES: usize = 2000;

/// What a person needs to understand a verdict that is no match.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Evidence {
    /// What differs, or why nothing could be said, in one line.
    pub summary: String,
    /// The values that differ.
    pub differences: Vec<Difference>,
    /// Every call, in the order in which they were made on each side.
    pub calls: Vec<Call>,
    /// What both sides put out for the same request, where that holds what differs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diffs: Vec<OutputDiff>,
    /// The command lines that make the source image, for an operation that reads it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fixture: Vec<Vec<String>>,
    /// The image, for a divergence in an operation that has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<Picture>,
    /// What happened when the same was tried again, where that came out otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<Box<Evidence>>,
}

/// One call of a tool.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Call {
    /// Whose directory it worked in.
    pub side: Side,
    /// Whose tool it was.
    pub by: Side,
    /// What was asked.
    pub request: String,
    /// The command line as it was run.
    pub command: Vec<String>,
    /// How it came out.
    pub exit: String,
    /// The beginning of its standard output.
    pub stdout: String,
    /// The beginning of its standard error.
    pub stderr: String,
    /// Wall time.
    pub duration_ms: f64,
    /// CPU time.
    pub cpu_ms: f64,
    /// The file it was about.
    pub file: String,
    /// That file's length afterwards, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_bytes: Option<u64>,
}

impl Evidence {
    /// The evidence for a verdict; nothing for a match or where nothing was run.
    pub fn of(verdict: &Verdict, exchange: &Exchange) -> Option<Self> {
        let is_told = !matches!(verdict, Verdict::Match | Verdict::Unsupported { .. });
        is_told.then(|| Self::of_anything(verdict, exchange))
    }

    /// The evidence for any verdict, a match included.
    pub fn of_anything(verdict: &Verdict, exchange: &Exchange) -> Self {
        let summary = verdict
            .reason()
            .unwrap_or(verdict.name().as_str())
            .to_owned();
        let mut calls = calls(Side::Candidate, &exchange.candidate);
        calls.extend(
            exchange
                .reference
                .iter()
                .flat_map(|deed| self::calls(Side::Reference, deed)),
        );
        Self {
            summary,
            diffs: exchange
                .reference
                .as_ref()
                .map_or_else(Vec::new, |reference| {
                    diff::diffs(&exchange.candidate, reference, verdict.differences())
                }),
            differences: verdict.differences().to_vec(),
            calls,
            fixture: Vec::new(),
            picture: None,
            again: None,
        }
    }
}

fn calls(side: Side, deed: &Deed) -> Vec<Call> {
    let turn = |turn: &Turn| Call {
        file_bytes: turn.file_bytes,
        ..call(side, turn.by, &turn.step.request, &turn.answer)
    };
    let reading = |reading: &Reading| call(side, reading.by, &reading.request, &reading.answer);
    deed.turns
        .iter()
        .map(turn)
        .chain(deed.readings.iter().map(reading))
        .collect()
}

fn call(side: Side, by: Side, request: &Request, answer: &Answer) -> Call {
    Call {
        side,
        by,
        request: request.name().to_owned(),
        command: answer.command.clone(),
        exit: answer.exit.describe(),
        stdout: shown(&answer.stdout),
        stderr: shown(&answer.stderr),
        duration_ms: milliseconds(answer.duration),
        cpu_ms: milliseconds(answer.cpu),
        file: request.file().path.clone(),
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

/// A duration in milliseconds, to the microsecond.
pub fn milliseconds(duration: std::time::Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// A command line as a POSIX shell reads it back.
pub fn shell_line(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    words.join(" ")
}

/// A word as a POSIX shell reads it back.
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
