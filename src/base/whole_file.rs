//! Files that are written whole or not at all.
//!
//! Used by all that keep something which another process may read meanwhile: seed files, findings, the catalogue, the shrinker's progress.

use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::base::error::{Error, Result};

/// Writes `value` as JSON, whole or not at all: a file that is read by others is never half there.
pub fn write_json(path: &Path, value: &impl Serialize, what: &str) -> Result<()> {
    let text =
        serde_json::to_string_pretty(value).map_err(|error| Error::system(error.to_string()))?;
    write_text(path, &format!("{text}\n"), what)
}

/// Writes a text, whole or not at all, and makes its directory when it is not there.
pub fn write_text(path: &Path, text: &str, what: &str) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let directory = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        fs::create_dir_all(directory)?;
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        std::io::Write::write_all(&mut file, text.as_bytes())?;
        // A temporary file is its owner's alone; this one is like any other.
        file.as_file()
            .set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(|error| Error::io(what, path, &error))
}
