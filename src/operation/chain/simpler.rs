//! Simpler versions of a chain for the shrinker, and how much there is of one.
//!
//! Every version is whole: what an act needs is there, what lies beyond a smaller image is cut or moved with its end, and a rebase
//! still names the image that it named.

use super::Chain;
use super::act::{Act, Layer};
use crate::content::Write;
use crate::format::{Format, SECTOR_BYTES};
use crate::request::RepairTier;
use crate::simpler::{self, Bulk, elementwise, numbers, shorter, shorter_not_empty};

mod rhythms;

/// Sizes that a person would choose, in bytes; the first is the simplest.
const SIZES: [u64; 5] = [1 << 20, 2 << 20, 4 << 20, 16 << 20, 64 << 20];

/// Other sizes are rounded to this, in bytes: the usual cluster.
const SIZE_GRAIN: u64 = 65536;

/// Offsets and lengths are rounded to these, in bytes.
const GRAINS: [u64; 3] = [65536, 4096, SECTOR_BYTES];

/// The formats that are simpler than those that stand behind them, or are not here.
const FORMATS: [Format; 2] = [Format::Raw, Format::Qcow2];

impl Chain {
    /// Simpler chains, those that take away most first.
    pub(super) fn simpler_chains(&self) -> Vec<Self> {
        let with_steps = |steps| Self {
            steps,
            ..self.clone()
        };
        let with_layers = |layers| Self {
            layers,
            ..self.clone()
        };
        let mut versions: Vec<Self> = shorter(&self.steps).into_iter().map(with_steps).collect();
        versions.extend(self.fewer_layers());
        versions.push(self.without_options());
        versions.push(with_layers(self.layers.iter().map(unwritten).collect()));
        versions.extend(self.smaller());
        let layers = elementwise(&self.layers, simpler_layers);
        versions.extend(layers.into_iter().map(with_layers));
        let steps = elementwise(&self.steps, simpler_acts);
        versions.extend(steps.into_iter().map(with_steps));

        // One that was not drawn by us may need what makes no sense.
        let is_whole = self.fitted() == *self;
        let hazards = self.hazards();
        let versions = versions.into_iter().flat_map(|version| {
            let fitted = version.fitted_within(&hazards);
            let raw = (!is_whole && fitted != version).then_some(version);
            std::iter::once(fitted).chain(raw)
        });
        // Nothing can lie below a raw image.
        let is_raw = |layer: &Layer| layer.format == Format::Raw;
        let mut new: Vec<Self> = Vec::new();
        for version in versions {
            let stands = !version.layers.iter().skip(1).any(is_raw);
            if stands && version != *self && !new.contains(&version) {
                new.push(version);
            }
        }
        new
    }

    /// The top alone, then one image less; what was written into one that goes is first left out, then given to its neighbour.
    fn fewer_layers(&self) -> Vec<Self> {
        let count = self.layers.len();
        if count < 2 {
            return Vec::new();
        }
        let alone = (0..count - 1).fold(self.clone(), |chain, _| chain.without_layer(0, false));
        let written = (0..count - 1).fold(self.clone(), |chain, _| chain.without_layer(0, true));
        let fewer = (0..count).flat_map(|gone| {
            [false, true].map(|keeps_writes| self.without_layer(gone, keeps_writes))
        });
        [alone, written].into_iter().chain(fewer).collect()
    }

    fn without_layer(&self, gone: usize, keeps_writes: bool) -> Self {
        let mut chain = self.clone();
        let layer = chain.layers.remove(gone);
        if keeps_writes {
            // The image above it showed its data; the last one's are written into what is now the last.
            let heir = gone.min(chain.layers.len() - 1);
            let own = std::mem::take(&mut chain.layers[heir].writes);
            let (first, second) = if gone == heir {
                (layer.writes, own)
            } else {
                (own, layer.writes)
            };
            chain.layers[heir].writes = first.into_iter().chain(second).collect();
        }
        for act in &mut chain.steps {
            if let Act::Rebase { onto } = act {
                *onto = match *onto {
                    Some(index) if index >= gone => index.checked_sub(1),
                    onto => onto,
                };
            }
        }
        chain
    }

    /// No option anywhere.
    fn without_options(&self) -> Self {
        let layers = self.layers.iter().map(|layer| Layer {
            options: Vec::new(),
            ..layer.clone()
        });
        let steps = self.steps.iter().map(|act| match act {
            Act::Convert { format, .. } => Act::Convert {
                format: *format,
                options: Vec::new(),
                compress: false,
            },
            Act::Resize { size, .. } => Act::Resize {
                size: *size,
                preallocation: None,
            },
            act => act.clone(),
        });
        Self {
            layers: layers.collect(),
            steps: steps.collect(),
        }
    }

