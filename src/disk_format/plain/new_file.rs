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

/// Writes bytes at an offset in bytes, and leaves holes where whole blocks of them are zeros.
pub(super) fn write_sparse(file: &File, bytes: &[u8], offset: u64) -> Result<(), Unparsable> {
    for (index, block) in (0..).zip(bytes.chunks(BLOCK_BYTES as usize)) {
        if !is_zero(block) {
            file.write_all_at(block, offset + index * BLOCK_BYTES)?;
        }
    }
    Ok(())
}
