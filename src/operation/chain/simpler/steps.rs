//! Simpler versions of single steps, and of the ranges that they access.

use super::super::step::{ChainStep, Naming};
use super::{FORMATS, SIZE_GRAIN, copies_and_benches, sizes};
use crate::base::simpler::{elementwise, numbers, shorter, shorter_not_empty};
use crate::image::bitmap_action::BitmapAction;
use crate::image::content::Write;
use crate::image::format::{Format, SECTOR_BYTES};
use crate::image::options::CreateOptions;
use crate::tool::request::RepairTier;

/// Offsets and lengths are rounded to multiples of these, in bytes.
const GRAINS: [u64; 3] = [65536, 4096, SECTOR_BYTES];

/// Returns simpler ranges: nearer to the start, rounder, shorter.
fn ranges(offset: u64, length: u64) -> Vec<(u64, u64)> {
    let rounded = |value: u64| GRAINS.map(|grain| value / grain * grain).into_iter();
    let mut offsets = numbers(offset, &[0, SIZE_GRAIN]);
    offsets.extend(rounded(offset));
    let mut lengths = numbers(length, &[SECTOR_BYTES, 4096, SIZE_GRAIN]);
    lengths.extend(rounded(length));
    let offsets = offsets.into_iter().filter(|smaller| *smaller < offset);
    let lengths = lengths.into_iter();
    let lengths = lengths.filter(|smaller| *smaller < length && *smaller >= SECTOR_BYTES);
    offsets
        .map(|offset| (offset, length))
        .chain(lengths.map(|length| (offset, length)))
        .collect()
}

pub(super) fn simpler_writes(write: &Write) -> Vec<Write> {
    let ranges = ranges(write.offset, write.length).into_iter();
    let byte = (write.byte > 1).then_some(Write { byte: 1, ..*write });
    ranges
        .map(|(offset, length)| Write {
            offset,
            length,
            ..*write
        })
        .chain(byte)
        .collect()
}

pub(super) fn simpler_steps(step: &ChainStep) -> Vec<ChainStep> {
    match step {
        ChainStep::Write { writes } => {
            let fewer = shorter_not_empty(writes).into_iter();
            let simpler = elementwise(writes, simpler_writes);
            let lists = fewer.chain(simpler);
            lists.map(|writes| ChainStep::Write { writes }).collect()
        }
        ChainStep::WriteZeroes {
            offset,
            length,
            unmap,
        } => {
            let ranges = ranges(*offset, *length).into_iter();
            let kept = unmap.then_some(ChainStep::WriteZeroes {
                offset: *offset,
                length: *length,
                unmap: false,
            });
            let simpler = ranges.map(|(offset, length)| ChainStep::WriteZeroes {
                offset,
                length,
                unmap: *unmap,
            });
            kept.into_iter().chain(simpler).collect()
        }
        ChainStep::Discard { offset, length } => {
            let ranges = ranges(*offset, *length).into_iter();
            ranges
                .map(|(offset, length)| ChainStep::Discard { offset, length })
                .collect()
        }
        ChainStep::Resize {
            size,
            preallocation,
        } => {
            let plain = preallocation.is_some().then_some(ChainStep::Resize {
                size: *size,
                preallocation: None,
            });
            let smaller = sizes(*size).into_iter().map(|size| ChainStep::Resize {
                size,
                preallocation: *preallocation,
            });
            plain.into_iter().chain(smaller).collect()
        }
        ChainStep::Rebase { onto } => {
            let lower = (0..onto.unwrap_or(0)).map(Some);
            let none = onto.is_some().then_some(None);
            let simpler = none.into_iter().chain(lower);
            simpler.map(|onto| ChainStep::Rebase { onto }).collect()
        }
        ChainStep::Amend { options } => {
            let fewer = shorter_not_empty(options.as_slice()).into_iter();
            let fewer = fewer.map(CreateOptions::from);
            fewer.map(|options| ChainStep::Amend { options }).collect()
        }
        ChainStep::Bitmap { actions, name } => {
            let first = actions.iter().take(1);
            let plain: Vec<BitmapAction> = first.map(BitmapAction::plain).collect();
            let is_simpler = plain != *actions;
            let plain = ChainStep::Bitmap {
                actions: plain,
                name: name.clone(),
            };
            is_simpler.then_some(plain).into_iter().collect()
        }
        ChainStep::Convert {
            format,
            options,
            compress,
        } => {
            let simpler = simpler_conversions(*format, options, *compress);
            simpler.into_iter().map(converted).collect()
        }
        ChainStep::ConvertSnapshot {
            name,
            by,
            format,
            options,
            compress,
        } => {
            let whole = || (*format, options.clone(), *compress);
            let of_snapshot = |by: Naming, (format, options, compress): Conversion| {
                let name = name.clone();
                ChainStep::ConvertSnapshot {
                    name,
                    by,
                    format,
                    options,
                    compress,
                }
            };
            let named = Naming::ALL.into_iter().take_while(|other| other != by);
            let simpler = simpler_conversions(*format, options, *compress).into_iter();
            std::iter::once(converted(whole()))
                .chain(named.map(|by| of_snapshot(by, whole())))
                .chain(simpler.map(|conversion| of_snapshot(*by, conversion)))
                .collect()
        }
        // First on the current image, then on a lower one, then simpler.
        ChainStep::Below { layer, step } => {
            let below = |layer: usize, step: ChainStep| ChainStep::Below {
                layer,
                step: Box::new(step),
            };
            let lower = (0..*layer).map(|layer| below(layer, (**step).clone()));
            let simpler = simpler_steps(step).into_iter();
            std::iter::once((**step).clone())
                .chain(lower)
                .chain(simpler.map(|step| below(*layer, step)))
                .collect()
        }
        ChainStep::Refused { step } => {
            let simpler = simpler_steps(step).into_iter().map(Box::new);
            simpler.map(|step| ChainStep::Refused { step }).collect()
        }
        ChainStep::Measure { target } => (*target != Format::Raw)
            .then_some(ChainStep::Measure {
                target: Format::Raw,
            })
            .into_iter()
            .collect(),
        ChainStep::Snapshot { .. }
        | ChainStep::Commit
        | ChainStep::Read
        | ChainStep::Map
        | ChainStep::Info
        | ChainStep::Check => Vec::new(),
        ChainStep::Dd {
            format,
            block_size,
            count,
            skip,
        } => copies_and_benches::simpler_dd(*format, *block_size, *count, *skip),
        ChainStep::Bench { .. } => copies_and_benches::simpler_bench(step),
        ChainStep::Repair { tier } => (*tier != RepairTier::Leaks)
            .then_some(ChainStep::Repair {
                tier: RepairTier::Leaks,
            })
            .into_iter()
            .collect(),
        ChainStep::Compare { .. } | ChainStep::SnapshotList => Vec::new(),
    }
}

/// A conversion: format, options, and whether clusters are compressed.
type Conversion = (Format, CreateOptions, bool);

fn converted((format, options, compress): Conversion) -> ChainStep {
    ChainStep::Convert {
        format,
        options,
        compress,
    }
}

fn simpler_conversions(format: Format, options: &CreateOptions, compress: bool) -> Vec<Conversion> {
    let formats = FORMATS.into_iter().take_while(|simpler| *simpler != format);
    let formats = formats.map(|format| (format, CreateOptions::new(), false));
    let plain = compress.then(|| (format, options.clone(), false));
    let fewer = shorter(options.as_slice()).into_iter();
    let fewer = fewer.map(CreateOptions::from);
    let fewer = fewer.map(|options| (format, options, compress));
    formats.chain(plain).chain(fewer).collect()
}
