//! Simpler versions of a chain for the shrinker, and the size of a chain.
//!
//! Every version is consistent: a step keeps its prerequisites, data beyond the end of a smaller image is cut or moved,
//! and a rebase still names the same image.

use super::Chain;
use super::step::{ChainStep, Layer};
use crate::base::variants::{CaseSize, elementwise, shorter};
use crate::image::bitmap_action::BitmapAction;
use crate::image::content::Write;
use crate::image::format::{Format, SECTOR_BYTES};
use crate::image::options::CreateOptions;
use crate::tool::request::singles;
use ranges::simpler_writes;
use steps::simpler_steps;

mod copies_and_benches;
mod ranges;
mod references;
mod sessions;
mod steps;

/// Usual sizes in bytes, the simplest first.
const SIZES: [u64; 5] = [1 << 20, 2 << 20, 4 << 20, 16 << 20, 64 << 20];

/// Other sizes are rounded to this, in bytes: the default cluster size.
const SIZE_GRAIN: u64 = 65536;

/// The simplest formats, in this order; every other format is less simple.
const FORMATS: [Format; 2] = [Format::Raw, Format::Qcow2];

impl Chain {
    /// Returns simpler chains, those with the largest reductions first.
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
        let steps = elementwise(&self.steps, simpler_steps);
        versions.extend(steps.into_iter().map(with_steps));

        // A chain from elsewhere may need parts that are not meaningful.
        let is_whole = self.sanitized() == *self;
        let known_bugs = self.known_bugs();
        let versions = versions.into_iter().flat_map(|version| {
            let sanitized = version.sanitized_within(&known_bugs);
            let raw = (!is_whole && sanitized != version).then_some(version);
            std::iter::once(sanitized).chain(raw)
        });
        let is_makeable = self.is_makeable();
        let mut new: Vec<Self> = Vec::new();
        for version in versions {
            let stands = !is_makeable || version.is_makeable();
            if stands && version != *self && !new.contains(&version) {
                new.push(version);
            }
        }
        new
    }

    /// Returns the chain with the top layer alone, then with one layer fewer. The data of a removed layer is dropped in
    /// one version and moved to its neighbour in another.
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
            // The overlay showed its data; the data of the last layer is written into the new last one.
            let heir = gone.min(chain.layers.len() - 1);
            let own = std::mem::take(&mut chain.layers[heir].writes);
            let (first, second) = if gone == heir {
                (layer.writes, own)
            } else {
                (own, layer.writes)
            };
            chain.layers[heir].writes = first.into_iter().chain(second).collect();
        }
        for step in &mut chain.steps {
            renumber(step, gone);
        }
        chain
    }

    /// Returns the chain without any options.
    fn without_options(&self) -> Self {
        let layers = self.layers.iter().map(|layer| match layer.outside {
            Some(_) => layer.clone(),
            None => Layer {
                options: CreateOptions::new(),
                placement: Default::default(),
                ..layer.clone()
            },
        });
        let steps = self.steps.iter().map(step_without_options);
        Self {
            layers: layers.collect(),
            steps: steps.collect(),
        }
    }

    /// Returns the chain with larger or unusual image sizes reduced to a usual one. In a second version, resizes move
    /// along.
    fn smaller(&self) -> Vec<Self> {
        let is_larger = |layer: &Layer, wanted: u64| {
            let is_unusual = layer.size > wanted || !SIZES.contains(&layer.size);
            layer.outside.is_none() && is_unusual
        };
        let top = self.layers.last().map_or(0, |layer| layer.size);
        let versions = SIZES.into_iter().flat_map(|wanted| {
            let layers: Vec<Layer> = self
                .layers
                .iter()
                .map(|layer| match is_larger(layer, wanted) {
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
                    .map(|step| moved(step, top, new_top))
                    .collect(),
            };
            [stays, follows]
        });
        versions.collect()
    }

    /// Counts the steps, the options beyond the defaults (a backing file counts as one), and the guest writes.
    pub(super) fn size_of_chain(&self) -> CaseSize {
        let of_layers = self.layers.iter().map(|layer| CaseSize {
            operations: 0,
            options: layer.options.beyond_defaults() + layer.placement.details(),
            writes: layer.writes.len(),
        });
        let before = self.layers.iter().flat_map(|layer| &layer.steps);
        let of_steps = before.chain(&self.steps).map(|step| CaseSize {
            operations: 1,
            options: options_of(step),
            writes: writes_of(step),
        });
        let backing = CaseSize {
            options: self.layers.len().saturating_sub(1),
            ..CaseSize::default()
        };
        of_layers.chain(of_steps).chain([backing]).sum()
    }
}

fn step_without_options(step: &ChainStep) -> ChainStep {
    let mut step = step.clone();
    match &mut step {
        ChainStep::Convert(to) | ChainStep::ConvertSnapshot { to, .. } => {
            to.options.clear();
            to.compress = false;
            to.on_backing = false;
            to.mode = Default::default();
        }
        ChainStep::Resize { preallocation, .. } => *preallocation = None,
        ChainStep::Below { step, .. }
        | ChainStep::Refused { step }
        | ChainStep::Opened { step, .. } => **step = step_without_options(step),
        _ => {}
    }
    step
}

/// Adjusts the indices of layers in the step after layer `gone` was removed.
fn renumber(step: &mut ChainStep, gone: usize) {
    match step {
        ChainStep::Rebase { onto: named, .. }
        | ChainStep::Commit { base: named, .. }
        | ChainStep::Bitmap { from: named, .. } => {
            *named = match *named {
                Some(index) if index >= gone => index.checked_sub(1),
                named => named,
            };
        }
        ChainStep::Below { layer, step } => {
            // A step on the removed layer now works on the layer above it.
            *layer -= usize::from(*layer > gone);
            renumber(step, gone);
        }
        ChainStep::Refused { step }
        | ChainStep::Fault { step, .. }
        | ChainStep::Opened { step, .. } => renumber(step, gone),
        _ => {}
    }
}

