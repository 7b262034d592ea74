//! Requests that make or change one image.

use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Done, no};
use crate::disk_format::plain::{
    BlockFile, Cluster, Qcow2File, StoredSnapshot, Volume, create_flat_vmdk, create_raw,
};
use crate::disk_format::qcow2::Unparsable;
use crate::image::format::{Format, SECTOR_BYTES};
use crate::image::options::{Compat, CreateOption, CreateOptions, Preallocation, Subformat};
use crate::tool::request::{ImageFile, Request, SnapshotAction, SnapshotKey};

pub(super) fn answered(request: &Request, directory: &Path) -> Result<Done, Unparsable> {
    let file = request.file();
    if let Request::Create { size, .. } = request {
        create(file, size.bytes(), directory)?;
        return Ok(Done::default());
    }
    let mut volume = open(file, directory)?;
    match request {
        Request::Resize {
            end_bytes,
            preallocation,
            shrink,
            ..
        } => {
            let old = volume.size;
            if *end_bytes < old && !shrink {
                return Err(Unparsable::new("a shrink is not agreed to"));
            }
            let image = volume.qcow2().ok();
            if image.is_some_and(|image| image.version == 2 && !image.snapshots.is_empty()) {
                // Its snapshot table has no place for the size that a snapshot had.
                return Err(Unparsable::new(
                    "Can't resize a v2 image which has snapshots",
                ));
            }
            volume.resize(*end_bytes)?;
            preallocate(
                &mut volume,
                old,
                preallocation.unwrap_or(Preallocation::Off),
            )?;
        }
        Request::Write { writes, .. } => {
            for write in writes {
                volume.write(write.offset, &write.bytes())?;
            }
        }
        Request::Bench { plan, .. } => {
            for write in plan.written() {
                volume.write(write.offset, &write.bytes())?;
            }
        }
        Request::WriteZeroes {
            offset,
            length,
            unmap,
            ..
        } => volume.zero(*offset, *length, !unmap)?,
        Request::Discard { offset, length, .. } => volume.zero(*offset, *length, false)?,
        Request::Amend { options, .. } => amend(&mut volume, options)?,
        Request::Snapshot {
            action, snapshot, ..
        } => change_snapshots(&mut volume, *action, snapshot)?,
        other => return Err(no(other)),
    }
    volume.save(false)?;
    Ok(Done::default())
}

pub(super) fn open(file: &ImageFile, directory: &Path) -> Result<Volume, Unparsable> {
    Volume::open(&directory.join(&file.path), file.format)
}

/// Makes an image without data, and opens it.
pub(super) fn create(file: &ImageFile, size: u64, directory: &Path) -> Result<Volume, Unparsable> {
    let path = directory.join(&file.path);
    let asked = size.next_multiple_of(SECTOR_BYTES);
    let size = file.format.created_size(asked);
    match file.format {
        Format::Raw => create_raw(&path, size)?,
        Format::Vmdk if file.options.subformat().is_some_and(Subformat::is_flat) => {
            create_flat_vmdk(&path, size, &file.options)?;
        }
        Format::Vmdk | Format::Vpc | Format::Vhdx | Format::Vdi => {
            let (image, size) = BlockFile::new(file.format, &file.options, asked)?;
            let volume = Volume::new_blocks(&path, image, file.format, size);
            volume.save(false)?;
            return Ok(volume);
        }
        Format::Qcow2 => {
            let image = Qcow2File::with_options(&file.options);
            let mut volume = Volume::new_qcow2(&path, image, size)?;
            // QEMU preallocates the metadata of an image whose data file must remain valid (qcow2_co_create).
            let usual = match file.options.data_file_raw() {
                Some(true) => Preallocation::Metadata,
                _ => Preallocation::Off,
            };
            preallocate(
                &mut volume,
                0,
                file.options.preallocation().unwrap_or(usual),
            )?;
            volume.save(false)?;
            return Ok(volume);
        }
        other => {
            return Err(Unparsable::new(format!(
                "the model does not create {other}"
            )));
        }
    }
    Volume::open(&path, file.format)
}

/// Gives every cluster from `start` on a place in the file, in this mode.
fn preallocate(volume: &mut Volume, start: u64, mode: Preallocation) -> Result<(), Unparsable> {
    let size = volume.size;
    if volume.format != Format::Qcow2 || mode == Preallocation::Off {
        return Ok(());
    }
    let image = volume.qcow2()?;
    let cluster_size = image.cluster_size();
    let cluster = match mode.takes_space() {
        true => Cluster::New(Arc::new(vec![0; cluster_size as usize])),
        false => Cluster::Reserved,
    };
    for guest in start / cluster_size..size.div_ceil(cluster_size) {
        image
            .map
            .clusters
            .entry(guest)
            .or_insert_with(|| cluster.clone());
    }
    Ok(())
}

