//! `imgduel fuzz --resume RECORDS`: a campaign goes on where it was cut short, however that was.
//!
//! The records that are there stand; cases without one are tried. The command line is the same as the first time; seed and generation are taken from the
//! records where it does not name them. Records that were made on other terms are refused.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use super::merge::{each_line, parse};
use crate::arena::Arena;
use crate::error::{Error, Result};
use crate::record::Record;
use crate::report::files::RecordFile;
use crate::settings::Settings;

/// What an earlier run has done.
pub(super) struct Resumed {
    path: PathBuf,
    /// How much of the file is whole records.
    length_bytes: u64,
    /// Its records, in their order.
    pub(super) records: Vec<Record>,
}

impl Resumed {
    /// Reads the records, and puts what they tell into the settings.
    pub(super) fn read(path: &Path, settings: &mut Settings) -> Result<Self> {
        if settings.json.as_deref().is_some_and(|json| json != path) {
            return Err(Error::usage(
                "--resume goes on with its own file of records: leave out --json, or name the same file",
            ));
        }
        settings.json = Some(path.to_owned());
        let mut records: Vec<Record> = Vec::new();
        let mut length_bytes = 0;
        each_line(path, |number, line| {
            records.push(parse(path, number, line)?);
            length_bytes += line.len() as u64 + 1;
            Ok(())
        })?;
        // The last line may be whole but for its end.
        let there = File::open(path).and_then(|file| file.metadata());
        let there = there.map_err(|error| Error::io("read the records in", path, &error))?;
        if there.len() < length_bytes {
            records.pop();
            length_bytes = there.len();
        }
        if let Some(first) = records.first() {
            settings.generation.get_or_insert(first.generation.clone());
            settings.seed.get_or_insert(first.seed);
        }
        Ok(Self {
            path: path.to_owned(),
            length_bytes,
            records,
        })
    }

    /// Opens the file to go on with, when every record in it was made on the terms of this run.
    pub(super) fn go_on(&self, settings: &Settings, arena: &Arena) -> Result<RecordFile> {
        let (pool, fields) = (settings.pool(), settings.fields());
        let tools = [arena.candidate_name(), arena.reference_name()];
        for record in &self.records {
            let same_seed = (settings.generation.as_ref(), settings.seed)
                == (Some(&record.generation), Some(record.seed));
            let terms = arena.reproduce(&record.id, pool.as_deref(), fields.as_deref());
            let same_tools = tools == [record.candidate.clone(), record.reference.clone()];
            if !same_seed || !same_tools || record.reproduce != terms {
                return Err(Error::usage(format!(
                    "{} in {} was made on other terms ({}, {} {} against {} {}): resume with the same command line and tools",
                    record.id,
                    self.path.display(),
                    record.reproduce,
                    record.candidate.name,
                    record.candidate.version,
                    record.reference.name,
                    record.reference.version,
                )));
            }
        }
        RecordFile::resume(&self.path, self.length_bytes)
    }

    /// The iterations that are done.
    pub(super) fn done(&self) -> HashSet<u64> {
        self.records.iter().map(|record| record.iteration).collect()
    }
}