    /// All images that are larger, or of an odd size, become of one usual size; resizes follow as far as the image went.
    fn smaller(&self) -> Vec<Self> {
        let is_larger = |size: u64, wanted: u64| size > wanted || !SIZES.contains(&size);
        let top = self.layers.last().map_or(0, |layer| layer.size);
        let versions = SIZES.into_iter().flat_map(|wanted| {
            let layers: Vec<Layer> = self
                .layers
                .iter()
                .map(|layer| match is_larger(layer.size, wanted) {
                    true => resized(layer, wanted),
                    false => layer.clone(),
                })
                .collect();
            let new_top = layers.last().map_or(0, |layer| layer.size);
            let stays = Self {
                layers: layers.clone(),
                ..self.clone()
            };
            let follows = Self {
                layers,
                steps: self
                    .steps
                    .iter()
                    .map(|act| moved(act, top, new_top))
                    .collect(),
            };
            [stays, follows]
        });
        versions.collect()
    }

    /// Its acts, the options of its images and acts beyond the defaults (a backing file is one), its guest writes.
    pub(super) fn measured(&self) -> Bulk {
        let of_layers = self.layers.iter().map(|layer| Bulk {
            operations: 0,
            options: simpler::options_beyond_defaults(&layer.options),
            writes: layer.writes.len(),
        });
        let of_acts = self.steps.iter().map(|act| Bulk {
            operations: 1,
            options: options_of(act),
            writes: match act {
                Act::Write { writes } => writes.len(),
                _ => 0,
            },
        });
        let backing = Bulk {
            options: self.layers.len().saturating_sub(1),
            ..Bulk::default()
        };
        of_layers.chain(of_acts).chain([backing]).sum()
    }
}

/// How many options an act has beyond what it cannot do without.
fn options_of(act: &Act) -> usize {
    match act {
        Act::WriteZeroes { unmap, .. } => usize::from(*unmap),
        Act::Resize { preallocation, .. } => usize::from(preallocation.is_some()),
        Act::Amend { options } => options.len().saturating_sub(1),
        Act::Bitmap { flags, .. } => {
            let given = flags.iter().filter(|flag| flag.starts_with('-'));
            given.count().saturating_sub(1)
        }
        Act::Convert {
            options, compress, ..
        } => simpler::options_beyond_defaults(options) + usize::from(*compress),
        _ => 0,
    }
}

fn unwritten(layer: &Layer) -> Layer {
    Layer {
        writes: Vec::new(),
        ..layer.clone()
    }
}

/// The same in another size: what was written at its end stays at its end.
fn resized(layer: &Layer, size: u64) -> Layer {
    let writes = layer.writes.iter();
    Layer {
        size,
        writes: writes
            .map(|write| moved_write(write, layer.size, size))
            .collect(),
        ..layer.clone()
    }
}

fn moved_write(write: &Write, old: u64, new: u64) -> Write {
    Write {
        offset: moved_offset(write.offset, write.length, old, new),
        ..*write
    }
}

/// What no longer fits keeps its distance from the end.
fn moved_offset(offset: u64, length: u64, old: u64, new: u64) -> u64 {
    if offset + length <= new {
        return offset;
    }
    offset.saturating_sub(old.saturating_sub(new))
}

/// The act in an image that was `old` bytes long and is now `new`.
fn moved(act: &Act, old: u64, new: u64) -> Act {
    let mut act = act.clone();
    match &mut act {
        Act::Write { writes } => {
            for write in writes {
                *write = moved_write(write, old, new);
            }
        }
        Act::WriteZeroes { offset, length, .. } | Act::Discard { offset, length } => {
            *offset = moved_offset(*offset, *length, old, new);
        }
        Act::Resize { size, .. } => *size = (*size + new).saturating_sub(old),
        _ => {}
    }
    act
}

/// Simpler sizes: the usual ones, smaller ones of those that are usual already, else a rounder one and the half.
fn sizes(size: u64) -> Vec<u64> {
    let is_usual = SIZES.contains(&size);
    let mut versions: Vec<u64> = SIZES.to_vec();
    versions.retain(|usual| !is_usual || *usual < size);
    if !is_usual && size > SIZE_GRAIN {
        let rounded = [
            size / SIZE_GRAIN * SIZE_GRAIN,
            size.next_multiple_of(SIZE_GRAIN),
        ];
        versions.extend(rounded.into_iter().filter(|rounded| *rounded != size));
        if size >= 2 * SIZE_GRAIN {
            versions.push((size / 2).next_multiple_of(SECTOR_BYTES));
        }
    }
    versions
}

