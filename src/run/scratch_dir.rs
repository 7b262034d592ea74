//! A case's scratch directory: one sub-directory per side and one for the source image, gone when the case is over.
//!
//! Used by the duel. What lies in it is the tools' business.

use std::collections::BTreeMap;
use std::fs::{self, DirEntry};
use std::io;
use std::iter;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustix::fs::statvfs;

use crate::base::error::{Error, Result};
use crate::case::CaseId;
use crate::image::content::{
    BLOCK_BYTES, Contents, copy_sparse, copy_sparse_to_each, data_segments, open_regular,
};
use crate::image::format::Format;
use crate::oracle::exchange::Side;
use crate::process::remove as remove_directory;
pub use crate::process::scratch::Root;
use crate::process::write_watch::Guarded;
use crate::tool::request::ImageFile;

/// Space on the disk below which a tool's failure says nothing about the tool, in bytes.
const SPACE_MIN_BYTES: u64 = 32 << 20;

/// The space that a file may take to be removed on the spot.
const SMALL_BYTES_MAX: u64 = 256 << 10;

/// The unit of st_blocks, whatever the file system's own is (stat(2)).
const HOST_BLOCK_BYTES: u64 = 512;

mod likeness;
mod place;
mod remover;

pub use place::Place;
use remover::Leftover;
pub use remover::Remover;
/// The files of a directory by name: length in bytes, and when each was last written to.
pub type Stamps = BTreeMap<String, (u64, Option<SystemTime>)>;

/// The scratch directory of one case.
pub struct ScratchDir {
    root: Option<Root>,
    path: PathBuf,
    remover: Arc<Remover>,
}

impl ScratchDir {
    /// Makes one in `workdir`, named after the run and the case. What is done with in it is left to `remover`.
    pub fn new(workdir: &Path, id: &CaseId, remover: &Arc<Remover>) -> Result<Self> {
        let root = Root::make(workdir, &id.to_string())?;
        let scratch_dir = Self {
            path: root.path().to_owned(),
            root: Some(root),
            remover: Arc::clone(remover),
        };
        let sides = [Side::Candidate, Side::Reference].map(|side| scratch_dir.directory(side));
        for directory in sides.into_iter().chain([scratch_dir.source_directory()]) {
            fs::create_dir(&directory).map_err(|error| Error::io("make", &directory, &error))?;
        }
        Ok(scratch_dir)
    }

