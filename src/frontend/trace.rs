//! Records and marks of tests that have a process each, as under nextest.
//!
//! nextest sees only exit codes, so each test appends its record to the run's file, for `imgduel merge`. A test whose
//! last verdict was inconclusive also leaves its record as a mark. nextest lists a marked test as ignored until it is
//! run again; meanwhile each run copies the marked record into its file, so that a merge still has it. The test target
//! uses this module.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::base::error::{Error, Result};
use crate::report::files::RecordFile;
use crate::run::record::{Class, Record};

/// The environment variable with the id of nextest's run.
const RUN_VARIABLE: &str = "NEXTEST_RUN_ID";

/// The environment variable that nextest sets in every process that it starts, for listing too.
const NEXTEST_VARIABLE: &str = "NEXTEST";

/// The environment variable that says whether nextest lists or runs.
const PHASE_VARIABLE: &str = "NEXTEST_TEST_PHASE";

/// The environment variable with the name of nextest's profile.
const PROFILE_VARIABLE: &str = "NEXTEST_PROFILE";

/// The profile that ignores marks. nextest divides the tests that are not ignored among shards: a mark that one shard
/// makes would shift the division of the next, and cases would be lost in between.
const PROFILE_WITHOUT_MARKS: &str = "ci";

/// The directory of the records in the target directory.
const DIRECTORY_NAME: &str = "imgduel-records";

/// The directory of the marks in the directory of the records.
const MARKS_NAME: &str = "inconclusive";

/// The records and marks of the run that this process belongs to.
#[derive(Clone, Debug)]
pub struct Trace {
    directory: PathBuf,
    run: Option<String>,
    /// The settings of this run: a mark that was made with other settings is ignored.
    terms: String,
}

impl Trace {
    /// Opens `directory`, or by default a directory in the target directory that contains this program; `None` if
    /// there is neither.
    pub fn open(directory: Option<PathBuf>, terms: String) -> Option<Self> {
        let is_named = directory.is_some();
        let run = std::env::var(RUN_VARIABLE).ok();
        // A directory that was named gets a file even without nextest.
        let own_run = || is_named.then(|| format!("run-{}", std::process::id()));
        Some(Self {
            directory: directory
                .or_else(|| target_directory().map(|target| target.join(DIRECTORY_NAME)))?,
            run: run.or_else(own_run),
            terms,
        })
    }

    /// Stores the records and the mark of a trial. With several candidates there is no mark: an inconclusive verdict
    /// of one says nothing about the others.
    pub fn keep(&self, trial: &str, records: &[Record]) -> Result<()> {
        if let Some(run) = &self.run {
            make(&self.directory)?;
            let path = self.directory.join(format!("{run}.jsonl"));
            let mut file = RecordFile::open_to_append(&path)?;
            records.iter().try_for_each(|record| file.append(record))?;
        }
        let mark = self.mark(trial);
        let record = match records {
            [record] if record.class() == Class::Inconclusive => Some(record),
            _ => None,
        };
        let Some(record) = record else {
            // Most trials have no mark.
            let _ = fs::remove_file(mark);
            return Ok(());
        };
        make(&self.directory.join(MARKS_NAME))?;
        let json =
            serde_json::to_string(record).map_err(|error| Error::system(error.to_string()))?;
        let text = format!("{}\n{json}\n", self.terms);
        fs::write(&mark, text).map_err(|error| Error::io("leave a mark in", &mark, &error))
    }

    /// Copies the records of marked trials into the file of a run that is about to skip them. nextest lists twice
    /// before a run; call this only when it lists the ignored trials.
    pub fn carry_over(&self) -> Result<()> {
        let is_before_a_run = std::env::var(PHASE_VARIABLE).is_ok_and(|phase| phase == "list");
        let (Some(run), true) = (&self.run, is_before_a_run) else {
            return Ok(());
        };
        let path = self.directory.join(format!("{run}.jsonl"));
        for (_, record) in self.records() {
            let record = Record {
                carried_over: true,
                ..record
            };
            RecordFile::open_to_append(&path)?.append(&record)?;
        }
        Ok(())
    }

    /// The trials whose last verdict with these settings was inconclusive, with the reason. Empty without nextest,
    /// which needs the marks because it cannot show inconclusive results.
    pub fn marks(&self) -> HashMap<String, String> {
        let records = self.records().into_iter();
        records
            .map(|(name, record)| (name, reason(&record)))
            .collect()
    }

    /// The reason of the mark of one trial, read without the other marks.
    pub fn marked(&self, trial: &str) -> Option<String> {
        let record = marks_count().then(|| self.record(&self.mark(trial)))?;
        record.as_ref().map(reason)
    }

    fn records(&self) -> Vec<(String, Record)> {
        if !marks_count() {
            return Vec::new();
        }
        let entries = fs::read_dir(self.directory.join(MARKS_NAME));
        let marks = entries.into_iter().flatten().flatten().filter_map(|entry| {
            let name = entry.file_name().to_str()?.to_owned();
            Some((trial_name(&name), self.record(&entry.path())?))
        });
        marks.collect()
    }

    /// The record of a mark that was made with these settings. A mark that cannot be read is ignored.
    fn record(&self, mark: &Path) -> Option<Record> {
        let text = fs::read_to_string(mark).ok()?;
        let (terms, record) = text.split_once('\n')?;
        (terms == self.terms)
            .then(|| serde_json::from_str(record).ok())
            .flatten()
    }

    fn mark(&self, trial: &str) -> PathBuf {
        let name = trial.replace("::", MODULE_SEPARATOR);
        self.directory.join(MARKS_NAME).join(name)
    }
}

fn reason(record: &Record) -> String {
    let reason = record.reason.as_deref().unwrap_or_default();
    format!("inconclusive the last time ({reason}); --run-ignored all runs it")
}

/// Replaces `::` in the file names of marks; trial names consist of identifiers and do not contain it.
const MODULE_SEPARATOR: &str = "-";

fn trial_name(mark: &str) -> String {
    mark.replace(MODULE_SEPARATOR, "::")
}

/// Whether this process runs one trial of a run with many processes.
pub fn is_one_of_many() -> bool {
    is_under_nextest() && std::env::var_os(RUN_VARIABLE).is_some()
}

fn marks_count() -> bool {
    let profile = std::env::var(PROFILE_VARIABLE);
    is_under_nextest() && profile.is_ok_and(|profile| profile != PROFILE_WITHOUT_MARKS)
}

fn is_under_nextest() -> bool {
    std::env::var_os(NEXTEST_VARIABLE).is_some()
}

/// The target directory that contains this program: cargo puts test programs into `TARGET/PROFILE/deps`.
pub fn target_directory() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let deps = program.parent()?;
    let target = deps.ends_with("deps").then(|| deps.ancestors().nth(2));
    target.flatten().map(Path::to_owned)
}

fn make(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory)
        .map_err(|error| Error::io("make the directory of the records", directory, &error))
}
