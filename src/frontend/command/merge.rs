//! `imgduel merge`: the records of many processes or machines become one summary, JUnit and page.
//!
//! nextest runs each trial in a process of its own and judges by the exit code alone; here inconclusive is inconclusive again.
//! Reads the records twice, one at a time, so that their number does not matter.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use serde::Deserialize;

use super::run::{exit_code, stale_known, tell_github};
use super::said;
use crate::base::error::{Error, Result};
use crate::campaign::settings::Settings;
use crate::case::generation::lineage::lineage;
use crate::process::own_cpu_time;
use crate::report::outlets::Outlets;
use crate::report::{complain, terminal};
use crate::run::record::{Record, Summary};

/// The endings of record files in a directory.
const ENDINGS: [&str; 2] = ["jsonl", "ndjson"];

#[derive(Args)]
pub(super) struct MergeArguments {
    #[command(flatten)]
    settings: Settings,

    /// Record files, and directories of record files (*.jsonl)
    #[arg(required = true, value_name = "RECORDS")]
    records: Vec<PathBuf>,
}

/// What tells one case from another in a merge.
#[derive(Deserialize)]
struct Key {
    id: String,
    #[serde(default)]
    trial: Option<String>,
    #[serde(default)]
    carried_over: bool,
    /// Holds the terms too: the same case on another tool is another.
    #[serde(default)]
    reproduce: String,
}

pub(super) fn merge(arguments: &MergeArguments) -> Result<ExitCode> {
    let files = files(&arguments.records)?;
    // A case that was tried again counts by its last try.
    let mut last: HashMap<(String, String), (usize, usize)> = HashMap::new();
    for (file, path) in files.iter().enumerate() {
        each_line(path, |number, line| {
            let key: Key = parse(path, number, line)?;
            let name = (key.trial.unwrap_or(key.id), key.reproduce);
            // What a run only carried over gives way to what any run did.
            if key.carried_over {
                last.entry(name).or_insert((file, number));
            } else {
                last.insert(name, (file, number));
            }
            Ok(())
        })?;
    }
    if last.is_empty() {
        return Err(Error::usage(
            "there is no record in these files: a merge of nothing proves nothing",
        ));
    }
    let mut outlets = Outlets::open(&arguments.settings)?;
    let mut joined = Joined::new(last.len() as u64);
    for (file, path) in files.iter().enumerate() {
        each_line(path, |number, line| {
            let record: Record = parse(path, number, line)?;
            let name = record.trial.as_ref().unwrap_or(&record.id);
            let name = (name.clone(), record.reproduce.clone());
            if last.get(&name) != Some(&(file, number)) {
                return Ok(());
            }
            joined.add(&record);
            outlets.add(&record)
        })?;
    }
    let summary = joined.finish();
    outlets.finish(&summary)?;
    said(&terminal::summary(&summary));
    said(&terminal::stale(&stale_known(
        &summary,
        &arguments.settings,
    )));
    tell_github(&summary, outlets.digest());
    Ok(exit_code(&summary, &arguments.settings))
}

/// The summary of records that were made elsewhere: its clock is theirs.
struct Joined {
    summary: Summary,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

impl Joined {
    fn new(total: u64) -> Self {
        Self {
            summary: Summary::new(None, None, total),
            first: None,
            last: None,
        }
    }

    fn add(&mut self, record: &Record) {
        // A case that was made of others belongs to the campaign of the drawn one.
        let generation = Some(lineage(&record.generation).0.to_owned());
        if self.summary.iterations_completed == 0 {
            self.summary.generation = generation.clone();
            self.summary.seed = record.seed;
        }
        self.summary.guided |= record.parent.is_some();
        let own = (&self.summary.generation, self.summary.seed);
        if own != (&generation, record.seed) {
            (self.summary.generation, self.summary.seed) = (None, None);
        }
        self.summary.add(record);
        if let Some(started) = record.started {
            let ended = started.checked_add(record.duration()).unwrap_or(started);
            self.first = self.first.into_iter().chain([started]).min();
            self.last = self.last.max(Some(ended));
        }
    }

    fn finish(mut self) -> Summary {
        let elapsed = self.first.zip(self.last).map(|(first, last)| {
            let elapsed = last.duration_since(first);
            elapsed.try_into().unwrap_or_default()
        });
        self.summary.tell_all_candidates();
        self.summary
            .finish(elapsed.unwrap_or_default(), own_cpu_time());
        self.summary
    }
}

/// The record files that are meant, those of a directory by name.
fn files(named: &[PathBuf]) -> Result<Vec<PathBuf>> {
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

pub(super) fn parse<'line, T: Deserialize<'line>>(
    path: &Path,
    number: usize,
    line: &'line [u8],
) -> Result<T> {
    serde_json::from_slice(line)
        .map_err(|error| Error::usage(format!("{}:{number} is no record: {error}", path.display())))
}
