//! Draws cases for tools that only read: the reference creates and modifies an image, then the tools inspect it. All formats are equally
//! likely.
//!
//! Most images have no backing file and few options, so that each reader supports a good part of the cases. A quarter is written by a
//! conversion, the only way to create compressed clusters and streamOptimized extents. An id decodes to the same case whatever tools are
//! installed, so this module does not know which candidates can open the image; a campaign omits cases that no candidate supports.

use super::edges::{self, Grain};
use super::options::{self, Purpose};
use super::{NativeProfile, TRIES_MAX, backing, layers};
use crate::base::rng::NativeRandom;
use crate::image::format::Format;
use crate::image::options::CreateOptions;
use crate::operation::chain::{
    Chain, ChainState, ChainStep, ChainStepKind, Conversion, KnownQemuBug, Layer,
};
use crate::tool::request::ImageFile;

/// Percentage of images that a conversion writes.
const CONVERTED_PERCENT: u64 = 25;
/// Percentage of images with a backing file, in formats that support one.
const LAYERED_PERCENT: u64 = 20;
/// Percentage of images without any option.
const PLAIN_PERCENT: u64 = 40;
/// Percentage of conversions that compress, in formats that support it.
const COMPRESSED_PERCENT: u64 = 60;
/// Maximum number of changes before the image is inspected.
const CHANGES_MAX: u64 = 3;
/// Percentage of inspections that a case contains besides reading all bytes.
const LOOK_PERCENT: u64 = 50;
/// Percentage of cases in which the image is read in many ways while it stays open.
const SESSION_PERCENT: u64 = 60;
/// Maximum virtual size in bytes. Most readers do not report holes, so every byte is read.
const SIZE_BYTES_MAX: u64 = 48 << 20;

/// The kinds of steps that modify an image.
const CHANGES: [ChainStepKind; 6] = [
    ChainStepKind::Write,
    ChainStepKind::WriteZeroes,
    ChainStepKind::Discard,
    ChainStepKind::Resize,
    ChainStepKind::Snapshot,
    ChainStepKind::Amend,
];
/// The kinds of steps that inspect an image.
const LOOKS: [ChainStepKind; 3] = [
    ChainStepKind::Info,
    ChainStepKind::Check,
    ChainStepKind::Map,
];

/// The kinds of steps. The last one is of the textured profile alone; the order determines what an id decodes to.
const READER_KINDS: [ChainStepKind; 11] = [
    ChainStepKind::Write,
    ChainStepKind::WriteZeroes,
    ChainStepKind::Discard,
    ChainStepKind::Resize,
    ChainStepKind::Snapshot,
    ChainStepKind::Amend,
    ChainStepKind::Info,
    ChainStepKind::Check,
    ChainStepKind::Map,
    ChainStepKind::Read,
    ChainStepKind::Session,
];

/// Everything that qemu-img can create and a reader can inspect.
pub(in crate::case::generation) static READERS: NativeProfile = NativeProfile {
    formats: &[
        Format::Qcow2,
        Format::Vmdk,
        Format::Vpc,
        Format::Vhdx,
        Format::Vdi,
        Format::Qcow,
        Format::Parallels,
    ],
    kinds: READER_KINDS.split_at(READER_KINDS.len() - 1).0,
    provokes: false,
    for_readers: true,
    size_bytes_max: SIZE_BYTES_MAX,
    ..super::WIDE
};

/// [`READERS`] with data of all textures, and sessions.
pub(in crate::case::generation) static TEXTURED_READERS: NativeProfile = NativeProfile {
    kinds: &READER_KINDS,
    textured_percent: super::TEXTURED_PERCENT,
    budget: Some(super::BUDGET),
    ..READERS
};

