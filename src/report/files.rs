//! The record file and the summary file.

use std::fs::{File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::base::error::{Error, Result};
use crate::run::record::{Record, Summary};

/// A file with one JSON record per line, each written at once.
pub struct RecordFile {
    file: File,
    path: PathBuf,
}

impl RecordFile {
    /// Creates or empties the file, and locks it while it is open. Fails if another run has locked it.
    pub fn create(path: &Path) -> Result<Self> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .append(true)
            .open(path);
        let own = Self::own(file, path)?;
        // Emptied after locking, because another run may be writing to it. A device cannot be emptied, and need not
        // be.
        let _ = own.file.set_len(0);
        Ok(own)
    }

    /// Opens the file of an earlier run and cuts it to its first `length_bytes`, which drops an incomplete last
    /// record.
    pub fn resume(path: &Path, length_bytes: u64) -> Result<Self> {
        let own = Self::own(File::options().append(true).open(path), path)?;
        own.file
            .set_len(length_bytes)
            .map_err(|error| Error::io("go on with the records in", path, &error))?;
        Ok(own)
    }

    fn own(file: std::io::Result<File>, path: &Path) -> Result<Self> {
        let file = file.map_err(|error| Error::io("write the records to", path, &error))?;
        // Several processes may share a terminal or a pipe.
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

    /// Opens or creates the file for appending, without a lock: other processes may append too.
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
            // A single write, so that a record is either complete or absent.
            (&self.file).write_all(&line)
        };
        let before = self.file.metadata().map(|metadata| metadata.len());
        write().map_err(|error| {
            // On a full disk a part of the record may have been written.
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

/// Checks early that a file which is written at the end can be written.
pub fn try_to_write(path: &Path, what: &str) -> Result<()> {
    let file = File::options().create(true).append(true).open(path);
    file.map(drop)
        .map_err(|error| Error::io(&format!("write {what} to"), path, &error))
}
