//! How the images of a backing chain are drawn.

use super::Narrowing;
use super::edges::{self, Grain};
use crate::format::Format;
use crate::operation::chain::{Course, Layer};
use crate::request::ImageFile;
use crate::rng::NativeRandom;

/// Images of a chain with backing files: a rebase reads all of them.
const CHAINED_SIZE_MAX: u64 = 32 << 20;
/// Bytes that are preallocated.
const PREALLOCATED_MAX: u64 = 2 << 20;
const CLUSTER_SIZES: [u64; 13] = [
    512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131_072, 262_144, 524_288, 1_048_576,
    2_097_152,
];
/// Extended L2 entries need clusters of at least this many bytes (qcow2 specification, Extended L2 Entries).
const EXTENDED_L2_CLUSTER_MIN: u64 = 16384;

/// One to five images, bottom first.
pub(super) fn draw(random: &mut NativeRandom, narrowing: &Narrowing) -> Vec<Layer> {
    let backing = random.weighted(&[5, 4, 2, 1, 1]) as u64;
    let mut layers: Vec<Layer> = Vec::new();
    for index in 0..=backing {
        let is_top = index == backing;
        // Only a qcow2 can lie on another image, of what we draw.
        let format = if index > 0 || (is_top && random.percent(75)) {
            Format::Qcow2
        } else {
            *random.choice(narrowing.formats)
        };
        let limit = if backing > 0 {
            CHAINED_SIZE_MAX
        } else {
            u64::MAX
        };
        let alone = backing == 0;
        layers.push(layer(random, narrowing, format, limit, alone, &layers));
    }
    layers
}

fn layer(
    random: &mut NativeRandom,
    narrowing: &Narrowing,
    format: Format,
    limit: u64,
    alone: bool,
    below: &[Layer],
) -> Layer {
    let mut options = options(random, narrowing, format);
    let file = ImageFile::new("", format).with_options(options.clone());
    let grain = Grain::of(&file);
    let edge = below.last().map(|layer| layer.size);
    // Now and then as long as the image below it, or nearly so.
    let size = match edge.filter(|_| random.percent(40)) {
        Some(edge) => edge,
        None => edges::size(random, format, grain, limit),
    };
    if alone && narrowing.options.contains(&"preallocation") {
        options.extend(preallocation(random, format, size, grain));
    }
    let mut layer = Layer {
        format,
        size,
        options,
        writes: Vec::new(),
    };
    if random.percent(75) {
        let real = Course::start("", std::slice::from_ref(&layer))
            .model
            .top
            .size;
        let others: Vec<u64> = edge.into_iter().collect();
        layer.writes = edges::writes(random, real, grain, &others, 3);
    }
    layer
}

/// The `-o` options of a new image.
pub(super) fn options(
    random: &mut NativeRandom,
    narrowing: &Narrowing,
    format: Format,
) -> Vec<String> {
    match format {
        Format::Qcow2 => qcow2_options(random, narrowing.options),
        Format::Vpc => one_of(random, &["force_size=on", "subformat=dynamic"]),
        Format::Vhdx => one_of(random, &["block_size=1M", "subformat=dynamic"]),
        Format::Raw | Format::Vmdk => Vec::new(),
    }
}

fn one_of(random: &mut NativeRandom, options: &[&str]) -> Vec<String> {
    let drawn = random.percent(40);
    let option = *random.choice(options);
    drawn.then(|| option.to_owned()).into_iter().collect()
}

fn qcow2_options(random: &mut NativeRandom, offered: &[&str]) -> Vec<String> {
    let mut options = Vec::new();
    let cluster_size = *random.choice(&CLUSTER_SIZES);
    // A third keeps the default of 64 KiB.
    let drawn = random.percent(67);
    options.extend(drawn.then(|| format!("cluster_size={cluster_size}")));
    let cluster_size = if drawn { cluster_size } else { 65536 };
    let mut offer = |random: &mut NativeRandom, name: &str, percent: u64, value: String| {
        let wanted = random.percent(percent) && offered.contains(&name);
        options.extend(wanted.then(|| format!("{name}={value}")));
        wanted
    };
    // Version 2 knows none of what follows.
    if offer(random, "compat", 15, "0.10".to_owned()) {
        return options;
    }
    let bits = *random.choice(&[1, 2, 4, 8, 16, 32, 64]);
    offer(random, "refcount_bits", 30, bits.to_string());
    offer(random, "lazy_refcounts", 15, "on".to_owned());
    let extended = u64::from(cluster_size >= EXTENDED_L2_CLUSTER_MIN) * 25;
    offer(random, "extended_l2", extended, "on".to_owned());
    offer(random, "compression_type", 20, "zstd".to_owned());
    options
}

/// Only where little is preallocated: small clusters take long.
fn preallocation(
    random: &mut NativeRandom,
    format: Format,
    size: u64,
    grain: Grain,
) -> Option<String> {
    let modes: &[&str] = match format {
        Format::Qcow2 if size > grain.reach() => return None,
        Format::Qcow2 if size > PREALLOCATED_MAX => &["metadata"],
        Format::Qcow2 => &["metadata", "falloc", "full"],
        Format::Raw if size <= PREALLOCATED_MAX => &["falloc", "full"],
        _ => return None,
    };
    let mode = *random.choice(modes);
    random.percent(12).then(|| format!("preallocation={mode}"))
}
