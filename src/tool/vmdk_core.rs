//! The vmdk-core crate: reads VMware's vmdk, sparse, flat and stream-optimized.

use std::path::Path;

use ::vmdk::{VmdkError, VmdkReader};

use super::library::{Error, Result};
use super::reader::{Disk, Reader, reproducer};
use crate::image::format::Format;

pub(super) const READER: Reader = Reader {
    name: "vmdk-core",
    version: "0.8.4",
    format: Format::Vmdk,
    lacks: &[],
    open,
    by_hand: reproducer!(
        r#"vmdk-core = "=0.8.4""#,
        "fn open(path: &str) -> Result<(u64, impl Read + Seek), Box<dyn Error>> {
    let disk = vmdk::VmdkReader::open_path(path.as_ref())?;
    Ok((disk.virtual_disk_size(), disk))
}"
    ),
};

fn open(path: &Path) -> Result<Disk> {
    let reader = VmdkReader::open_path(path).map_err(|error| match error {
        VmdkError::UnsupportedVersion(_)
        | VmdkError::CompressedNotSupported
        | VmdkError::UnsupportedDiskType(_) => Error::Unsupported(error.to_string()),
        VmdkError::Io(error) => error.into(),
        other => Error::Refused(other.to_string()),
    })?;
    let size = reader.virtual_disk_size();
    Ok(Disk::new(size, reader))
}
