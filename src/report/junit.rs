//! JUnit XML, case by case: the document is valid after every case, and no case is kept in memory.
//!
//! quick-junit makes the elements. It writes only whole reports, so the head is a report without cases, in a space of
//! a fixed size that is overwritten with the new counts (`head`), and each case is cut out of a report with that
//! case alone. The reports of both entry points call it.

mod head;
mod limit;

use std::collections::HashSet;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, Utc};
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

use head::{HEAD_BYTES, Head, SUITE_NAME, TAIL, serialized};
use limit::{BYTES_MAX, Limit};

use super::against_recipe;
use super::terminal;
use crate::base::error::{Error, Result};
use crate::run::record::{Class, Record};

/// The longest evidence of one case, in characters; GitLab accepts no file above 30 MB.
const EVIDENCE_CHARACTERS_MAX: usize = 20_000;

/// How often the counts in the head are updated: a campaign has hundreds of cases per second at most.
const HEAD_INTERVAL: Duration = Duration::from_millis(100);

/// A JUnit file in progress.
pub struct JunitFile<W: WriteAt = File> {
    output: W,
    path: PathBuf,
    head: Head,
    /// The time of the next update of the head.
    head_is_due: Instant,
    /// The offset of the next case, in bytes.
    end: u64,
    /// Hashes of the names so far: GitLab drops one of two cases with the same name.
    names: HashSet<u64>,
    limit: Limit,
    /// The case that counts what is left out, as text; it stands last.
    remark: String,
}

/// An output that can be written at any offset.
pub trait WriteAt {
    /// Writes all of `bytes` at `offset`.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;
}

impl WriteAt for File {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }
}

impl WriteAt for Vec<u8> {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.resize(self.len().max(offset as usize + bytes.len()), b' ');
        self[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}

/// A fault of the harness itself, in place of a case's result.
pub struct Fault<'fault> {
    /// The name of the trial or the case.
    pub name: &'fault str,
    /// What went wrong, in one line.
    pub message: &'fault str,
    /// Whether a tool is merely not installed: then the case counts as skipped.
    pub is_missing_tool: bool,
}

impl JunitFile<File> {
    /// Creates or overwrites the file. With `strict`, inconclusive cases are failures.
    pub fn create(path: &Path, strict: bool) -> Result<Self> {
        let file = File::create(path).map_err(|error| Error::io("write JUnit to", path, &error))?;
        Self::begin(file, path, strict)
    }
}

impl<W: WriteAt> JunitFile<W> {
    /// Begins a document without cases.
    pub fn begin(output: W, path: &Path, strict: bool) -> Result<Self> {
        let head = Head {
            tests: 0,
            failures: 0,
            errors: 0,
            skipped: 0,
            began: SystemTime::now(),
            ended: SystemTime::UNIX_EPOCH,
            tools: None,
            seed: None,
            strict,
        };
        let mut file = Self {
            output,
            path: path.to_owned(),
            head,
            head_is_due: Instant::now(),
            end: HEAD_BYTES as u64,
            names: HashSet::new(),
            limit: Limit::new(BYTES_MAX),
            remark: String::new(),
        };
        file.write("")?;
        Ok(file)
    }

    /// Appends a case.
    pub fn append(&mut self, record: &Record) -> Result<()> {
        let (classname, name) = (class_name(record), self.own_name(record));
        let case = test_case(record, &classname, &name, self.head.strict);
        let is_failure = matches!(case.status, TestCaseStatus::NonSuccess { .. });
        let text = self.cut_out(case)?;
        if !self.limit.has_room(self.end, text.len(), is_failure) {
            return self.leave_out(is_failure);
        }
        self.head.count(record);
        self.write(&text)
    }

    /// Counts a case for which there is no room.
    fn leave_out(&mut self, is_failure: bool) -> Result<()> {
        let (cases, failures, skipped) = self.limit.leave_out(is_failure);
        self.head.tests += cases;
        self.head.failures += failures;
        self.head.skipped = self.head.skipped.saturating_add_signed(skipped);
        let case = self.limit.case();
        let text = case.map(|case| self.cut_out(case)).transpose()?;
        // The document never becomes shorter, or its old end would stand behind the new one.
        let width = self.remark.len();
        self.remark = format!("{:width$}", text.unwrap_or_default());
        self.write("")
    }

    /// The record's name, with a number if the class already has a case of that name.
    fn own_name(&mut self, record: &Record) -> String {
        let (classname, name) = (class_name(record), name(record));
        let mut is_new = |name: &str| {
            let mut hasher = DefaultHasher::new();
            (&classname, name).hash(&mut hasher);
            self.names.insert(hasher.finish())
        };
        let numbered = (2..).map(|number| format!("{name}#{number}"));
        let mut names = std::iter::once(name.clone()).chain(numbered);
        names.find(|name| is_new(name)).unwrap_or(name)
    }

