//! Header extensions, bitmaps, and the header fields that [`Header`] omits: "Header extensions" and "Bitmaps" in QEMU's qcow2 specification.
//!
//! The audit reads them. If the autoclear bit of the bitmaps is clear, the image has no valid bitmaps: a program that does not support them has
//! written to it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::header::Header;
use super::{ImageBytes, Unparsable, number};

pub(in crate::disk_format) const BACKING_FORMAT: u64 = 0xe279_2aca;
pub(in crate::disk_format) const BITMAPS: u64 = 0x2385_2875;
pub(in crate::disk_format) const ENCRYPTION: u64 = 0x0537_be77;
pub(in crate::disk_format) const DATA_FILE: u64 = 0x4441_5441;
/// Bit 0 of `autoclear_features`: the bitmaps are consistent with the contents.
const CONSISTENT_BITMAPS: u64 = 1;
/// The dirty bit of `incompatible_features`. It is left out of the facts, because it says whether the file was closed cleanly, not how the image
/// was created.
const DIRTY: u64 = 1;
/// Bits 9-55 of a bitmap table entry: the offset.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
/// The largest bitmap directory or bitmap table that is read, in bytes.
const BITMAP_TABLE_BYTES_MAX: u64 = 16 << 20;
/// The most bytes of bitmap tables and bitmap data that are read of one image. Without a limit, many entries that point to one cluster would take
/// for ever.
const BITMAPS_BYTES_MAX: u64 = 64 << 20;

/// The most ranges of set bits that are returned for one image.
const DIRTY_RANGES_MAX: usize = 1 << 20;

/// How much of the first cluster is read at first, in bytes: seldom is anything behind it.
const HEAD_BYTES: u64 = 4096;

/// The length of the fixed part of a directory entry, in bytes.
const ENTRY_BYTES: usize = 24;

/// The header's extensions by type, and further header fields.
pub struct Extensions {
    found: BTreeMap<u64, Vec<u8>>,
    compatible_features: u64,
    autoclear_features: u64,
    crypt_method: u64,
    backing_file: String,
    compression_type: u64,
}

/// A bitmap as an image stores it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FoundBitmap {
    /// The bitmap's name.
    pub name: String,
    /// The number of guest bytes that one bit covers.
    pub granularity: u64,
    /// Bit 1 of its flags, `auto`: the bitmap records writes.
    pub enabled: bool,
    /// Bit 0 of its flags, `in_use`: the bitmap was not saved correctly.
    pub in_use: bool,
    /// The ranges [start, end) of set bits, in granules. Adjacent ranges are joined.
    pub dirty: Vec<(u64, u64)>,
}

/// A bitmap and the host clusters that it occupies.
pub(super) struct StoredBitmap {
    pub(super) found: FoundBitmap,
    /// The offsets of the clusters of its table and of its data, in bytes.
    pub(super) clusters: Vec<u64>,
}

impl Extensions {
    /// Reads the extensions and fields in the first cluster. Fails if an extension does not end there.
    pub fn read(image: &ImageBytes, header: &Header) -> Result<Self, Unparsable> {
        let parse = |length| Self::parse(&image.read("the header", 0, length)?, header);
        match parse(header.cluster_size().min(HEAD_BYTES)) {
            Ok((extensions, end)) if end <= HEAD_BYTES as usize => Ok(extensions),
            _ => Ok(parse(header.cluster_size())?.0),
        }
    }

    /// Returns the extensions and fields in `first`, the beginning of the first cluster, and where what they tell ends in it.
    fn parse(first: &[u8], header: &Header) -> Result<(Self, usize), Unparsable> {
        let field = |offset: usize, from: u32| match header.version >= from {
            true => number::<8>(first, offset),
            false => 0,
        };
        let (backing, length) = (
            number::<8>(first, 8) as usize,
            number::<4>(first, 16) as usize,
        );
        let name = first
            .get(backing..backing.saturating_add(length))
            .unwrap_or_default();
        let has_backing = backing != 0;
        let header_length = match header.version {
            2 => 72,
            _ => number::<4>(first, 100) as usize,
        };
        let mut found = BTreeMap::new();
        let mut place = header_length;
        let end = if has_backing { backing } else { first.len() };
        while place + 8 <= end {
            let (kind, length) = (
                number::<4>(first, place),
                number::<4>(first, place + 4) as usize,
            );
            if kind == 0 {
                break;
            }
            let data = first.get(place + 8..(place + 8).saturating_add(length));
            let data = data.ok_or_else(|| {
                Unparsable::new(format!(
                    "header extension {kind:#x} does not end in the first cluster"
                ))
            })?;
            found.insert(kind, data.to_vec());
            place += 8 + length.next_multiple_of(8);
        }
        // The header of one more extension would stand here, if there was room for it.
        let last = (place + 8).min(if has_backing { backing } else { usize::MAX });
        let extensions = Self {
            found,
            compatible_features: field(80, 3),
            autoclear_features: field(88, 3),
            crypt_method: number::<4>(first, 32),
            backing_file: match has_backing {
                true => String::from_utf8_lossy(name).into_owned(),
                false => String::new(),
            },
            compression_type: match header_length > 104 {
                true => number::<1>(first, 104),
                false => 0,
            },
        };
        Ok((extensions, last.max(backing.saturating_add(length))))
    }