    /// Whether what tools did here says anything about them: an error when the directory is gone, or its disk is full.
    pub fn is_sound(&self) -> Result<()> {
        let root = &self.path;
        let space = statvfs(root).map_err(|error| {
            let error = Error::io("work in the scratch directory", root, &error.into());
            Error::system(format!("{error}: was it removed during the run?"))
        })?;
        if space.f_bavail.saturating_mul(space.f_frsize) < SPACE_MIN_BYTES {
            let place = self.root.as_ref().map_or(root.as_path(), Root::workdir);
            let place = place.display();
            return Err(Error::system(format!(
                "the disk of the scratch directories in {place} is full: make room, or name another place with --workdir"
            )));
        }
        Ok(())
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

    /// What lies in `directory` in place of a file of one of these images and is none, in words: who opens a named pipe waits for ever, and
    /// a link may lead to one.
    pub fn in_place_of_a_file(directory: &Path, images: &[&ImageFile]) -> Option<String> {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        let mut wrong = entries.filter_map(|entry| {
            // Known from the listing itself.
            let kind = entry.file_type().ok()?;
            if kind.is_file() || kind.is_dir() {
                return None;
            }
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_part = |image: &&ImageFile| {
                let with_those_below =
                    iter::successors(Some(*image), |image| image.backing.as_deref());
                let mut images = with_those_below.into_iter();
                images.any(|image| image.owns(&name) || image.names().contains(&name.as_str()))
            };
            let what = match () {
                () if kind.is_fifo() => "a named pipe",
                () if kind.is_symlink() => "a link",
                () if kind.is_socket() => "a socket",
                () => "a device",
            };
            images
                .iter()
                .any(is_part)
                .then(|| format!("'{name}' is {what}, not a file"))
        });
        wrong.next()
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

    /// Whether both sides have this image, with the same bytes in all its files but for identifiers drawn by chance.
    pub fn is_alike(&self, file: &ImageFile) -> bool {
        // It may lie in more files than there are names for.
        !file.is_split()
            && file.names().into_iter().all(|name| {
                let [first, second] =
                    [Side::Candidate, Side::Reference].map(|side| self.file(side, name));
                let format = match name == file.path {
                    true => file.format,
                    false => Format::Raw,
                };
                likeness::alike(&first, &second, format).unwrap_or(false)
            })
    }

    /// Whether both sides' files of this image have data in the same places and take the same space.
    pub fn has_same_holes(&self, file: &ImageFile) -> bool {
        let holes = |path: PathBuf| {
            let file = open_regular(&path).ok()?;
            let blocks = file.metadata().ok()?.blocks();
            Some((data_segments(&file).ok()?, blocks))
        };
        file.names().into_iter().all(|name| {
            let [ours, theirs] =
                [Side::Candidate, Side::Reference].map(|side| holes(self.file(side, name)));
            ours.is_some() && ours == theirs
        })
    }

    /// Where the source image is made.
    pub fn source_directory(&self) -> PathBuf {
        self.path.join("source")
    }

    /// Gives both sides the source image `original` as one file under two names, and guards it. Whoever only reads it cannot tell it from a
    /// copy of their own, and no bytes are moved. `None` where the system has no such names or watches.
    pub fn share_source(&self, original: &Path, name: &str) -> Result<Option<Guarded>> {
        let [ours, theirs] = [Side::Candidate, Side::Reference].map(|side| self.file(side, name));
        if !is_settled(original) || fs::hard_link(original, &ours).is_err() {
            copy_sparse(original, &ours)?;
        }
        let share = || {
            fs::hard_link(&ours, &theirs)?;
            Guarded::begin(&ours)
        };
        Ok(share().ok())
    }

    /// Gives both sides their own copies of the source image `original`; what they hold, byte for byte. Copies alone
    /// are compared: of a file that a tool made, the system tells holes and data otherwise than of a copy (space that was
    /// reserved but never written counts as data once it has been read), and `measure` goes by that.
    pub fn copy_source(&self, original: &Path, name: &str) -> Result<Contents> {
        let copies = [Side::Candidate, Side::Reference].map(|side| self.file(side, name));
        for copy in &copies {
            remove(copy);
        }
        let [ours, theirs] = &copies;
        copy_sparse_to_each(original, &[ours, theirs])
    }

    /// Gives the candidate a copy of the reference's file, in place of the one it had.
    pub fn restore_candidate(&self, name: &str) -> Result<()> {
        let target = self.file(Side::Candidate, name);
        remove(&target);
        copy_sparse(&self.file(Side::Reference, name), &target)
    }

    /// What a file holds on a side, byte for byte, whatever its format; nothing when it cannot be read.
    pub fn fingerprint(&self, side: Side, name: &str) -> Option<Contents> {
        Contents::of_raw_file(&self.file(side, name)).ok()
    }

    /// Keeps the reference's files whose names begin with `stem`, and gives each side its own copies. Copies alone are compared, as
    /// in [`Self::copy_source`].
    pub fn keep_originals(&self, stem: &str) -> Result<()> {
        let kept = self.source_directory();
        for name in names(&self.directory(Side::Reference), stem) {
            let _ = fs::remove_file(kept.join(&name));
            copy_sparse(&self.file(Side::Reference, &name), &kept.join(&name))?;
            for side in [Side::Candidate, Side::Reference] {
                // Not there on the candidate's side the first time.
                let _ = fs::remove_file(self.file(side, &name));
                copy_sparse(&kept.join(&name), &self.file(side, &name))?;
            }
        }
        Ok(())
    }

    /// The first file of [`Self::keep_originals`] that a side no longer has as it was, in words.
    pub fn changed(&self, side: Side, stem: &str) -> Option<String> {
        let kept = self.source_directory();
        let changes = names(&kept, stem).into_iter().map(|name| {
            let was = Contents::of_raw_file(&kept.join(&name)).ok();
            let now = self.fingerprint(side, &name);
            match (was, now) {
                (Some(was), Some(now)) => {
                    let found = was.difference(&now)?;
                    let change = format!("{} becomes {}", found.first, found.second);
                    Some(format!("{name}: {}: {change}", found.place))
                }
                _ => Some(format!("{name}: it cannot be read any more")),
            }
        });
        changes.flatten().next()
    }

    /// The space in bytes that a side's files take on the disk.
    pub fn space(&self, side: Side) -> u64 {
        let directory = self.directory(side);
        let blocks = names(&directory, "").into_iter().filter_map(|name| {
            let metadata = fs::metadata(directory.join(name)).ok()?;
            Some(metadata.blocks() * HOST_BLOCK_BYTES)
        });
        blocks.sum()
    }

    /// Removes the files whose names begin with `stem`, on both sides.
    pub fn sweep(&self, stem: &str) {
        let is_small = |entry: &DirEntry| {
            let found = entry.metadata();
            found.is_ok_and(|found| {
                found.is_file() && found.blocks() * HOST_BLOCK_BYTES <= SMALL_BYTES_MAX
            })
        };
        for side in [Side::Candidate, Side::Reference] {
            let entries = fs::read_dir(self.directory(side))
                .into_iter()
                .flatten()
                .flatten();
            let swept =
                entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(stem));
            // Out of the tools' sight now; gone when the remover gets to it, where that takes longer than to wake it.
            let moved = swept.filter_map(|entry| {
                if is_small(&entry) && fs::remove_file(entry.path()).is_ok() {
                    return None;
                }
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

    /// Leaves the directory, under a name that no clean-up goes by.
    pub fn keep(mut self) -> PathBuf {
        let path = self.path.clone();
        self.root.take().map_or(path, Root::keep)
    }
}

impl Drop for ScratchDir {
    fn drop(&mut self) {
        if let Some(root) = self.root.take() {
            self.remover.take(Leftover::Directory(root));
        }
    }
}

/// Whether all space that a file takes holds data, as a copy's does: of space that was reserved and never written, the system tells
/// otherwise once it has been read.
fn is_settled(path: &Path) -> bool {
    let read = || {
        let file = open_regular(path)?;
        let data: u64 = data_segments(&file)?
            .into_iter()
            .map(|segment| segment.end.next_multiple_of(BLOCK_BYTES) - segment.start)
            .sum();
        Ok::<_, io::Error>(file.metadata()?.blocks() * HOST_BLOCK_BYTES == data)
    };
    read().unwrap_or(false)
}

/// Removes what lies there, if anything does: a tool may have put a directory in a file's place.
fn remove(path: &Path) {
    if fs::remove_file(path).is_err() && path.is_dir() {
        remove_directory(path);
    }
}

/// The names of a directory's files that begin with `stem`, in their order.
fn names(directory: &Path, stem: &str) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.starts_with(stem)).collect();
    names.sort();
    names
}
