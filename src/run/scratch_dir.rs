//! A case's scratch directory: one sub-directory for each side and one for the source image. It is removed after the
//! case.
//!
//! The runner makes and uses it.

use std::collections::{BTreeMap, BTreeSet};
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
use crate::oracle::observations::Side;
use crate::process::remove as remove_directory;
pub use crate::process::scratch::Root;
use crate::process::write_watch::Guarded;
use crate::tool::request::ImageFile;

/// Free disk space below which a tool's failure may be the disk's fault, in bytes.
const SPACE_MIN_BYTES: u64 = 32 << 20;

/// The largest file that is removed at once instead of by the remover, in allocated bytes.
const SMALL_BYTES_MAX: u64 = 256 << 10;

/// The unit of `st_blocks` in bytes, whatever the file system's block size is (stat(2)).
const HOST_BLOCK_BYTES: u64 = 512;

mod equivalence;
mod place;
mod remover;

pub use place::Place;
use remover::Leftover;
pub use remover::Remover;
/// The files of a directory by name, with length in bytes and time of the last write.
pub type Stamps = BTreeMap<String, (u64, Option<SystemTime>)>;

/// The scratch directory of one case.
pub struct ScratchDir {
    root: Option<Root>,
    path: PathBuf,
    remover: Arc<Remover>,
}

impl ScratchDir {
    /// Makes a scratch directory in `workdir`, named after the run and the case. `remover` deletes what is no longer
    /// needed.
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

    /// Checks that tools could work here. Fails if the directory is gone or its disk is full.
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

    /// The directory of a side.
    pub fn directory(&self, side: Side) -> PathBuf {
        self.path.join(side.name())
    }

    /// The path of a file on a side.
    pub fn file(&self, side: Side, name: &str) -> PathBuf {
        self.directory(side).join(name)
    }

    /// The length of a file in bytes; `None` if it does not exist.
    pub fn length(&self, side: Side, name: &str) -> Option<u64> {
        fs::metadata(self.file(side, name))
            .ok()
            .map(|metadata| metadata.len())
    }

