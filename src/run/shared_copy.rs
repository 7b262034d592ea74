//! One copy of an image from outside, which tools look at one after another: each gets a directory of its own with links to the copied files.
//!
//! `views.rs` uses it: a copy for each tool cost more than most of the tools themselves. A file that a tool changed is copied anew for the next one. What no
//! time of change tells shows at the end, when the copy is compared with the image: then every tool is to look again, at a copy of its own.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::outside_image::OutsideImage;
use crate::base::error::{Error, Result};
use crate::image::content::{open_regular, same_bytes};
use crate::process::scratch::Root;

/// What changes with the bytes of a file, but for writes to a mapping of it: inode, length, time of modification, time of change.
type State = (u64, u64, (i64, i64), (i64, i64));

/// A file of the copy.
struct Copied {
    /// Its path, and its name in a tool's directory.
    path: PathBuf,
    name: OsString,
    /// Its state when it was lent.
    state: State,
}

/// A copy that is lent to tools.
pub(super) struct SharedCopy<'image> {
    image: &'image OutsideImage,
    workdir: &'image Path,
    /// The directory of the copy, which goes with it, and the files.
    made: Option<(Root, Vec<Copied>)>,
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
        let (_, files) = self.made.insert(made);
        for file in files {
            let to = directory.join(&file.name);
            fs::hard_link(&file.path, &to).map_err(|error| Error::io("link", &to, &error))?;
            // The link itself changed the time of change.
            file.state = state(&file.path)?;
        }
        Ok(())
    }

    fn copy(&self) -> Result<(Root, Vec<Copied>)> {
        let root = Root::make(self.workdir, "inspect")?;
        self.image.copy_to(root.path())?;
        let names = self.image.taken.iter().filter_map(|path| path.file_name());
        let files = names.map(|name| {
            let path = root.path().join(name);
            Ok(Copied {
                state: state(&path)?,
                name: name.to_owned(),
                path,
            })
        });
        let files = files.collect::<Result<Vec<Copied>>>()?;
        Ok((root, files))
    }

    /// Forgets the copy if the tool that it was lent to changed it. The links must still be there: to remove one changes the time of change.
    pub(super) fn returned(&mut self) {
        let is_as_it_was = |file: &Copied| state(&file.path).is_ok_and(|state| state == file.state);
        let made = self.made.take();
        self.made = made.filter(|(_, files)| files.iter().all(is_as_it_was));
    }

    /// Whether the copy still has the bytes of the image.
    pub(super) fn is_as_the_image(&self) -> Result<bool> {
        let Some((_, files)) = &self.made else {
            return Ok(true);
        };
        for (file, original) in std::iter::zip(files, &self.image.taken) {
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
        metadata.ino(),
        metadata.len(),
        (metadata.mtime(), metadata.mtime_nsec()),
        (metadata.ctime(), metadata.ctime_nsec()),
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn what_a_tool_changed_is_copied_anew_for_the_next_one() {
        let scratch = tempfile::tempdir().unwrap();
        let original = scratch.path().join("disk.raw");
        fs::write(&original, [7; 4096]).unwrap();
        let image = OutsideImage::find(&original).unwrap();
        let mut copy = SharedCopy::new(&image, scratch.path());
        let lent = |copy: &mut SharedCopy<'_>| {
            let directory = tempfile::tempdir_in(scratch.path()).unwrap();
            copy.lend(directory.path()).unwrap();
            let path = directory.path().join("disk.raw");
            (directory, fs::metadata(&path).unwrap().ino(), path)
        };
        let (_first, inode, _) = lent(&mut copy);
        copy.returned();
        // One that changes nothing: the next has the same file.
        let (_second, same, path) = lent(&mut copy);
        assert_eq!(inode, same);
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        // The clock of a file system ticks every few milliseconds.
        std::thread::sleep(std::time::Duration::from_millis(20));
        file.write_all_at(&[8], 100).unwrap();
        assert!(!copy.is_as_the_image().unwrap());
        copy.returned();
        let (_third, other, path) = lent(&mut copy);
        assert_ne!(inode, other);
        assert_eq!(fs::read(path).unwrap(), [7; 4096]);
        assert!(copy.is_as_the_image().unwrap());
        assert_eq!(fs::read(original).unwrap(), [7; 4096]);
    }
}
