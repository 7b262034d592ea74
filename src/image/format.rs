//! The image formats as cases, tools and judges need them: a format's name on command lines, whether qemu-img can check it, and how qemu-img
//! rounds its virtual size.
//!
//! The room `disk_format` knows how formats look on disk.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The length of a sector, the unit of virtual sizes: 512 bytes.
pub const SECTOR_BYTES: u64 = 512;

/// An image format, by qemu-img's name for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Guest data only, without metadata.
    Raw,
    /// QEMU's qcow2, versions 2 and 3 (docs/interop/qcow2 in QEMU).
    Qcow2,
    /// VMware's, in all its subformats (Virtual Disk Format 5.0).
    Vmdk,
    /// Microsoft's VHD, which QEMU calls vpc (Virtual Hard Disk Image Format Specification 1.0).
    Vpc,
    /// Microsoft's VHDX ([MS-VHDX]).
    Vhdx,
    /// VirtualBox's VDI, as QEMU's block/vdi.c documents it.
    Vdi,
    /// QEMU's first copy-on-write format, qcow version 1 (block/qcow.c).
    Qcow,
    /// Parallels' expandable image (docs/interop/parallels in QEMU).
    Parallels,
    /// Apple's disk image (UDIF), which tools only read.
    Dmg,
    /// An encrypted volume, a header of keys before the guest data (LUKS1 specification).
    Luks,
    /// QEMU's enhanced disk format (docs/interop/qed_spec in QEMU).
    Qed,
}

/// One row of the table of formats.
struct Row {
    format: Format,
    name: &'static str,
    /// Whether `qemu-img check` supports the format: observed with 10.0.2, which exits with 63 for the others.
    checked: bool,
}

const FORMATS: [Row; 11] = [
    Row {
        format: Format::Raw,
        name: "raw",
        checked: false,
    },
    Row {
        format: Format::Qcow2,
        name: "qcow2",
        checked: true,
    },
    Row {
        format: Format::Vmdk,
        name: "vmdk",
        checked: true,
    },
    Row {
        format: Format::Vpc,
        name: "vpc",
        checked: false,
    },
    Row {
        format: Format::Vhdx,
        name: "vhdx",
        checked: true,
    },
    Row {
        format: Format::Vdi,
        name: "vdi",
        checked: true,
    },
    Row {
        format: Format::Qcow,
        name: "qcow",
        checked: false,
    },
    Row {
        format: Format::Parallels,
        name: "parallels",
        checked: true,
    },
    Row {
        format: Format::Dmg,
        name: "dmg",
        checked: false,
    },
    Row {
        format: Format::Luks,
        name: "luks",
        checked: false,
    },
    Row {
        format: Format::Qed,
        name: "qed",
        checked: true,
    },
];

impl Format {
    /// All formats.
    pub fn all() -> impl Iterator<Item = Self> {
        FORMATS.iter().map(|row| row.format)
    }

    /// The format's name on a qemu-img command line, also used as a file name extension.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Whether any tool writes the format. The harness makes images of the others.
    pub fn is_written(self) -> bool {
        self != Self::Dmg
    }

    /// Whether `qemu-img check` supports the format.
    pub fn is_checked(self) -> bool {
        self.row().checked
    }

    /// The virtual size, in bytes, of an image that qemu-img creates when the requested size is `bytes`.
    pub fn created_size(self, bytes: u64) -> u64 {
        match self {
            Self::Vpc => vpc_created_size(bytes),
            _ => bytes,
        }
    }

    fn row(self) -> &'static Row {
        FORMATS
            .iter()
            .find(|row| row.format == self)
            .expect("every format has a row in the table")
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The size in bytes of the smallest CHS geometry for at least `bytes`: what qemu-img 10.0.2 creates without `force_size`.
fn vpc_created_size(bytes: u64) -> u64 {
    let wanted = bytes.div_ceil(SECTOR_BYTES);
    let mut tried = wanted;
    loop {
        let sectors = vpc_geometry_sectors(tried);
        if sectors >= wanted || tried > wanted + VPC_GEOMETRY_STEPS {
            return sectors.max(wanted) * SECTOR_BYTES;
        }
        tried += 1;
    }
}

/// How many sectors beyond the requested size the search for a geometry tries: one cylinder of the largest geometry (16 x 255).
const VPC_GEOMETRY_STEPS: u64 = 16 * 255;

/// The geometry of a vpc for a disk of `sectors`: cylinders, heads, sectors per track ("CHS Calculation", appendix of the VHD specification 1.0).
pub fn vpc_geometry(sectors: u64) -> (u64, u64, u64) {
    let sectors = sectors.min(65535 * 16 * 255);
    let (per_track, heads, cylinders_times_heads);
    if sectors > 65535 * 16 * 63 {
        per_track = 255;
        heads = 16;
        cylinders_times_heads = sectors / per_track;
    } else {
        let mut track = 17;
        let mut product = sectors / track;
        let mut head_count = product.div_ceil(1024).max(4);
        if product >= head_count * 1024 || head_count > 16 {
            track = 31;
            head_count = 16;
            product = sectors / track;
        }
        if product >= head_count * 1024 {
            track = 63;
            head_count = 16;
            product = sectors / track;
        }
        per_track = track;
        heads = head_count;
        cylinders_times_heads = product;
    }
    (cylinders_times_heads / heads, heads, per_track)
}

/// The number of sectors of the geometry for a disk of `sectors`.
fn vpc_geometry_sectors(sectors: u64) -> u64 {
    let (cylinders, heads, per_track) = vpc_geometry(sectors);
    cylinders * heads * per_track
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vpc_size_is_rounded_up_to_its_geometry_as_qemu_img_10_does() {
        let measured = [
            (1, 1079296),
            (4, 4212736),
            (16, 16781312),
            (64, 67125248),
            (256, 268886016),
            (1024, 1073995776),
        ];
        for (mebibytes, expected) in measured {
            assert_eq!(
                Format::Vpc.created_size(mebibytes << 20),
                expected,
                "{mebibytes}M"
            );
        }
    }

    #[test]
    fn every_format_s_name_is_its_serde_name() {
        for format in Format::all() {
            assert_eq!(serde_json::to_value(format).unwrap(), format.name());
        }
    }
}
