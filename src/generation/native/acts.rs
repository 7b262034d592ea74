//! How the steps of a chain are drawn: only what makes sense where the chain stands.

use super::edges::{self, Grain};
use super::{Narrowing, layers};
use crate::format::{Format, SECTOR_BYTES};
use crate::operation::chain::{Act, Course};
use crate::request::{ImageFile, SnapshotAction};
use crate::rng::NativeRandom;

/// Images that a rebase or a commit goes through from end to end.
const WALKED_BYTES_MAX: u64 = 64 << 20;
/// Data that a conversion copies may lie anywhere below this size.
const CONVERTED_FOREIGN_MAX: u64 = 4 << 30;
/// Bytes that a resize preallocates.
const PREALLOCATED_MAX: u64 = 1 << 20;
/// Cluster sizes at which the width of refcounts may be amended.
const REBUILT_CLUSTER_MAX: u64 = 16384;
const SNAPSHOT_NAMES: [&str; 3] = ["first", "second", "third"];
const BITMAP_CHANGES: [&[&str]; 4] = [&["--remove"], &["--clear"], &["--enable"], &["--disable"]];
const BITMAP_ADDITIONS: [&[&str]; 3] = [
    &["--add"],
    &["--add", "-g", "65536"],
    &["--add", "-g", "1048576", "--disable"],
];
const BITMAP_NAMES: [&str; 2] = ["one", "two"];

/// An act of this kind; nothing where it makes no sense.
pub(super) fn draw(
    random: &mut NativeRandom,
    narrowing: &Narrowing,
    kind: &str,
    course: &Course,
) -> Option<Act> {
    let top = course.top();
    let (size, grain) = (course.model.top.size, Grain::of(top));
    let qcow2 = top.format == Format::Qcow2;
    let edges: Vec<u64> = course.model.below.iter().map(|view| view.size).collect();
    match kind {
        "write" => Some(Act::Write {
            writes: edges::writes(random, size, grain, &edges, 2),
        }),
        "write_zeroes" => {
            let offset = edges::offset(random, size, grain, &edges);
            let length = edges::length(random, offset, size, grain, zero_limit(course, grain));
            let unmap = random.percent(40);
            Some(Act::WriteZeroes {
                offset,
                length,
                unmap,
            })
        }
        "discard" => discard(random, course, grain),
        "resize" => resize(random, course, grain),
        // A snapshot for which the refcounts are too narrow is refused, and qemu-img 10.0.2 then leaks clusters.
        "snapshot" if qcow2 && has_wide_refcounts(top) => Some(snapshot(random, course)),
        // Where a snapshot has no cluster of its own it shows whatever backing file there is: it must stay what it was.
        "rebase" | "commit" if !course.model.snapshots.is_empty() => None,
        "rebase" if rebase_crashes(course, grain) => None,
        "rebase" if size <= WALKED_BYTES_MAX && !course.below().is_empty() => {
            let below = course.below().len() as u64;
            let onto = random.below(below + 1).checked_sub(1);
            Some(Act::Rebase {
                onto: onto.map(|index| index as usize),
            })
        }
        "commit" => commit(course),
        "amend" if qcow2 => Some(amend(random, course, grain)),
        "bitmap" if qcow2 => Some(bitmap(random, course)),
        "convert" => Some(convert(random, narrowing, course)),
        "read" => Some(Act::Read),
        "map" => Some(Act::Map),
        "info" => Some(Act::Info),
        "check" => top.format.is_checked().then_some(Act::Check),
        "measure" => Some(Act::Measure {
            target: *random.choice(&[Format::Qcow2, Format::Raw]),
        }),
        _ => None,
    }
}

/// `qemu-img rebase` 10.0.2 writes behind the end of a buffer (free(): invalid pointer) when the old backing file is shorter than the
/// overlay and ends within a cluster: a raw image of 4 MiB, an overlay of 512 bytes on it, one of 4 MiB on that, put onto the first.
fn rebase_crashes(course: &Course, grain: Grain) -> bool {
    let size = course.model.top.size;
    let old = course.model.below.last().map_or(size, |view| view.size);
    old < size && !old.is_multiple_of(grain.cluster)
}

/// Compressed clusters share a host cluster, and each counts.
fn has_wide_refcounts(file: &ImageFile) -> bool {
    let bits = file.option("refcount_bits").unwrap_or("16");
    ["16", "32", "64"].contains(&bits)
}

/// Zeros that a format cannot mark are written.
fn zero_limit(course: &Course, grain: Grain) -> u64 {
    match course.top().format {
        Format::Qcow2 if course.top().option("compat") == Some("0.10") => 1 << 20,
        Format::Qcow2 | Format::Raw => grain.reach(),
        Format::Vmdk | Format::Vpc | Format::Vhdx => 1 << 20,
    }
}

/// Whole clusters, where what is given back surely reads as zeros: version 2 has no way to say so over a backing file, and the other
/// formats give nothing back.
fn discard(random: &mut NativeRandom, course: &Course, grain: Grain) -> Option<Act> {
    let (top, size) = (course.top(), course.model.top.size);
    let version_2 = top.option("compat") == Some("0.10");
    let sure = match top.format {
        Format::Qcow2 => course.below().is_empty() || !version_2,
        Format::Raw => true,
        Format::Vmdk | Format::Vpc | Format::Vhdx => false,
    };
    if !sure {
        return None;
    }
    let clusters = size.div_ceil(grain.cluster);
    let first = edges::offset(random, size, grain, &[]) / grain.cluster;
    let most = (grain.reach() / grain.cluster).min(clusters - first).max(1);
    let count = match random.below(4) {
        0 => most,
        1 => 1,
        _ => random.between(1, most.min(8)),
    };
    let offset = first * grain.cluster;
    let length = (count * grain.cluster).min(size - offset);
    Some(Act::Discard { offset, length })
}

