//! Images whose guest bytes lie in files as they are: raw, and vmdk with flat extents.
//!
//! A change is made at once. Descriptors follow "Virtual Disk Format 5.0".

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FallocateFlags, fallocate};

use super::cluster::read_padded;
use crate::disk_format::extent_line::ExtentLine;
use crate::disk_format::qcow2::Unparsable;
use crate::image::content::{create_in_place, data_segments, open_regular, open_regular_to_change};
use crate::image::format::SECTOR_BYTES;
use crate::image::options::{CreateOptions, Subformat};

/// The most bytes of an extent that a `twoGbMaxExtentFlat` image has.
pub(super) const EXTENT_BYTES_MAX: u64 = 2 << 30;
/// The longest descriptor that is read, in bytes.
const DESCRIPTOR_BYTES_MAX: u64 = 64 << 10;
/// How much is written of zeros at once, where the file system cannot make a hole.
const ZEROS_BYTES: usize = 1 << 20;

/// A part of the guest's address space that lies in one file.
#[derive(Clone, Debug)]
struct Extent {
    file: Arc<File>,
    /// Guest offset in bytes.
    start: u64,
    /// In bytes.
    length: u64,
    /// Where it begins in the file, in bytes.
    offset: u64,
}

/// The files that hold an image's guest bytes.
#[derive(Clone, Debug)]
pub struct FlatFile {
    extents: Vec<Extent>,
}

impl FlatFile {
    /// Opens a raw image. Its size is its length rounded up to whole sectors (QEMU, block/raw-format.c).
    pub fn open_raw(path: &Path) -> Result<(Self, u64), Unparsable> {
        let file = open_regular_to_change(path)?;
        let length = file.metadata()?.len().next_multiple_of(SECTOR_BYTES);
        let extent = Extent {
            file: Arc::new(file),
            start: 0,
            length,
            offset: 0,
        };
        let extents = vec![extent];
        Ok((Self { extents }, length))
    }

    /// Opens a vmdk by its descriptor. Fails for extents that are not flat.
    pub fn open_vmdk(path: &Path) -> Result<(Self, u64), Unparsable> {
        let text = read_descriptor(path)?;
        let directory = path.parent().unwrap_or(Path::new("."));
        let mut extents = Vec::new();
        let mut start: u64 = 0;
        for line in text.lines() {
            let Some(extent) = ExtentLine::parsed(line) else {
                continue;
            };
            let wrong = || Unparsable::new(format!("the extent '{}'", line.escape_debug()));
            let is_flat = (extent.access, extent.kind) == ("RW", "FLAT");
            let name = extent.file_name.filter(|name| !name.contains('/'));
            let name = name.filter(|_| is_flat).ok_or_else(wrong)?;
            let sectors = extent.sectors.ok_or_else(wrong)?;
            let length = sectors.checked_mul(SECTOR_BYTES).ok_or_else(wrong)?;
            extents.push(Extent {
                file: Arc::new(open_regular_to_change(&directory.join(name))?),
                start,
                length,
                offset: extent.offset.checked_mul(SECTOR_BYTES).ok_or_else(wrong)?,
            });
            start = start.checked_add(length).ok_or_else(wrong)?;
        }
        Ok((Self { extents }, start))
    }

    /// The extents that overlap a guest range, each with the part: its guest range and its place in the file.
    fn parts(&self, from: u64, to: u64) -> impl Iterator<Item = (&File, u64, u64, u64)> {
        self.extents.iter().filter_map(move |extent| {
            let start = from.max(extent.start);
            let end = to.min(extent.start + extent.length);
            let place = extent.offset + start.saturating_sub(extent.start);
            (start < end).then_some((&*extent.file, start, end, place))
        })
    }

    pub(super) fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Unparsable> {
        let end = offset + bytes.len() as u64;
        for (file, start, end, place) in self.parts(offset, end) {
            let part = &mut bytes[(start - offset) as usize..(end - offset) as usize];
            read_padded(file, place, part)?;
        }
        Ok(())
    }