    /// The facts that two images of the same recipe must share, by name.
    pub fn facts(
        &self,
        image: &ImageBytes,
        header: &Header,
    ) -> Result<BTreeMap<String, String>, Unparsable> {
        let text = |kind: u64| {
            let data = self.found.get(&kind).map(Vec::as_slice).unwrap_or_default();
            String::from_utf8_lossy(data).into_owned()
        };
        let numbers = [
            ("version", u64::from(header.version)),
            ("cluster_bits", u64::from(header.cluster_bits)),
            ("size", header.size),
            ("refcount_order", u64::from(header.refcount_order)),
            (
                "incompatible_features",
                header.incompatible_features & !DIRTY,
            ),
            ("compatible_features", self.compatible_features),
            ("autoclear_features", self.autoclear_features),
            ("crypt_method", self.crypt_method),
            ("compression_type", self.compression_type),
            ("nb_snapshots", u64::from(header.nb_snapshots)),
            ("nb_bitmaps", self.bitmaps(image, header)?.len() as u64),
        ];
        let mut facts: BTreeMap<String, String> = numbers
            .map(|(name, number)| (name.to_owned(), number.to_string()))
            .into();
        let texts = [
            ("backing_file", self.backing_file.clone()),
            ("backing_format", text(BACKING_FORMAT)),
            ("data_file", text(DATA_FILE)),
        ];
        facts.extend(texts.map(|(name, text)| (name.to_owned(), text)));
        Ok(facts)
    }

    fn text(&self, kind: u64) -> Option<String> {
        let data = self.found.get(&kind)?;
        Some(String::from_utf8_lossy(data).into_owned())
    }

    /// The stored name of the backing file, and that of its format.
    pub fn backing(&self) -> Option<(String, Option<String>)> {
        let name = self.backing_file.clone();
        (!name.is_empty()).then(|| (name, self.text(BACKING_FORMAT)))
    }

    /// The stored name of the external data file; empty where there is none.
    pub fn data_file(&self) -> String {
        self.text(DATA_FILE).unwrap_or_default()
    }

    /// Whether guest data is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.crypt_method != 0
    }

    /// Whether updates of refcounts may be postponed (bit 0 of `compatible_features`).
    pub fn has_lazy_refcounts(&self) -> bool {
        self.compatible_features & 1 != 0
    }

    /// Whether the external data file must remain a valid raw image (bit 1 of `autoclear_features`).
    pub fn is_data_file_raw(&self) -> bool {
        self.autoclear_features & 2 != 0
    }

    /// The regions (offset, length) in bytes that extensions point to: the encryption header and the bitmap directory, without the bitmaps.
    pub(super) fn regions(&self) -> Vec<(u64, u64)> {
        let encryption = self.found.get(&ENCRYPTION).filter(|data| data.len() >= 16);
        let encryption = encryption.map(|data| (number::<8>(data, 0), number::<8>(data, 8)));
        let directory = self.bitmap_directory();
        encryption.into_iter().chain(directory).collect()
    }

    /// The bitmap directory, as (offset, length in bytes). `None` if there is none, or if it is invalid.
    pub fn bitmap_directory(&self) -> Option<(u64, u64)> {
        self.directory().map(|(offset, length, _)| (offset, length))
    }

    /// The bitmap directory, as (offset, length in bytes, number of entries). `None` if there is none, or if it is invalid.
    fn directory(&self) -> Option<(u64, u64, u64)> {
        let data = self.found.get(&BITMAPS).filter(|data| data.len() >= 24)?;
        let consistent = self.autoclear_features & CONSISTENT_BITMAPS != 0;
        consistent.then(|| {
            (
                number::<8>(data, 16),
                number::<8>(data, 8),
                number::<4>(data, 0),
            )
        })
    }

    /// Reads the bitmaps. Fails if their metadata cannot be parsed, or is longer than the limits of this module.
    pub(super) fn bitmaps(
        &self,
        image: &ImageBytes,
        header: &Header,
    ) -> Result<Vec<StoredBitmap>, Unparsable> {
        let Some((offset, length, count)) = self.directory() else {
            return Ok(Vec::new());
        };
        if length > BITMAP_TABLE_BYTES_MAX {
            return Err(Unparsable::new(format!(
                "the bitmap directory has {length} bytes"
            )));
        }
        let directory = image.read("the bitmap directory", offset, length)?;
        let mut bitmaps = Vec::new();
        let mut room = Room {
            bytes: BITMAPS_BYTES_MAX,
            ranges: DIRTY_RANGES_MAX,
        };
        let mut place = 0;
        for _ in 0..count {
            let entry = directory
                .get(place..)
                .filter(|rest| rest.len() >= ENTRY_BYTES);
            let entry = entry.ok_or_else(|| Unparsable::new("the bitmap directory is cut off"))?;
            let name_bytes = number::<2>(entry, 18) as usize;
            let extra_bytes = number::<4>(entry, 20) as usize;
            let start = ENTRY_BYTES + extra_bytes;
            let name = entry.get(start..start + name_bytes);
            let name = name.ok_or_else(|| Unparsable::new("a bitmap's name is cut off"))?;
            let flags = number::<4>(entry, 12);
            let granularity_bits = number::<1>(entry, 17);
            if granularity_bits > 31 {
                return Err(Unparsable::new(format!(
                    "granularity_bits {granularity_bits}"
                )));
            }
            let (clusters, dirty) = bits(image, header, entry, granularity_bits, &mut room)?;
            bitmaps.push(StoredBitmap {
                found: FoundBitmap {
                    name: String::from_utf8_lossy(name).into_owned(),
                    granularity: 1 << granularity_bits,
                    enabled: flags & 2 != 0,
                    in_use: flags & 1 != 0,
                    dirty,
                },
                clusters,
            });
            place += (start + name_bytes).next_multiple_of(8);
        }
        Ok(bitmaps)
    }
}