fn resize(random: &mut NativeRandom, course: &Course, grain: Grain) -> Option<Act> {
    let (top, size) = (course.top(), course.model.top.size);
    if !matches!(top.format, Format::Qcow2 | Format::Raw) {
        return None;
    }
    let wanted = match random.below(4) {
        0 => edges::offset(random, size, grain, &[]),
        1 => size + grain.cluster * random.between(1, 4),
        2 => (size.div_ceil(grain.table) + random.below(2)) * grain.table,
        _ => edges::size(random, top.format, grain, size.saturating_mul(4)),
    };
    let low = if top.format == Format::Qcow2 {
        size.saturating_sub(grain.reach())
    } else {
        0
    };
    // Growing over a longer backing file writes zeros in version 2.
    let high = if course.below().is_empty() {
        u64::MAX
    } else {
        WALKED_BYTES_MAX
    };
    let wanted = wanted.clamp(low, high.max(low));
    let wanted = (wanted / SECTOR_BYTES * SECTOR_BYTES).max(SECTOR_BYTES);
    // What a guest then sees behind the cut is not settled: see `Course::is_ragged`.
    let wanted = if course.is_ragged() {
        wanted.min(size)
    } else {
        wanted
    };
    let added = wanted.saturating_sub(size);
    let preallocates = added > 0
        && added <= PREALLOCATED_MAX.min(grain.reach())
        && course.below().is_empty()
        && random.percent(20);
    // Not "metadata": qemu-img 10.0.2 then takes host clusters that were freed before for zeros, and shows what is left in them.
    let mode = *random.choice(&["off", "falloc", "full"]);
    Some(Act::Resize {
        size: wanted,
        preallocation: preallocates.then(|| mode.to_owned()),
    })
}

/// Making one is as likely as the other two together.
fn snapshot(random: &mut NativeRandom, course: &Course) -> Act {
    let there: Vec<&String> = course.model.snapshots.keys().collect();
    let free: Vec<&str> = SNAPSHOT_NAMES
        .into_iter()
        .filter(|name| !course.model.snapshots.contains_key(*name))
        .collect();
    let create = there.is_empty() || (!free.is_empty() && random.percent(50));
    let (action, name) = if create {
        (SnapshotAction::Create, (*random.choice(&free)).to_owned())
    } else {
        let action = *random.choice(&[SnapshotAction::Delete, SnapshotAction::Apply]);
        (action, (*random.choice(&there)).clone())
    };
    Act::Snapshot { action, name }
}

/// Into an image that can grow when it must.
fn commit(course: &Course) -> Option<Act> {
    let below = course.below().last()?;
    let can_grow = matches!(below.format, Format::Qcow2 | Format::Raw);
    let must_grow = course.model.below.last()?.size < course.model.top.size;
    let small = course.model.top.size <= WALKED_BYTES_MAX;
    (small && (can_grow || !must_grow)).then_some(Act::Commit)
}

fn amend(random: &mut NativeRandom, course: &Course, grain: Grain) -> Act {
    // qemu-img rebuilds refcounts block by block: half a minute of it at clusters of 1 MiB.
    let option = if random.percent(10) && grain.cluster <= REBUILT_CLUSTER_MAX {
        let bits = random.choice(&["1", "2", "4", "8", "16", "32", "64"]);
        format!("refcount_bits={bits}")
    } else {
        let options = [
            "compat=0.10",
            "compat=1.1",
            "lazy_refcounts=on",
            "lazy_refcounts=off",
        ];
        // Amended to version 2, qemu-img 10.0.2 forgets an image's bitmaps and leaks their clusters.
        let first = usize::from(!course.model.bitmaps.is_empty());
        (*random.choice(&options[first..])).to_owned()
    };
    Act::Amend {
        options: vec![option],
    }
}

fn bitmap(random: &mut NativeRandom, course: &Course) -> Act {
    let name = *random.choice(&BITMAP_NAMES);
    let flags: &[&str] = if course.model.bitmaps.contains_key(name) {
        random.choice::<&[&str]>(&BITMAP_CHANGES)
    } else {
        random.choice::<&[&str]>(&BITMAP_ADDITIONS)
    };
    Act::Bitmap {
        flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
        name: name.to_owned(),
    }
}

/// To another format or other options, compressed or not.
fn convert(random: &mut NativeRandom, narrowing: &Narrowing, course: &Course) -> Act {
    let size = course.model.top.size;
    let format = if random.percent(60) {
        Format::Qcow2
    } else {
        *random.choice(narrowing.formats)
    };
    let foreign = !matches!(format, Format::Qcow2 | Format::Raw);
    let format = if foreign && size > CONVERTED_FOREIGN_MAX {
        Format::Raw
    } else {
        format
    };
    let options = layers::options(random, narrowing, format);
    // A large image in small clusters does not fit, or takes long.
    let target = ImageFile::new("", format).with_options(options.clone());
    let fits = format != Format::Qcow2 || edges::fits(size, Grain::of(&target));
    Act::Convert {
        format,
        options: if fits { options } else { Vec::new() },
        compress: format == Format::Qcow2 && random.percent(30),
    }
}