/// Draws a chain of one image, sometimes with a backing file, and its inspections.
pub(super) fn draw(
    random: &mut NativeRandom,
    profile: &NativeProfile,
    pool: &[ChainStepKind],
) -> Chain {
    let format = *random.choice(profile.formats);
    let layered = matches!(format, Format::Qcow2 | Format::Qcow | Format::Vmdk);
    let way = random.below(100);
    let (layers, first) = if way < CONVERTED_PERCENT {
        converted(random, profile, format)
    } else if way < CONVERTED_PERCENT + LAYERED_PERCENT && layered {
        (on_another(random, profile, format), None)
    } else {
        (
            vec![image(random, profile, format, Purpose::Alone, &[])],
            None,
        )
    };
    let mut chain_state = ChainState::start("", &layers);
    let mut steps = Vec::new();
    let mut take = |step: ChainStep, chain_state: &mut ChainState| {
        if KnownQemuBug::met_by(chain_state, &step).is_none() {
            chain_state.advance(&step, true);
            steps.push(step);
        }
    };
    first
        .into_iter()
        .for_each(|step| take(step, &mut chain_state));
    let changes: Vec<ChainStepKind> = CHANGES
        .into_iter()
        .filter(|kind| pool.contains(kind))
        .collect();
    for _ in 0..random.below(CHANGES_MAX + 1) {
        let step = (0..TRIES_MAX).find_map(|_| {
            let kind = changes.get(random.below(CHANGES.len() as u64) as usize)?;
            backing::draw(random, profile, *kind, &chain_state).filter(is_small)
        });
        step.into_iter()
            .for_each(|step| take(step, &mut chain_state));
    }
    for kind in LOOKS {
        let wanted = random.percent(LOOK_PERCENT) && pool.contains(&kind);
        let step = wanted.then(|| backing::draw(random, profile, kind, &chain_state));
        step.flatten()
            .into_iter()
            .for_each(|step| take(step, &mut chain_state));
    }
    if pool.contains(&ChainStepKind::Session) && random.percent(SESSION_PERCENT) {
        let step = backing::draw(random, profile, ChainStepKind::Session, &chain_state);
        step.into_iter()
            .for_each(|step| take(step, &mut chain_state));
    }
    take(ChainStep::Read, &mut chain_state);
    Chain { layers, steps }
}

fn is_small(step: &ChainStep) -> bool {
    !matches!(step, ChainStep::Resize { size, .. } if *size > SIZE_BYTES_MAX)
}

/// Draws a qcow2 or raw image and its conversion into `format`.
fn converted(
    random: &mut NativeRandom,
    profile: &NativeProfile,
    format: Format,
) -> (Vec<Layer>, Option<ChainStep>) {
    let source = Layer {
        format: *random.choice(&[Format::Qcow2, Format::Raw]),
        options: CreateOptions::new(),
        ..image(random, profile, Format::Raw, Purpose::Alone, &[])
    };
    let options = match random.percent(PLAIN_PERCENT) {
        true => CreateOptions::new(),
        false => options::draw(random, profile, format, Purpose::Target),
    };
    let target = ImageFile::new("", format).with_options(options.clone());
    let can_compress = matches!(format, Format::Qcow2 | Format::Qcow)
        && target.data_file().is_none()
        && !target.is_encrypted();
    let fits = format != Format::Qcow2 || edges::fits(source.size, Grain::for_file(&target));
    let step = ChainStep::Convert(Conversion {
        format,
        options: if fits { options } else { CreateOptions::new() },
        compress: random.percent(COMPRESSED_PERCENT) && can_compress,
        on_backing: false,
        mode: Default::default(),
    });
    (vec![source], Some(step))
}

/// Draws an image of `format` with a backing file: vmdk for vmdk, otherwise qcow2 or raw.
fn on_another(random: &mut NativeRandom, profile: &NativeProfile, format: Format) -> Vec<Layer> {
    let below = match format {
        Format::Vmdk => Format::Vmdk,
        _ => *random.choice(&[Format::Qcow2, Format::Raw]),
    };
    let below = image(random, profile, below, Purpose::Bottom, &[]);
    let top = image(
        random,
        profile,
        format,
        Purpose::Top,
        std::slice::from_ref(&below),
    );
    vec![below, top]
}

/// Draws an image of `format` on top of `below`.
fn image(
    random: &mut NativeRandom,
    profile: &NativeProfile,
    format: Format,
    purpose: Purpose,
    below: &[Layer],
) -> Layer {
    let options = match random.percent(PLAIN_PERCENT) {
        true => CreateOptions::new(),
        false => options::draw(random, profile, format, purpose),
    };
    layers::with_options(random, profile, (format, options), purpose, below)
}
