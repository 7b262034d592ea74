//! The record file and the summary file.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::record::{Record, Summary};

/// One JSON record a line, flushed as it comes.
pub struct RecordFile {
    file: File,
    path: PathBuf,
}

impl RecordFile {
    /// Makes the file, in place of any that was there.
    pub fn create(path: &Path) -> Result<Self> {
        let file =
            File::create(path).map_err(|error| Error::io("write the records to", path, &error))?;
        Ok(Self {
            file,
            path: path.to_owned(),
        })
    }

    /// Opens the file at its end, making it when it is not there.
    pub fn open_to_append(path: &Path) -> Result<Self> {
        let file = File::options().create(true).append(true).open(path);
        Ok(Self {
            file: file.map_err(|error| Error::io("write the records to", path, &error))?,
            path: path.to_owned(),
        })
    }

    /// Appends a record.
    pub fn append(&mut self, record: &Record) -> Result<()> {
        let write = || -> std::io::Result<()> {
            let mut line = serde_json::to_vec(record)?;
            line.push(b'\n');
            // In one piece, so that a record is there whole or not at all.
            (&self.file).write_all(&line)
        };
        write().map_err(|error| Error::io("write the records to", &self.path, &error))
    }
}

/// Writes the summary.
pub fn write_summary(path: &Path, summary: &Summary) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let mut text = serde_json::to_vec_pretty(summary)?;
        text.push(b'\n');
        std::fs::write(path, text)
    };
    write().map_err(|error| Error::io("write the summary to", path, &error))
}
