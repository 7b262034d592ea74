//! vmdk with one sparse extent: "Hosted Sparse Extents" in VMware's Virtual Disk Format 5.0. Numbers are little-endian, places are in sectors.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::super::flat::{EXTENT_BYTES_MAX, descriptor, read_descriptor};
use super::{Kind, PIECES_MAX, Plan, Table, put, read, word};
use crate::disk_format::qcow2::Unparsable;
use crate::image::content::open_regular;
use crate::image::format::SECTOR_BYTES;
use crate::image::options::{CreateOptions, Subformat};

const MAGIC: &[u8] = b"KDMV";
/// The size of a grain that is written, in bytes.
const GRAIN_BYTES: u64 = 64 << 10;
/// The entries of a grain table, and its length in sectors.
const TABLE_ENTRIES: u64 = 512;
const TABLE_SECTORS: u64 = TABLE_ENTRIES * 4 / SECTOR_BYTES;
/// Where the descriptor stands in the extent, and how long it may be.
const DESCRIPTOR: u64 = 1;
const DESCRIPTOR_SECTORS: u64 = 20;
/// Bits of `flags`: the characters of line ends are there to be checked, there is a redundant grain directory, grains can be marked as zero.
const CHECKED: u32 = 1;
const REDUNDANT: u32 = 2;
const ZEROED: u32 = 4;
/// Flags that change how grains are read: compression and markers.
const COMPRESSED: u32 = 3 << 16;
/// The entry of a grain that reads as zeros.
const ZERO: u32 = 1;

/// What the options of a sparse vmdk say.
#[derive(Clone, Debug)]
pub(super) struct SparseVmdk {
    /// The size of a grain in bytes.
    pub(super) grain_bytes: u64,
    /// Whether grains can be marked as zero.
    is_zeroed: bool,
    /// Whether the extent is a file beside the descriptor.
    is_split: bool,
    descriptor: Descriptor,
}

/// Where the text of the descriptor comes from.
#[derive(Clone, Debug)]
enum Descriptor {
    /// It is written anew.
    Options(CreateOptions),
    /// It was read, and stays.
    Text(String),
}

impl SparseVmdk {
    pub(super) fn with_options(options: &CreateOptions) -> Self {
        Self {
            grain_bytes: GRAIN_BYTES,
            is_zeroed: options.zeroed_grain() == Some(true),
            is_split: options.subformat() == Some(Subformat::TwoGbMaxExtentSparse),
            descriptor: Descriptor::Options(options.clone()),
        }
    }

    pub(super) fn plan(
        &self,
        path: &Path,
        size: u64,
        present: &BTreeSet<u64>,
        zeros: &BTreeSet<u64>,
    ) -> Result<Plan, Unparsable> {
        if self.is_split && size > EXTENT_BYTES_MAX {
            let why = "a vmdk with more than one sparse extent is not written here";
            return Err(Unparsable::new(why));
        }
        let table_bytes = self.grain_bytes * TABLE_ENTRIES;
        let tables = size.div_ceil(table_bytes);
        let directory = (tables * 4).div_ceil(SECTOR_BYTES);
        let redundant = DESCRIPTOR + DESCRIPTOR_SECTORS;
        let own = redundant + directory + tables * TABLE_SECTORS;
        let grain = self.grain_bytes / SECTOR_BYTES;
        let overhead = (own + directory + tables * TABLE_SECTORS).next_multiple_of(grain);
        let mut entries: BTreeMap<u64, u32> = BTreeMap::new();
        if self.is_zeroed {
            entries.extend(zeros.iter().map(|block| (*block, ZERO)));
        }
        let mut plan = Plan::default();
        let mut end = overhead;
        for block in present {
            let sector = u32::try_from(end);
            let sector = sector.map_err(|_| Unparsable::new("the extent has more than 2 TiB"))?;
            entries.insert(*block, sector);
            plan.offsets.insert(*block, end * SECTOR_BYTES);
            end += grain;
        }
        for start in [redundant, own] {
            let mut places = Vec::new();
            for index in 0..tables {
                let place = (start + directory + index * TABLE_SECTORS) as u32;
                places.extend(place.to_le_bytes());
                let mut table = vec![0; (TABLE_ENTRIES * 4) as usize];
                let first = index * TABLE_ENTRIES;
                for (block, entry) in entries.range(first..first + TABLE_ENTRIES) {
                    put(
                        &mut table,
                        (block - first) as usize * 4,
                        &entry.to_le_bytes(),
                    );
                }
                plan.written.push((u64::from(place) * SECTOR_BYTES, table));
            }
            plan.written.push((start * SECTOR_BYTES, places));
        }
        plan.written
            .push((0, self.header(size, [redundant, own, overhead])));
        let (name, text) = self.named_descriptor(path, size)?;
        match self.is_split {
            true => plan.extent = Some((name, text)),
            false => plan
                .written
                .push((DESCRIPTOR * SECTOR_BYTES, text.into_bytes())),
        }
        plan.length = end * SECTOR_BYTES;
        Ok(plan)
    }

