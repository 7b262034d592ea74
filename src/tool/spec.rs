//! A tool as a command line names it: `NAME[:PATH]`.
//!
//! Settings and records parse it; the list of tools ([`Row`](super::Row)) has the valid names.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::base::error::{Error, Result};

use super::is_embedded;

/// `NAME[:PATH]`, or `all`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolSpec {
    /// A name from the list.
    pub name: String,
    /// The program; `None` to search `PATH`.
    pub path: Option<PathBuf>,
}

impl FromStr for ToolSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, path) = match text.split_once(':') {
            None => (text, None),
            Some((_, "")) => {
                return Err(Error::usage(format!(
                    "'{text}' has no path behind its colon"
                )));
            }
            Some((name, path)) => (name, Some(PathBuf::from(path))),
        };
        if (name, &path) == (Self::ALL, &None) {
            let name = name.to_owned();
            return Ok(Self { name, path });
        }
        let is_embedded = is_embedded(name)?;
        if path.is_some() && is_embedded {
            return Err(Error::usage(format!(
                "{name} is embedded: write it without ':PATH'"
            )));
        }
        Ok(Self {
            name: name.to_owned(),
            path,
        })
    }
}

impl ToolSpec {
    /// The spec that stands for all tools of this machine.
    pub const ALL: &str = "all";

    /// Returns the spec of the tool of this name, without a path.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            path: None,
        }
    }

    /// Whether it stands for all tools of this machine.
    pub fn is_all(&self) -> bool {
        self.name == Self::ALL
    }
}

impl fmt::Display for ToolSpec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            None => formatter.write_str(&self.name),
            Some(path) => write!(formatter, "{}:{}", self.name, path.display()),
        }
    }
}
