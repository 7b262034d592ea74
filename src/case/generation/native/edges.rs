//! Draws sizes, offsets and lengths with a bias towards boundaries: of clusters, tables, refcount blocks, images and backing files.
//!
//! The limits keep a case below about one second of tool time. The cost of a guest range for qemu-img grows with the number of L2
//! tables in it: shrinking flushes three times per table (see [`crate::case::cost`]).

use crate::base::rng::NativeRandom;
use crate::image::content::{Fill, Write};
use crate::image::format::{Format, SECTOR_BYTES};
use crate::tool::request::ImageFile;

/// Maximum number of L2 tables of an image.
const TABLES_MAX: u64 = 4096;
/// Maximum number of L2 tables that one step may touch.
const TOUCHED_TABLES_MAX: u64 = 24;
/// Maximum number of bytes that one step may touch. qemu-io accepts less than 2 GiB.
const TOUCHED_BYTES_MAX: u64 = 1 << 30;
/// Maximum size of an image in bytes.
const SIZE_MAX: u64 = 1 << 40;
/// Maximum size in bytes of images in formats other than raw and qcow2: enough for more than two extents of 2 GiB.
const FOREIGN_SIZE_MAX: u64 = 5 << 30;
/// Maximum size in bytes of an encrypted volume: it is read as a whole, since nothing tells what is empty.
const LUKS_SIZE_MAX: u64 = 4 << 20;
/// Maximum length of one write in bytes.
const WRITE_BYTES_MAX: u64 = 1 << 20;

/// The allocation units of an image, in guest bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grain {
    /// The size of a cluster, grain or block.
    pub(super) cluster: u64,
    /// The guest bytes that one L2 table covers.
    pub(super) table: u64,
    /// The guest bytes that one refcount block covers if all clusters hold guest data.
    refcount_block: u64,
}

impl Grain {
    /// Returns the units of an image, derived from its format and options.
    pub(super) fn for_file(file: &ImageFile) -> Self {
        let cluster = match file.format {
            Format::Qcow2 => file.cluster_size(),
            Format::Raw | Format::Dmg | Format::Luks => 4096,
            Format::Qed => file.cluster_size(),
            Format::Vmdk => 65536,
            Format::Vpc => 2 << 20,
            Format::Vhdx => 8 << 20,
            Format::Vdi => 1 << 20,
            Format::Qcow => 4096,
            Format::Parallels if file.options.cluster_size().is_some() => file.cluster_size(),
            Format::Parallels => 1 << 20,
        };
        let entry = if file.options.has_extended_l2() {
            16
        } else {
            8
        };
        let bits = file.options.refcount_width();
        Self {
            cluster,
            table: cluster * cluster / entry,
            refcount_block: cluster * cluster * 8 / bits,
        }
    }

    /// Returns the maximum length in bytes of the guest range that one step may touch.
    pub(super) fn reach(self) -> u64 {
        (self.table * TOUCHED_TABLES_MAX)
            .min(self.cluster << 14)
            .min(TOUCHED_BYTES_MAX)
    }
}

/// Returns whether an image of `size` bytes has at most [`TABLES_MAX`] tables.
pub(super) fn fits(size: u64, grain: Grain) -> bool {
    size / grain.table <= TABLES_MAX
}

/// Draws a virtual size of at most `limit` bytes, a multiple of the sector size.
pub(super) fn size(random: &mut NativeRandom, format: Format, grain: Grain, limit: u64) -> u64 {
    let largest = match format {
        Format::Qcow2 => SIZE_MAX.min(grain.table.saturating_mul(TABLES_MAX)),
        Format::Raw => SIZE_MAX,
        // qemu-img reads every cluster of a qcow image, even unallocated ones.
        Format::Qcow => FOREIGN_SIZE_MAX >> 3,
        Format::Luks => LUKS_SIZE_MAX,
        _ => FOREIGN_SIZE_MAX,
    };
    let base = match random.below(12) {
        0 => SECTOR_BYTES * random.between(1, 16),
        1..=3 => grain.cluster * random.between(1, 40),
        4..=5 => grain.table * random.between(1, 3),
        6 => grain.refcount_block * random.between(1, 2),
        7..=9 => (1 << 20) * random.between(1, 16),
        10 => (1 << 20) * random.between(16, 512),
        _ => 1 << random.between(30, 40),
    };
    let base = near(random, base, grain);
    let size = base.clamp(SECTOR_BYTES, largest.min(limit));
    (size / SECTOR_BYTES * SECTOR_BYTES).max(SECTOR_BYTES)
}

/// Draws a position at `place` or close to it.
fn near(random: &mut NativeRandom, place: u64, grain: Grain) -> u64 {
    match random.below(8) {
        0 => place + SECTOR_BYTES,
        1 => place.saturating_sub(SECTOR_BYTES),
        2 => place.saturating_sub(grain.cluster),
        3 => place + grain.cluster / 2,
        _ => place,
    }
}

/// Draws an offset in an image of `size` bytes, with a bias towards boundaries. `others` are the boundaries of other images, such as the
/// end of a backing file.
pub(super) fn offset(random: &mut NativeRandom, size: u64, grain: Grain, others: &[u64]) -> u64 {
    let base = match random.below(8) {
        0 => 0,
        1 => size,
        2 => grain.cluster * random.below(8),
        3 => grain.table * random.between(1, 3),
        4 if !others.is_empty() => *random.choice(others),
        5 => random.below(size),
        _ => grain.cluster * random.below(size.div_ceil(grain.cluster)),
    };
    let base = match random.below(10) {
        0 => base + 1,
        1 => base.saturating_sub(1),
        2 => base.saturating_sub(random.between(1, 4096)),
        _ => near(random, base, grain),
    };
    base.min(size - 1)
}

/// Draws the length of a range at `offset` within an image of `size` bytes, at most `limit` bytes.
pub(super) fn length(
    random: &mut NativeRandom,
    offset: u64,
    size: u64,
    grain: Grain,
    limit: u64,
) -> u64 {
    let to_boundary = grain.cluster - offset % grain.cluster;
    let length = match random.below(10) {
        0 => 1,
        1 => random.between(1, 4096),
        2 => SECTOR_BYTES,
        3 => to_boundary,
        4 => to_boundary + grain.cluster,
        5 => grain.cluster + 1,
        6 => size - offset,
        7 => grain.cluster * random.between(1, 6),
        _ => grain.cluster,
    };
    length.min(size - offset).min(limit).max(1)
}

/// Draws 1 to `most` guest writes, each with its own fill byte.
pub(super) fn writes(
    random: &mut NativeRandom,
    size: u64,
    grain: Grain,
    others: &[u64],
    most: u64,
) -> Vec<Write> {
    (0..random.between(1, most))
        .map(|_| {
            let offset = offset(random, size, grain, others);
            let length = length(random, offset, size, grain, WRITE_BYTES_MAX);
            // Some writes consist of zeros: tools must not treat these as unwritten.
            let byte = if random.percent(6) {
                0
            } else {
                random.between(1, 255) as u8
            };
            Write {
                offset,
                length,
                fill: Fill::Byte(byte),
            }
        })
        .collect()
}
