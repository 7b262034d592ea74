//! Files with the data of writes, for tools that take data from a file: qemu-io (`write -s`), adapters.
//!
//! They lie beside the image for the duration of one call. A script makes them by awk.

use std::path::Path;

use super::{ImageFile, Request, SessionRequest};
use crate::base::error::{Error, Result};
use crate::image::content::{Recipe, Write};

/// The file of one write.
pub struct DataFile {
    /// Its name, in the image's directory.
    pub name: String,
    /// The index of the write, or of the request of a session.
    pub index: usize,
    write: Write,
    recipe: Recipe,
}

impl DataFile {
    /// Returns the name of the file for write `index` to `file`.
    pub fn name(file: &ImageFile, index: usize) -> String {
        format!("{}.fill{index}", file.path)
    }

    /// Returns the files that a request needs: one for each write that does not repeat a byte.
    pub fn needed_by(request: &Request) -> Vec<Self> {
        let (file, writes): (_, Vec<Option<&Write>>) = match request {
            Request::Write { file, writes } => (file, writes.iter().map(Some).collect()),
            Request::Session { file, requests } => {
                let writes = requests.iter().map(|one| match one {
                    SessionRequest::Write(write) if write.length > 0 => Some(write),
                    _ => None,
                });
                (file, writes.collect())
            }
            _ => return Vec::new(),
        };
        let writes = writes.into_iter().enumerate();
        let needed = writes.filter_map(|(index, write)| {
            let write = write?;
            Some(Self {
                name: Self::name(file, index),
                index,
                write: *write,
                recipe: write.recipe()?,
            })
        });
        needed.collect()
    }

    /// Makes the files of a request in `directory`, calls `with`, and removes them.
    pub fn around<T>(
        request: &Request,
        directory: &Path,
        with: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let files = Self::needed_by(request);
        for file in &files {
            let path = directory.join(&file.name);
            std::fs::write(&path, file.write.bytes())
                .map_err(|error| Error::io("write", &path, &error))?;
        }
        let done = with();
        for file in &files {
            // The tool may have removed it.
            let _ = std::fs::remove_file(directory.join(&file.name));
        }
        done
    }

    /// Returns the shell command that makes the bytes on standard output.
    pub fn in_awk(&self) -> String {
        self.recipe.in_awk(self.write.offset, self.write.length)
    }
}
