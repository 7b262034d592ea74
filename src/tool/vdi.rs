//! The vdi crate: reads VirtualBox's dynamic vdi.

use std::fs::File;
use std::path::Path;

use ::vdi::VdiDisk;

use super::library::{Error, Result};
use super::reader::{Disk, Reader, reproducer};
use crate::image::format::Format;

pub(super) const READER: Reader = Reader {
    name: "vdi",
    version: "0.2.0",
    format: Format::Vdi,
    lacks: &[("static=on", "fixed images")],
    open,
    by_hand: reproducer!(
        r#"vdi = "=0.2.0""#,
        "fn open(path: &str) -> Result<(u64, impl Read + Seek), Box<dyn Error>> {
    let disk = vdi::VdiDisk::open(Box::new(std::fs::File::open(path)?)).map_err(|error| error.to_string())?;
    Ok((disk.header.disk_size, disk))
}"
    ),
};

fn open(path: &Path) -> Result<Disk> {
    let file = File::open(path)?;
    let disk = VdiDisk::open(Box::new(file)).map_err(|error| {
        let message = error.to_string();
        // Only the message shows it (vdi 0.2.0, src/lib.rs).
        match message.starts_with("Unsupported") || message.starts_with("Only dynamic") {
            true => Error::Unsupported(message),
            false => Error::Refused(message),
        }
    })?;
    let size = disk.header.disk_size;
    Ok(Disk::new(size, disk))
}