fn simpler_layers(layer: &Layer) -> Vec<Layer> {
    let formats = FORMATS
        .into_iter()
        .take_while(|format| *format != layer.format)
        .map(|format| Layer {
            format,
            options: Vec::new(),
            ..layer.clone()
        });
    let writes = shorter(&layer.writes).into_iter();
    let writes = writes.chain(elementwise(&layer.writes, simpler_writes));
    let options = shorter(&layer.options).into_iter();
    let sizes = sizes(layer.size).into_iter().flat_map(|size| {
        let stays = Layer {
            size,
            ..layer.clone()
        };
        [stays, resized(layer, size)]
    });
    formats
        .chain(options.map(|options| Layer {
            options,
            ..layer.clone()
        }))
        .chain(sizes)
        .chain(writes.map(|writes| Layer {
            writes,
            ..layer.clone()
        }))
        .collect()
}

/// Simpler versions of a range: nearer to the start, rounder, shorter.
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

fn simpler_writes(write: &Write) -> Vec<Write> {
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

fn simpler_acts(act: &Act) -> Vec<Act> {
    match act {
        Act::Write { writes } => {
            let fewer = shorter_not_empty(writes).into_iter();
            let simpler = elementwise(writes, simpler_writes);
            let lists = fewer.chain(simpler);
            lists.map(|writes| Act::Write { writes }).collect()
        }
        Act::WriteZeroes {
            offset,
            length,
            unmap,
        } => {
            let ranges = ranges(*offset, *length).into_iter();
            let kept = unmap.then_some(Act::WriteZeroes {
                offset: *offset,
                length: *length,
                unmap: false,
            });
            let simpler = ranges.map(|(offset, length)| Act::WriteZeroes {
                offset,
                length,
                unmap: *unmap,
            });
            kept.into_iter().chain(simpler).collect()
        }
        Act::Discard { offset, length } => {
            let ranges = ranges(*offset, *length).into_iter();
            ranges
                .map(|(offset, length)| Act::Discard { offset, length })
                .collect()
        }
        Act::Resize {
            size,
            preallocation,
        } => {
            let plain = preallocation.is_some().then_some(Act::Resize {
                size: *size,
                preallocation: None,
            });
            let smaller = sizes(*size).into_iter().map(|size| Act::Resize {
                size,
                preallocation: preallocation.clone(),
            });
            plain.into_iter().chain(smaller).collect()
        }
        Act::Rebase { onto } => {
            let lower = (0..onto.unwrap_or(0)).map(Some);
            let none = onto.is_some().then_some(None);
            let simpler = none.into_iter().chain(lower);
            simpler.map(|onto| Act::Rebase { onto }).collect()
        }
        Act::Amend { options } => {
            let fewer = shorter_not_empty(options).into_iter();
            fewer.map(|options| Act::Amend { options }).collect()
        }
        Act::Bitmap { flags, name } => {
            let plain = flags.len() > 1;
            let flags = flags.iter().take(1).cloned().collect();
            let name = name.clone();
            plain
                .then_some(Act::Bitmap { flags, name })
                .into_iter()
                .collect()
        }
        Act::Convert {
            format,
            options,
            compress,
        } => simpler_conversions(*format, options, *compress),
        Act::Measure { target } => (*target != Format::Raw)
            .then_some(Act::Measure {
                target: Format::Raw,
            })
            .into_iter()
            .collect(),
        Act::Snapshot { .. } | Act::Commit | Act::Read | Act::Map | Act::Info | Act::Check => {
            Vec::new()
        }
        Act::Dd {
            format,
            block_size,
            count,
            skip,
        } => rhythms::simpler_dd(*format, *block_size, *count, *skip),
        Act::Bench { .. } => rhythms::simpler_bench(act),
        Act::Repair { tier } => (*tier != RepairTier::Leaks)
            .then_some(Act::Repair {
                tier: RepairTier::Leaks,
            })
            .into_iter()
            .collect(),
        Act::Compare { .. } | Act::SnapshotList => Vec::new(),
    }
}

fn simpler_conversions(format: Format, options: &[String], compress: bool) -> Vec<Act> {
    let formats = FORMATS.into_iter().take_while(|simpler| *simpler != format);
    let formats = formats.map(|format| Act::Convert {
        format,
        options: Vec::new(),
        compress: false,
    });
    let plain = compress.then(|| Act::Convert {
        format,
        options: options.to_vec(),
        compress: false,
    });
    let fewer = shorter(options).into_iter().map(|options| Act::Convert {
        format,
        options,
        compress,
    });
    formats.chain(plain).chain(fewer).collect()
}
