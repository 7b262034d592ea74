//! The native generations: each case is one stateful chain of steps, drawn with swarm testing and a bias towards boundaries.
//!
//! A case id must always decode to the same case, whatever tools are installed, so drawing cannot ask a tool what it supports.
//! Instead, each profile is a generation with its own name and table: `native1` draws everything that qemu-img supports,
//! `native1_imago` only what the imago crate supports as well. A test compares the tables with [`Tool::support`]. A candidate that
//! supports less can still run cases of `native1`: the reference performs the unsupported steps on both sides.
//!
//! Swarm testing: each case disables some kinds of steps and gives the others very different weights, so that rare kinds occur
//! together. The case stores everything that is drawn, so stored cases replay even if this generator changes.
//!
//! [`Tool::support`]: crate::tool::Tool::support

use crate::base::rng::NativeRandom;
use crate::case::generation::start_image::StartImage;
use crate::case::{Case, CaseId};
use crate::image::format::Format;
use crate::image::options::Subformat;
use crate::operation::Operation;
use crate::operation::chain::{Chain, ChainState, ChainStep, ChainStepKind, KnownQemuBug, Layer};
use crate::tool::request::BackingName;

mod backing;
pub(super) mod budget;
mod converts;
mod edges;
mod from_image;
mod layers;
mod mutation;
mod options;
mod placements;
mod readers;
mod references;
mod sessions;
mod space;
mod steps;
mod textures;

pub(super) use readers::{READERS, TEXTURED_READERS};

/// Percentage of cases that may trigger a known qemu-img bug.
const PROVOKED_PERCENT: u64 = 4;
/// Percentage of chains of native3 with data other than repeated bytes.
const TEXTURED_PERCENT: u64 = 50;
/// The budget of native3, in microseconds: three of ten chains cost more.
const BUDGET: u64 = 30_000;
/// The number of kinds of steps that native2 added, at the end of the list.
const NATIVE2_KINDS: usize = 2;
/// How many kinds are tried for a step before it is skipped.
const TRIES_MAX: u64 = 4;

/// The profile of a generation: everything that it may draw, which both of its tools support.
pub struct NativeProfile {
    /// The formats of layers and of conversions.
    pub formats: &'static [Format],
    /// The qcow2 options; `encrypt` stands for all `encrypt.*` options.
    pub options: &'static [&'static str],
    /// The vmdk subformats.
    pub vmdk_subformats: &'static [Subformat],
    /// The kinds of steps.
    pub kinds: &'static [ChainStepKind],
    /// Whether some cases may trigger known qemu-img bugs.
    pub provokes: bool,
    /// Whether the cases are for tools that only read.
    pub for_readers: bool,
    /// Whether backing images may be encrypted, have snapshots and bitmaps, and be modified.
    pub goes_below: bool,
    /// Percentage of steps on and of what lies below, independent of the case's swarm weights.
    pub favoured_percent: u64,
    /// The maximum number of steps of a chain.
    pub steps_max: u64,
    /// The maximum virtual size of images without a backing file, in bytes.
    pub size_bytes_max: u64,
    /// Whether conversions are made in other modes than the usual one, and parts of images are mapped.
    pub has_modes: bool,
    /// Whether images lie in directories, and snapshots of other sizes than their image's are copied.
    pub has_placements: bool,
    /// The forms of the names by which a qcow2 records the image below it. Other formats record plain names.
    pub backing_names: &'static [BackingName],
    /// Percentage of chains that have data other than repeated bytes.
    pub textured_percent: u64,
    /// The CPU time of the reference above which chains are drawn rarer, in microseconds.
    pub budget: Option<u64>,
}

