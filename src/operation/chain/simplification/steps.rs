//! Simpler versions of single steps, and of the ranges that they access.

use super::super::step::{ChainStep, Conversion, Naming};
use super::ranges::{ranges, simpler_writes};
use super::{FORMATS, copies_and_benches, references, sessions, sizes};
use crate::base::variants::{elementwise, shorter, shorter_not_empty};
use crate::image::format::Format;
use crate::image::options::{CreateOptions, Preallocation};
use crate::tool::request::{CopyMode, Fault, FaultKind, Opening, RepairTier, Window};

/// A map of everything.
const WHOLE_MAP: ChainStep = ChainStep::Map {
    window: Window::WHOLE,
};

pub(super) fn simpler_steps(step: &ChainStep) -> Vec<ChainStep> {
    match step {
        ChainStep::Write { writes } => {
            let fewer = shorter_not_empty(writes).into_iter();
            let lists = fewer.chain(elementwise(writes, simpler_writes));
            lists.map(|writes| ChainStep::Write { writes }).collect()
        }
        ChainStep::WriteZeroes {
            offset,
            length,
            unmap,
        } => simpler_zeroes(*offset, *length, *unmap),
        ChainStep::Discard { offset, length } => {
            let ranges = ranges(*offset, *length).into_iter();
            ranges
                .map(|(offset, length)| ChainStep::Discard { offset, length })
                .collect()
        }
        ChainStep::Resize {
            size,
            preallocation,
        } => simpler_resizes(*size, *preallocation),
        ChainStep::Rebase { .. } => references::simpler_rebases(step),
        ChainStep::Commit { .. } => references::simpler_commits(step),
        ChainStep::Amend { options } => {
            let fewer = shorter_not_empty(options.as_slice()).into_iter();
            let fewer = fewer.map(CreateOptions::from);
            fewer.map(|options| ChainStep::Amend { options }).collect()
        }
        ChainStep::Bitmap { .. } => references::simpler_bitmap(step),
        ChainStep::ConvertInto { mode } => {
            let simpler = mode.simpler().into_iter();
            simpler
                .map(|mode| ChainStep::ConvertInto { mode })
                .collect()
        }
        ChainStep::Convert(to) => {
            let simpler = simpler_conversions(to).into_iter();
            simpler.map(ChainStep::Convert).collect()
        }
        ChainStep::ConvertSnapshot { .. } => simpler_of_snapshot(step),
        ChainStep::Opened { opening, step } => simpler_opened(*opening, step),
        ChainStep::Below { layer, step } => simpler_below(*layer, step),
        ChainStep::Fault { step, fault } => simpler_fault(step, *fault),
        ChainStep::Refused { step } => simpler_refused(step),
        ChainStep::Map { window } if window.ends() > 0 => vec![WHOLE_MAP],
        ChainStep::Measure { .. } => references::simpler_measures(step),
        ChainStep::Dd {
            format,
            block_size,
            count,
            skip,
        } => copies_and_benches::simpler_dd(*format, *block_size, *count, *skip),
        ChainStep::Bench { .. } => copies_and_benches::simpler_bench(step),
        ChainStep::Session { requests } => sessions::simpler_session(requests),
        ChainStep::Repair { tier } if *tier != RepairTier::Leaks => vec![ChainStep::Repair {
            tier: RepairTier::Leaks,
        }],
        ChainStep::Repair { .. }
        | ChainStep::Snapshot { .. }
        | ChainStep::SnapshotList
        | ChainStep::Compare { .. }
        | ChainStep::Read
        | ChainStep::Map { .. }
        | ChainStep::Info
        | ChainStep::Check => Vec::new(),
    }
}

fn simpler_zeroes(offset: u64, length: u64, unmap: bool) -> Vec<ChainStep> {
    let kept = unmap.then_some((offset, length, false));
    let ranges = ranges(offset, length).into_iter();
    let simpler = ranges.map(|(offset, length)| (offset, length, unmap));
    let simpler = kept.into_iter().chain(simpler);
    simpler
        .map(|(offset, length, unmap)| ChainStep::WriteZeroes {
            offset,
            length,
            unmap,
        })
        .collect()
}