/// Counts the options of a step beyond the necessary ones.
fn options_of(step: &ChainStep) -> usize {
    match step {
        ChainStep::WriteZeroes { unmap, .. } => usize::from(*unmap),
        ChainStep::Map { window } => window.ends(),
        ChainStep::Resize { preallocation, .. } => usize::from(preallocation.is_some()),
        ChainStep::Amend { options } => options.len().saturating_sub(1),
        ChainStep::Bitmap { actions, from, .. } => {
            let details = actions.iter().map(BitmapAction::details);
            let details = (actions.len() + details.sum::<usize>()).saturating_sub(1);
            details + usize::from(from.is_some())
        }
        ChainStep::Rebase {
            is_unsafe,
            compresses,
            ..
        } => usize::from(*is_unsafe) + usize::from(*compresses),
        ChainStep::Commit { base, keeps } => usize::from(base.is_some()) + usize::from(*keeps),
        ChainStep::Measure {
            options, snapshot, ..
        } => options.len() + usize::from(snapshot.is_some()),
        ChainStep::ConvertInto { mode } => mode.details(),
        ChainStep::Convert(to) | ChainStep::ConvertSnapshot { to, .. } => {
            to.options.beyond_defaults()
                + usize::from(to.compress)
                + usize::from(to.on_backing)
                + to.mode.details()
        }
        ChainStep::Below { step, .. }
        | ChainStep::Refused { step }
        | ChainStep::Fault { step, .. } => options_of(step),
        ChainStep::Opened { opening, step } => opening.details() + options_of(step),
        _ => 0,
    }
}

fn writes_of(step: &ChainStep) -> usize {
    match step {
        ChainStep::Write { writes } => writes.len(),
        ChainStep::Session { requests } => singles(requests).count(),
        ChainStep::Below { step, .. }
        | ChainStep::Refused { step }
        | ChainStep::Fault { step, .. } => writes_of(step),
        _ => 0,
    }
}

fn unwritten(layer: &Layer) -> Layer {
    Layer {
        writes: Vec::new(),
        steps: Vec::new(),
        ..layer.clone()
    }
}

/// Returns the layer with another size. Writes at its end stay at its end.
fn resized(layer: &Layer, size: u64) -> Layer {
    let writes = layer.writes.iter();
    Layer {
        size,
        writes: writes
            .map(|write| moved_write(write, layer.size, size))
            .collect(),
        steps: layer
            .steps
            .iter()
            .map(|step| moved(step, layer.size, size))
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

/// Returns the new offset of a range: if it no longer fits, it keeps its distance from the end.
fn moved_offset(offset: u64, length: u64, old: u64, new: u64) -> u64 {
    if offset + length <= new {
        return offset;
    }
    offset.saturating_sub(old.saturating_sub(new))
}

/// Returns the step, adjusted to an image whose size changed from `old` to `new` bytes.
fn moved(step: &ChainStep, old: u64, new: u64) -> ChainStep {
    let mut step = step.clone();
    match &mut step {
        ChainStep::Write { writes } => {
            for write in writes {
                *write = moved_write(write, old, new);
            }
        }
        ChainStep::WriteZeroes { offset, length, .. } | ChainStep::Discard { offset, length } => {
            *offset = moved_offset(*offset, *length, old, new);
        }
        ChainStep::Resize { size, .. } => *size = size.saturating_add(new).saturating_sub(old),
        ChainStep::Session { requests } => {
            *requests = sessions::moved_session(requests, old, new);
        }
        ChainStep::Below { step, .. }
        | ChainStep::Refused { step }
        | ChainStep::Fault { step, .. } => **step = moved(step, old, new),
        _ => {}
    }
    step
}

/// Returns simpler sizes. For a usual size these are the smaller usual ones; for any other, all usual ones, rounded
/// ones, and the half.
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
    if layer.outside.is_some() {
        // An image of the same options that the reference makes: then the file is not needed.
        let made = Layer {
            outside: None,
            ..layer.clone()
        };
        return vec![made];
    }
    let formats = FORMATS
        .into_iter()
        .take_while(|format| *format != layer.format)
        .map(|format| Layer {
            format,
            options: CreateOptions::new(),
            ..layer.clone()
        });
    let writes = shorter(&layer.writes).into_iter();
    let writes = writes.chain(elementwise(&layer.writes, simpler_writes));
    let options = shorter(layer.options.as_slice()).into_iter();
    let options = options.map(CreateOptions::from);
    let placements = layer.placement.simpler().into_iter();
    let steps = shorter(&layer.steps).into_iter();
    let steps = steps.chain(elementwise(&layer.steps, simpler_steps));
    let sizes = sizes(layer.size).into_iter().flat_map(|size| {
        let stays = Layer {
            size,
            ..layer.clone()
        };
        [stays, resized(layer, size)]
    });
    formats
        .chain(steps.map(|steps| Layer {
            steps,
            ..layer.clone()
        }))
        .chain(options.map(|options| Layer {
            options,
            ..layer.clone()
        }))
        .chain(placements.map(|placement| Layer {
            placement,
            ..layer.clone()
        }))
        .chain(sizes)
        .chain(writes.map(|writes| Layer {
            writes,
            ..layer.clone()
        }))
        .collect()
}
