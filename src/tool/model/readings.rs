//! Requests that only read.

use std::path::Path;

use serde_json::{Value, json};

use super::changes::open;
use super::{Done, no};
use crate::disk_format::plain::{Store, Volume};
use crate::disk_format::qcow2::audit::Audit;
use crate::disk_format::qcow2::{ImageBytes, Unparsable};
use crate::image::content::Contents;
use crate::image::format::Format;
use crate::tool::request::{ImageFile, Request, Window};

/// The exit codes of `qemu-img check` for an image with errors, and for one that only leaks.
const CORRUPT: i32 = 2;
const LEAKS: i32 = 3;

/// The cluster size and the width of refcounts of an image for which a measure is asked, in bytes.
const MEASURED_CLUSTER: u64 = 65536;
const MEASURED_REFCOUNT: u64 = 2;

pub(super) fn answered(request: &Request, directory: &Path) -> Result<Done, Unparsable> {
    let reported = |json: Value| Done {
        json: Some(json),
        ..Done::default()
    };
    let seen = |contents: Contents| Done {
        contents: Some(contents),
        ..Done::default()
    };
    if let Request::Check { file } = request {
        return check(file, directory);
    }
    let volume = open(request.file(), directory)?;
    match request {
        Request::Info { .. } => Ok(reported(info(&volume))),
        Request::Map { window, .. } => Ok(reported(map(&volume, *window)?)),
        Request::Measure { target, .. } => Ok(reported(measure(volume.size, *target))),
        Request::Contents { .. } => Ok(seen(volume.contents()?)),
        Request::SnapshotContents { id, .. } => {
            let mut snapshot = volume.at_snapshot(id)?;
            snapshot.size = volume.size;
            Ok(seen(snapshot.contents()?))
        }
        Request::Compare { second, .. } => {
            let other = open(second, directory)?;
            let is_same = volume.contents()?.shows_the_same(other.contents()?);
            Ok(Done {
                code: i32::from(!is_same),
                ..Done::default()
            })
        }
        other => Err(no(other)),
    }
}

/// In the shape of `qemu-img check --output=json`, counted by our audit.
fn check(file: &ImageFile, directory: &Path) -> Result<Done, Unparsable> {
    match file.format {
        Format::Qcow2 => {}
        // Of these, opening reads all metadata that there is.
        Format::Vmdk | Format::Vhdx | Format::Vdi => {
            open(file, directory)?;
            let json = json!({ "format": file.format, "check-errors": 0 });
            return Ok(Done {
                json: Some(json),
                ..Done::default()
            });
        }
        _ => return Err(Unparsable::new("This image format does not support checks")),
    }
    let image = ImageBytes::open(&directory.join(&file.path))?;
    let audit = Audit::of_qcow2(&image)?;
    let leaks = audit.leaks;
    let corruptions = audit.problems.len() - leaks;
    let code = match (corruptions, leaks) {
        (0, 0) => 0,
        (0, _) => LEAKS,
        _ => CORRUPT,
    };
    let json = json!({ "format": file.format, "corruptions": corruptions, "leaks": leaks, "check-errors": 0 });
    Ok(Done {
        json: Some(json),
        code,
        ..Done::default()
    })
}

/// In the shape of `qemu-img info --output=json`.
fn info(volume: &Volume) -> Value {
    let mut json = json!({ "virtual-size": volume.size, "format": volume.format });
    let Store::Qcow2(image) = &volume.store else {
        return json;
    };
    json["cluster-size"] = image.cluster_size().into();
    if let Some((name, format)) = &image.backing {
        json["backing-filename"] = name.as_str().into();
        json["backing-filename-format"] = format.clone().into();
    }
    if !image.snapshots.is_empty() {
        let snapshots = image.snapshots.iter();
        let snapshots = snapshots.map(|found| json!({ "id": found.id, "name": found.name }));
        json["snapshots"] = snapshots.collect();
    }
    let compat = if image.version == 2 { "0.10" } else { "1.1" };
    let mut data = json!({ "compat": compat, "refcount-bits": 1_u64 << image.refcount_order });
    if image.version > 2 {
        data["lazy-refcounts"] = image.lazy_refcounts.into();
    }
    if let Some(name) = &image.data_file {
        data["data-file"] = name.as_str().into();
        data["data-file-raw"] = image.data_file_raw.into();
    }
    json["format-specific"] = json!({ "type": "qcow2", "data": data });
    json
}

/// In the shape of `qemu-img map --output=json`.
fn map(volume: &Volume, window: Window) -> Result<Value, Unparsable> {
    let range = window.within(volume.size);
    let mapped_ranges = volume.mapped_ranges()?;
    let extents = mapped_ranges.iter().filter_map(|mapped| {
        let (start, end) = (mapped.start.max(range.start), mapped.end.min(range.end));
        (start < end).then(|| {
            json!({
                "start": start, "length": end - start, "zero": mapped.zero,
                "data": !mapped.zero, "present": mapped.present
            })
        })
    });
    Ok(extents.collect())
}

/// In the shape of `qemu-img measure --output=json`: what a fully allocated image of the usual options takes.
fn measure(size: u64, target: Format) -> Value {
    let fully = match target {
        Format::Qcow2 => fully_allocated(size),
        _ => size,
    };
    json!({ "required": fully, "fully-allocated": fully })
}

/// The length of a qcow2 of the usual options whose clusters are all allocated, in bytes: header, L1 table, L2 tables, refcounts, data.
fn fully_allocated(size: u64) -> u64 {
    let cluster = MEASURED_CLUSTER;
    let data = size.next_multiple_of(cluster);
    let per_table = cluster / 8;
    let l2 = (data / cluster).next_multiple_of(per_table) * 8;
    let l1 = (l2 / cluster).next_multiple_of(per_table) * 8;
    let used = (cluster + l2 + l1 + data) / cluster;
    let per_block = cluster / MEASURED_REFCOUNT;
    let (mut blocks, mut table) = (0, 0);
    loop {
        let wanted = (used + blocks + table).div_ceil(per_block);
        let tables = (wanted * 8).div_ceil(cluster);
        if (wanted, tables) == (blocks, table) {
            return (used + blocks + table) * cluster;
        }
        (blocks, table) = (wanted, tables);
    }
}