fn simpler_resizes(size: u64, preallocation: Option<Preallocation>) -> Vec<ChainStep> {
    let plain = preallocation.is_some().then_some((size, None));
    let smaller = sizes(size).into_iter().map(|size| (size, preallocation));
    let simpler = plain.into_iter().chain(smaller);
    simpler
        .map(|(size, preallocation)| ChainStep::Resize {
            size,
            preallocation,
        })
        .collect()
}

fn simpler_conversions(to: &Conversion) -> Vec<Conversion> {
    let is_simpler = |format: &Format| *format != to.format;
    let formats = FORMATS.into_iter().take_while(is_simpler);
    let formats = formats.map(|format| Conversion {
        format,
        options: CreateOptions::new(),
        compress: false,
        on_backing: false,
        mode: CopyMode::default(),
    });
    let plain = to.compress.then(|| Conversion {
        compress: false,
        ..to.clone()
    });
    let alone = to.on_backing.then(|| Conversion {
        on_backing: false,
        ..to.clone()
    });
    let modes = to
        .mode
        .simpler()
        .into_iter()
        .map(|mode| Conversion { mode, ..to.clone() });
    let fewer = shorter(to.options.as_slice()).into_iter();
    let fewer = fewer.map(|options| Conversion {
        options: options.into(),
        ..to.clone()
    });
    let simpler = formats.chain(plain).chain(alone).chain(modes);
    simpler.chain(fewer).collect()
}

/// Returns the conversion of the whole image, then that of the snapshot by a simpler name, then simpler conversions of it.
fn simpler_of_snapshot(step: &ChainStep) -> Vec<ChainStep> {
    let ChainStep::ConvertSnapshot {
        name,
        by,
        resized,
        to,
    } = step
    else {
        return Vec::new();
    };
    let (by, resized) = (*by, *resized);
    let of_snapshot = |by: Naming, to: Conversion| ChainStep::ConvertSnapshot {
        name: name.to_owned(),
        by,
        resized,
        to,
    };
    let named = Naming::ALL.into_iter().take_while(|other| *other != by);
    let simpler = simpler_conversions(to).into_iter();
    std::iter::once(ChainStep::Convert(to.clone()))
        .chain(named.map(|by| of_snapshot(by, to.clone())))
        .chain(simpler.map(|to| of_snapshot(by, to)))
        .collect()
}

/// Returns the step on the image that is opened as usual, then in simpler ways, then simpler steps.
fn simpler_opened(opening: Opening, step: &ChainStep) -> Vec<ChainStep> {
    let opened = |opening: Opening, step: ChainStep| ChainStep::Opened {
        opening,
        step: Box::new(step),
    };
    let simpler_ways = opening.simpler().into_iter();
    let simpler_steps = simpler_steps(step).into_iter();
    std::iter::once(step.clone())
        .chain(simpler_ways.map(|opening| opened(opening, step.clone())))
        .chain(simpler_steps.map(|step| opened(opening, step)))
        .collect()
}

/// Returns the step on the current image, then on lower ones, then simpler steps.
fn simpler_below(layer: usize, step: &ChainStep) -> Vec<ChainStep> {
    let below = |layer: usize, step: ChainStep| ChainStep::Below {
        layer,
        step: Box::new(step),
    };
    let lower = (0..layer).map(|layer| below(layer, step.clone()));
    let simpler = simpler_steps(step).into_iter();
    std::iter::once(step.clone())
        .chain(lower)
        .chain(simpler.map(|step| below(layer, step)))
        .collect()
}

/// Returns simpler steps within which the call fails, then earlier calls and the plainest error.
fn simpler_fault(step: &ChainStep, fault: Fault) -> Vec<ChainStep> {
    let plain = (fault.how != FaultKind::Eio).then_some(Fault {
        how: FaultKind::Eio,
        ..fault
    });
    let earlier = (1..fault.number).map(|number| Fault { number, ..fault });
    let faults = plain.into_iter().chain(earlier);
    let faults = faults.map(|fault| (step.clone(), fault));
    let simpler = simpler_steps(step).into_iter().map(|step| (step, fault));
    let versions = simpler.chain(faults);
    versions
        .map(|(step, fault)| ChainStep::Fault {
            step: Box::new(step),
            fault,
        })
        .collect()
}

fn simpler_refused(step: &ChainStep) -> Vec<ChainStep> {
    let simpler = simpler_steps(step).into_iter().map(Box::new);
    simpler.map(|step| ChainStep::Refused { step }).collect()
}
