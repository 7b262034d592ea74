//! The vhdx-core crate: reads Hyper-V's vhdx without parents.

use std::path::Path;

use ::vhdx::{VhdxError, VhdxReader};

use super::library::{Error, Result};
use super::reader::{Disk, Reader, reproducer};
use crate::image::format::Format;

pub(super) const READER: Reader = Reader {
    name: "vhdx-core",
    version: "0.4.1",
    format: Format::Vhdx,
    lacks: &[],
    open,
    by_hand: reproducer!(
        r#"vhdx-core = "=0.4.1""#,
        "fn open(path: &str) -> Result<(u64, impl Read + Seek), Box<dyn Error>> {
    let disk = vhdx::VhdxReader::open(path.as_ref())?;
    Ok((disk.virtual_disk_size(), disk))
}"
    ),
};

fn open(path: &Path) -> Result<Disk> {
    let reader = VhdxReader::open(path).map_err(|error| match error {
        VhdxError::DifferencingNotSupported => Error::Unsupported(error.to_string()),
        VhdxError::Io(error) => error.into(),
        other => Error::Refused(other.to_string()),
    })?;
    let size = reader.virtual_disk_size();
    Ok(Disk::new(size, reader))
}
