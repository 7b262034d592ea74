//! Draws the valid images that are damaged afterwards, and adjusts them so that they contain a wanted structure.

use crate::base::rng::NativeRandom;
use crate::base::size::Size;
use crate::disk_format::structure::{FieldKind, Structure};
use crate::image::content::{Fill, Write};
use crate::image::format::Format;
use crate::image::options::{Compat, Compression, CreateOption, Subformat};
use crate::operation::malformed::BaseImage;

/// Structures that only images of wide profiles contain.
const WIDE_STRUCTURES: [&str; 7] = [
    "encryption_extension",
    "luks_header",
    "sparse_extent_header",
    "grain_directory",
    "redundant_grain_directory",
    "grain_table",
    "grain_marker",
];

/// The subformats of vpc and vhdx: dynamic three times out of four.
const MOSTLY_DYNAMIC: [Subformat; 4] = [
    Subformat::Dynamic,
    Subformat::Dynamic,
    Subformat::Dynamic,
    Subformat::Fixed,
];
/// The vmdk subformats with grain tables.
const SPARSE: [Subformat; 2] = [Subformat::MonolithicSparse, Subformat::StreamOptimized];

/// The minimum cluster size in bytes for extended L2 entries (qemu-img 10.0: QCOW_EXTL2_SUBCLUSTERS_PER_CLUSTER of 512 bytes each).
const EXTENDED_CLUSTER_BYTES_MIN: u64 = 16384;
/// Images with clusters of at most this many bytes are limited to 1 MiB, so that no table becomes large.
const SMALL_CLUSTER_BYTES: u64 = 1024;

/// Returns whether images of narrow profiles contain the structure.
pub(super) fn is_narrow(structure: &Structure) -> bool {
    let of_extended_entries = |kind: &FieldKind| kind.name == "subcluster_bitmap";
    !WIDE_STRUCTURES.contains(&structure.name) && !structure.fields.iter().any(of_extended_entries)
}

/// Returns whether images with this structure take long to create.
pub(super) fn takes_long(structure: &Structure) -> bool {
    ["encryption_extension", "luks_header"].contains(&structure.name)
}

/// Returns whether an empty encrypted image contains the structure.
pub(super) fn is_of_encrypted(structure: &Structure) -> bool {
    let others = [
        "header",
        "header_extension",
        "l1_table",
        "refcount_table",
        "refcount_block",
    ];
    takes_long(structure) || others.contains(&structure.name)
}

/// Draws a valid image of this format.
pub(super) fn draw(random: &mut NativeRandom, format: Format, is_wide: bool) -> BaseImage {
    let size = *random.choice(&[65536, 1 << 20, (1 << 20) + 512, 4 << 20]);
    let mut base_image = BaseImage::empty(format, size);
    match format {
        Format::Qcow2 => qcow2(random, &mut base_image, is_wide),
        Format::Vmdk => {
            let subformats: &[Subformat] = match is_wide {
                true => &[
                    Subformat::MonolithicSparse,
                    Subformat::MonolithicSparse,
                    Subformat::StreamOptimized,
                    Subformat::StreamOptimized,
                    Subformat::MonolithicFlat,
                    Subformat::TwoGbMaxExtentFlat,
                    Subformat::TwoGbMaxExtentSparse,
                ],
                false => &[Subformat::MonolithicFlat, Subformat::TwoGbMaxExtentFlat],
            };
            let subformat = *random.choice(subformats);
            base_image.options = [CreateOption::Subformat(subformat)].into();
        }
        Format::Vpc => {
            let subformat = *random.choice(&MOSTLY_DYNAMIC);
            base_image.options = [CreateOption::Subformat(subformat)].into();
        }
        Format::Vhdx => {
            let subformat = *random.choice(&MOSTLY_DYNAMIC);
            base_image.options = [
                CreateOption::Subformat(subformat),
                CreateOption::BlockSize(Size::literal("1M")),
                CreateOption::LogSize(Size::literal("1M")),
            ]
            .into();
        }
        // qemu-img has few options for these formats, and their tables are small without any.
        Format::Raw
        | Format::Vdi
        | Format::Qcow
        | Format::Parallels
        | Format::Dmg
        | Format::Luks
        | Format::Qed => {}
    }
    for index in 0..random.between(1, 3) {
        let offset = random.below(base_image.size / 512) * 512;
        let offset = if index == 0 { 0 } else { offset };
        let longest = *random.choice(&[512, 4096, 65536]);
        base_image.writes.push(Write {
            offset,
            length: longest.min(base_image.size - offset),
            fill: Fill::Byte(0x11 * (index as u8 + 1)),
        });
    }
    base_image
}

