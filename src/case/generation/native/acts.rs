//! Draws the steps of a chain. This module decides how likely each step is and limits its cost; [`Course::admit`] decides whether the
//! step is possible in the current state.

use super::edges::{self, Grain};
use super::{Narrowing, copies};
use crate::base::rng::NativeRandom;
use crate::image::bitmap_action::BitmapAction;
use crate::image::format::{Format, SECTOR_BYTES};
use crate::image::options::{Compat, CreateOption, Preallocation};
use crate::operation::chain::{Act, ActKind, Course, REBUILT_CLUSTER_MAX, WALKED_BYTES_MAX};
use crate::tool::request::{RepairTier, SnapshotAction};

/// Maximum size in bytes of images that are compared completely.
const COMPARED_BYTES_MAX: u64 = 1 << 30;
/// Maximum length in bytes of one request of a bench.
const BENCHED_BYTES_MAX: u64 = 256 << 10;
/// Maximum number of bytes that a resize preallocates.
const PREALLOCATED_MAX: u64 = 1 << 20;
/// The mode without preallocation, which every format with preallocation modes accepts.
const NO_PREALLOCATION: Preallocation = Preallocation::Off;
const SNAPSHOT_NAMES: [&str; 3] = ["first", "second", "third"];
const BITMAP_CHANGES: [BitmapAction; 4] = [
    BitmapAction::Remove,
    BitmapAction::Clear,
    BitmapAction::Enable,
    BitmapAction::Disable,
];
const BITMAP_ADDITIONS: [&[BitmapAction]; 5] = [
    &[added(None)],
    &[added(Some(512))],
    &[added(Some(65536))],
    &[added(Some(1 << 20)), BitmapAction::Disable],
    &[added(Some(2 << 20))],
];
const BITMAP_NAMES: [&str; 2] = ["one", "two"];

/// Returns the addition of a bitmap; without a granularity, the tool chooses one.
const fn added(granularity: Option<u64>) -> BitmapAction {
    BitmapAction::Add { granularity }
}

/// Draws a step of this kind; `None` if none is possible in the current state.
pub(super) fn draw(
    random: &mut NativeRandom,
    narrowing: &Narrowing,
    kind: ActKind,
    course: &Course,
) -> Option<Act> {
    let top = course.top();
    let (size, grain) = (course.model.top.size, Grain::for_file(top));
    let qcow2 = top.format == Format::Qcow2;
    let edges: Vec<u64> = course.edges();
    let admitted = |act: Act| course.admit(&act).is_admitted().then_some(act);
    match kind {
        ActKind::Write | ActKind::WriteZeroes if !course.is_writable() => None,
        ActKind::Write => Some(Act::Write {
            writes: edges::writes(random, size, grain, &edges, 2),
        }),
        ActKind::WriteZeroes => {
            let offset = edges::offset(random, size, grain, &edges);
            let length = edges::length(random, offset, size, grain, zero_limit(course, grain));
            let unmap = random.percent(40);
            Some(Act::WriteZeroes {
                offset,
                length,
                unmap,
            })
        }
        ActKind::Discard if course.discards_surely() => Some(discard(random, course, grain)),
        ActKind::Resize if course.is_resized() => Some(resize(random, course, grain)),
        ActKind::Snapshot if course.takes_snapshots() => {
            admitted(snapshot(random, course))
        }
        ActKind::Rebase if is_rebased(course) => Some(rebase(random, course)),
        ActKind::Commit => admitted(Act::Commit),
        ActKind::Amend if qcow2 => Some(amend(random, grain)),
        ActKind::Bitmap if qcow2 => Some(bitmap(random, course)),
        ActKind::Convert => Some(copies::convert(random, narrowing, course)),
        ActKind::Read => Some(Act::Read),
        ActKind::Map => Some(Act::Map),
        ActKind::Info => Some(Act::Info),
        ActKind::Check => admitted(Act::Check),
        ActKind::Measure => Some(Act::Measure {
            target: *random.choice(&[Format::Qcow2, Format::Raw]),
        }),
        ActKind::Compare => compare(random, course),
        ActKind::Dd => copies::dd(random, narrowing, course),
        ActKind::Repair => admitted(Act::Repair {
            tier: *random.choice(&[RepairTier::Leaks, RepairTier::All]),
        }),
        ActKind::Bench => admitted(bench(random, course, grain)),
        ActKind::SnapshotList => admitted(Act::SnapshotList),
        ActKind::ConvertSnapshot if qcow2 => copies::convert_snapshot(random, narrowing, course)
            .or_else(|| draw(random, narrowing, ActKind::Snapshot, course)),
        ActKind::Discard
        | ActKind::Resize
        | ActKind::Snapshot
        | ActKind::Rebase
        | ActKind::Amend
        | ActKind::Bitmap
        | ActKind::ConvertSnapshot
        // Drawn in `below.rs`, of acts from here.
        | ActKind::Below
        // Steps that must be refused occur only in hand-written cases.
        | ActKind::Refused => None,
    }
}