    /// Describes the first entry of `directory` that takes the place of a file of these images but is not a regular
    /// file. Opening a named pipe would block for ever, and a link may lead to one.
    pub fn in_place_of_a_file(directory: &Path, images: &[&ImageFile]) -> Option<String> {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        let mut wrong = entries.filter_map(|entry| {
            // The directory listing itself has the type.
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

    /// The files on a side, with the stamps by which a write is noticed.
    pub fn stamps(&self, side: Side) -> Stamps {
        let mut stamps = Stamps::new();
        add_stamps(&self.directory(side), "", &mut stamps);
        stamps
    }

    /// Whether both sides have this image with the same bytes in all its files, random identifiers excepted.
    pub fn is_equivalent(&self, file: &ImageFile) -> bool {
        // A split image may consist of more files than `names` lists.
        !file.is_split()
            && file.names().into_iter().all(|name| {
                let [first, second] =
                    [Side::Candidate, Side::Reference].map(|side| self.file(side, name));
                let format = match name == file.path {
                    true => file.format,
                    false => Format::Raw,
                };
                equivalence::equivalent(&first, &second, format).unwrap_or(false)
            })
    }

    /// Whether both sides' files of this image have the same holes and the same allocated size.
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

    /// The directory in which the source image is made.
    pub fn source_directory(&self) -> PathBuf {
        self.path.join("source")
    }

    /// Gives both sides the source image `original` as one file with two hard links, and watches it for writes. A tool
    /// that only reads it cannot tell it from a copy of its own, and no bytes are copied. Returns `None` if the system
    /// cannot link or watch it.
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

    /// Gives each side a copy of the source image `original`, and returns its contents byte for byte. Only copies are
    /// compared with each other, because the kernel reports holes of a file that a tool made differently from those of
    /// a copy: space that was reserved but never written counts as data once it has been read, and `measure` depends
    /// on that.
    pub fn copy_source(&self, original: &Path, name: &str) -> Result<Contents> {
        let copies = [Side::Candidate, Side::Reference].map(|side| self.file(side, name));
        for copy in &copies {
            remove(copy);
        }
        let [ours, theirs] = &copies;
        copy_sparse_to_each(original, &[ours, theirs])
    }

    /// Replaces the candidate's file with a copy of the reference's.
    pub fn restore_candidate(&self, name: &str) -> Result<()> {
        let target = self.file(Side::Candidate, name);
        remove(&target);
        copy_sparse(&self.file(Side::Reference, name), &target)
    }

    /// The raw bytes of a file on a side, whatever its format; `None` if it cannot be read.
    pub fn fingerprint(&self, side: Side, name: &str) -> Option<Contents> {
        Contents::of_raw_file(&self.file(side, name)).ok()
    }

    /// Keeps the reference's files whose names begin with `stem`, and gives each side copies of them: only copies are
    /// compared with each other, see [`Self::copy_source`].
    pub fn keep_originals(&self, stem: &str) -> Result<()> {
        let kept = self.source_directory();
        for name in names(&self.directory(Side::Reference), stem) {
            let _ = fs::remove_file(kept.join(&name));
            copy_sparse(&self.file(Side::Reference, &name), &kept.join(&name))?;
            for side in [Side::Candidate, Side::Reference] {
                // The candidate does not have the file yet the first time.
                let _ = fs::remove_file(self.file(side, &name));
                copy_sparse(&kept.join(&name), &self.file(side, &name))?;
            }
        }
        Ok(())
    }

    /// Gives the candidate's side copies of the reference's files. A file whose holes a copy would not have in the same way is replaced by a copy
    /// on the reference's side as well, see [`Self::copy_source`].
    pub fn hand_over(&self, names: &BTreeSet<&String>) -> Result<()> {
        for name in names {
            let [ours, theirs] =
                [Side::Candidate, Side::Reference].map(|side| self.file(side, name));
            if !theirs.exists() {
                continue;
            }
            if let Some(place) = ours.parent() {
                fs::create_dir_all(place).map_err(|error| Error::io("make", place, &error))?;
            }
            copy_sparse(&theirs, &ours)?;
            if !is_settled(&theirs) {
                let hidden = self.path.join("handed-over");
                copy_sparse(&ours, &hidden)?;
                fs::rename(&hidden, &theirs)
                    .map_err(|error| Error::io("replace", &theirs, &error))?;
            }
        }
        Ok(())
    }

    /// Removes these files of the candidate's side.
    pub fn take_back(&self, names: &BTreeSet<&String>) {
        names
            .iter()
            .for_each(|name| remove(&self.file(Side::Candidate, name)));
    }

    /// Describes the first file of [`Self::keep_originals`] that a side has changed.
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

    /// The disk space that a side's files take, in bytes.
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
            // Larger files are renamed out of the tools' sight at once and deleted by the remover later; for small
            // files, waking the remover would take longer than deleting.
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

    /// Keeps the directory under a name that no clean-up removes, and returns its path.
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

/// Whether all allocated space of a file holds data, as that of a copy does. The kernel reports space that was
/// reserved but never written differently once it has been read.
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

/// Removes a file, or a directory that a tool has put in its place, if there is one.
fn remove(path: &Path) {
    if fs::remove_file(path).is_err() && path.is_dir() {
        remove_directory(path);
    }
}

/// The sorted names of a directory's files that begin with `stem`.
fn names(directory: &Path, stem: &str) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.starts_with(stem)).collect();
    names.sort();
    names
}

/// Adds the stamps of the files of a directory, and of those in it, whose names begin with `prefix`.
fn add_stamps(directory: &Path, prefix: &str, stamps: &mut Stamps) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        match metadata.is_dir() {
            true => add_stamps(&entry.path(), &format!("{name}/"), stamps),
            false => drop(stamps.insert(name, (metadata.len(), metadata.modified().ok()))),
        }
    }
}
