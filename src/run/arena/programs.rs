//! The tools' programs, as they were when the run began.
//!
//! A tool that is replaced while it is being tested would be two tools in one record. Looked at after every case; what a wrapper script starts is not
//! seen.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::base::error::{Error, Result};
use crate::tool::Tool;

/// The programs of a run.
#[derive(Clone)]
pub(super) struct Programs(Vec<(PathBuf, Option<Identity>)>);

/// What changes when a file is replaced or written to.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl Programs {
    /// Of these tools, as far as they are programs.
    pub(super) fn of<const N: usize>(tools: [&dyn Tool; N]) -> Self {
        let programs = tools.into_iter().filter_map(Tool::program);
        Self(
            programs
                .map(|program| (program.to_owned(), identity(program)))
                .collect(),
        )
    }

    /// An error when one was replaced or removed since.
    pub(super) fn are_the_same(&self) -> Result<()> {
        let other = self
            .0
            .iter()
            .find(|(program, before)| identity(program) != *before);
        other.map_or(Ok(()), |(program, _)| {
            Err(Error::system(format!(
                "{} was replaced or removed during the run: its records up to here stand; start a new run for the new one",
                program.display()
            )))
        })
    }
}

fn identity(program: &Path) -> Option<Identity> {
    let metadata = fs::metadata(program).ok()?;
    Some(Identity {
        device: metadata.dev(),
        inode: metadata.ino(),
        length: metadata.len(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
    })
}
