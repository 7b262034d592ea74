//! All report files of a run: records, JUnit, page and summary, fed record by record.
//!
//! Both entry points and `imgduel merge` open them as the settings say. The format of each file is in the file's own
//! module.

use std::fs;
use std::path::{Path, PathBuf};

use super::digest::Digest;
use super::files::{RecordFile, try_to_write, write_summary};
use super::html;
use super::junit::{Fault, JunitFile};
use crate::base::error::{Error, Result};
use crate::campaign::settings::Settings;
use crate::run::record::{Record, Summary};

/// The report files of one run.
pub struct Sinks {
    records: Option<RecordFile>,
    junit: Option<JunitFile>,
    page: Option<PathBuf>,
    summary: Option<PathBuf>,
    digest: Digest,
}

impl Sinks {
    /// Opens the files that the settings name.
    pub fn open(settings: &Settings) -> Result<Self> {
        no_file_twice(settings)?;
        let records = settings.json.as_deref().map(RecordFile::create);
        Self::open_with(settings, records.transpose()?)
    }

    /// Opens the files that the settings name, except that `records` is open already: the record file of a resumed
    /// run.
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

    /// Opens only the record file, for appending, for a trial with a process of its own. Each trial would overwrite
    /// the other files; `imgduel merge` makes them.
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

    /// Adds a record to all files.
    pub fn add(&mut self, record: &Record) -> Result<()> {
        // Before anything else, so that the record is not lost.
        if let Some(records) = &mut self.records {
            records.append(record)?;
        }
        self.remember(record)
    }

    /// Adds a record that is in the record file already to the other files.
    pub fn remember(&mut self, record: &Record) -> Result<()> {
        self.digest.add(record);
        self.junit
            .as_mut()
            .map_or(Ok(()), |junit| junit.append(record))
    }

    /// Adds a case that has no result because of a fault of the harness.
    pub fn add_fault(&mut self, fault: &Fault<'_>) -> Result<()> {
        self.junit
            .as_mut()
            .map_or(Ok(()), |junit| junit.append_fault(fault))
    }

    /// The digest of all records.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Writes the files that can only be written at the end.
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

/// Refuses to write two reports into one file. A device or a pipe may take several.
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

/// Whether the path is a regular file or does not exist.
fn is_plain_file(path: &Path) -> bool {
    fs::metadata(path).map_or(true, |metadata| metadata.is_file())
}

/// The canonical path of a file, which need not exist yet.
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