/// All kinds of steps that are drawn, those of native2 at the end. The order determines what an id decodes to.
const KINDS: [ChainStepKind; 22] = [
    ChainStepKind::Write,
    ChainStepKind::WriteZeroes,
    ChainStepKind::Discard,
    ChainStepKind::Resize,
    ChainStepKind::Snapshot,
    ChainStepKind::Rebase,
    ChainStepKind::Commit,
    ChainStepKind::Amend,
    ChainStepKind::Bitmap,
    ChainStepKind::Convert,
    ChainStepKind::Read,
    ChainStepKind::Map,
    ChainStepKind::Info,
    ChainStepKind::Check,
    ChainStepKind::Measure,
    ChainStepKind::Compare,
    ChainStepKind::Dd,
    ChainStepKind::Repair,
    ChainStepKind::Bench,
    ChainStepKind::SnapshotList,
    ChainStepKind::ConvertSnapshot,
    ChainStepKind::Below,
];

/// The formats of [`WIDE`].
const FORMATS: [Format; 8] = [
    Format::Qcow2,
    Format::Raw,
    Format::Vmdk,
    Format::Vpc,
    Format::Vhdx,
    Format::Vdi,
    Format::Qcow,
    Format::Parallels,
];

/// Everything that qemu-img supports, as of native1.
pub(super) static WIDE: NativeProfile = NativeProfile {
    formats: &FORMATS,
    options: &[
        "cluster_size",
        "compat",
        "refcount_bits",
        "lazy_refcounts",
        "extended_l2",
        "compression_type",
        "preallocation",
        "data_file",
        "data_file_raw",
        "encrypt",
    ],
    vmdk_subformats: &[
        Subformat::MonolithicSparse,
        Subformat::MonolithicFlat,
        Subformat::TwoGbMaxExtentSparse,
        Subformat::TwoGbMaxExtentFlat,
        Subformat::StreamOptimized,
    ],
    kinds: without_native2_kinds(&KINDS),
    provokes: true,
    for_readers: false,
    goes_below: false,
    favoured_percent: 35,
    steps_max: 9,
    size_bytes_max: u64::MAX,
    has_modes: false,
    has_placements: false,
    backing_names: &[BackingName::Relative],
    textured_percent: 0,
    budget: None,
};

/// [`WIDE`] with the kinds that native2 added: conversions of snapshots, and steps on backing images.
pub(super) static DEEP: NativeProfile = NativeProfile {
    kinds: &KINDS,
    goes_below: true,
    ..WIDE
};

/// The kinds of steps that imago at least partly supports.
const IMAGO_KINDS: [ChainStepKind; 18] = [
    ChainStepKind::Write,
    ChainStepKind::WriteZeroes,
    ChainStepKind::Discard,
    ChainStepKind::Resize,
    ChainStepKind::Snapshot,
    ChainStepKind::Rebase,
    ChainStepKind::Commit,
    ChainStepKind::Amend,
    ChainStepKind::Convert,
    ChainStepKind::Read,
    ChainStepKind::Map,
    ChainStepKind::Info,
    ChainStepKind::Check,
    ChainStepKind::Measure,
    ChainStepKind::Compare,
    ChainStepKind::Dd,
    ChainStepKind::ConvertSnapshot,
    ChainStepKind::Below,
];

/// The formats and options that imago 0.2 opens: raw, vmdk with flat extents, and qcow2 without extended L2 entries, zstd and
/// encryption. There are no persistent bitmaps, because imago drops them, as the qcow2 specification requires of tools that do not
/// support them (autoclear features).
pub(super) static IMAGO: NativeProfile = NativeProfile {
    formats: &[Format::Qcow2, Format::Raw, Format::Vmdk],
    options: &[
        "cluster_size",
        "compat",
        "refcount_bits",
        "lazy_refcounts",
        "preallocation",
        "data_file",
        "data_file_raw",
    ],
    vmdk_subformats: &[Subformat::MonolithicFlat, Subformat::TwoGbMaxExtentFlat],
    kinds: without_native2_kinds(&IMAGO_KINDS),
    provokes: false,
    for_readers: false,
    goes_below: false,
    favoured_percent: 35,
    steps_max: 9,
    size_bytes_max: u64::MAX,
    has_modes: false,
    has_placements: false,
    backing_names: &[BackingName::Relative],
    textured_percent: 0,
    budget: None,
};

