//! What of an image's files is structure and what is guest data: the ranges of headers, tables and descriptors.
//!
//! `run/kept_image.rs` uses it to keep an image without somebody's data. It lists what is known to be structure; whatever else is in a file counts as guest
//! data. Images whose data cannot be told from their structure (compressed, encrypted) are refused by name.

mod qcow2;

use std::ops::Range;
use std::path::Path;

use super::qcow2::{ImageBytes, Unparsable, number};
use crate::image::format::{Format, SECTOR_BYTES};

/// The most entries of a table that are visited.
const ENTRIES_MAX: u64 = 1 << 22;

/// The ranges of structure in one file, which is opened for reading and writing and not written.
struct Walk {
    image: ImageBytes,
    ranges: Vec<Range<u64>>,
}

impl Walk {
    /// Notes a range, as far as it is in the file.
    fn add(&mut self, offset: u64, length: u64) {
        let end = offset.saturating_add(length).min(self.image.length());
        if offset < end {
            self.ranges.push(offset..end);
        }
    }

    /// Reads a structure and notes its range.
    fn read(&mut self, what: &str, offset: u64, length: u64) -> Result<Vec<u8>, Unparsable> {
        self.add(offset, length);
        self.image.read(what, offset, length)
    }

    /// Reads a table of `count` entries of `bytes` each.
    fn table(
        &mut self,
        what: &str,
        offset: u64,
        count: u64,
        bytes: u64,
    ) -> Result<Vec<u8>, Unparsable> {
        if count > ENTRIES_MAX {
            return Err(Unparsable::new(format!("{what} has {count} entries")));
        }
        match count {
            0 => Ok(Vec::new()),
            _ => self.read(what, offset, count * bytes),
        }
    }
}

