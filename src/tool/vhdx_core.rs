//! The vhdx-core crate: reads Hyper-V's vhdx without parents.

use std::path::Path;

use ::vhdx::{VhdxError, VhdxReader};

use super::reader::{Disk, Reader, Refusal, reproducer};
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

fn open(path: &Path) -> Result<Disk, Refusal> {
    let reader = VhdxReader::open(path).map_err(|error| match error {
        VhdxError::DifferencingNotSupported => Refusal::Unsupported(error.to_string()),
        VhdxError::Io(error) => error.into(),
        other => Refusal::Refused(other.to_string()),
    })?;
    Ok(Disk {
        size: reader.virtual_disk_size(),
        bytes: Box::new(reader),
    })
}
