//! Draws the steps of a chain. This module decides how likely each step is and limits its cost; [`ChainState::admit`] decides whether the
//! step is possible in the current state.

use super::edges::{self, Grain};
use super::space::{discard, resize, zero_limit};
use super::{NativeProfile, converts, references, sessions};
use crate::base::rng::NativeRandom;
use crate::image::format::{Format, SECTOR_BYTES};
use crate::image::options::{Compat, CreateOption};
use crate::operation::chain::{ChainState, ChainStep, ChainStepKind, REBUILT_CLUSTER_MAX};
use crate::tool::request::{Fault, FaultKind, FaultyCall, RepairTier, SnapshotAction, Window};

/// Maximum size in bytes of images that are compared completely.
const COMPARED_BYTES_MAX: u64 = 1 << 30;
/// Maximum length in bytes of one request of a bench.
const BENCHED_BYTES_MAX: u64 = 256 << 10;
/// The kinds of steps within which a call fails.
const FAULTY: [ChainStepKind; 8] = [
    ChainStepKind::Write,
    ChainStepKind::Write,
    ChainStepKind::WriteZeroes,
    ChainStepKind::Discard,
    ChainStepKind::Resize,
    ChainStepKind::Commit,
    ChainStepKind::Rebase,
    ChainStepKind::Session,
];
const SNAPSHOT_NAMES: [&str; 3] = ["first", "second", "third"];

/// Draws a step of this kind; `None` if none is possible in the current state.
pub(super) fn draw(
    random: &mut NativeRandom,
    profile: &NativeProfile,
    kind: ChainStepKind,
    chain_state: &ChainState,
) -> Option<ChainStep> {
    let top = chain_state.top();
    let (size, grain) = (chain_state.model.top.size, Grain::for_file(top));
    let qcow2 = top.format == Format::Qcow2;
    let edges: Vec<u64> = chain_state.edges();
    let admitted = |step: ChainStep| chain_state.admit(&step).is_admitted().then_some(step);
    match kind {
        ChainStepKind::Write | ChainStepKind::WriteZeroes if !chain_state.is_writable() => None,
        ChainStepKind::Write => Some(ChainStep::Write {
            writes: edges::writes(random, size, grain, &edges, 2),
        }),
        ChainStepKind::WriteZeroes => {
            let offset = edges::offset(random, size, grain, &edges);
            let length = edges::length(random, offset, size, grain, zero_limit(chain_state, grain));
            let unmap = random.percent(40);
            Some(ChainStep::WriteZeroes {
                offset,
                length,
                unmap,
            })
        }
        ChainStepKind::Discard if chain_state.discards_surely() => Some(discard(random, chain_state, grain)),
        ChainStepKind::Resize if chain_state.is_resized() => Some(resize(random, chain_state, grain)),
        ChainStepKind::Snapshot if chain_state.takes_snapshots() => {
            admitted(snapshot(random, chain_state))
        }
        ChainStepKind::Rebase if is_rebased(chain_state) => Some(references::rebase(random, profile, chain_state)),
        ChainStepKind::Commit => admitted(references::commit(random, profile, chain_state)),
        ChainStepKind::ConvertInto => references::convert_into(random, profile, chain_state),
        ChainStepKind::Amend if qcow2 => Some(amend(random, grain)),
        ChainStepKind::Bitmap if qcow2 => Some(references::bitmap(random, profile, chain_state)),
        ChainStepKind::Convert => {
            let mut to = converts::convert(random, profile, chain_state);
            converts::mode(random, profile, chain_state, &mut to);
            Some(ChainStep::Convert(to))
        }
        ChainStepKind::Read => Some(ChainStep::Read),
        ChainStepKind::Map => Some(ChainStep::Map {
            window: window(random, profile, size, grain, &edges),
        }),
        ChainStepKind::Info => Some(ChainStep::Info),
        ChainStepKind::Check => admitted(ChainStep::Check),
        ChainStepKind::Measure => Some(references::measure(random, profile, chain_state)),
        ChainStepKind::Compare => compare(random, chain_state),
        ChainStepKind::Dd => converts::dd(random, profile, chain_state),
        ChainStepKind::Repair => admitted(repair(random)),
        ChainStepKind::Bench => admitted(bench(random, chain_state, grain)),
        ChainStepKind::Session => sessions::draw(random, profile, chain_state),
        ChainStepKind::Fault => fault(random, profile, chain_state),
        ChainStepKind::SnapshotList => admitted(ChainStep::SnapshotList),
        ChainStepKind::ConvertSnapshot if qcow2 => converts::convert_snapshot(random, profile, chain_state)
            .or_else(|| draw(random, profile, ChainStepKind::Snapshot, chain_state)),
        ChainStepKind::Discard
        | ChainStepKind::Resize
        | ChainStepKind::Snapshot
        | ChainStepKind::Rebase
        | ChainStepKind::Amend
        | ChainStepKind::Bitmap
        | ChainStepKind::ConvertSnapshot
        // Drawn in `backing.rs`, of steps from here; those that must be refused occur only in hand-written cases.
        | ChainStepKind::Below
        | ChainStepKind::Opened
        | ChainStepKind::Refused => None,
    }
}

