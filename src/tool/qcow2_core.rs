//! The qcow2-core crate: reads qcow2 without backing files.

use std::path::Path;

use ::qcow2::{Qcow2Error, Qcow2Reader};

use super::library::{Error, Result};
use super::reader::{Disk, Reader, reproducer};
use crate::image::format::Format;

pub(super) const READER: Reader = Reader {
    name: "qcow2-core",
    version: "0.3.4",
    format: Format::Qcow2,
    lacks: &[
        ("extended_l2=on", "extended L2 entries"),
        ("compression_type=zstd", "zstd"),
        ("data_file", "external data files"),
        ("encrypt.format", "encryption"),
    ],
    open,
    by_hand: reproducer!(
        r#"qcow2-core = "=0.3.4""#,
        "fn open(path: &str) -> Result<(u64, impl Read + Seek), Box<dyn Error>> {
    let disk = qcow2::Qcow2Reader::open(path.as_ref())?;
    Ok((disk.virtual_disk_size(), disk))
}"
    ),
};

fn open(path: &Path) -> Result<Disk> {
    let reader = Qcow2Reader::open(path).map_err(|error| match error {
        Qcow2Error::UnsupportedVersion(_)
        | Qcow2Error::EncryptedNotSupported
        | Qcow2Error::BackingFileNotSupported
        | Qcow2Error::CompressedCluster
        | Qcow2Error::UnsupportedIncompatibleFeatures(_) => Error::Unsupported(error.to_string()),
        Qcow2Error::Io(error) => error.into(),
        other => Error::Refused(other.to_string()),
    })?;
    let size = reader.virtual_disk_size();
    Ok(Disk::new(size, reader))
}
