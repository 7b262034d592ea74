//! Errors of the harness itself.
//!
//! Every room may return one. A tool's failure is never an `Error`: it is an [`Answer`](crate::tool::request::Answer), plain data for the
//! judges. An error reads as one line: what failed, where, and what to do about it.

use std::fmt;
use std::io;
use std::path::Path;

/// Why the harness could not continue, as one line of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    message: String,
    cause: Cause,
}

/// The class of an error, as far as callers handle classes differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// A flag, an environment variable, a case id or a seed file is wrong.
    Usage,
    /// A tool is not installed; the message says what to install.
    MissingTool,
    /// The operating system refused a file, a directory or a process.
    System,
    /// The user interrupted the run.
    Interrupted,
}

/// A result whose error is the harness's [`Error`] unless named otherwise.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error for wrong input: `message` names the input, what is wrong with it and what would be right.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Cause::Usage, message)
    }

    /// An error for a tool that is not installed: `message` names the tool and what to install.
    pub fn missing_tool(message: impl Into<String>) -> Self {
        Self::new(Cause::MissingTool, message)
    }

    /// An error of the operating system: `message` names what the harness tried to do.
    pub fn system(message: impl Into<String>) -> Self {
        Self::new(Cause::System, message)
    }

    /// An I/O error on `path`; `what` says what the harness tried to do, as a verb with its object ("write the summary").
    pub fn io(what: &str, path: &Path, error: &io::Error) -> Self {
        let path = path.display();
        match error.kind() {
            // Of a directory that cannot be made: the system's words ask for nothing.
            io::ErrorKind::AlreadyExists => Self::system(format!(
                "cannot {what} {path}: something else is there already: name another place"
            )),
            _ => Self::system(format!("cannot {what} {path}: {error}")),
        }
    }

    /// The same error, with the flag or setting in front whose value it is about.
    #[must_use]
    pub fn of_setting(self, setting: &str) -> Self {
        Self {
            message: format!("{setting}: {}", self.message),
            ..self
        }
    }

    /// The error of a run that the user interrupted.
    pub fn interrupted() -> Self {
        Self::new(Cause::Interrupted, "interrupted")
    }

    /// The class of this error.
    pub fn cause(&self) -> Cause {
        self.cause
    }

    fn new(cause: Cause, message: impl Into<String>) -> Self {
        // A library's message may span lines; an error is one line.
        let message = message
            .into()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        Self { message, cause }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