/// Draws the part of an image that is mapped: all of it, if the profile has no modes. Nothing is drawn for that.
fn window(
    random: &mut NativeRandom,
    profile: &NativeProfile,
    size: u64,
    grain: Grain,
    edges: &[u64],
) -> Window {
    if !profile.has_modes || random.percent(50) {
        return Window::WHOLE;
    }
    let start = edges::offset(random, size, grain, edges) / SECTOR_BYTES * SECTOR_BYTES;
    let length = edges::length(random, start, size, grain, u64::MAX);
    let length = length.next_multiple_of(SECTOR_BYTES);
    let (has_start, has_length) = (random.percent(70), random.percent(70));
    Window {
        start: has_start.then_some(start),
        length: has_length.then_some(length),
    }
}

fn repair(random: &mut NativeRandom) -> ChainStep {
    let tiers = [RepairTier::Leaks, RepairTier::All];
    ChainStep::Repair {
        tier: *random.choice(&tiers),
    }
}

/// Returns whether a rebase is drawn. Encrypted images could be detached, but no generation draws that.
fn is_rebased(chain_state: &ChainState) -> bool {
    let nothing = ChainStep::Rebase {
        onto: None,
        is_unsafe: false,
        compresses: false,
    };
    chain_state.admit(&nothing).is_admitted() && !chain_state.top().is_encrypted()
}

/// Draws a comparison with the image that the current one was converted from, or with a backing image.
fn compare(random: &mut NativeRandom, chain_state: &ChainState) -> Option<ChainStep> {
    let below = chain_state.below().len() as u64;
    let with = random.below(below + 1).checked_sub(1);
    let with = with.map(|index| index as usize);
    let (_, view) = chain_state.counterpart(with)?;
    let small = chain_state.model.top.size.max(view.size) <= COMPARED_BYTES_MAX;
    let step = ChainStep::Compare { with };
    (small && chain_state.admit(&step).is_admitted()).then_some(step)
}

/// Draws a bench whose requests all end within the image.
fn bench(random: &mut NativeRandom, chain_state: &ChainState, grain: Grain) -> ChainStep {
    let size = chain_state.model.top.size;
    let edges: Vec<u64> = chain_state.edges();
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
    ChainStep::Bench {
        count,
        length,
        offset,
        stride,
        depth,
        byte: writes.then_some(byte),
    }
}

/// Draws a snapshot step: creation is as likely as deletion and application together.
fn snapshot(random: &mut NativeRandom, chain_state: &ChainState) -> ChainStep {
    let there: Vec<&String> = chain_state.model.snapshots.keys().collect();
    let free: Vec<&str> = SNAPSHOT_NAMES
        .into_iter()
        .filter(|name| !chain_state.model.snapshots.contains_key(*name))
        .collect();
    let create = there.is_empty() || (!free.is_empty() && random.percent(50));
    let (action, name) = if create {
        (SnapshotAction::Create, (*random.choice(&free)).to_owned())
    } else {
        let action = *random.choice(&[SnapshotAction::Delete, SnapshotAction::Apply]);
        (action, (*random.choice(&there)).clone())
    };
    ChainStep::Snapshot { action, name }
}

fn amend(random: &mut NativeRandom, grain: Grain) -> ChainStep {
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
    ChainStep::Amend {
        options: [option].into(),
    }
}

/// Draws a call that fails, and the step within which it does.
fn fault(
    random: &mut NativeRandom,
    profile: &NativeProfile,
    chain_state: &ChainState,
) -> Option<ChainStep> {
    let kind = *random.choice(&FAULTY);
    let step = draw(random, profile, kind, chain_state)?;
    let call = FaultyCall::ALL[random.weighted(&[52, 14, 10, 14, 10])];
    let how = FaultKind::ALL[random.weighted(&[35, 30, 10, 25])];
    // Most calls of short steps are among the first.
    let number = match random.below(3) {
        0 => random.between(1, 3),
        1 => random.between(1, 8),
        _ => random.between(1, 20),
    };
    let step = ChainStep::Fault {
        step: Box::new(step),
        fault: Fault {
            call,
            number: number as u32,
            how,
        },
    };
    chain_state.admit(&step).is_admitted().then_some(step)
}
