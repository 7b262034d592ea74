//! What is in an image from outside as far as campaigns must know it: its options, its snapshots and bitmaps, and why it is only to be read.
//!
//! `--from` asks it. It reads headers and no guest data; what it does not know it leaves out, and judges then only compare. Nothing is written.

use std::path::Path;

use super::description::{Description, of_image as described};
use super::qcow2::audit::Audit;
use super::qcow2::extensions::Extensions;
use super::qcow2::header::Header;
use super::qcow2::snapshot_table::{self, SnapshotTableEntry};
use super::qcow2::{ImageBytes, Unparsable, number};
use super::skeleton::little;
use crate::base::size::Size;
use crate::image::content::open_regular;
use crate::image::format::{Format, SECTOR_BYTES};
use crate::image::options::{
    Compat, Compression, CreateOption, CreateOptions, OptionValue, Subformat,
};
use crate::image::outside::{OutsideBitmap, OutsideSnapshot};

/// The bits of `incompatible_features` with which an image is written to: an external data file, a compression type, extended L2 entries.
const WRITABLE_FEATURES: u64 = 0b1_1100;

/// What is in an image.
#[derive(Debug, Default)]
pub struct Origin {
    /// Its options, without those of the backing file.
    pub options: CreateOptions,
    /// Why it is only to be read, if it is.
    pub only_read: Option<String>,
    /// Whether its metadata are sound, by our own audit.
    pub is_sound: bool,
    /// Its internal snapshots, without what a guest sees in them.
    pub snapshots: Vec<OutsideSnapshot>,
    /// Its persistent bitmaps.
    pub bitmaps: Vec<OutsideBitmap>,
}

/// Looks at an image. Fails for what no campaign can begin with: encrypted data, or snapshots whose names or ids do not tell them apart.
pub fn of_image(path: &Path, format: Format) -> Result<Origin, Unparsable> {
    let mut origin = match format {
        Format::Qcow2 => of_qcow2(path)?,
        Format::Vmdk => of_vmdk(path)?,
        Format::Vpc => of_vpc(path)?,
        Format::Vdi => of_vdi(path)?,
        Format::Vhdx => of_vhdx(path)?,
        Format::Qcow => of_qcow(path)?,
        Format::Dmg => only_read("tools only read images of this format"),
        Format::Luks => return Err(Unparsable::new("it is encrypted")),
        Format::Qed => only_read("imgduel does not know what a qed holds"),
        Format::Raw | Format::Parallels => Origin::default(),
    };
    if origin.only_read.is_none() && has_parent(path, format) {
        origin.only_read = Some("it has a parent".to_owned());
    }
    Ok(origin)
}

fn only_read(why: &str) -> Origin {
    Origin {
        only_read: Some(why.to_owned()),
        ..Origin::default()
    }
}

/// Whether the image holds only what differs from another one, which lies below no layer here.
fn has_parent(path: &Path, format: Format) -> bool {
    let is_so = |said: Description| {
        said.unusual
            .iter()
            .any(|unusual| unusual.what == "it has a parent")
    };
    let blocks = matches!(format, Format::Vhdx | Format::Vdi);
    blocks && described(path, format).is_ok_and(is_so)
}

fn of_qcow2(path: &Path) -> Result<Origin, Unparsable> {
    let image = ImageBytes::open(path)?;
    let header = Header::read(&image)?;
    let parts = Extensions::read(&image, &header)?;
    if parts.is_encrypted() {
        return Err(encrypted());
    }
    let audit = Audit::of_qcow2(&image)?;
    let fact = |name: &str| audit.facts.get(name).map_or("", String::as_str);
    let mut options = vec![CreateOption::ClusterSize(header.cluster_size())];
    if header.version == 2 {
        options.push(CreateOption::Compat(Compat::Version2));
    }
    if header.refcount_bits() != 16 {
        options.push(CreateOption::RefcountBits(header.refcount_bits()));
    }
    if parts.has_lazy_refcounts() {
        options.push(CreateOption::LazyRefcounts(true));
    }
    if header.l2_entry_bytes() == 16 {
        options.push(CreateOption::ExtendedL2(true));
    }
    if fact("compression_type") == "1" {
        options.push(CreateOption::CompressionType(Compression::Zstd));
    }
    let data_file = parts.data_file();
    if !data_file.is_empty() {
        options.push(CreateOption::DataFile(data_file));
        if parts.is_data_file_raw() {
            options.push(CreateOption::DataFileRaw(true));
        }
    }
    let unknown = header.incompatible_features & !WRITABLE_FEATURES;
    let in_use = audit.bitmaps.iter().any(|bitmap| bitmap.in_use);
    let why = match (unknown, in_use) {
        (0, false) => None,
        (0, true) => Some("one of its bitmaps was not saved".to_owned()),
        _ => Some(format!("its incompatible features {unknown:#x} are set")),
    };
    let bitmaps = audit.bitmaps.iter().map(|found| OutsideBitmap {
        name: found.name.clone(),
        granularity: found.granularity,
        enabled: found.enabled,
    });
    Ok(Origin {
        options: options.into(),
        only_read: why,
        is_sound: audit.problems.is_empty() && unknown == 0,
        snapshots: snapshots(&snapshot_table::entries(&image, &header)?)?,
        bitmaps: bitmaps.collect(),
    })
}

