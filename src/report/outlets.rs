//! Every file that a run leaves: records, JUnit, page and summary, fed record by record.
//!
//! Opened by both doors and by `imgduel merge` from their settings. What is written into each file is that file's business.

use std::path::PathBuf;

use super::digest::Digest;
use super::files::{RecordFile, write_summary};
use super::html;
use super::junit::{Fault, JunitFile};
use crate::error::Result;
use crate::record::{Record, Summary};
use crate::settings::Settings;

/// The files of one run.
pub struct Outlets {
    records: Option<RecordFile>,
    junit: Option<JunitFile>,
    page: Option<PathBuf>,
    summary: Option<PathBuf>,
    digest: Digest,
}

impl Outlets {
    /// Opens the files that the settings name.
    pub fn open(settings: &Settings) -> Result<Self> {
        let records = settings.json.as_deref().map(RecordFile::create);
        Self::open_with(settings, records.transpose()?)
    }

    /// The same, going on with the records of an earlier run.
    pub fn open_with(settings: &Settings, records: Option<RecordFile>) -> Result<Self> {
        let junit = |path| JunitFile::create(path, settings.strict);
        if let Some(page) = &settings.html {
            html::try_to_write(page)?;
        }
        Ok(Self {
            records,
            junit: settings.junit.as_deref().map(junit).transpose()?,
            page: settings.html.clone(),
            summary: settings.summary.clone(),
            digest: Digest::default(),
        })
    }

    /// For a trial that has a process to itself: only records, at the end of what the file holds already. The other files would be
    /// overwritten by every trial; `imgduel merge` makes them.
    pub fn open_for_one_trial(settings: &Settings) -> Result<Self> {
        let records = settings.json.as_deref().map(RecordFile::open_to_append);
        Ok(Self {
            records: records.transpose()?,
            junit: None,
            page: None,
            summary: None,
            digest: Digest::default(),
        })
    }

    /// Takes in a record.
    pub fn add(&mut self, record: &Record) -> Result<()> {
        // Before anything else: what is written here is not lost.
        if let Some(records) = &mut self.records {
            records.append(record)?;
        }
        self.remember(record)
    }

    /// Takes in a record that stands in the record file already.
    pub fn remember(&mut self, record: &Record) -> Result<()> {
        self.digest.add(record);
        self.junit
            .as_mut()
            .map_or(Ok(()), |junit| junit.append(record))
    }

    /// Takes in a case of which the harness made nothing.
    pub fn add_fault(&mut self, fault: &Fault<'_>) -> Result<()> {
        self.junit
            .as_mut()
            .map_or(Ok(()), |junit| junit.append_fault(fault))
    }

    /// What all records come to.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Writes what can only be written at the end.
    pub fn finish(&mut self, summary: &Summary) -> Result<()> {
        if let Some(junit) = &mut self.junit {
            junit.finish()?;
        }
        if let Some(path) = &self.page {
            html::write(path, summary, &self.digest)?;
        }
        self.summary
            .as_deref()
            .map_or(Ok(()), |path| write_summary(path, summary))
    }
}
