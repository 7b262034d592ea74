//! The vhd-core crate: reads Virtual PC's vhd, fixed and dynamic.

use std::path::Path;

use ::vhd::{VhdError, VhdReader};

use super::library::{Error, Result};
use super::reader::{Disk, Reader, reproducer};
use crate::image::format::Format;

pub(super) const READER: Reader = Reader {
    name: "vhd-core",
    version: "0.1.4",
    format: Format::Vpc,
    lacks: &[],
    open,
    by_hand: reproducer!(
        r#"vhd-core = "=0.1.4""#,
        "fn open(path: &str) -> Result<(u64, impl Read + Seek), Box<dyn Error>> {
    let disk = vhd::VhdReader::open(path.as_ref())?;
    Ok((disk.virtual_disk_size(), disk))
}"
    ),
};

fn open(path: &Path) -> Result<Disk> {
    let reader = VhdReader::open(path).map_err(|error| match error {
        VhdError::UnsupportedVersion(_)
        | VhdError::DifferencingNotSupported
        | VhdError::UnknownDiskType(_) => Error::Unsupported(error.to_string()),
        VhdError::Io(error) => error.into(),
        other => Error::Refused(other.to_string()),
    })?;
    let size = reader.virtual_disk_size();
    Ok(Disk::new(size, reader))
}
