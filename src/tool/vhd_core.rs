//! The vhd-core crate: reads Virtual PC's vhd, fixed and dynamic.

use std::path::Path;

use ::vhd::{VhdError, VhdReader};

use super::reader::{Disk, Reader, Refusal, reproducer};
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

fn open(path: &Path) -> Result<Disk, Refusal> {
    let reader = VhdReader::open(path).map_err(|error| match error {
        VhdError::UnsupportedVersion(_)
        | VhdError::DifferencingNotSupported
        | VhdError::UnknownDiskType(_) => Refusal::Unsupported(error.to_string()),
        VhdError::Io(error) => error.into(),
        other => Refusal::Refused(other.to_string()),
    })?;
    Ok(Disk {
        size: reader.virtual_disk_size(),
        bytes: Box::new(reader),
    })
}