/// The unsigned little-endian integer of `LENGTH` bytes at `offset`; missing bytes count as zero.
pub(super) fn little<const LENGTH: usize>(bytes: &[u8], offset: usize) -> u64 {
    let there = bytes.get(offset..).unwrap_or_default();
    let word = there.iter().take(LENGTH).rev();
    word.fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Why the data of an image cannot be told from its structure.
fn mixed(what: &str) -> Unparsable {
    Unparsable::new(format!("its data is {what}, and cannot be replaced"))
}

/// Returns the ranges of structure of an image's own file, ascending; they may overlap.
pub fn of_image(path: &Path, format: Format) -> Result<Vec<Range<u64>>, Unparsable> {
    let mut walk = Walk {
        image: ImageBytes::open(path)?,
        ranges: Vec::new(),
    };
    match format {
        Format::Raw => {}
        Format::Qcow2 => qcow2::walk(&mut walk)?,
        Format::Vmdk => walk.vmdk()?,
        Format::Vpc => walk.vpc()?,
        Format::Vhdx => walk.vhdx()?,
        Format::Vdi => walk.vdi()?,
        Format::Qcow => walk.qcow()?,
        Format::Parallels => walk.parallels()?,
        Format::Dmg => return Err(mixed("compressed")),
        Format::Luks | Format::Qed => {
            return Err(Unparsable::new(
                "the structure of such an image is not known here",
            ));
        }
    }
    walk.ranges.sort_by_key(|range| (range.start, range.end));
    Ok(walk.ranges)
}

/// Returns the ranges of structure of a file that belongs to an image: an extent, or a data file, which is guest data alone.
pub fn of_part(path: &Path, format: Format) -> Result<Vec<Range<u64>>, Unparsable> {
    let magic = ImageBytes::open(path)?;
    let is_sparse = magic.length() >= SECTOR_BYTES && magic.read("a magic", 0, 4)? == *b"KDMV";
    match format == Format::Vmdk && is_sparse {
        true => of_image(path, format),
        false => Ok(Vec::new()),
    }
}

impl Walk {
    /// VMware Virtual Disk Format 5.0: descriptor, sparse extent header, grain directories and tables.
    fn vmdk(&mut self) -> Result<(), Unparsable> {
        let header = self.image.read("the header", 0, SECTOR_BYTES)?;
        if header.starts_with(b"# Disk DescriptorFile") {
            self.add(0, self.image.length());
            return Ok(());
        }
        if !header.starts_with(b"KDMV") {
            return Err(Unparsable::new("an extent of this kind is not known"));
        }
        self.add(0, SECTOR_BYTES);
        let place = |at: usize| little::<8>(&header, at).saturating_mul(SECTOR_BYTES);
        if little::<2>(&header, 77) != 0 {
            return Err(mixed("compressed"));
        }
        self.add(place(28), place(36));
        let (capacity, grain) = (little::<8>(&header, 12), little::<8>(&header, 20).max(1));
        let entries = little::<4>(&header, 44).max(1);
        let tables = capacity.div_ceil(grain).div_ceil(entries);
        for directory in [place(48), place(56)]
            .into_iter()
            .filter(|place| *place > 0)
        {
            let bytes = self.table("a grain directory", directory, tables, 4)?;
            for table in bytes.chunks(4).map(|entry| little::<4>(entry, 0)) {
                self.add(
                    table * SECTOR_BYTES,
                    if table > 0 { entries * 4 } else { 0 },
                );
            }
        }
        Ok(())
    }

    /// Virtual Hard Disk Image Format Specification: footer, its copy, dynamic disk header, parent locators, table, bitmaps of blocks.
    fn vpc(&mut self) -> Result<(), Unparsable> {
        let last = self.image.length().saturating_sub(SECTOR_BYTES);
        let footer = self.read("the footer", last, SECTOR_BYTES)?;
        if !matches!(number::<4>(&footer, 60), 3 | 4) {
            return Ok(());
        }
        self.add(0, SECTOR_BYTES);
        let header = self.read("the dynamic header", number::<8>(&footer, 16), 1024)?;
        for locator in (576..768).step_by(24) {
            let length = number::<4>(&header, locator + 4).max(number::<4>(&header, locator + 8));
            self.add(number::<8>(&header, locator + 16), length);
        }
        let (count, block) = (number::<4>(&header, 28), number::<4>(&header, 32));
        let bitmap = (block / SECTOR_BYTES / 8).next_multiple_of(SECTOR_BYTES);
        let table = self.table("the block table", number::<8>(&header, 16), count, 4)?;
        for entry in table.chunks(4).map(|entry| number::<4>(entry, 0)) {
            self.add(
                entry * SECTOR_BYTES,
                if entry == u64::from(u32::MAX) {
                    0
                } else {
                    bitmap
                },
            );
        }
        Ok(())
    }

    /// [MS-VHDX] 2.2: the header section, the log, and the two regions of metadata.
    fn vhdx(&mut self) -> Result<(), Unparsable> {
        const PIECE: u64 = 64 << 10;
        self.add(0, 5 * PIECE);
        for at in [PIECE, 2 * PIECE] {
            let header = self.image.read("a header", at, 4096)?;
            self.add(little::<8>(&header, 72), little::<4>(&header, 68));
        }
        for at in [3 * PIECE, 4 * PIECE] {
            let table = self.image.read("a region table", at, PIECE)?;
            let count = little::<4>(&table, 8).min(2047) as usize;
            for entry in (0..count).map(|index| 16 + index * 32) {
                self.add(
                    little::<8>(&table, entry + 16),
                    little::<4>(&table, entry + 24),
                );
            }
        }
        Ok(())
    }

    /// QEMU, block/vdi.c: the header and the block map.
    fn vdi(&mut self) -> Result<(), Unparsable> {
        let header = self.read("the header", 0, SECTOR_BYTES)?;
        self.add(
            little::<4>(&header, 340),
            little::<4>(&header, 384).saturating_mul(4),
        );
        Ok(())
    }

    /// QEMU, block/qcow.c: the header, the name of the backing file, both levels of tables.
    fn qcow(&mut self) -> Result<(), Unparsable> {
        let header = self.read("the header", 0, 48)?;
        if number::<4>(&header, 36) != 0 {
            return Err(mixed("encrypted"));
        }
        self.add(number::<8>(&header, 8), number::<4>(&header, 16));
        let (cluster, l2) = (number::<1>(&header, 32), number::<1>(&header, 33));
        if cluster > 22 || l2 > 22 {
            return Err(Unparsable::new("clusters of this size are not known"));
        }
        let count = number::<8>(&header, 24).div_ceil(1 << (cluster + l2));
        let l1 = self.table("the L1 table", number::<8>(&header, 40), count, 8)?;
        for table in l1.chunks(8).map(|entry| number::<8>(entry, 0)) {
            if table > 0 && table < self.image.length() {
                let entries = self.read("an L2 table", table, 8 << l2)?;
                let first = |entry: &[u8]| number::<8>(entry, 0) >> 63;
                if entries.chunks(8).any(|entry| first(entry) == 1) {
                    return Err(mixed("compressed"));
                }
            }
        }
        Ok(())
    }

    /// QEMU, docs/interop/parallels.rst: the header, the table, the cluster of extensions.
    fn parallels(&mut self) -> Result<(), Unparsable> {
        let header = self.read("the header", 0, 64)?;
        self.add(64, little::<4>(&header, 32).saturating_mul(4));
        let (extension, cluster) = (little::<8>(&header, 56), little::<4>(&header, 28));
        let length = if extension == 0 {
            0
        } else {
            cluster * SECTOR_BYTES
        };
        self.add(extension.saturating_mul(SECTOR_BYTES), length);
        Ok(())
    }
}