fn snapshots(entries: &[SnapshotTableEntry]) -> Result<Vec<OutsideSnapshot>, Unparsable> {
    let mut found: Vec<OutsideSnapshot> = Vec::new();
    for entry in entries {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        let id = text(&entry.id_str).and_then(|id| id.parse().ok());
        let name = text(&entry.name).filter(|name| !name.is_empty());
        let (Some(id), Some(name)) = (id, name) else {
            return Err(Unparsable::new(
                "a snapshot whose id is no number, or without a name",
            ));
        };
        if found
            .iter()
            .any(|other| other.id == id || other.name == name)
        {
            return Err(Unparsable::new("two snapshots with the same id or name"));
        }
        found.push(OutsideSnapshot {
            id,
            name,
            seen: None,
        });
    }
    Ok(found)
}

fn encrypted() -> Unparsable {
    Unparsable::new("it is encrypted, and imgduel has no secret for it")
}

/// VMware Virtual Disk Format 5.0: the type in the descriptor.
fn of_vmdk(path: &Path) -> Result<Origin, Unparsable> {
    let said = described(path, Format::Vmdk)?;
    let kind = said.facts.iter().find(|fact| fact.what == "type");
    let kind = kind.map_or("", |fact| fact.value.as_str());
    let Ok(subformat) = Subformat::read(kind) else {
        return Ok(only_read(&format!("its type '{kind}' is not written to")));
    };
    let why = (subformat == Subformat::StreamOptimized)
        .then(|| "its grains are compressed and written once".to_owned());
    Ok(Origin {
        options: [CreateOption::Subformat(subformat)].into(),
        only_read: why,
        ..Origin::default()
    })
}

/// Virtual Hard Disk Image Format Specification, Disk Type.
fn of_vpc(path: &Path) -> Result<Origin, Unparsable> {
    let image = ImageBytes::open(path)?;
    let last = image.length().saturating_sub(SECTOR_BYTES);
    let footer = image.read("the footer", last, SECTOR_BYTES)?;
    Ok(match number::<4>(&footer, 60) {
        2 => with([
            CreateOption::Subformat(Subformat::Fixed),
            CreateOption::ForceSize(true),
        ]),
        3 => with([CreateOption::ForceSize(true)]),
        4 => only_read("it has a parent"),
        _ => only_read("its disk type is not known"),
    })
}

fn with<const COUNT: usize>(options: [CreateOption; COUNT]) -> Origin {
    Origin {
        options: options.into(),
        ..Origin::default()
    }
}

/// VirtualBox, VDICore.h, the type of the image.
fn of_vdi(path: &Path) -> Result<Origin, Unparsable> {
    let header = ImageBytes::open(path)?.read("the header", 0, SECTOR_BYTES)?;
    let block = little::<4>(&header, 376);
    if block != 1 << 20 {
        return Ok(only_read("its blocks have another size than 1 MiB"));
    }
    Ok(match little::<4>(&header, 76) {
        1 => Origin::default(),
        2 => with([CreateOption::Static(true)]),
        _ => only_read("its type is not known"),
    })
}

/// [MS-VHDX] 2.2.2: an image whose log waits is not written to by everyone.
fn of_vhdx(path: &Path) -> Result<Origin, Unparsable> {
    let said = described(path, Format::Vhdx)?;
    let is_waiting =
        |what: &str| what.starts_with("a log waits") || what.starts_with("its sectors");
    let waiting = said
        .unusual
        .iter()
        .find(|unusual| is_waiting(&unusual.what));
    let block = said.facts.iter().find(|fact| fact.what == "block size");
    let block = block.and_then(|fact| fact.value.parse::<u64>().ok());
    let options: CreateOptions = block
        .into_iter()
        .map(|bytes| CreateOption::BlockSize(Size::of_bytes(bytes)))
        .collect();
    Ok(Origin {
        options,
        only_read: waiting.map(|unusual| unusual.what.clone()),
        ..Origin::default()
    })
}

/// QEMU, block/qcow.c: `crypt_method`.
fn of_qcow(path: &Path) -> Result<Origin, Unparsable> {
    open_regular(path)?;
    let header = ImageBytes::open(path)?.read("the header", 0, 48)?;
    match number::<4>(&header, 36) {
        0 => Ok(Origin::default()),
        _ => Err(encrypted()),
    }
}
