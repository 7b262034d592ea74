//! A file of a written image: bytes at offsets, with holes between them.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::image::content::{
    BLOCK_BYTES, Contents, create_in_place, is_zero, open_regular, same_bytes,
};

/// A file that is to be written.
#[derive(Clone, Debug, Default)]
pub struct HostFile {
    /// Its name, relative to the directory of the case.
    pub name: String,
    /// Offsets and bytes, in any order.
    pub pieces: Vec<(u64, Vec<u8>)>,
    /// The length in bytes.
    pub length: u64,
}

impl HostFile {
    /// Returns an empty file.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// Adds bytes at an offset; the file is at least as long as they reach.
    pub fn put(&mut self, offset: u64, bytes: Vec<u8>) {
        self.length = self.length.max(offset + bytes.len() as u64);
        self.pieces.push((offset, bytes));
    }

    /// Returns bytes of the file; where it has none there are zeros.
    pub fn bytes(&self, offset: u64, length: u64) -> Vec<u8> {
        let mut bytes = vec![0; length as usize];
        for (start, piece) in &self.pieces {
            let from = (*start).max(offset);
            let to = (start + piece.len() as u64).min(offset.saturating_add(length));
            if from < to {
                let part = &piece[(from - start) as usize..(to - start) as usize];
                bytes[(from - offset) as usize..(to - offset) as usize].copy_from_slice(part);
            }
        }
        bytes
    }

    /// Writes the file into `directory`, and makes the directories that its name has.
    pub fn write_into(&self, directory: &Path) -> io::Result<()> {
        let path = directory.join(&self.name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let file = create_in_place(&path)?;
        for (offset, bytes) in &self.pieces {
            for (index, block) in (0..).zip(bytes.chunks(BLOCK_BYTES as usize)) {
                if !is_zero(block) {
                    file.write_all_at(block, offset + index * BLOCK_BYTES)?;
                }
            }
        }
        file.set_len(self.length)
    }

    /// Returns how the file in `directory` differs from this one; `None` if it does not. `beside` gets a file to compare with, unless it has one
    /// already and `is_kept` says that it is the same for both sides.
    pub fn changed_in(&self, directory: &Path, beside: &Path, is_kept: bool) -> Option<String> {
        let [path, other] = [directory, beside].map(|directory| directory.join(&self.name));
        let compare = || {
            if !is_kept || !other.exists() {
                self.write_into(beside)?;
            }
            same_bytes(&open_regular(&path)?, &open_regular(&other)?, &[])
        };
        match compare() {
            Ok(true) => None,
            Ok(false) => Some(self.change(&path, &other)),
            Err(error) => Some(format!(
                "{}: it cannot be read any more: {error}",
                self.name
            )),
        }
    }

    fn change(&self, path: &Path, other: &Path) -> String {
        let [now, was] = [path, other].map(|path| Contents::of_raw_file(path).ok());
        let found = was.zip(now).and_then(|(was, now)| was.difference(&now));
        match found {
            Some(found) => {
                let change = format!("{} becomes {}", found.first, found.second);
                format!("{}: {}: {change}", self.name, found.place)
            }
            None => format!("{}: its bytes changed", self.name),
        }
    }
}
