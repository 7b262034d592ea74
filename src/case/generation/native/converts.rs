//! Draws the steps that copy the current image into a new one: convert and dd.

use super::NativeProfile;
use super::edges::{self, Grain};
use super::options::{self, Purpose};
use super::space;
use crate::base::rng::NativeRandom;
use crate::image::format::{Format, SECTOR_BYTES};
use crate::image::options::{CreateOption, CreateOptions, Subformat};
use crate::operation::chain::{ChainState, ChainStep, Conversion, Naming};
use crate::tool::request::{CopyMode, ImageFile, dd_range};

/// Maximum size in bytes of images that are copied into formats other than raw and qcow2.
const FOREIGN_MAX: u64 = 4 << 30;
/// Maximum size in bytes of images that are copied into fully allocated ones.
const FULL_MAX: u64 = 64 << 20;
/// Maximum size in bytes of images that are copied into encrypted volumes, of which every sector is written.
const VOLUME_MAX: u64 = 8 << 20;
/// Maximum number of bytes that one dd copies: it also writes zeros.
const DD_BYTES_MAX: u64 = 64 << 20;
/// Maximum number of blocks that one dd copies: qemu-img takes about 60 microseconds for each.
const BLOCKS_MAX: u64 = 2000;
/// Maximum size in bytes of images whose copies have every cluster allocated.
const ALLOCATED_MAX: u64 = 16 << 20;
/// The numbers of bytes of zeros that make a hole in a copy; 0 allocates everything.
const HOLES: [u64; 6] = [0, 512, 4096, 65536, 1 << 20, 16 << 20];
const BLOCK_SIZES: [u64; 9] = [
    512,
    1000,
    1536,
    4096,
    65536,
    65537,
    131_072,
    1 << 20,
    4 << 20,
];
/// The target formats of dd. It takes no options, which the other formats need.
const DD_FORMATS: [Format; 6] = [
    Format::Qcow2,
    Format::Raw,
    Format::Vmdk,
    Format::Vdi,
    Format::Qcow,
    Format::Parallels,
];

/// Draws a conversion into a drawn format with drawn options.
pub(super) fn convert(
    random: &mut NativeRandom,
    profile: &NativeProfile,
    chain_state: &ChainState,
) -> Conversion {
    let size = chain_state.model.top.size;
    let format = if random.percent(55) {
        Format::Qcow2
    } else {
        *random.choice(profile.formats)
    };
    let format = fitting(format, size);
    let drawn = options::draw(random, profile, format, Purpose::Target);
    let target = ImageFile::new("", format).with_options(drawn.clone());
    let grain = Grain::for_file(&target);
    // A large image with small clusters does not fit or takes long, and so does a fully allocated one.
    let fits = format != Format::Qcow2 || edges::fits(size, grain);
    let full = options::is_full(&drawn);
    let preallocated = target.options.data_file_raw().is_some();
    let reach = if preallocated {
        grain.reach()
    } else {
        u64::MAX
    };
    let fits = fits && (!full || size <= FULL_MAX) && size <= reach;
    let plain = target.data_file().is_none() && !target.is_encrypted();
    let compressible = matches!(format, Format::Qcow2 | Format::Qcow) && (plain || !fits);
    Conversion {
        format,
        options: if fits {
            drawn
        } else {
            fallback(profile, format)
        },
        compress: random.percent(30) && compressible,
        on_backing: false,
        mode: Default::default(),
    }
}

/// Draws how the current image is copied; most conversions have no mode. Draws nothing if the profile has no modes.
pub(super) fn mode(
    random: &mut NativeRandom,
    profile: &NativeProfile,
    chain_state: &ChainState,
    to: &mut Conversion,
) {
    if !profile.has_modes {
        return;
    }
    let plain = to.clone();
    copy_mode(random, chain_state, &mut to.mode);
    to.mode.out_of_order &= !to.compress;
    to.mode.bitmaps = random.percent(85) && !chain_state.model.bitmaps.is_empty();
    to.on_backing = random.percent(30) && !chain_state.below().is_empty();
    let step = ChainStep::Convert(to.clone());
    if !chain_state.admit(&step).is_admitted() {
        *to = plain;
    }
}