/// How many bytes may still be read of an image's bitmaps, and how many ranges may still be returned.
struct Room {
    bytes: u64,
    ranges: usize,
}

impl Room {
    fn read(&mut self, bytes: u64) -> Result<(), Unparsable> {
        let left = self.bytes.checked_sub(bytes);
        self.bytes = left.ok_or_else(|| {
            Unparsable::new(format!(
                "the bitmaps have more than {BITMAPS_BYTES_MAX} bytes"
            ))
        })?;
        Ok(())
    }

    fn add_ranges(&mut self, ranges: usize) -> Result<(), Unparsable> {
        let left = self.ranges.checked_sub(ranges);
        self.ranges = left.ok_or_else(|| {
            Unparsable::new(format!(
                "the bitmaps have more than {DIRTY_RANGES_MAX} ranges of set bits"
            ))
        })?;
        Ok(())
    }
}

/// Reads the bitmap with this directory entry: the clusters that it occupies, and the ranges of its set bits.
#[expect(
    clippy::type_complexity,
    reason = "the two lists belong together in this function only"
)]
fn bits(
    image: &ImageBytes,
    header: &Header,
    entry: &[u8],
    granularity_bits: u64,
    room: &mut Room,
) -> Result<(Vec<u64>, Vec<(u64, u64)>), Unparsable> {
    let size = header.cluster_size();
    let (offset, entries) = (number::<8>(entry, 0), number::<4>(entry, 8));
    if entries * 8 > BITMAP_TABLE_BYTES_MAX {
        return Err(Unparsable::new(format!(
            "a bitmap table has {entries} entries"
        )));
    }
    room.read(entries * 8)?;
    let table = image.read("a bitmap table", offset, entries * 8)?;
    let mut clusters: Vec<u64> = (0..(entries * 8).div_ceil(size))
        .map(|index| offset + index * size)
        .collect();
    let granules = header.size.div_ceil(1 << granularity_bits);
    let mut dirty: Vec<(u64, u64)> = Vec::new();
    for (index, entry) in (0..).zip(table.chunks_exact(8).map(|bytes| number::<8>(bytes, 0))) {
        let first = index * size * 8;
        let end = (first + size * 8).min(granules);
        let place = entry & OFFSET;
        let ranges_before = dirty.len();
        if place == 0 {
            // The entry has no data cluster: bit 0 says whether all its bits are ones or zeros.
            if entry & 1 != 0 {
                mark(&mut dirty, first, end);
            }
            room.add_ranges(dirty.len() - ranges_before)?;
            continue;
        }
        clusters.push(place);
        room.read(size)?;
        let data = image.read("a bitmap's data", place, size)?;
        for granule in first..end {
            let bit = granule - first;
            if data[(bit / 8) as usize] >> (bit % 8) & 1 != 0 {
                mark(&mut dirty, granule, granule + 1);
            }
        }
        room.add_ranges(dirty.len() - ranges_before)?;
    }
    Ok((clusters, dirty))
}

/// Appends a range [start, end), joined with the last one if they are adjacent.
fn mark(dirty: &mut Vec<(u64, u64)>, start: u64, end: u64) {
    match dirty.last_mut() {
        _ if start >= end => {}
        Some(last) if last.1 == start => last.1 = end,
        _ => dirty.push((start, end)),
    }
}

#[cfg(test)]
mod tests;
