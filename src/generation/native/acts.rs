//! How the steps of a chain are drawn: only what makes sense where the chain stands.

use super::edges::{self, Grain};
use super::{Narrowing, below, copies};
use crate::format::{Format, SECTOR_BYTES};
use crate::operation::chain::{Act, Course};
use crate::request::{RepairTier, SnapshotAction};
use crate::rng::NativeRandom;

/// Images that a rebase or a commit goes through from end to end.
const WALKED_BYTES_MAX: u64 = 64 << 20;
/// Images that are compared from end to end.
const COMPARED_BYTES_MAX: u64 = 1 << 30;
/// Bytes of one request of a bench.
const BENCHED_BYTES_MAX: u64 = 256 << 10;
/// Bytes that a resize preallocates.
const PREALLOCATED_MAX: u64 = 1 << 20;
/// Cluster sizes at which the width of refcounts may be amended.
const REBUILT_CLUSTER_MAX: u64 = 16384;
const SNAPSHOT_NAMES: [&str; 3] = ["first", "second", "third"];
const BITMAP_CHANGES: [&[&str]; 4] = [&["--remove"], &["--clear"], &["--enable"], &["--disable"]];
const BITMAP_ADDITIONS: [&[&str]; 5] = [
    &["--add"],
    &["--add", "-g", "512"],
    &["--add", "-g", "65536"],
    &["--add", "-g", "1048576", "--disable"],
    &["--add", "-g", "2097152"],
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
    let edges: Vec<u64> = course.edges();
    match kind {
        "write" | "write_zeroes" if !course.is_writable() => None,
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
        "snapshot" if qcow2 && top.data_file().is_none() => snapshot(random, course),
        "rebase" if qcow2 && size <= WALKED_BYTES_MAX && can_rebase(course) => {
            let below = course.below().len() as u64;
            let onto = random.below(below + 1).checked_sub(1);
            // An encrypted image cannot be named with its secret as a new backing file.
            let onto = onto.filter(|_| !top.is_locked());
            Some(Act::Rebase {
                onto: onto.map(|index| index as usize),
            })
        }
        "commit" => commit(course),
        "amend" if qcow2 => Some(amend(random, grain)),
        "bitmap" if qcow2 => Some(bitmap(random, course)),
        "convert" => Some(copies::convert(random, narrowing, course)),
        "read" => Some(Act::Read),
        "map" => Some(Act::Map),
        "info" => Some(Act::Info),
        "check" => top.format.is_checked().then_some(Act::Check),
        "measure" => Some(Act::Measure {
            target: *random.choice(&[Format::Qcow2, Format::Raw]),
        }),
        "compare" => compare(random, course),
        "dd" => copies::dd(random, narrowing, course),
        "repair" => repair(random, course),
        "bench" => bench(random, course, grain),
        "snapshot_list" if qcow2 => Some(Act::SnapshotList),
        "convert_snapshot" if qcow2 => copies::convert_snapshot(random, narrowing, course)
            .or_else(|| draw(random, narrowing, "snapshot", course)),
        "below" => below::draw(random, narrowing, course),
        _ => None,
    }
}

/// With the image that it was made from, or with one below it.
fn compare(random: &mut NativeRandom, course: &Course) -> Option<Act> {
    let below = course.below().len() as u64;
    let with = random.below(below + 1).checked_sub(1);
    let with = with.map(|index| index as usize);
    let (_, view) = course.counterpart(with)?;
    let small = course.model.top.size.max(view.size) <= COMPARED_BYTES_MAX;
    small.then_some(Act::Compare { with })
}

/// Of an image with nothing wrong.
fn repair(random: &mut NativeRandom, course: &Course) -> Option<Act> {
    let tier = *random.choice(&[RepairTier::Leaks, RepairTier::All]);
    let repaired = [Format::Qcow2, Format::Parallels];
    let can = repaired.contains(&course.top().format) && course.is_writable();
    can.then_some(Act::Repair { tier })
}