/// Onto an image below, or, where it may lie on no other image, onto none.
fn rebase(random: &mut NativeRandom, course: &Course) -> Act {
    let below = course.below().len() as u64;
    let onto = random.below(below + 1).checked_sub(1);
    let onto = onto.map(|index| Act::Rebase {
        onto: Some(index as usize),
    });
    let admitted = onto.filter(|act| course.admit(act).is_admitted());
    admitted.unwrap_or(Act::Rebase { onto: None })
}

/// Returns whether a rebase is drawn. Encrypted images could be detached, but no generation draws that.
fn is_rebased(course: &Course) -> bool {
    let nothing = Act::Rebase { onto: None };
    course.admit(&nothing).is_admitted() && !course.top().is_encrypted()
}

/// Draws a comparison with the image that the current one was converted from, or with a backing image.
fn compare(random: &mut NativeRandom, course: &Course) -> Option<Act> {
    let below = course.below().len() as u64;
    let with = random.below(below + 1).checked_sub(1);
    let with = with.map(|index| index as usize);
    let (_, view) = course.counterpart(with)?;
    let small = course.model.top.size.max(view.size) <= COMPARED_BYTES_MAX;
    let act = Act::Compare { with };
    (small && course.admit(&act).is_admitted()).then_some(act)
}

/// Draws a bench whose requests all end within the image.
fn bench(random: &mut NativeRandom, course: &Course, grain: Grain) -> Act {
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
    // Requests may overlap and complete in any order, because all write the same byte.
    Act::Bench {
        count,
        length,
        offset,
        stride,
        depth,
        byte: writes.then_some(byte),
    }
}

/// Returns the maximum length in bytes of a write of zeros. Formats without zero clusters write the zeros out, so their limit is low.
fn zero_limit(course: &Course, grain: Grain) -> u64 {
    match course.top().format {
        Format::Qcow2 if course.top().options.is_version_2() => 1 << 20,
        Format::Qcow2 | Format::Raw => grain.reach(),
        _ => 1 << 20,
    }
}

/// Draws a discard of whole clusters.
fn discard(random: &mut NativeRandom, course: &Course, grain: Grain) -> Act {
    let size = course.model.top.size;
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
    Act::Discard { offset, length }
}

/// Draws a new size: near a boundary, some clusters larger, at a table boundary, or any size.
fn resize(random: &mut NativeRandom, course: &Course, grain: Grain) -> Act {
    let (top, size) = (course.top(), course.model.top.size);
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
    // Growing an overlay beyond the size of its backing file writes zeros in version 2.
    let high = if course.below().is_empty() {
        u64::MAX
    } else {
        WALKED_BYTES_MAX
    };
    // All clusters of an image with data_file_raw are allocated.
    let high = if top.options.data_file_raw().is_some() {
        high.min(grain.reach().max(size))
    } else {
        high
    };
    let wanted = wanted.clamp(low, high.max(low));
    let wanted = (wanted / SECTOR_BYTES * SECTOR_BYTES).max(SECTOR_BYTES);
    // Growing such an image mostly triggers a known qemu-img bug: see `Hazard::RaggedGrowth`.
    let wanted = if course.is_ragged() && random.percent(80) {
        wanted.min(size)
    } else {
        wanted
    };
    let is_little = wanted.saturating_sub(size) <= PREALLOCATED_MAX.min(grain.reach());
    let preallocates =
        is_little && course.preallocates(wanted, NO_PREALLOCATION) && random.percent(20);
    let mode = *random.choice(course.preallocations());
    Act::Resize {
        size: wanted,
        preallocation: preallocates.then_some(mode),
    }
}

/// Draws a snapshot step: creation is as likely as deletion and application together.
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

fn amend(random: &mut NativeRandom, grain: Grain) -> Act {
    // qemu-img rebuilds refcounts block by block, which takes half a minute with clusters of 1 MiB.
    let option = if random.percent(10) && grain.cluster <= REBUILT_CLUSTER_MAX {
        CreateOption::RefcountBits(*random.choice(&[1, 2, 4, 8, 16, 32, 64]))
    } else {
        let options = [
            CreateOption::Compat(Compat::Version2),
            CreateOption::Compat(Compat::Version3),
            CreateOption::LazyRefcounts(true),
            CreateOption::LazyRefcounts(false),
        ];
        random.choice(&options).clone()
    };
    Act::Amend {
        options: [option].into(),
    }
}

/// Draws an addition of a bitmap, or a change of one that exists.
fn bitmap(random: &mut NativeRandom, course: &Course) -> Act {
    let name = *random.choice(&BITMAP_NAMES);
    let other = BITMAP_NAMES.into_iter().find(|other| *other != name);
    let other = other.filter(|other| course.model.bitmaps.contains_key(*other));
    let merge = random.percent(25);
    let actions = match (course.model.bitmaps.contains_key(name), other) {
        (true, Some(other)) if merge => vec![BitmapAction::Merge {
            source: other.to_owned(),
        }],
        (true, _) => vec![random.choice(&BITMAP_CHANGES).clone()],
        (false, _) => (*random.choice(&BITMAP_ADDITIONS)).to_vec(),
    };
    Act::Bitmap {
        actions,
        name: name.to_owned(),
    }
}
