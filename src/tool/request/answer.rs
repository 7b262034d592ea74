//! The answer to a request.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::report::Report;
use crate::process::{Captured, HitLimit, PostMortem};

/// The exit of a tool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// The tool performed the request.
    Success,
    /// The tool refused it in an orderly way, with this exit code (1 for a library's error).
    Refused(i32),
    /// The tool reported that it does not know this feature of the image: nothing was tested.
    Unsupported(String),
    /// The tool crashed: by a signal, or a panic.
    Crashed(String),
    /// The tool ran until its time limit.
    TimedOut(PostMortem),
    /// The tool exceeded another limit.
    HitLimit(HitLimit),
}

impl Exit {
    /// Returns a short description.
    pub fn describe(&self) -> String {
        match self {
            Self::Success => "exit 0".to_owned(),
            Self::Refused(code) => format!("exit {code}"),
            Self::Unsupported(feature) => format!("unsupported: {feature}"),
            Self::Crashed(how) => format!("crashed: {how}"),
            Self::TimedOut(post_mortem) => post_mortem.to_string(),
            Self::HitLimit(hit) => hit.to_string(),
        }
    }

    /// Parses a text that starts with [`Exit::describe`] of a success, a refusal or a crash: the class, and the message
    /// after it.
    pub fn parted(described: &str) -> Option<(Ended, &str)> {
        if let Some(how) = described.strip_prefix("crashed: ") {
            return Some((Ended::Crashed, how));
        }
        let rest = described.strip_prefix("exit ")?;
        let (code, message) = rest.split_once(": ").unwrap_or((rest, ""));
        let ended = match code.parse::<i32>().ok()? {
            0 => Ended::Succeeded,
            _ => Ended::Refused,
        };
        Some((ended, message))
    }
}

/// The class of an exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// The tool performed the request.
    Succeeded,
    /// The tool refused it.
    Refused,
    /// The tool crashed.
    Crashed,
}

/// The answer to a request.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The exit.
    pub exit: Exit,
    /// What was reported, parsed.
    pub report: Report,
    /// What the calls cost.
    pub usage: CallUsage,
    /// What was called, and what it printed.
    pub transcript: Transcript,
}

/// What the calls for one answer cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct CallUsage {
    /// Wall time.
    pub duration: Duration,
    /// CPU time.
    pub cpu: Duration,
    /// The peak memory of the tool in bytes; 0 if unknown.
    pub peak_memory_bytes: u64,
    /// The number of calls of a tool: programs run, or library calls; 0 if the harness read a raw file itself.
    pub calls: u64,
}

/// The text of a call.
#[derive(Clone, Debug, Default)]
pub struct Transcript {
    /// The command line that ran, or a library call in words.
    pub command: Vec<String>,
    /// Standard output.
    pub stdout: Captured,
    /// Standard error.
    pub stderr: Captured,
}

impl From<Exit> for Answer {
    /// Returns an answer without a call, of which only the exit is known.
    fn from(exit: Exit) -> Self {
        Self {
            exit,
            report: Report::Nothing,
            usage: CallUsage::default(),
            transcript: Transcript::default(),
        }
    }
}

impl Answer {
    /// Returns an answer without a call: the image has this feature, which the tool does not support.
    pub fn unsupported(feature: String) -> Self {
        Exit::Unsupported(feature).into()
    }

    /// Turns the answer into a refusal, with this message.
    pub fn refuse(&mut self, code: i32, message: impl ToString) {
        self.exit = Exit::Refused(code);
        self.transcript.stderr = Captured::from_text(message.to_string());
    }

    /// Whether the tool crashed.
    pub fn crashed(&self) -> bool {
        matches!(self.exit, Exit::Crashed(_))
    }

    /// Whether the tool performed the request.
    pub fn succeeded(&self) -> bool {
        self.exit == Exit::Success
    }

    /// Returns the exit, with the first line of the message.
    pub fn describe(&self) -> String {
        let message = self.transcript.stderr.first_line();
        if message.is_empty() {
            self.exit.describe()
        } else {
            format!("{}: {message}", self.exit.describe())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(exit: Exit, stderr: &str) -> Answer {
        let mut answer = Answer::from(exit);
        answer.transcript.stderr.bytes = stderr.as_bytes().to_vec();
        answer
    }

    #[test]
    fn an_exit_is_parsed_from_its_description() {
        let described = [
            (Exit::Success, "", Some((Ended::Succeeded, ""))),
            (
                Exit::Success,
                "ah: well\nso",
                Some((Ended::Succeeded, "ah: well")),
            ),
            (Exit::Refused(1), "", Some((Ended::Refused, ""))),
            (Exit::Refused(-3), "x: no", Some((Ended::Refused, "x: no"))),
            (
                Exit::Crashed("SIGSEGV".to_owned()),
                "oh",
                Some((Ended::Crashed, "SIGSEGV: oh")),
            ),
            (Exit::Unsupported("x".to_owned()), "", None),
        ];
        for (exit, stderr, parted) in described {
            let described = answer(exit, stderr).describe();
            assert_eq!(Exit::parted(&described), parted, "{described}");
        }
    }

    #[test]
    fn a_value_is_no_description_of_an_exit() {
        for value in [
            "0x00",
            "exit",
            "exit one",
            "exits 0",
            "not asked or done",
            "",
        ] {
            assert_eq!(Exit::parted(value), None, "{value}");
        }
    }
}
