//! What an image file from outside is: its format by the first and last bytes, and the files that it needs beside it.
//!
//! `imgduel inspect` calls it. It reads and never writes; whether the image is sound, it does not say.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::disk_format::extent_line::ExtentLine;
use crate::disk_format::qcow2::extensions::Extensions;
use crate::disk_format::qcow2::header::{EXTERNAL_DATA_FILE, Header};
use crate::disk_format::qcow2::{ImageBytes, Unparsable};
use crate::image::content::open_regular;
use crate::image::format::Format;

/// How many bytes of the beginning and of the end are looked at.
const LOOKED_AT: u64 = 512;
/// The most bytes of a vmdk that are searched for its descriptor: the header of a sparse extent, and the descriptor behind it.
const DESCRIPTOR_BYTES_MAX: u64 = 128 << 10;

/// Formats that no tool here is asked about, by their first bytes: QEMU's block/qed.h, Bochs' iodev/hdimage, cryptsetup's LUKS specification, Apple's sparse images.
const FOREIGN: [(&[u8], &str); 4] = [
    (b"QED\0", "a qed"),
    (
        b"Bochs Virtual HD Image",
        "an image of Bochs (growing, undoable or volatile)",
    ),
    (b"LUKS\xba\xbe", "a LUKS volume"),
    (b"sprs", "a sparse image of Apple"),
];

/// A file that an image needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Companion {
    /// Its name, as the image has it.
    pub name: String,
    /// What it is to the image.
    pub role: Role,
}

/// What a companion is to an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// The image below, and its format where the image tells it.
    Backing(Option<String>),
    /// The external data file of a qcow2.
    DataFile,
    /// An extent of a vmdk.
    Extent,
}

/// The format of a file. What no format recognizes is raw.
pub fn format(path: &Path) -> Result<Format, Unparsable> {
    let file = open_regular(path)?;
    let length = file.metadata()?.len();
    let first = bytes(&file, 0, LOOKED_AT.min(length))?;
    let last = bytes(
        &file,
        length.saturating_sub(LOOKED_AT),
        LOOKED_AT.min(length),
    )?;
    let version = first.get(4..8).unwrap_or_default();
    Ok(match &first[..] {
        head if head.starts_with(b"QFI\xfb") && version == [0, 0, 0, 1] => Format::Qcow,
        head if head.starts_with(b"QFI\xfb") => Format::Qcow2,
        head if head.starts_with(b"KDMV") || head.starts_with(b"COWD") => Format::Vmdk,
        head if head.starts_with(b"# Disk DescriptorFile") => Format::Vmdk,
        head if head.starts_with(b"vhdxfile") => Format::Vhdx,
        head if head.starts_with(b"WithoutFreeSpace") || head.starts_with(b"WithouFreSpacExt") => {
            Format::Parallels
        }
        head if head.get(64..68) == Some(&[0x7f, 0x10, 0xda, 0xbe]) => Format::Vdi,
        _ if last.starts_with(b"conectix") => Format::Vpc,
        _ if last.starts_with(b"koly") => Format::Dmg,
        _ => Format::Raw,
    })
}

/// What a file that no format of ours recognizes is by its first bytes, where it is an image of another format.
pub fn foreign(path: &Path) -> Result<Option<&'static str>, Unparsable> {
    let file = open_regular(path)?;
    let length = file.metadata()?.len();
    let first = bytes(&file, 0, LOOKED_AT.min(length))?;
    let found = FOREIGN.iter().find(|(start, _)| first.starts_with(start));
    Ok(found.map(|(_, name)| *name))
}

fn bytes(file: &File, offset: u64, length: u64) -> Result<Vec<u8>, Unparsable> {
    let mut bytes = vec![0; length as usize];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

/// The files that an image names. Fails if what names them cannot be read.
pub fn companions(path: &Path, format: Format) -> Result<Vec<Companion>, Unparsable> {
    match format {
        Format::Qcow2 => of_qcow2(path),
        Format::Vmdk => of_vmdk(path),
        _ => Ok(Vec::new()),
    }
}

fn of_qcow2(path: &Path) -> Result<Vec<Companion>, Unparsable> {
    let image = ImageBytes::open_to_read(path)?;
    let header = Header::read(&image)?;
    let parts = Extensions::read(&image, &header)?;
    let backing = parts.backing().map(|(name, format)| Companion {
        name,
        role: Role::Backing(format),
    });
    let has_data_file = header.incompatible_features & EXTERNAL_DATA_FILE != 0;
    let data_file = has_data_file.then(|| Companion {
        name: parts.data_file(),
        role: Role::DataFile,
    });
    Ok(backing.into_iter().chain(data_file).collect())
}

/// The extents and the parent that a descriptor names. An extent of the name of the image itself is the image.
fn of_vmdk(path: &Path) -> Result<Vec<Companion>, Unparsable> {
    let file = open_regular(path)?;
    let length = file.metadata()?.len().min(DESCRIPTOR_BYTES_MAX);
    let head = bytes(&file, 0, length)?;
    let text = String::from_utf8_lossy(&head);
    let Some(start) = text.find("# Disk DescriptorFile") else {
        return Ok(Vec::new());
    };
    let text = &text[start..];
    let text = &text[..text.find('\0').unwrap_or(text.len())];
    let own = path.file_name().unwrap_or_default().to_string_lossy();
    let companion = |line: &str| {
        let (name, role) = if let Some(extent) = ExtentLine::parsed(line) {
            (extent.file_name?, Role::Extent)
        } else {
            let hint = line.strip_prefix("parentFileNameHint")?;
            let role = Role::Backing(Some(Format::Vmdk.name().to_owned()));
            (hint.split('"').nth(1)?, role)
        };
        let name = name.to_owned();
        (name != own).then_some(Companion { name, role })
    };
    Ok(text.lines().map(str::trim).filter_map(companion).collect())
}

#[cfg(test)]
mod tests;
