//! A file that is written beside the one that it will replace.
//!
//! Both layouts, of a qcow2 and of images in blocks, use it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::disk_format::qcow2::Unparsable;
use crate::image::content::{BLOCK_BYTES, is_zero};

/// The name under which the new file is written.
pub(super) fn beside(path: &Path) -> PathBuf {
    let mut hidden = path.as_os_str().to_owned();
    hidden.push(".new");
    PathBuf::from(hidden)
}

/// Writes entries of 8 bytes, given with their numbers in ascending order, into a table at an offset in bytes. What lies between them is zeros already.
pub(super) fn write_entries(
    file: &File,
    entries: impl Iterator<Item = (u64, u64)>,
    offset: u64,
) -> Result<(), Unparsable> {
    let per_block = BLOCK_BYTES / 8;
    let mut entries = entries.peekable();
    let mut bytes = Vec::new();
    while let Some((first, _)) = entries.peek().copied() {
        let block = first / per_block;
        bytes.clear();
        while let Some((index, entry)) = entries.next_if(|(index, _)| index / per_block == block) {
            bytes.resize((index - first) as usize * 8, 0);
            bytes.extend(entry.to_be_bytes());
        }
        file.write_all_at(&bytes, offset + first * 8)?;
    }
    Ok(())
}

/// Writes bytes at an offset in bytes, and leaves holes where whole blocks of them are zeros.
pub(super) fn write_sparse(file: &File, bytes: &[u8], offset: u64) -> Result<(), Unparsable> {
    for (index, block) in (0..).zip(bytes.chunks(BLOCK_BYTES as usize)) {
        if !is_zero(block) {
            file.write_all_at(block, offset + index * BLOCK_BYTES)?;
        }
    }
    Ok(())
}