    /// Appends a case that has no result because of a fault of the harness.
    pub fn append_fault(&mut self, fault: &Fault<'_>) -> Result<()> {
        self.head.tests += 1;
        let mut status = if fault.is_missing_tool {
            self.head.skipped += 1;
            TestCaseStatus::skipped()
        } else {
            self.head.errors += 1;
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_type("harness");
            status
        };
        let message = visible(fault.message);
        status.set_message(message.as_str());
        status.set_description(message.as_str());
        let (classname, name) = fault
            .name
            .rsplit_once("::")
            .unwrap_or(("imgduel", fault.name));
        let mut case = TestCase::new(name, status);
        case.set_classname(classname);
        let text = self.cut_out(case)?;
        self.write(&text)
    }

    /// Writes the final counts; before, they may be slightly out of date.
    pub fn finish(&mut self) -> Result<()> {
        self.head_is_due = Instant::now();
        self.write("")
    }

    /// Completes the document and returns the output, for a caller that keeps it in memory.
    pub fn into_output(mut self) -> Result<W> {
        self.finish()?;
        Ok(self.output)
    }

    /// Writes a case and the end of the document, and updates the head if it is due.
    fn write(&mut self, case: &str) -> Result<()> {
        let wrong = |error: io::Error| Error::io("write JUnit to", &self.path, &error);
        let text = format!("{case}{}{TAIL}", self.remark);
        self.output
            .write_at(text.as_bytes(), self.end)
            .map_err(wrong)?;
        self.end += case.len() as u64;
        if self.head_is_due <= Instant::now() {
            let head = self.head.text().map_err(wrong)?;
            self.output.write_at(head.as_bytes(), 0).map_err(wrong)?;
            self.head_is_due = Instant::now() + HEAD_INTERVAL;
        }
        Ok(())
    }

    fn cut_out(&self, case: TestCase) -> Result<String> {
        let mut suite = TestSuite::new(SUITE_NAME);
        suite.add_test_case(case);
        let text =
            serialized(suite).map_err(|error| Error::io("write JUnit to", &self.path, &error))?;
        let start = text.find("        <testcase").unwrap_or_default();
        let end = text.len() - TAIL.len();
        Ok(text[start..end].to_owned())
    }
}

fn test_case(record: &Record, classname: &str, name: &str, strict: bool) -> TestCase {
    let mut case = TestCase::new(name, status(record, strict));
    case.set_classname(classname);
    case.set_time(record.duration());
    if let Some(started) = record.started {
        case.set_timestamp(DateTime::<Utc>::from(SystemTime::from(started)));
    }
    if let Some(file) = &record.seed_file {
        case.extra.insert("file".into(), file.as_str().into());
    }
    if !record.reproduce.is_empty() {
        case.set_system_out(visible(&format!("{}\n", record.reproduce)));
    }
    case
}

/// The last part of the trial's name, or the case's id.
fn name(record: &Record) -> String {
    let own = record
        .trial
        .as_deref()
        .and_then(|trial| trial.rsplit("::").next());
    own.unwrap_or(&record.id).to_owned()
}

/// The trial's module, or the generation.
fn class_name(record: &Record) -> String {
    let module = record
        .trial
        .as_deref()
        .and_then(|trial| trial.rsplit_once("::"));
    module
        .map_or(&*record.generation, |(module, _)| module)
        .to_owned()
}

fn status(record: &Record, strict: bool) -> TestCaseStatus {
    let is_failure = match record.class() {
        Class::Match => return TestCaseStatus::success(),
        Class::Divergence | Class::KnownElsewhere => true,
        Class::Inconclusive | Class::Flaky => strict,
        Class::Known | Class::Unsupported => false,
    };
    if is_failure {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status.set_type(record.kind.as_deref().unwrap_or("divergence"));
        let reason = against_recipe::reason(record);
        status.set_message(one_line(&match &record.known_elsewhere {
            Some(elsewhere) => format!("{}: {reason}", elsewhere.words()),
            None => reason.into_owned(),
        }));
        status.set_description(shown_evidence(record));
        return status;
    }
    let reason = one_line(&terminal::ignored_reason(record).unwrap_or_default());
    let mut status = TestCaseStatus::skipped();
    status.set_type(record.kind.as_deref().unwrap_or(record.verdict.as_str()));
    // Jenkins and Azure read the attribute; GitLab reads the text.
    status.set_message(reason.as_str());
    match record.class() {
        // A flaky result cannot be reproduced, so the evidence of both runs is all there is.
        Class::Flaky => status.set_description(shown_evidence(record)),
        _ => status.set_description(reason.as_str()),
    };
    status
}

fn shown_evidence(record: &Record) -> String {
    let block = terminal::evidence_block(record);
    let block: String = block.chars().take(EVIDENCE_CHARACTERS_MAX).collect();
    visible(&block)
}

fn one_line(text: &str) -> String {
    visible(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Escapes every character that XML 1.0 forbids (section 2.2) as Rust does: `\u{1b}`.
fn visible(text: &str) -> String {
    let is_allowed = |letter: char| matches!(letter, '\t' | '\n' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    let mut visible = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_allowed(letter) {
            visible.push(letter);
        } else {
            visible.extend(letter.escape_unicode());
        }
    }
    visible
}

#[cfg(test)]
mod tests;