fn qcow2(random: &mut NativeRandom, base_image: &mut BaseImage, is_wide: bool) {
    let mut cluster_size = *random.choice(&[512, 1024, 4096, 65536, 65536]);
    let is_version_2 = random.percent(20);
    let is_extended = random.percent(20) && is_wide && !is_version_2;
    if is_extended {
        cluster_size = cluster_size.max(EXTENDED_CLUSTER_BYTES_MIN);
        base_image.options.push(CreateOption::ExtendedL2(true));
    }
    if cluster_size <= SMALL_CLUSTER_BYTES {
        base_image.size = base_image.size.min(1 << 20);
    }
    base_image
        .options
        .push(CreateOption::ClusterSize(cluster_size));
    let refcount_bits = *random.choice(&[16, 16, 16, 1, 2, 4, 8, 32, 64]);
    if is_version_2 {
        let version_2 = CreateOption::Compat(Compat::Version2);
        base_image.options.push(version_2);
    } else {
        base_image
            .options
            .push(CreateOption::RefcountBits(refcount_bits));
        if random.percent(15) {
            base_image.options.push(CreateOption::LazyRefcounts(true));
        }
        if random.percent(20) && is_wide {
            let zstd = CreateOption::CompressionType(Compression::Zstd);
            base_image.options.push(zstd);
        }
    }
    match random.below(10) {
        0..3 => base_image.compressed = true,
        3..6 => base_image.backed = true,
        6 => base_image.has_data_file = !is_version_2,
        _ => {}
    }
    if random.percent(40) && (refcount_bits > 2 || is_version_2) && !base_image.has_data_file {
        base_image.snapshots = random.between(1, 2);
    }
    if random.percent(25) && !is_version_2 {
        base_image.bitmaps = random.between(1, 2);
    }
}

/// Adjusts the image so that it contains this field.
pub(super) fn provide(base_image: &mut BaseImage, structure: &str, field: &str) {
    let without = |base_image: &mut BaseImage, names: &[&str]| {
        let is_other = |option: &CreateOption| !names.contains(&option.name());
        base_image.options.retain(is_other);
    };
    let subformat = |base_image: &mut BaseImage, wanted: &[Subformat]| {
        let given = base_image.options.subformat();
        if !given.is_some_and(|given| wanted.contains(&given)) {
            without(base_image, &["subformat"]);
            base_image.options.push(CreateOption::Subformat(wanted[0]));
        }
    };
    let version_3_fields = [
        "incompatible_features",
        "compatible_features",
        "autoclear_features",
        "refcount_order",
        "header_length",
        "compression_type",
    ];
    match structure {
        "header" if version_3_fields.contains(&field) => without(base_image, &["compat"]),
        "header_extension" => without(base_image, &["compat"]),
        "backing_file_name" => {
            base_image.backed = true;
            base_image.compressed = false;
            base_image.has_data_file = false;
        }
        "bitmaps_extension" | "bitmap_directory" | "bitmap_table" if !base_image.encrypted => {
            without(base_image, &["compat"]);
            base_image.bitmaps = base_image.bitmaps.max(1);
        }
        "snapshot_table" | "snapshot_l1_table" if !base_image.encrypted => {
            // Refcounts of 1 or 2 bits are too narrow for snapshots. The frozen cases also drop an explicit 16, which is the default.
            let is_wide =
                |option: &CreateOption| !matches!(option, CreateOption::RefcountBits(1 | 2 | 16));
            base_image.options.retain(is_wide);
            base_image.has_data_file = false;
            base_image.snapshots = base_image.snapshots.max(1);
        }
        "encryption_extension" | "luks_header" => {
            let kept = BaseImage::empty(base_image.format, base_image.size);
            *base_image = BaseImage {
                encrypted: true,
                options: base_image.options.clone(),
                ..kept
            };
            without(base_image, &["compat"]);
        }
        "l2_table" if field == "subcluster_bitmap" => {
            without(base_image, &["compat", "cluster_size", "extended_l2"]);
            base_image.options.push(CreateOption::ExtendedL2(true));
        }
        "grain_marker" => subformat(base_image, &[Subformat::StreamOptimized]),
        "sparse_extent_header" | "grain_table" | "grain_directory" => {
            subformat(base_image, &SPARSE);
        }
        "redundant_grain_directory" => {
            subformat(base_image, &SPARSE);
        }
        "footer_copy" | "dynamic_disk_header" | "block_allocation_table" => {
            subformat(base_image, &[Subformat::Dynamic]);
        }
        _ => {}
    }
}
