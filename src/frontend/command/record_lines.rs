//! Reads record files line by line, so that the number of records is not limited by memory.
//!
//! `merge`, `accept` and `fuzz --resume` use it, and decide what to do with each record.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::base::error::{Error, Result};
use crate::report::complain;

/// The endings of record files in a directory.
const ENDINGS: [&str; 2] = ["jsonl", "ndjson"];

/// What identifies a case in a merge.
#[derive(Deserialize)]
pub(super) struct Key {
    pub(super) id: String,
    #[serde(default)]
    pub(super) trial: Option<String>,
    #[serde(default)]
    pub(super) carried_over: bool,
    /// Contains the settings: the same case with another tool or other settings is another case.
    #[serde(default)]
    pub(super) reproduce: String,
}

/// The named record files, and those in named directories, sorted by name.
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

/// Calls `visit` with every line and its number, from 1. An unterminated last line that cannot be parsed was cut short
/// when its writer died; it is reported and left out.
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

/// Parses a line as a record, or as a part of one.
pub(super) fn parse<'line, T: Deserialize<'line>>(
    path: &Path,
    number: usize,
    line: &'line [u8],
) -> Result<T> {
    serde_json::from_slice(line).map_err(|error| {
        Error::usage(format!(
            "{}:{number} is not a record: {error}",
            path.display()
        ))
    })
}