/// Draws holes, parallel copies and their order.
pub(super) fn copy_mode(random: &mut NativeRandom, chain_state: &ChainState, mode: &mut CopyMode) {
    let holes = *random.choice(&HOLES);
    let copies = *random.choice(&[1, 2, 4, 16]);
    let is_small = chain_state.model.top.size <= ALLOCATED_MAX;
    mode.sparse_bytes = (random.percent(15) && (holes > 0 || is_small)).then_some(holes);
    mode.copies = random.percent(15).then_some(copies);
    mode.out_of_order = random.percent(10);
}

/// Draws a conversion of a snapshot; `None` if there is no snapshot whose contents are known.
pub(super) fn convert_snapshot(
    random: &mut NativeRandom,
    profile: &NativeProfile,
    chain_state: &ChainState,
) -> Option<ChainStep> {
    let names: Vec<&String> = chain_state.model.snapshots.keys().collect();
    if names.is_empty() {
        return None;
    }
    let size = chain_state.model.top.size;
    let snapshots = &chain_state.model.snapshots;
    let is_other = |name: &&&String| {
        let seen = snapshots[**name].seen.as_ref();
        seen.is_some_and(|view| view.size != size)
    };
    let others: Vec<&String> = names.iter().filter(is_other).copied().collect();
    let names = match profile.has_placements {
        true if others.is_empty() && chain_state.is_resized() && random.percent(80) => {
            let grain = Grain::for_file(chain_state.top());
            return Some(space::resize(random, chain_state, grain));
        }
        true if !others.is_empty() && random.percent(90) => others,
        _ => names,
    };
    let name = (*random.choice(&names)).clone();
    let by = *random.choice(&Naming::ALL);
    let to = convert(random, profile, chain_state);
    let resized = profile.has_placements && is_other(&&&name);
    let step = ChainStep::ConvertSnapshot {
        name,
        by,
        resized,
        to,
    };
    chain_state.admit(&step).is_admitted().then_some(step)
}

/// Returns the options for images for which the drawn ones are too expensive. These are no options, unless the profile excludes the
/// format's defaults.
fn fallback(profile: &NativeProfile, format: Format) -> CreateOptions {
    let flat_only = !profile
        .vmdk_subformats
        .contains(&Subformat::MonolithicSparse);
    match format {
        Format::Vmdk if flat_only => [CreateOption::Subformat(Subformat::MonolithicFlat)].into(),
        _ => CreateOptions::new(),
    }
}

/// Draws a dd of a window of the image; `None` if the window is empty or too large.
pub(super) fn dd(
    random: &mut NativeRandom,
    profile: &NativeProfile,
    chain_state: &ChainState,
) -> Option<ChainStep> {
    let size = chain_state.model.top.size;
    let drawn = *random.choice(&DD_FORMATS);
    // A vmdk created without options has sparse extents.
    let can = profile.formats.contains(&drawn)
        && (drawn != Format::Vmdk
            || profile
                .vmdk_subformats
                .contains(&Subformat::MonolithicSparse));
    let format = fitting(if can { drawn } else { Format::Qcow2 }, size);
    let block_size = *random.choice(&BLOCK_SIZES);
    let blocks = size.div_ceil(block_size);
    let skip = match random.below(4) {
        0 => random.below(blocks),
        1 => random.below(4).min(blocks - 1),
        _ => 0,
    };
    let count = match random.below(3) {
        0 => Some(skip + random.between(1, BLOCKS_MAX)),
        1 => Some(blocks + random.below(3)),
        _ => None,
    };
    let (_, length) = dd_range(size, block_size, count, skip);
    let bearable = (SECTOR_BYTES..=DD_BYTES_MAX).contains(&length)
        && length.div_ceil(block_size) <= BLOCKS_MAX;
    bearable.then_some(ChainStep::Dd {
        format,
        block_size,
        count,
        skip,
    })
}

/// Returns `format`, or raw if an image of `size` bytes is too large for it.
fn fitting(format: Format, size: u64) -> Format {
    let foreign = !matches!(format, Format::Qcow2 | Format::Raw);
    let is_volume = format == Format::Luks;
    if (foreign && size > FOREIGN_MAX) || (is_volume && size > VOLUME_MAX) {
        Format::Raw
    } else {
        format
    }
}
