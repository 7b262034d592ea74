//! Draws the images of a backing chain. The steps on them are drawn in `steps`, those on backing images in `below`.

use super::edges::{self, Grain};
use super::options::{self, Purpose};
use super::{NativeProfile, backing, placements};
use crate::base::rng::NativeRandom;
use crate::image::format::Format;
use crate::image::options::{CreateOptions, Subformat};
use crate::operation::chain::{ChainState, Layer};
use crate::tool::request::ImageFile;

/// Maximum size in bytes of images in a chain of several: a rebase reads all of them.
const CHAINED_SIZE_MAX: u64 = 32 << 20;
/// Maximum size in bytes of images whose space is fully allocated on creation.
const FULL_SIZE_MAX: u64 = 32 << 20;

/// Draws one to five images, base image first.
pub(super) fn draw(random: &mut NativeRandom, profile: &NativeProfile) -> Vec<Layer> {
    let lengths = match profile.goes_below {
        true => [2, 5, 3, 1, 1],
        false => [5, 4, 2, 1, 1],
    };
    let backing = random.weighted(&lengths) as u64;
    let mut layers: Vec<Layer> = Vec::new();
    for index in 0..=backing {
        let is_top = index == backing;
        let format = match layers.last() {
            Some(below) => overlay(random, profile, below),
            None if is_top && random.percent(60) => Format::Qcow2,
            None => bottom(profile, *random.choice(profile.formats), is_top),
        };
        let purpose = match (index, is_top) {
            (0, true) => Purpose::Alone,
            (0, false) => Purpose::Bottom,
            (_, true) => Purpose::Top,
            (_, false) => Purpose::Middle,
        };
        layers.push(layer(random, profile, format, purpose, &layers));
        if profile.goes_below && !is_top {
            backing::prepare(random, profile, &mut layers);
        }
    }
    layers
}

/// Draws an overlay on images that come from outside.
pub(super) fn on_top(random: &mut NativeRandom, profile: &NativeProfile, below: &[Layer]) -> Layer {
    layer(random, profile, Format::Qcow2, Purpose::Top, below)
}

/// Replaces a vmdk base image by raw in profiles with flat extents only: imago does not accept such a vmdk as a backing file.
fn bottom(profile: &NativeProfile, drawn: Format, is_top: bool) -> Format {
    let whole = profile
        .vmdk_subformats
        .contains(&Subformat::MonolithicSparse);
    match drawn {
        Format::Vmdk if !is_top && !whole => Format::Raw,
        other => other,
    }
}

/// Draws the image at `index` anew in its present format. Half of the time it keeps its writes and prepared steps; the caller sanitizes
/// those that no longer fit.
pub(super) fn redraw(
    random: &mut NativeRandom,
    profile: &NativeProfile,
    layers: &mut [Layer],
    index: usize,
) {
    let purpose = match (index, index + 1 == layers.len()) {
        (0, true) => Purpose::Alone,
        (0, false) => Purpose::Bottom,
        (_, true) => Purpose::Top,
        (_, false) => Purpose::Middle,
    };
    let (below, rest) = layers.split_at_mut(index);
    let old = &mut rest[0];
    let mut new = layer(random, profile, old.format, purpose, below);
    if random.percent(50) {
        new.writes = std::mem::take(&mut old.writes);
        new.steps = std::mem::take(&mut old.steps);
    }
    if rest
        .get(1)
        .is_some_and(|above| new.is_guessed_under(above.format))
    {
        new.options.clear();
    }
    let is_bare = new.steps.is_empty();
    rest[0] = new;
    if profile.goes_below && is_bare && index + 1 < layers.len() {
        backing::prepare(random, profile, &mut layers[..=index]);
    }
}

/// Draws the format of an overlay: mostly qcow2. A vmdk overlay needs a vmdk backing file.
fn overlay(random: &mut NativeRandom, profile: &NativeProfile, below: &Layer) -> Format {
    let has = |format: Format| profile.formats.contains(&format);
    let sparse_vmdk = profile
        .vmdk_subformats
        .contains(&Subformat::MonolithicSparse);
    match random.below(100) {
        0..8 if has(Format::Qcow) && !below.is_guessed_under(Format::Qcow) => Format::Qcow,
        50.. if below.format == Format::Vmdk && sparse_vmdk => Format::Vmdk,
        8..16 if has(Format::Qed) && !below.is_guessed_under(Format::Qed) => Format::Qed,
        _ => Format::Qcow2,
    }
}

/// Draws an image of this format on top of `below`.
fn layer(
    random: &mut NativeRandom,
    profile: &NativeProfile,
    format: Format,
    purpose: Purpose,
    below: &[Layer],
) -> Layer {
    let options = options::draw(random, profile, format, purpose);
    with_options(random, profile, (format, options), purpose, below)
}

/// Draws the size and the writes of an image of this format with these options.
pub(super) fn with_options(
    random: &mut NativeRandom,
    profile: &NativeProfile,
    (format, mut options): (Format, CreateOptions),
    purpose: Purpose,
    below: &[Layer],
) -> Layer {
    if format == Format::Vmdk && !below.is_empty() {
        // qemu-img creates vmdk overlays only with sparse extents.
        options.clear();
    }
    let file = ImageFile::new("", format).with_options(options.clone());
    let grain = Grain::for_file(&file);
    let edge = below.last().map(|layer| layer.size);
    let mut limit = if purpose == Purpose::Alone {
        profile.size_bytes_max
    } else {
        CHAINED_SIZE_MAX
    };
    if options::is_full(&options) {
        limit = limit.min(FULL_SIZE_MAX);
    }
    if file.options.data_file_raw().is_some() {
        // QEMU preallocates the metadata of such images (qcow2_co_create).
        limit = limit.min(grain.reach());
    }
    // 40% of the overlays have the size of their backing image.
    let size = match edge.filter(|edge| random.percent(40) && *edge <= limit) {
        Some(edge) => edge,
        None => edges::size(random, format, grain, limit),
    };
    let offered = profile.options.contains(&"preallocation");
    if purpose == Purpose::Alone && offered && !file.is_encrypted() {
        options.extend(options::preallocation(random, format, size, grain));
    }
    let mut layer = Layer {
        format,
        size,
        options,
        writes: Vec::new(),
        steps: Vec::new(),
        placement: Default::default(),
        outside: None,
    };
    placements::place(random, profile, &mut layer, below);
    if random.percent(75) {
        let real = ChainState::start("", std::slice::from_ref(&layer))
            .model
            .top
            .size;
        let others: Vec<u64> = edge.into_iter().collect();
        layer.writes = edges::writes(random, real, grain, &others, 3);
    }
    layer
}