/// So that no request reaches over the end.
fn bench(random: &mut NativeRandom, course: &Course, grain: Grain) -> Option<Act> {
    let size = course.model.top.size;
    let edges: Vec<u64> = course.edges();
    let offset = edges::offset(random, size, grain, &edges);
    let length = edges::length(random, offset, size, grain, BENCHED_BYTES_MAX);
    let stride = match random.below(4) {
        0 => length,
        1 => grain.cluster.min(size),
        2 => length + 1,
        _ => random.between(1, 1 << 20),
    };
    let most = (size - offset - length) / stride + 1;
    let count = random.between(1, 12).min(most);
    let byte = random.between(1, 255) as u8;
    let writes = random.percent(60);
    let depth = random.between(1, 8);
    // Bench has no place for a secret. Requests of the same byte may overlap in any order.
    let plain = !course.top().is_locked();
    (plain && (course.is_writable() || !writes)).then_some(Act::Bench {
        count,
        length,
        offset,
        stride,
        depth,
        byte: writes.then_some(byte),
    })
}

/// An encrypted overlay has no plain name that a relative backing file could be resolved against: qemu-img refuses.
fn can_rebase(course: &Course) -> bool {
    !course.below().is_empty() && !course.top().is_encrypted()
}

/// Zeros that a format cannot mark are written.
fn zero_limit(course: &Course, grain: Grain) -> u64 {
    match course.top().format {
        Format::Qcow2 if course.top().option("compat") == Some("0.10") => 1 << 20,
        Format::Qcow2 | Format::Raw => grain.reach(),
        _ => 1 << 20,
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
        _ => false,
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
    // The clusters of a data file that is to stay a raw image are all allocated.
    let high = if top.option("data_file_raw").is_some() {
        high.min(grain.reach().max(size))
    } else {
        high
    };
    let wanted = wanted.clamp(low, high.max(low));
    let wanted = (wanted / SECTOR_BYTES * SECTOR_BYTES).max(SECTOR_BYTES);
    // A hazard, as a rule: see `Hazard::RaggedGrowth`.
    let wanted = if course.is_ragged() && random.percent(80) {
        wanted.min(size)
    } else {
        wanted
    };
    let added = wanted.saturating_sub(size);
    let preallocates = added > 0
        && added <= PREALLOCATED_MAX.min(grain.reach())
        && course.below().is_empty()
        && !top.is_encrypted()
        && random.percent(20);
    // A raw image has no metadata.
    let modes = ["off", "falloc", "full", "metadata"];
    let known = if top.format == Format::Qcow2 { 4 } else { 3 };
    let mode = *random.choice(&modes[..known]);
    Some(Act::Resize {
        size: wanted,
        preallocation: preallocates.then(|| mode.to_owned()),
    })
}

/// Making one is as likely as the other two together.
fn snapshot(random: &mut NativeRandom, course: &Course) -> Option<Act> {
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
    let unsettled = |name: &String| course.model.snapshots[name].seen.is_none();
    let unknown = action == SnapshotAction::Apply && unsettled(&name);
    (!unknown).then_some(Act::Snapshot { action, name })
}

/// Into an image that can grow when it must.
fn commit(course: &Course) -> Option<Act> {
    let below = course.below().last()?;
    let can_grow = matches!(below.format, Format::Qcow2 | Format::Raw);
    let can_commit = matches!(course.top().format, Format::Qcow2 | Format::Qcow);
    let must_grow = course.model.below.last()?.view.size < course.model.top.size;
    let small = course.model.top.size <= WALKED_BYTES_MAX;
    // qemu-img opens the chain again to write, and the driver of parallels cannot.
    let fixed = course
        .below()
        .iter()
        .any(|file| file.format == Format::Parallels);
    let can_commit = can_commit && !fixed && course.commits_simply();
    (small && can_commit && (can_grow || !must_grow)).then_some(Act::Commit)
}

fn amend(random: &mut NativeRandom, grain: Grain) -> Act {
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
        (*random.choice(&options)).to_owned()
    };
    Act::Amend {
        options: vec![option],
    }
}

fn bitmap(random: &mut NativeRandom, course: &Course) -> Act {
    let name = *random.choice(&BITMAP_NAMES);
    let other = BITMAP_NAMES.into_iter().find(|other| *other != name);
    let other = other.filter(|other| course.model.bitmaps.contains_key(*other));
    let merge = random.percent(25);
    let flags: Vec<&str> = match (course.model.bitmaps.contains_key(name), other) {
        (true, Some(other)) if merge => vec!["--merge", other],
        (true, _) => random.choice::<&[&str]>(&BITMAP_CHANGES).to_vec(),
        (false, _) => random.choice::<&[&str]>(&BITMAP_ADDITIONS).to_vec(),
    };
    Act::Bitmap {
        flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
        name: name.to_owned(),
    }
}
