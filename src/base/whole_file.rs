//! Atomic writes: a reader sees either the old file or the complete new one.
//!
//! Used for files that another process may read at the same time: seed files, findings, the catalogue, the shrinker's progress.

use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::base::error::{Error, Result};

/// Writes `value` to `path` as indented JSON, atomically. `what` describes the action in errors ("write the summary").
pub fn write_json(path: &Path, value: &impl Serialize, what: &str) -> Result<()> {
    let text =
        serde_json::to_string_pretty(value).map_err(|error| Error::system(error.to_string()))?;
    write_text(path, &format!("{text}\n"), what)
}

/// Writes `text` to `path` atomically, and creates missing directories. `what` describes the action in errors.
pub fn write_text(path: &Path, text: &str, what: &str) -> Result<()> {
    write_bytes(path, text.as_bytes(), what)
}

/// Writes `bytes` to `path` atomically, and creates missing directories. `what` describes the action in errors.
pub fn write_bytes(path: &Path, bytes: &[u8], what: &str) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let directory = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        fs::create_dir_all(directory)?;
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        std::io::Write::write_all(&mut file, bytes)?;
        // A temporary file is readable by its owner only; this file gets the usual permissions.
        file.as_file()
            .set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(|error| Error::io(what, path, &error))
}
