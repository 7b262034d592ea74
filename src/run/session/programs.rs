//! Detects that a tool's program was replaced during a run.
//!
//! Otherwise one record could mix two versions of a tool. The session checks after every case. Programs that a wrapper
//! script starts are not checked.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::base::error::{Error, Result};
use crate::tool::Tool;

/// The tools' programs and what identified them when the run began.
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
    /// Takes the programs of these tools; tools without a program are left out.
    pub(super) fn for_tools<const N: usize>(tools: [&dyn Tool; N]) -> Self {
        let programs = tools.into_iter().filter_map(Tool::program);
        Self(
            programs
                .map(|program| (program.to_owned(), identity(program)))
                .collect(),
        )
    }

    /// Fails if a program was replaced or removed since.
    pub(super) fn check_unchanged(&self) -> Result<()> {
        let other = self
            .0
            .iter()
            .find(|(program, before)| identity(program) != *before);
        other.map_or(Ok(()), |(program, _)| {
            Err(Error::system(format!(
                "{} was replaced or removed during the run: the records so far are valid; start a new run for the new program",
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
