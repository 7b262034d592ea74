//! Draws images that other tools write from a raw file: who, which form, and what a guest sees.

use super::writes::{self, Room};
use crate::base::rng::NativeRandom;
use crate::disk_format::writer::{WrittenImage, WrittenLayer};
use crate::image::format::{Format, SECTOR_BYTES};
use crate::image::options::{CreateOption, Subformat};
use crate::operation::written::Writer;

/// The writers, their weights, and the forms that each makes.
const WRITERS: [(&str, u64, &[Form]); 8] = [
    (
        "vbox-img",
        5,
        &[
            Form(Format::Vdi, None),
            Form(Format::Vdi, Some(CreateOption::Static(true))),
            sub(Format::Vmdk, Subformat::MonolithicSparse),
            sub(Format::Vmdk, Subformat::MonolithicFlat),
            sub(Format::Vmdk, Subformat::TwoGbMaxExtentSparse),
            sub(Format::Vmdk, Subformat::StreamOptimized),
            sub(Format::Vpc, Subformat::Dynamic),
            sub(Format::Vpc, Subformat::Fixed),
            Form(Format::Qcow, None),
            Form(Format::Parallels, None),
        ],
    ),
    (
        "bximage",
        3,
        &[
            sub(Format::Vmdk, Subformat::MonolithicSparse),
            sub(Format::Vpc, Subformat::Dynamic),
            sub(Format::Vhdx, Subformat::Dynamic),
        ],
    ),
    (
        "qemu-img",
        4,
        &[
            Form(Format::Qcow2, None),
            sub(Format::Vmdk, Subformat::MonolithicSparse),
            sub(Format::Vmdk, Subformat::MonolithicFlat),
            sub(Format::Vmdk, Subformat::TwoGbMaxExtentSparse),
            sub(Format::Vmdk, Subformat::StreamOptimized),
            sub(Format::Vpc, Subformat::Dynamic),
            sub(Format::Vpc, Subformat::Fixed),
            Form(Format::Vpc, Some(CreateOption::ForceSize(true))),
            sub(Format::Vhdx, Subformat::Dynamic),
            sub(Format::Vhdx, Subformat::Fixed),
            Form(Format::Vdi, None),
            Form(Format::Vdi, Some(CreateOption::Static(true))),
            Form(Format::Qcow, None),
            Form(Format::Parallels, None),
        ],
    ),
    ("imago", 1, &[Form(Format::Qcow2, None)]),
    (
        "vmdkstream",
        1,
        &[sub(Format::Vmdk, Subformat::StreamOptimized)],
    ),
    (PYVHD, 1, &[sub(Format::Vpc, Subformat::Dynamic)]),
    ("xo-qcow2", 1, &[Form(Format::Qcow2, None)]),
    (
        "model",
        3,
        &[
            Form(Format::Qcow2, None),
            sub(Format::Vmdk, Subformat::MonolithicSparse),
            sub(Format::Vpc, Subformat::Dynamic),
            sub(Format::Vhdx, Subformat::Dynamic),
            Form(Format::Vdi, None),
        ],
    ),
];

/// A format, and the option that tells a form of it from others.
struct Form(Format, Option<CreateOption>);

const fn sub(format: Format, subformat: Subformat) -> Form {
    Form(format, Some(CreateOption::Subformat(subformat)))
}

/// A cylinder of 16 heads and 63 sectors: bximage makes a vpc of whole ones.
const CYLINDER_BYTES: u64 = 16 * 63 * SECTOR_BYTES;

const MIB: u64 = 1 << 20;

/// The most whole cylinders and MiB of a disk.
const CYLINDERS_MAX: u64 = 48;
const MIB_MAX: u64 = 24;

/// pyvhd makes no disk of more blocks of 2 MiB than this.
const PYVHD: &str = "pyvhd";
const PYVHD_BLOCKS_MAX: u64 = 7;

/// The most bytes of all writes.
const WRITTEN_BYTES_MAX: u64 = 3 << 20;

pub(super) fn draw(random: &mut NativeRandom) -> (Writer, WrittenImage) {
    let weights = WRITERS.map(|(_, weight, _)| weight);
    let (writer, _, forms) = &WRITERS[random.weighted(&weights)];
    let Form(format, option) = random.choice(forms);
    let size = match random.below(6) {
        0..3 => CYLINDER_BYTES * random.between(1, CYLINDERS_MAX),
        3 | 4 => MIB * random.between(1, MIB_MAX),
        _ => SECTOR_BYTES * random.between(1, MIB_MAX * MIB / SECTOR_BYTES),
    };
    let size = match *writer {
        PYVHD => size.min(PYVHD_BLOCKS_MAX * 2 * MIB),
        _ => size,
    };
    let is_of_blocks = matches!(format, Format::Vpc | Format::Vhdx | Format::Vdi);
    let unit = if is_of_blocks { 2 * MIB } else { 64 << 10 };
    let room = Room {
        size,
        unit,
        reach: 4 * MIB,
        bytes_max: WRITTEN_BYTES_MAX,
    };
    let layer = WrittenLayer {
        options: option.iter().cloned().collect::<Vec<_>>().into(),
        writes: writes::draw(random, &room),
        ..WrittenLayer::plain(*format, size)
    };
    (Writer::Tool((*writer).to_owned()), super::alone(layer))
}
