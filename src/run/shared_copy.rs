//! One copy of an image from outside, which tools look at one after another: each gets a directory of its own with links to the copied files.
//!
//! `views.rs` uses it: a copy for each tool cost more than most of the tools themselves. After a tool that changed a file, or had one open for writing, all are
//! copied anew for the next one. A process that stays after its answer and still has a file open may write later, and nobody is told before it ends: then the
//! copy is compared with the image at the end, and if they differ, every tool is to look again, at a copy of its own.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::outside_image::OutsideImage;
use crate::base::error::{Error, Result};
use crate::image::content::{open_regular, same_bytes};
use crate::process::holders;
use crate::process::scratch::Root;
use crate::process::write_watch::WriteWatch;

/// What changes with the bytes of a file, but for writes to a mapping of it: device, inode, length, time of modification, time of change.
type State = ((u64, u64), u64, (i64, i64), (i64, i64));

/// A file of the copy.
struct Copied {
    /// Its path, and its name in a tool's directory.
    path: PathBuf,
    name: OsString,
    /// Its state when it was lent.
    state: State,
}

/// All files of the copy.
struct Made {
    /// Their directory, which goes with them.
    _root: Root,
    files: Vec<Copied>,
    /// Tells who has had one open for writing; `None` if the system watches no more files.
    watch: Option<WriteWatch>,
}

impl Made {
    /// Whether somebody has written to a file, or may have. Without a watch, only times tell it.
    fn may_have_changed(&self) -> bool {
        let is_changed = |file: &Copied| state(&file.path).ok() != Some(file.state);
        self.watch.as_ref().is_some_and(WriteWatch::has_seen_any)
            || self.files.iter().any(is_changed)
    }

    /// Whether a process that stays could still write to a file.
    fn is_held(&self) -> bool {
        let files = self.files.iter().map(|file| file.state.0);
        holders::hold_any(&files.collect::<Vec<_>>())
    }
}

/// A copy that is lent to tools.
pub(super) struct SharedCopy<'image> {
    image: &'image OutsideImage,
    workdir: &'image Path,
    made: Option<Made>,
}

impl<'image> SharedCopy<'image> {
    /// Nothing is copied before it is lent.
    pub(super) fn new(image: &'image OutsideImage, workdir: &'image Path) -> Self {
        Self {
            image,
            workdir,
            made: None,
        }
    }

    /// The image that it is a copy of.
    pub(super) fn image(&self) -> &'image OutsideImage {
        self.image
    }

    /// Links all files into a tool's directory, which lies in the same working directory.
    pub(super) fn lend(&mut self, directory: &Path) -> Result<()> {
        let made = match self.made.take() {
            Some(made) => made,
            None => self.copy()?,
        };
        for file in &mut self.made.insert(made).files {
            let to = directory.join(&file.name);
            fs::hard_link(&file.path, &to).map_err(|error| Error::io("link", &to, &error))?;
            // The link itself changed the time of change.
            file.state = state(&file.path)?;
        }
        Ok(())
    }

    fn copy(&self) -> Result<Made> {
        let root = Root::make(self.workdir, "inspect")?;
        self.image.copy_to(root.path())?;
        let mut watch = WriteWatch::begin().ok();
        let mut files = Vec::new();
        for path in &self.image.taken {
            let name = path.file_name().unwrap_or_default();
            let path = root.path().join(name);
            watch = watch.and_then(|mut watch| watch.add(&path).ok().map(|_| watch));
            files.push(Copied {
                state: state(&path)?,
                name: name.to_owned(),
                path,
            });
        }
        Ok(Made {
            _root: root,
            files,
            watch,
        })
    }

    /// Forgets the copy if the tool that it was lent to changed it, or could have. The links must still be there: to remove one changes the time of change.
    pub(super) fn returned(&mut self) {
        self.made.take_if(|made| made.may_have_changed());
    }

    /// Whether the copy still has the bytes of the image.
    pub(super) fn is_as_the_image(&self) -> Result<bool> {
        let Some(made) = &self.made else {
            return Ok(true);
        };
        // The links to the files are gone by now, and that changed the time of change.
        if made
            .watch
            .as_ref()
            .is_some_and(|watch| !watch.has_seen_any())
            && !made.is_held()
        {
            return Ok(true);
        }
        for (file, original) in std::iter::zip(&made.files, &self.image.taken) {
            let compared = || same_bytes(&open_regular(&file.path)?, &open_regular(original)?, &[]);
            if !compared().map_err(|error| Error::io("compare", original, &error))? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn state(path: &Path) -> Result<State> {
    let metadata = fs::symlink_metadata(path).map_err(|error| Error::io("read", path, &error))?;
    Ok((
        (metadata.dev(), metadata.ino()),
        metadata.len(),
        (metadata.mtime(), metadata.mtime_nsec()),
        (metadata.ctime(), metadata.ctime_nsec()),
    ))
}

#[cfg(test)]
mod tests;
