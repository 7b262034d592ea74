//! The record file and the summary file.

use std::fs::{File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::base::error::{Error, Result};
use crate::run::record::{Record, Summary};

/// One JSON record a line, flushed as it comes.
pub struct RecordFile {
    file: File,
    path: PathBuf,
}

impl RecordFile {
    /// Makes the file, in place of any that was there. It is locked for as long as it is open.
    pub fn create(path: &Path) -> Result<Self> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .append(true)
            .open(path);
        let own = Self::own(file, path)?;
        // Not before it is locked: another run may be writing to it. A device cannot be emptied, and need not be.
        let _ = own.file.set_len(0);
        Ok(own)
    }

    /// Opens a file that an earlier run began, to go on behind its first `length_bytes`: a last record that was cut short is dropped.
    pub fn resume(path: &Path, length_bytes: u64) -> Result<Self> {
        let own = Self::own(File::options().append(true).open(path), path)?;
        own.file
            .set_len(length_bytes)
            .map_err(|error| Error::io("go on with the records in", path, &error))?;
        Ok(own)
    }

    fn own(file: std::io::Result<File>, path: &Path) -> Result<Self> {
        let file = file.map_err(|error| Error::io("write the records to", path, &error))?;
        // A terminal or a pipe may well have several writers.
        let is_shared = !file.metadata().is_ok_and(|metadata| metadata.is_file());
        if !is_shared && matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            return Err(Error::usage(format!(
                "another run is writing its records to {}: name another file",
                path.display()
            )));
        }
        Ok(Self {
            file,
            path: path.to_owned(),
        })
    }

    /// Opens the file, which others may write to as well, at its end, making it when it is not there.
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
        let before = self.file.metadata().map(|metadata| metadata.len());
        write().map_err(|error| {
            // On a full disk a part of it may have been written.
            let _ = before.map(|length| self.file.set_len(length));
            Error::io("write the records to", &self.path, &error)
        })
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

/// Whether a file can be written that is only written at the end: then it is too late to name another.
pub fn try_to_write(path: &Path, what: &str) -> Result<()> {
    let file = File::options().create(true).append(true).open(path);
    file.map(drop)
        .map_err(|error| Error::io(&format!("write {what} to"), path, &error))
}
