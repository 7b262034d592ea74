//! `imgduel fuzz --resume RECORDS`: continues a campaign that was cut short.
//!
//! The existing records count, and only cases without a record are run. With several candidates each has its own
//! record of a case; if some are missing, all candidates run the case again. The command line must be the same as the
//! first time, except that seed and generation default to those of the records. Records that were made with other
//! settings are refused.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::record_lines::{each_line, parse};
use crate::base::error::{Error, Result};
use crate::campaign::candidate_set::CandidateSet;
use crate::campaign::settings::Settings;
use crate::case::generation::ancestry::lineage;
use crate::report::files::RecordFile;
use crate::run::record::Record;
use crate::run::session::Session;

/// The records of an earlier run.
pub(super) struct Resumed {
    path: PathBuf,
    /// Whether the campaign is guided.
    is_guided: bool,
    /// Whether it may have cases of other seeds.
    has_corpus: bool,
    /// The offset of each record's end in the file, in bytes.
    ends: Vec<u64>,
    /// The records in the order of the file.
    pub(super) records: Vec<Record>,
}

impl Resumed {
    /// Reads the records, and takes seed and generation from them if `settings` does not name them.
    pub(super) fn read(
        path: &Path,
        is_guided: bool,
        has_corpus: bool,
        settings: &mut Settings,
    ) -> Result<Self> {
        if settings.json.as_deref().is_some_and(|json| json != path) {
            return Err(Error::usage(
                "--resume appends to its own record file: leave out --json, or name the same file",
            ));
        }
        settings.json = Some(path.to_owned());
        let mut records: Vec<Record> = Vec::new();
        let mut ends: Vec<u64> = Vec::new();
        each_line(path, |number, line| {
            records.push(parse(path, number, line)?);
            ends.push(ends.last().unwrap_or(&0) + line.len() as u64 + 1);
            Ok(())
        })?;
        // The last record may lack only its line feed.
        let there = File::open(path).and_then(|file| file.metadata());
        let there = there.map_err(|error| Error::io("read the records in", path, &error))?;
        if ends.last().is_some_and(|end| there.len() < *end) {
            records.pop();
            ends.pop();
        }
        if let Some(child) = records.iter().find(|record| record.parent.is_some())
            && !is_guided
        {
            return Err(Error::usage(format!(
                "{} in {} was made of another case: resume a guided campaign with --guided",
                child.id,
                path.display()
            )));
        }
        // A campaign that was killed before its first record begins again, if it can be told which one it was.
        if records.is_empty() && settings.seed.is_none() {
            return Err(Error::usage(format!(
                "{} has no record, which would tell the seed: name it with --seed",
                path.display()
            )));
        }
        if let Some(first) = records.first() {
            let (drawn, _) = lineage(&first.generation);
            settings.generation.get_or_insert(drawn.to_owned());
            settings.seed = settings.seed.or(first.seed);
        }
        Ok(Self {
            path: path.to_owned(),
            is_guided,
            has_corpus,
            ends,
            records,
        })
    }

    /// Opens the record file for appending. Fails if a record in it was made with other settings than those of this
    /// run.
    pub(super) fn go_on(
        &mut self,
        settings: &Settings,
        candidate_set: &CandidateSet,
    ) -> Result<RecordFile> {
        let sessions = candidate_set.sessions();
        let selection = settings.selection();
        // Whether a record was made with the settings of this run by the given session.
        let is_of = |record: &Record, session: &Session| {
            let (drawn, _) = lineage(&record.generation);
            let generation = match self.is_guided {
                true => drawn,
                false => &record.generation,
            };
            settings.generation.as_deref() == Some(generation)
                && (self.has_corpus || settings.seed == record.seed)
                && record.candidate == session.candidate_name()
                && record.reference == session.reference_name()
                && record.reproduce == session.reproduce(&record.id, &selection)
        };
        let mut whole = 0;
        for case in cases(&self.records) {
            for (place, record) in case.iter().enumerate() {
                match sessions.get(place) {
                    Some(session) if is_of(record, session) => {}
                    _ => return Err(self.other_terms(record)),
                }
            }
            if case.len() == sessions.len() {
                whole += case.len();
            } else if whole + case.len() < self.records.len() {
                return Err(self.other_terms(&case[0]));
            }
        }
        self.records.truncate(whole);
        self.ends.truncate(whole);
        RecordFile::resume(&self.path, self.ends.last().copied().unwrap_or(0))
    }

    fn other_terms(&self, record: &Record) -> Error {
        Error::usage(format!(
            "{} in {} was made with other settings ({}, {} {} against {} {}): resume with the same command line and tools",
            record.id,
            self.path.display(),
            record.reproduce,
            record.candidate.name,
            record.candidate.version,
            record.reference.name,
            record.reference.version,
        ))
    }
}

/// Groups the records by case: those of one case are adjacent.
pub(super) fn cases(records: &[Record]) -> impl Iterator<Item = &[Record]> {
    records.chunk_by(|one, next| one.id == next.id)
}