/// [`IMAGO`] with the kinds that native2 added. Backing images have no bitmaps either, because imago drops them on writes.
pub(super) static DEEP_IMAGO: NativeProfile = NativeProfile {
    kinds: &IMAGO_KINDS,
    goes_below: true,
    ..IMAGO
};

/// [`DEEP`] with data of all textures, sessions, and calls that fail.
pub(super) static RICH: NativeProfile = NativeProfile {
    kinds: &with::<_, 22, 3, 25>(
        KINDS,
        [
            ChainStepKind::Session,
            ChainStepKind::Fault,
            ChainStepKind::ConvertInto,
        ],
    ),
    favoured_percent: 12,
    steps_max: 13,
    has_modes: true,
    textured_percent: TEXTURED_PERCENT,
    budget: Some(BUDGET),
    ..DEEP
};

/// [`DEEP_IMAGO`] with data of all textures, and sessions.
pub(super) static RICH_IMAGO: NativeProfile = NativeProfile {
    kinds: &with::<_, 18, 1, 19>(IMAGO_KINDS, [ChainStepKind::Session]),
    favoured_percent: 12,
    steps_max: 13,
    textured_percent: TEXTURED_PERCENT,
    budget: Some(BUDGET),
    ..DEEP_IMAGO
};

/// [`RICH`] with encrypted volumes and qed, images in directories, and images that are opened in several ways.
pub(super) static PLACED: NativeProfile = NativeProfile {
    formats: &with::<_, 8, 2, 10>(FORMATS, [Format::Luks, Format::Qed]),
    kinds: &with::<_, 22, 4, 26>(
        KINDS,
        [
            ChainStepKind::Session,
            ChainStepKind::Fault,
            ChainStepKind::ConvertInto,
            ChainStepKind::Opened,
        ],
    ),
    has_placements: true,
    backing_names: &BackingName::ALL,
    ..RICH
};

/// [`RICH_IMAGO`] with images in directories.
pub(super) static PLACED_IMAGO: NativeProfile = NativeProfile {
    has_placements: true,
    backing_names: &[BackingName::Relative, BackingName::Absolute],
    ..RICH_IMAGO
};

/// Returns a list of a profile with new items at the end.
const fn with<T: Copy, const OLD: usize, const NEW: usize, const ALL: usize>(
    old: [T; OLD],
    new: [T; NEW],
) -> [T; ALL] {
    let mut all = [old[0]; ALL];
    let mut index = 0;
    while index < ALL {
        all[index] = if index < OLD {
            old[index]
        } else {
            new[index - OLD]
        };
        index += 1;
    }
    all
}

