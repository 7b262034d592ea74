//! Every file that a run leaves: records, JUnit, page and summary, fed record by record.
//!
//! Opened by both doors and by `imgduel merge` from their settings. What is written into each file is that file's business.

use std::fs;
use std::path::{Path, PathBuf};

use super::digest::Digest;
use super::files::{RecordFile, try_to_write, write_summary};
use super::html;
use super::junit::{Fault, JunitFile};
use crate::base::error::{Error, Result};
use crate::campaign::settings::Settings;
use crate::run::record::{Record, Summary};

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
        no_file_twice(settings)?;
        let records = settings.json.as_deref().map(RecordFile::create);
        Self::open_with(settings, records.transpose()?)
    }

    /// The same, going on with the records of an earlier run.
    pub fn open_with(settings: &Settings, records: Option<RecordFile>) -> Result<Self> {
        no_file_twice(settings)?;
        let junit = |path| JunitFile::create(path, settings.strict);
        if let Some(page) = &settings.html {
            try_to_write(page, "the page")?;
        }
        if let Some(summary) = &settings.summary {
            try_to_write(summary, "the summary")?;
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

/// Two reports in one file would be neither. A device or a pipe may well take several.
fn no_file_twice(settings: &Settings) -> Result<()> {
    let files = [
        ("--json", &settings.json),
        ("--summary", &settings.summary),
        ("--junit", &settings.junit),
        ("--html", &settings.html),
    ];
    let named = files
        .iter()
        .filter_map(|(flag, path)| Some((*flag, path.as_deref()?)));
    let named: Vec<(&str, &Path)> = named.filter(|(_, path)| is_plain_file(path)).collect();
    for (index, (flag, path)) in named.iter().enumerate() {
        let is_same = |(_, other): &&(&str, &Path)| place(other) == place(path);
        if let Some((other, _)) = named[..index].iter().find(is_same) {
            return Err(Error::usage(format!(
                "{other} and {flag} name the same file, {}: name one for each",
                path.display()
            )));
        }
    }
    Ok(())
}

/// Whether it is a file, or will be one.
fn is_plain_file(path: &Path) -> bool {
    fs::metadata(path).map_or(true, |metadata| metadata.is_file())
}

/// Where a file lies, or would lie, whatever way its path takes.
fn place(path: &Path) -> PathBuf {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new(".")).canonicalize();
    let would_lie = || Some(parent.ok()?.join(path.file_name()?));
    path.canonicalize()
        .ok()
        .or_else(would_lie)
        .unwrap_or_else(|| path.to_owned())
}
