//! A case's scratch directory: one sub-directory per side and one for the source image, gone when the case is over.
//!
//! Used by the duel. What lies in it is the tools' business.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use tempfile::TempDir;

use crate::case::CaseId;
use crate::content::{Contents, copy_sparse, same_bytes, write_at};
use crate::error::{Error, Result};
use crate::exchange::Side;

mod place;
mod remover;

pub use place::Place;
use remover::Leftover;
pub use remover::Remover;
/// The files of a directory by name: length in bytes, and when each was last written to.
pub type Stamps = BTreeMap<String, (u64, Option<SystemTime>)>;

/// The scratch directory of one case.
pub struct Sandbox {
    root: Option<TempDir>,
    path: PathBuf,
    remover: Arc<Remover>,
}

impl Sandbox {
    /// Makes one in `workdir`, named after the case. What is done with in it is left to `remover`.
    pub fn new(workdir: &Path, id: &CaseId, remover: &Arc<Remover>) -> Result<Self> {
        let made = tempfile::Builder::new()
            .prefix(&format!("imgduel-{id}-"))
            .tempdir_in(workdir);
        let root =
            made.map_err(|error| Error::io("make a scratch directory in", workdir, &error))?;
        let sandbox = Self {
            path: root.path().to_owned(),
            root: Some(root),
            remover: Arc::clone(remover),
        };
        let sides = [Side::Candidate, Side::Reference].map(|side| sandbox.directory(side));
        for directory in sides.into_iter().chain([sandbox.source_directory()]) {
            fs::create_dir(&directory).map_err(|error| Error::io("make", &directory, &error))?;
        }
        Ok(sandbox)
    }

    /// A side's directory.
    pub fn directory(&self, side: Side) -> PathBuf {
        self.path.join(side.name())
    }

    /// A file on a side.
    pub fn file(&self, side: Side, name: &str) -> PathBuf {
        self.directory(side).join(name)
    }

    /// The length of a file in bytes, when it is there.
    pub fn length(&self, side: Side, name: &str) -> Option<u64> {
        fs::metadata(self.file(side, name))
            .ok()
            .map(|metadata| metadata.len())
    }

    /// The files on a side, with what tells whether one was written to.
    pub fn stamps(&self, side: Side) -> Stamps {
        let entries = fs::read_dir(self.directory(side))
            .into_iter()
            .flatten()
            .flatten();
        let stamped = entries.filter_map(|entry| {
            let metadata = entry.metadata().ok()?;
            let name = entry.file_name().to_string_lossy().into_owned();
            Some((name, (metadata.len(), metadata.modified().ok())))
        });
        stamped.collect()
    }

    /// Whether both sides have this file, with the same bytes.
    pub fn is_identical(&self, name: &str) -> bool {
        let [first, second] = [Side::Candidate, Side::Reference].map(|side| self.file(side, name));
        same_bytes(&first, &second).unwrap_or(false)
    }

    /// Where the source image is made.
    pub fn source_directory(&self) -> PathBuf {
        self.path.join("source")
    }

    /// Gives both sides their own copies of a source image. Copies alone are compared, and one is made from the other: of
    /// a file that a tool made, the system tells holes and data otherwise than of a copy (space that was reserved but
    /// never written counts as data once it has been read), and `measure` goes by that.
    pub fn copy_source(&self, name: &str) -> Result<()> {
        copy_sparse(
            &self.source_directory().join(name),
            &self.file(Side::Reference, name),
        )?;
        self.copy_to_candidate(name)
    }

    /// Gives the candidate a copy of the reference's file, in place of any it had.
    pub fn copy_to_candidate(&self, name: &str) -> Result<()> {
        let target = self.file(Side::Candidate, name);
        // Not there the first time.
        let _ = fs::remove_file(&target);
        copy_sparse(&self.file(Side::Reference, name), &target)
    }

    /// Puts a fixture where the source image is made.
    pub fn place_fixture(&self, fixture: &Path, name: &str) -> Result<()> {
        copy_sparse(fixture, &self.source_directory().join(name))
    }

    /// Writes into a source image's file.
    pub fn write_to_source(&self, name: &str, offset: u64, bytes: &[u8]) -> Result<()> {
        write_at(&self.source_directory().join(name), offset, bytes)
    }

    /// What a file holds on a side, byte for byte, whatever its format; nothing when it cannot be read.
    pub fn fingerprint(&self, side: Side, name: &str) -> Option<Contents> {
        Contents::of_raw_file(&self.file(side, name)).ok()
    }

    /// Removes the files whose names begin with `stem`, on both sides.
    pub fn sweep(&self, stem: &str) {
        for side in [Side::Candidate, Side::Reference] {
            let entries = fs::read_dir(self.directory(side))
                .into_iter()
                .flatten()
                .flatten();
            let swept =
                entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(stem));
            // Out of the tools' sight now, gone when the remover gets to it.
            let moved = swept.filter_map(|entry| {
                let hidden = tempfile::Builder::new()
                    .prefix("swept-")
                    .make_in(&self.path, |hidden| fs::rename(entry.path(), hidden));
                hidden.ok()?.into_temp_path().keep().ok()
            });
            let moved: Vec<PathBuf> = moved.collect();
            if !moved.is_empty() {
                self.remover.take(Leftover::Files(moved));
            }
        }
    }

    /// Leaves the directory where it is.
    pub fn keep(mut self) -> PathBuf {
        self.root
            .take()
            .map_or_else(|| self.path.clone(), TempDir::keep)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if let Some(root) = self.root.take() {
            self.remover.take(Leftover::Directory(root));
        }
    }
}