fn amend(volume: &mut Volume, options: &CreateOptions) -> Result<(), Unparsable> {
    let (size, has_below) = (volume.size, volume.below.is_some());
    let image = volume.qcow2()?;
    for option in options.iter() {
        match option {
            CreateOption::Compat(Compat::Version3) => image.version = 3,
            CreateOption::Compat(Compat::Version2) => downgrade(image, size, has_below)?,
            CreateOption::LazyRefcounts(true) if image.version < 3 => {
                let why = "Lazy refcounts only supported with compatibility level 1.1 and above";
                return Err(Unparsable::new(why));
            }
            CreateOption::LazyRefcounts(is_on) => image.lazy_refcounts = *is_on,
            CreateOption::RefcountBits(bits) if image.version < 3 && *bits != 16 => {
                let why = "Refcount widths other than 16 bits require compatibility level 1.1";
                return Err(Unparsable::new(why));
            }
            CreateOption::RefcountBits(bits) => image.refcount_order = bits.ilog2(),
            other => {
                return Err(Unparsable::new(format!(
                    "{} cannot be amended",
                    other.name()
                )));
            }
        }
    }
    Ok(())
}

/// Version 2 has no zero clusters, no refcounts of another width, no external data file.
fn downgrade(image: &mut Qcow2File, size: u64, has_below: bool) -> Result<(), Unparsable> {
    if image.version == 2 {
        return Ok(());
    }
    if image.refcount_order != 4 {
        let why = "compat=0.10 requires refcount_bits=16";
        return Err(Unparsable::new(why));
    }
    if image.data_file.is_some() {
        let why = "Cannot downgrade an image with incompatible features set";
        return Err(Unparsable::new(why));
    }
    // The snapshot table of version 2 has no place for the size that a snapshot had.
    if image.snapshots.iter().any(|snapshot| snapshot.size != size) {
        return Err(Unparsable::new(
            "Internal snapshots prevent downgrade of image",
        ));
    }
    image.version = 2;
    image.lazy_refcounts = false;
    let zeros = Cluster::New(Arc::new(vec![0; image.cluster_size() as usize]));
    let of_snapshots = image
        .snapshots
        .iter_mut()
        .map(|snapshot| &mut snapshot.clusters);
    for clusters in of_snapshots.chain([&mut image.map.clusters]) {
        clusters.retain(|_, cluster| has_below || !matches!(cluster, Cluster::Zero));
        for cluster in clusters.values_mut() {
            if matches!(cluster, Cluster::Zero) {
                *cluster = zeros.clone();
            }
        }
    }
    Ok(())
}

fn change_snapshots(
    volume: &mut Volume,
    action: SnapshotAction,
    named: &SnapshotKey,
) -> Result<(), Unparsable> {
    let size = volume.size;
    let named = word(named);
    let image = volume.qcow2()?;
    let found = image.snapshot(named).cloned();
    match (action, found) {
        (SnapshotAction::Create, _) if image.data_file.is_some() => {
            return Err(Unparsable::new(
                "Operation not supported: the image has a data file",
            ));
        }
        (SnapshotAction::Create, _) => {
            let numbers = image
                .snapshots
                .iter()
                .filter_map(|snapshot| snapshot.id.parse().ok());
            let highest: u64 = numbers.max().unwrap_or(0);
            let now = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            image.snapshots.push(StoredSnapshot {
                id: (highest + 1).to_string(),
                name: named.to_owned(),
                size,
                date: (now.as_secs() as u32, now.subsec_nanos()),
                clusters: image.map.clusters.clone(),
            });
        }
        (SnapshotAction::Delete, Some(found)) => {
            image.snapshots.retain(|snapshot| snapshot.id != found.id);
        }
        (SnapshotAction::Apply, Some(found)) => {
            image.map.clusters = found.clusters;
            volume.size = found.size;
        }
        (_, None) => return Err(Unparsable::new(format!("No such snapshot: {named}"))),
    }
    Ok(())
}

/// The id or the name by which a snapshot is named.
pub(super) fn word(named: &SnapshotKey) -> &str {
    match named {
        SnapshotKey::Name(word) | SnapshotKey::Id(word) | SnapshotKey::IdOrName(word) => word,
        SnapshotKey::IdAndName { id, .. } => id,
    }
}