    /// The name of the file that holds the extent, and the text of the descriptor. Fails if that does not fit into the extent.
    fn named_descriptor(&self, path: &Path, size: u64) -> Result<(String, String), Unparsable> {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let name = match self.is_split {
            true => format!("{stem}-s001.vmdk"),
            false => path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
        };
        let sectors = size.div_ceil(SECTOR_BYTES);
        let extents = format!("RW {sectors} SPARSE \"{name}\"\n");
        let usual = Subformat::MonolithicSparse;
        let text = match &self.descriptor {
            Descriptor::Options(options) => descriptor(size, options, usual, &extents),
            Descriptor::Text(text) => text.clone(),
        };
        if text.len() as u64 > DESCRIPTOR_SECTORS * SECTOR_BYTES {
            return Err(Unparsable::new(
                "the descriptor does not fit into the extent",
            ));
        }
        Ok((name, text))
    }

    fn header(&self, size: u64, [redundant, own, overhead]: [u64; 3]) -> Vec<u8> {
        let mut header = vec![0; SECTOR_BYTES as usize];
        put(&mut header, 0, MAGIC);
        let version: u32 = if self.is_zeroed { 2 } else { 1 };
        let zeroed = if self.is_zeroed { ZEROED } else { 0 };
        put(&mut header, 4, &version.to_le_bytes());
        put(
            &mut header,
            8,
            &(CHECKED | REDUNDANT | zeroed).to_le_bytes(),
        );
        let (text, sectors) = match self.is_split {
            true => (0, 0),
            false => (DESCRIPTOR, DESCRIPTOR_SECTORS),
        };
        let numbers = [
            (12, size.div_ceil(SECTOR_BYTES)),
            (20, self.grain_bytes / SECTOR_BYTES),
            (28, text),
            (36, sectors),
            (48, redundant),
            (56, own),
            (64, overhead),
        ];
        for (offset, number) in numbers {
            put(&mut header, offset, &number.to_le_bytes());
        }
        put(&mut header, 44, &(TABLE_ENTRIES as u32).to_le_bytes());
        put(&mut header, 73, b"\n \r\n");
        header
    }
}

/// Whether the image is a descriptor, and all of its extents are flat.
pub(in super::super) fn is_flat(path: &Path) -> Result<bool, Unparsable> {
    let is_sparse =
        read(&open_regular(path)?, 0, MAGIC.len() as u64).is_ok_and(|magic| magic == MAGIC);
    Ok(!is_sparse && !read_descriptor(path)?.contains(" SPARSE \""))
}

