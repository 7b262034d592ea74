//! What a guest sees in an image from outside: by our own readers, or by the reference where they cannot read it.
//!
//! The bytes go into a raw file with holes, and are registered, so that the model of a case can begin with them.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

use super::Reading;
use crate::disk_format::plain::Volume;
use crate::disk_format::qcow2::Unparsable;
use crate::image::content::outside::{GuestBytes, register};
use crate::image::content::{copy_sparse, create_in_place, data_segments, each_piece, is_zero};
use crate::image::format::{Format, SECTOR_BYTES};
use crate::process::scratch::Root;
use crate::tool::request::{ImageFile, Request};
use crate::tool::{CallContext, Support, model};

/// The most bytes of data of an image with which cases begin: each of them copies, reads and compares them several times.
const DATA_BYTES_MAX: u64 = 256 << 20;

/// What a guest sees.
pub(super) struct Seen {
    pub(super) size: u64,
    pub(super) key: u32,
}

/// Registers what a guest sees in an image whose files are in `directory`.
pub(super) fn of_image(
    file: &ImageFile,
    key: Key<'_>,
    directory: &Path,
    reading: &Reading<'_>,
) -> Result<Seen, String> {
    let key = key.number(None);
    let contents = Request::Contents { file: file.clone() };
    let own = match model::tool().support(&contents) {
        Support::Yes => Volume::open(&directory.join(&file.path), file.format)
            .and_then(|volume| by_model(&volume, directory)),
        Support::No(why) => Err(Unparsable::new(why)),
    };
    let guest = match own {
        Ok(guest) => guest,
        Err(why) => by_reference(file, directory, reading).map_err(|theirs| {
            let reference = reading.reference.name();
            format!("what a guest sees in it is not known: {why}; {reference}: {theirs}")
        })?,
    };
    let size = guest.size;
    let data: u64 = guest.runs.iter().map(|(start, end)| end - start).sum();
    if data > DATA_BYTES_MAX {
        return Err(format!(
            "it holds {data} bytes of data, which every case would copy and read: at most {DATA_BYTES_MAX} are taken"
        ));
    }
    register(key, guest);
    Ok(Seen { size, key })
}

/// Registers what a guest sees in a snapshot; `None` where our own reader cannot tell.
pub(super) fn of_snapshot(
    file: &ImageFile,
    id: u64,
    key: Key<'_>,
    directory: &Path,
) -> Option<(u64, u32)> {
    let request = Request::Contents { file: file.clone() };
    if model::tool().support(&request) != Support::Yes {
        return None;
    }
    let volume = Volume::open(&directory.join(&file.path), file.format).ok()?;
    let snapshot = volume.at_snapshot(&id.to_string()).ok()?;
    let guest = by_model(&snapshot, directory).ok()?;
    let key = key.number(Some(id));
    let size = guest.size;
    register(key, guest);
    Some((size, key))
}

/// Which file of an image from outside: the key of what a guest sees in it is the same in every run, whatever the file is called.
#[derive(Clone, Copy)]
pub(super) struct Key<'image> {
    pub(super) digest: &'image str,
    /// How many images lie below it.
    pub(super) depth: usize,
}

impl Key<'_> {
    /// The key of the image, or of a snapshot of it.
    pub(super) fn number(self, snapshot: Option<u64>) -> u32 {
        let snapshot = snapshot.map_or_else(String::new, |id| id.to_string());
        let text = format!("{}\n{}\n{snapshot}", self.digest, self.depth);
        xxh3_64(text.as_bytes()) as u32
    }
}

/// A file that has no name any more: it is gone with its last holder.
fn nameless(directory: &Path) -> Result<File, Unparsable> {
    let path = directory.join(".guest");
    let file = create_in_place(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

fn by_model(volume: &Volume, directory: &Path) -> Result<GuestBytes, Unparsable> {
    let file = nameless(directory)?;
    let mut runs = Vec::new();
    volume.each_piece(|offset, bytes| {
        add(&mut runs, offset, bytes);
        if !is_zero(bytes) {
            file.write_all_at(bytes, offset)?;
        }
        Ok(())
    })?;
    Ok(GuestBytes {
        size: volume.size,
        runs,
        file,
    })
}

/// Adds the sectors of a piece that are not all zero, in ascending order.
fn add(runs: &mut Vec<(u64, u64)>, offset: u64, bytes: &[u8]) {
    for (index, sector) in bytes.chunks(SECTOR_BYTES as usize).enumerate() {
        if is_zero(sector) {
            continue;
        }
        let start = offset + index as u64 * SECTOR_BYTES;
        let end = start + sector.len() as u64;
        match runs.last_mut() {
            Some((_, last)) if *last == start => *last = end,
            _ => runs.push((start, end)),
        }
    }
}

/// Has the reference copy the image into a raw file.
fn by_reference(
    file: &ImageFile,
    directory: &Path,
    reading: &Reading<'_>,
) -> Result<GuestBytes, String> {
    let told = |error: crate::base::error::Error| error.to_string();
    let tool = reading.reference;
    let raw = ImageFile::new("imgduel-guest", Format::Raw);
    let convert = Request::Convert {
        source: file.clone(),
        target: raw.clone(),
        compress: false,
        mode: Default::default(),
    };
    let info = Request::Info { file: file.clone() };
    for request in [&convert, &info] {
        if let Support::No(why) = tool.support(request) {
            return Err(why);
        }
    }
    let scratch = Root::make(reading.workdir, "from").map_err(told)?;
    let entries = std::fs::read_dir(directory).map_err(|error| error.to_string())?;
    for entry in entries.flatten() {
        copy_sparse(&entry.path(), &scratch.path().join(entry.file_name())).map_err(told)?;
    }
    let call_context = CallContext {
        directory: scratch.path(),
        limit: reading.limit,
        grace: Duration::ZERO,
        sandbox: reading.sandbox,
        memory_bytes_max: None,
    };
    let described = tool.ask(&info, &call_context).map_err(told)?;
    let size = described.report.tree().ok();
    let size = size.and_then(|json| json["virtual-size"].as_u64());
    let size = size.ok_or_else(|| described.describe())?;
    let copied = tool.ask(&convert, &call_context).map_err(told)?;
    if !copied.succeeded() {
        return Err(copied.describe());
    }
    let file = File::open(scratch.path().join(&raw.path)).map_err(|error| error.to_string())?;
    let mut runs = Vec::new();
    let segments = data_segments(&file).map_err(|error| error.to_string())?;
    for segment in segments {
        each_piece(&file, segment, |offset, bytes| {
            add(&mut runs, offset, bytes)
        })
        .map_err(|error| error.to_string())?;
    }
    Ok(GuestBytes { size, runs, file })
}
