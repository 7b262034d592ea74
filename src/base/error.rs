//! What the harness itself could not do.
//!
//! Every room may return one. A tool's failure is never one of these: it is an
//! [`Answer`](crate::tool::request::Answer), plain data to be judged. An error reads as one line: what, where, what to do.

use std::fmt;
use std::io;
use std::path::Path;

/// The harness could not go on, in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    message: String,
    cause: Cause,
}

/// Why, as far as a caller acts on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A flag, an environment variable, a case id or a seed file is wrong.
    Usage,
    /// A tool is not installed; the message says what to install.
    MissingTool,
    /// The machine did not give what was asked: a file, a directory, a process.
    System,
    /// The person at the terminal asked to stop.
    Interrupted,
}

/// Shorthand for results whose error is ours.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Wrong input: `message` names it, says what is wrong and what would be right.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Cause::Usage, message)
    }

    /// A tool is not there: `message` names it and says what to install.
    pub fn missing_tool(message: impl Into<String>) -> Self {
        Self::new(Cause::MissingTool, message)
    }

    /// The machine refused: `message` names what was asked of it.
    pub fn system(message: impl Into<String>) -> Self {
        Self::new(Cause::System, message)
    }

    /// An input or output error on `path`, while doing `what` ("write the summary").
    pub fn io(what: &str, path: &Path, error: &io::Error) -> Self {
        Self::system(format!("cannot {what} {}: {error}", path.display()))
    }

    /// The run was asked to stop.
    pub fn interrupted() -> Self {
        Self::new(Cause::Interrupted, "interrupted")
    }

    /// Why, as far as a caller acts on it.
    pub fn cause(&self) -> Cause {
        self.cause
    }

    fn new(cause: Cause, message: impl Into<String>) -> Self {
        // One line, whatever a library put into its message.
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