/// Returns the kinds of steps without those that native2 added.
const fn without_native2_kinds(kinds: &'static [ChainStepKind]) -> &'static [ChainStepKind] {
    kinds.split_at(kinds.len() - NATIVE2_KINDS).0
}

/// Returns the numbers and seeds of all iterations of `seed`, from `start` on.
pub(super) fn iteration_seeds(seed: u64, start: u64) -> impl Iterator<Item = (u64, u64)> {
    // The range is inclusive, so that the last iteration can be drawn too.
    (start..=u64::MAX)
        .map(move |iteration| (iteration, NativeRandom::iteration_seed(seed, iteration)))
}

impl NativeProfile {
    /// Returns the names of the kinds of steps.
    pub(super) fn names(&self) -> Vec<&'static str> {
        self.kinds.iter().map(|kind| kind.name()).collect()
    }

    /// Decodes the iteration whose own seed is `iter_seed`, which begins with an image from outside if there is one. `pool` replaces the profile's
    /// kinds of steps.
    pub(super) fn decode(
        &self,
        id: CaseId,
        iter_seed: u64,
        pool: Option<&[&str]>,
        image: Option<&StartImage>,
    ) -> Case {
        let mut random = NativeRandom::new(iter_seed);
        let kinds = match pool {
            Some(pool) => named(pool),
            None => self.kinds.to_vec(),
        };
        let mut chain = budget::within(&mut random, self.budget, |random| match image {
            Some(image) => self.chain_from(random, &kinds, &image.layers),
            None if self.for_readers => readers::draw(random, self, &kinds),
            None => self.chain(random, &kinds),
        });
        textures::give(&mut random, self.textured_percent, &mut chain);
        let words_used = random.words_used();
        Case {
            from: image.map(|image| image.from.clone()),
            ..Case::drawn(id, iter_seed, words_used, Operation::Chain(chain), pool)
        }
    }

    fn chain(&self, random: &mut NativeRandom, kinds: &[ChainStepKind]) -> Chain {
        let swarm = Swarm::draw(random, kinds);
        let provoked = known_bug(random).filter(|_| self.provokes);
        let layers = layers::draw(random, self);
        let steps = self.steps(random, &swarm, provoked, &layers);
        Chain { layers, steps }
    }

    /// Draws the steps on these images.
    fn steps(
        &self,
        random: &mut NativeRandom,
        swarm: &Swarm,
        provoked: Option<KnownQemuBug>,
        layers: &[Layer],
    ) -> Vec<ChainStep> {
        let mut chain_state = ChainState::start("", layers);
        let mut steps = Vec::new();
        for _ in 0..random.between(2, self.steps_max) {
            // Some kinds are not possible in the current state of the chain.
            let step = (0..TRIES_MAX).find_map(|_| {
                let favoured = self
                    .goes_below
                    .then(|| backing::favoured(random, self, swarm.kinds()));
                let kind = favoured.flatten().unwrap_or_else(|| swarm.kind(random));
                let step = backing::draw(random, self, kind, &chain_state)?;
                let known_bug = KnownQemuBug::met_by(&chain_state, &step);
                (known_bug.is_none() || known_bug == provoked).then_some(step)
            });
            if let Some(step) = step {
                chain_state.advance(&step, true);
                steps.push(step);
            }
        }
        steps
    }
}

/// Draws the known qemu-img bug that the case may trigger; `None` in most cases.
fn known_bug(random: &mut NativeRandom) -> Option<KnownQemuBug> {
    let drawn = *random.choice(&KnownQemuBug::PROVOKED);
    random.percent(PROVOKED_PERCENT).then_some(drawn)
}

/// Parses the names of kinds. The caller has checked them already.
fn named<'name>(
    pool: impl IntoIterator<Item = &'name (impl AsRef<str> + 'name)>,
) -> Vec<ChainStepKind> {
    let kinds = pool
        .into_iter()
        .filter_map(|name| name.as_ref().parse().ok());
    kinds.collect()
}

/// The kinds of steps of one case, with their weights; weight 0 disables a kind.
struct Swarm {
    kinds: Vec<ChainStepKind>,
    weights: Vec<u64>,
}

impl Swarm {
    /// Draws the weights: a third of the kinds is disabled, the others have a power of two from 1 to 64.
    fn draw(random: &mut NativeRandom, pool: &[ChainStepKind]) -> Self {
        let mut weights: Vec<u64> = pool
            .iter()
            .map(|_| {
                let weight = 1 << random.below(7);
                if random.percent(33) { 0 } else { weight }
            })
            .collect();
        if weights.iter().all(|weight| *weight == 0) {
            weights[0] = 1;
        }
        Self {
            kinds: pool.to_vec(),
            weights,
        }
    }

    /// Returns all kinds, including disabled ones.
    fn kinds(&self) -> &[ChainStepKind] {
        &self.kinds
    }

    /// Draws a kind by weight.
    fn kind(&self, random: &mut NativeRandom) -> ChainStepKind {
        self.kinds[random.weighted(&self.weights)]
    }
}
