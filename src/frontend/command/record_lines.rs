//! Files of records, read line by line, so that their number does not matter.
//!
//! Used by `merge` and by `fuzz --resume`. What is done with a record is theirs to say.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::base::error::{Error, Result};
use crate::report::complain;

/// The endings of record files in a directory.
const ENDINGS: [&str; 2] = ["jsonl", "ndjson"];

/// What tells one case from another in a merge.
#[derive(Deserialize)]
pub(super) struct Key {
    pub(super) id: String,
    #[serde(default)]
    pub(super) trial: Option<String>,
    #[serde(default)]
    pub(super) carried_over: bool,
    /// Holds the terms too: the same case on another tool is another.
    #[serde(default)]
    pub(super) reproduce: String,
}

/// The record files that are meant, those of a directory by name.
pub(super) fn files(named: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in named {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let unreadable = |error| Error::io("list the records in", path, &error);
        let mut found: Vec<PathBuf> = Vec::new();
        for entry in fs::read_dir(path).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?.path();
            let ending = entry.extension().and_then(|ending| ending.to_str());
            found.extend(
                ending
                    .is_some_and(|ending| ENDINGS.contains(&ending))
                    .then(|| entry.clone()),
            );
        }
        if found.is_empty() {
            return Err(Error::usage(format!(
                "there is no record file (*.jsonl) in {}",
                path.display()
            )));
        }
        found.sort();
        files.extend(found);
    }
    Ok(files)
}

/// Calls `visit` with every line and its number. A last line without its end was cut short when its writer died; it is left out.
pub(super) fn each_line(
    path: &Path,
    mut visit: impl FnMut(usize, &[u8]) -> Result<()>,
) -> Result<()> {
    let unreadable = |error| Error::io("read the records in", path, &error);
    let mut reader = BufReader::new(File::open(path).map_err(unreadable)?);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(unreadable)? == 0 {
            break;
        }
        let is_whole = line.pop_if(|byte| *byte == b'\n').is_some();
        if !is_whole && serde_json::from_slice::<Key>(&line).is_err() {
            complain(&Error::system(format!(
                "{}:{number} was cut short and is left out",
                path.display()
            )));
            break;
        }
        if !line.trim_ascii().is_empty() {
            visit(number, &line)?;
        }
    }
    Ok(())
}

/// The record, or the part of it, that a line is.
pub(super) fn parse<'line, T: Deserialize<'line>>(
    path: &Path,
    number: usize,
    line: &'line [u8],
) -> Result<T> {
    serde_json::from_slice(line)
        .map_err(|error| Error::usage(format!("{}:{number} is no record: {error}", path.display())))
}