/// The file that holds the extent. Fails if there are several, or if it lies in another directory.
pub(super) fn extent(path: &Path) -> Result<PathBuf, Unparsable> {
    if read(&open_regular(path)?, 0, MAGIC.len() as u64)? == MAGIC {
        return Ok(path.to_owned());
    }
    let text = read_descriptor(path)?;
    let mut lines = text.lines().filter(|line| line.contains(" SPARSE \""));
    match (
        lines.next().and_then(|line| line.split('"').nth(1)),
        lines.next(),
    ) {
        (Some(name), None) if !name.contains('/') => Ok(path.with_file_name(name)),
        (Some(_), None) => Err(Unparsable::new("the extent lies in another directory")),
        (Some(_), Some(_)) => Err(Unparsable::new("a vmdk with several sparse extents")),
        (None, _) => Err(Unparsable::new("a vmdk without a sparse extent")),
    }
}

/// Reads the header, the grain directory and the grain tables of an extent, and the descriptor of the image at `path`. `written` are the ranges of the file that
/// are no holes, ascending: a table in a hole has no entries.
pub(super) fn table(
    file: &File,
    path: &Path,
    is_split: bool,
    written: &[Range<u64>],
) -> Result<Table, Unparsable> {
    let header = read(file, 0, SECTOR_BYTES)?;
    let long = |offset| word::<8>(&header, offset);
    let flags = word::<4>(&header, 8);
    if !header.starts_with(MAGIC) || flags & u64::from(COMPRESSED) != 0 {
        return Err(Unparsable::new("the extent is not plainly sparse"));
    }
    let (grain, entries) = (long(20), word::<4>(&header, 44));
    if !(8..=2048).contains(&grain) || !grain.is_power_of_two() || entries != TABLE_ENTRIES {
        return Err(Unparsable::new(
            "a vmdk with grains or grain tables of another size",
        ));
    }
    let grain_bytes = grain * SECTOR_BYTES;
    let size = long(12).saturating_mul(SECTOR_BYTES);
    let tables = size.div_ceil(grain_bytes * TABLE_ENTRIES);
    let directory = read(file, long(56).saturating_mul(SECTOR_BYTES), tables * 4)?;
    let is_zeroed = flags & u64::from(ZEROED) != 0;
    let length = file.metadata()?.len();
    let mut blocks = Vec::new();
    for (index, place) in (0..).zip(directory.chunks_exact(4)) {
        let place = word::<4>(place, 0) * SECTOR_BYTES;
        let end = place + TABLE_ENTRIES * 4;
        if place == 0 || (end <= length && is_hole(written, place, end)) {
            continue;
        }
        let table = read(file, place, TABLE_ENTRIES * 4)?;
        for (within, entry) in (0..).zip(table.chunks_exact(4)) {
            let offset = match word::<4>(entry, 0) {
                0 => continue,
                sector if is_zeroed && sector == u64::from(ZERO) => None,
                sector => Some(sector * SECTOR_BYTES),
            };
            blocks.push((index * TABLE_ENTRIES + within, offset));
        }
        if blocks.len() as u64 > PIECES_MAX {
            return Err(Unparsable::new(
                "the image has more grains than are read here",
            ));
        }
    }
    let text = match is_split {
        true => read_descriptor(path)?,
        false => {
            let length = long(36).saturating_mul(SECTOR_BYTES);
            let bytes = read(file, long(28).saturating_mul(SECTOR_BYTES), length)?;
            let text = String::from_utf8_lossy(&bytes);
            text.trim_end_matches('\0').to_owned()
        }
    };
    let kind = Kind::Vmdk(SparseVmdk {
        grain_bytes,
        is_zeroed,
        is_split,
        descriptor: Descriptor::Text(text),
    });
    Ok(Table { kind, size, blocks })
}

/// Whether no part of `place..end` was written.
fn is_hole(written: &[Range<u64>], place: u64, end: u64) -> bool {
    let behind = written.partition_point(|range| range.end <= place);
    written.get(behind).is_none_or(|range| range.start >= end)
}