    pub(super) fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), Unparsable> {
        let end = offset + bytes.len() as u64;
        for (file, start, end, place) in self.parts(offset, end) {
            let part = &bytes[(start - offset) as usize..(end - offset) as usize];
            file.write_all_at(part, place)?;
        }
        Ok(())
    }

    /// Makes a range zero; `keeps` its space on the host.
    pub(super) fn zero(&self, offset: u64, length: u64, keeps: bool) -> Result<(), Unparsable> {
        for (file, start, end, place) in self.parts(offset, offset + length) {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            if fallocate(file, flags, place, end - start).is_ok() {
                let kept =
                    keeps.then(|| fallocate(file, FallocateFlags::KEEP_SIZE, place, end - start));
                kept.transpose().map_err(std::io::Error::from)?;
                continue;
            }
            let zeros = vec![0; ZEROS_BYTES.min((end - start) as usize)];
            let mut done = start;
            while done < end {
                let piece = ((end - done) as usize).min(zeros.len());
                file.write_all_at(&zeros[..piece], place + (done - start))?;
                done += piece as u64;
            }
        }
        Ok(())
    }

    /// Changes the length of a raw image, in bytes.
    pub(super) fn resize(&mut self, size: u64) -> Result<(), Unparsable> {
        match &mut self.extents[..] {
            [extent] if extent.offset == 0 => {
                extent.file.set_len(size)?;
                extent.length = size;
                Ok(())
            }
            _ => Err(Unparsable::new(
                "an image of several extents keeps its size",
            )),
        }
    }

    /// The guest ranges that hold data, ascending.
    pub(super) fn data(&self) -> Result<Vec<(u64, u64)>, Unparsable> {
        let mut found = Vec::new();
        for extent in &self.extents {
            for segment in data_segments(&extent.file)? {
                let from = segment.start.max(extent.offset);
                let to = segment.end.min(extent.offset + extent.length);
                if from < to {
                    let guest = |place: u64| extent.start + (place - extent.offset);
                    found.push((guest(from), guest(to)));
                }
            }
        }
        Ok(found)
    }
}

/// Makes a raw image of `size` zero bytes; one that was there is replaced.
pub fn create_raw(path: &Path, size: u64) -> Result<(), Unparsable> {
    let file = create_in_place(path)?;
    Ok(file.set_len(size.next_multiple_of(SECTOR_BYTES))?)
}

/// Makes a vmdk of `size` zero bytes with flat extents, as its options say.
pub fn create_flat_vmdk(path: &Path, size: u64, options: &CreateOptions) -> Result<(), Unparsable> {
    let subformat = options.subformat().unwrap_or(Subformat::MonolithicFlat);
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut extents = String::new();
    let mut made = 0;
    for index in 1.. {
        let (name, most) = match subformat {
            Subformat::TwoGbMaxExtentFlat => (format!("{stem}-f{index:03}.vmdk"), EXTENT_BYTES_MAX),
            _ => (format!("{stem}-flat.vmdk"), u64::MAX),
        };
        let length = (size - made).min(most);
        create_raw(&directory.join(&name), length)?;
        let sectors = length.div_ceil(SECTOR_BYTES);
        let _ = writeln!(extents, "RW {sectors} FLAT \"{name}\" 0");
        made += length;
        if made >= size {
            break;
        }
    }
    let text = descriptor(size, options, subformat, &extents);
    Ok(create_in_place(path)?.write_all(text.as_bytes())?)
}

/// The text of a descriptor file.
pub(super) fn read_descriptor(path: &Path) -> Result<String, Unparsable> {
    let mut file = open_regular(path)?;
    let mut text = String::new();
    if file.metadata()?.len() <= DESCRIPTOR_BYTES_MAX {
        file.read_to_string(&mut text)?;
    }
    match text.starts_with("# Disk DescriptorFile") {
        true => Ok(text),
        false => Err(Unparsable::new("the file is no descriptor of a vmdk")),
    }
}

/// The descriptor of an image of `size` bytes with these options and lines of `extents`; `subformat` is that of an image for which none is given.
pub(super) fn descriptor(
    size: u64,
    options: &CreateOptions,
    subformat: Subformat,
    extents: &str,
) -> String {
    let subformat = options.subformat().unwrap_or(subformat);
    let text = |given: Option<&String>, usual: &str| given.map_or(usual, String::as_str).to_owned();
    let hardware = match options.compat6() {
        Some(true) => "6".to_owned(),
        _ => text(options.hardware_version(), "4"),
    };
    let adapter = text(options.adapter_type(), "ide");
    let (heads, track) = (16, 63);
    let cylinders = size / (heads * track * SECTOR_BYTES);
    format!(
        "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"{subformat}\"\n\n# Extent description\n{extents}\n# The Disk Data Base\n#DDB\n\n\
         ddb.virtualHWVersion = \"{hardware}\"\nddb.geometry.cylinders = \"{cylinders}\"\nddb.geometry.heads = \"{heads}\"\n\
         ddb.geometry.sectors = \"{track}\"\nddb.adapterType = \"{adapter}\"\n"
    )
}
