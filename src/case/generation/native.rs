//! Our own generations: cases of one stateful chain each, drawn with swarm testing and a bias to edges.
//!
//! What a tool cannot do must be known before drawing, and a case's id must decode to the same case for ever, whatever tools are
//! installed. So each narrowing is a generation of its own, with a name and a table of ours: `native1` draws all that qemu-img
//! supports, `native1_imago` what the imago crate supports as well; a test holds the tables against [`Tool::support`]. A case of
//! `native1` run with a narrower candidate is still whole: steps it cannot do are done by the reference on both sides.
//!
//! Swarm: in every case some kinds of steps are off and the others weighted wildly, so that rare kinds meet each other. What is
//! drawn is written out in the case, and replays whatever becomes of this file.
//!
//! [`Tool::support`]: crate::tool::Tool::support

use crate::base::rng::NativeRandom;
use crate::case::{Case, CaseId};
use crate::image::format::Format;
use crate::image::options::Subformat;
use crate::operation::Operation;
use crate::operation::chain::{Act, ActKind, Chain, Course, Hazard, Layer};

mod acts;
mod below;
mod copies;
mod edges;
mod layers;
mod mutation;
mod options;
mod readers;

pub(super) use readers::READERS;

/// How many steps a chain has at most.
const STEPS_MAX: u64 = 9;
/// In how many of a hundred cases a known defect may be met.
const PROVOKED_PERCENT: u64 = 4;
/// How many kinds of steps came with native2. They stand at the end.
const NATIVE2_ACTS: usize = 2;
/// How many kinds are tried for a step before it is given up.
const TRIES_MAX: u64 = 4;

/// What a generation may draw: what both of its tools support.
pub struct Narrowing {
    /// The formats of layers and of conversions.
    pub formats: &'static [Format],
    /// The qcow2 options that may be drawn; `encrypt` stands for all of `encrypt.*`.
    pub options: &'static [&'static str],
    /// The subformats of vmdk.
    pub vmdk_subformats: &'static [Subformat],
    /// The kinds of steps.
    pub acts: &'static [ActKind],
    /// Whether known defects of qemu-img are provoked now and then.
    pub provokes: bool,
    /// Whether its cases are for tools that only read.
    pub for_readers: bool,
    /// Whether images below others are encrypted, have snapshots and bitmaps, and are worked on.
    pub goes_below: bool,
    /// The longest image that lies on no other, in bytes.
    pub size_bytes_max: u64,
}

/// The kinds of steps that are drawn at all, those that came with native2 at the end. The order is part of what an id decodes to.
const ACTS: [ActKind; 22] = [
    ActKind::Write,
    ActKind::WriteZeroes,
    ActKind::Discard,
    ActKind::Resize,
    ActKind::Snapshot,
    ActKind::Rebase,
    ActKind::Commit,
    ActKind::Amend,
    ActKind::Bitmap,
    ActKind::Convert,
    ActKind::Read,
    ActKind::Map,
    ActKind::Info,
    ActKind::Check,
    ActKind::Measure,
    ActKind::Compare,
    ActKind::Dd,
    ActKind::Repair,
    ActKind::Bench,
    ActKind::SnapshotList,
    ActKind::ConvertSnapshot,
    ActKind::Below,
];

/// All that qemu-img supports.
pub(super) static WIDE: Narrowing = Narrowing {
    formats: &[
        Format::Qcow2,
        Format::Raw,
        Format::Vmdk,
        Format::Vpc,
        Format::Vhdx,
        Format::Vdi,
        Format::Qcow,
        Format::Parallels,
    ],
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
    acts: of_native1(&ACTS),
    provokes: true,
    for_readers: false,
    goes_below: false,
    size_bytes_max: u64::MAX,
};

/// The same, with what came after native1: conversions of snapshots, and what happens below.
pub(super) static DEEP: Narrowing = Narrowing {
    acts: &ACTS,
    goes_below: true,
    ..WIDE
};

/// The kinds of steps that imago has a part in.
const IMAGO_ACTS: [ActKind; 18] = [
    ActKind::Write,
    ActKind::WriteZeroes,
    ActKind::Discard,
    ActKind::Resize,
    ActKind::Snapshot,
    ActKind::Rebase,
    ActKind::Commit,
    ActKind::Amend,
    ActKind::Convert,
    ActKind::Read,
    ActKind::Map,
    ActKind::Info,
    ActKind::Check,
    ActKind::Measure,
    ActKind::Compare,
    ActKind::Dd,
    ActKind::ConvertSnapshot,
    ActKind::Below,
];

/// What imago 0.2 opens: raw, vmdk with flat extents, and qcow2 without extended L2 entries, zstd and encryption. It drops persistent bitmaps, as a tool must that does
/// not know them (qcow2 specification, autoclear features), so there are none.
pub(super) static IMAGO: Narrowing = Narrowing {
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
    acts: of_native1(&IMAGO_ACTS),
    provokes: false,
    for_readers: false,
    goes_below: false,
    size_bytes_max: u64::MAX,
};

/// The same, with what came after native1. A lower image has no bitmaps either: imago drops them when it writes to it.
pub(super) static DEEP_IMAGO: Narrowing = Narrowing {
    acts: &IMAGO_ACTS,
    goes_below: true,
    ..IMAGO
};

/// The kinds of steps that were there before native2.
const fn of_native1(acts: &'static [ActKind]) -> &'static [ActKind] {
    acts.split_at(acts.len() - NATIVE2_ACTS).0
}

/// The seeds of all iterations of `seed`, from `start` on.
pub(super) fn iteration_seeds(seed: u64, start: u64) -> impl Iterator<Item = (u64, u64)> {
    // Inclusive: the last iteration there is can be drawn too.
    (start..=u64::MAX)
        .map(move |iteration| (iteration, NativeRandom::iteration_seed(seed, iteration)))
}

impl Narrowing {
    /// The names of the kinds of steps.
    pub(super) fn names(&self) -> Vec<&'static str> {
        self.acts.iter().map(|kind| kind.name()).collect()
    }

    /// Decodes the iteration whose own seed is `iter_seed`; `pool` replaces the kinds of steps.
    pub(super) fn decode(&self, id: CaseId, iter_seed: u64, pool: Option<&[&str]>) -> Case {
        let mut random = NativeRandom::new(iter_seed);
        let kinds = match pool {
            Some(pool) => named(pool),
            None => self.acts.to_vec(),
        };
        let chain = match self.for_readers {
            true => readers::draw(&mut random, self, &kinds),
            false => self.chain(&mut random, &kinds),
        };
        let (seed, iteration) = id.campaign().unzip();
        Case {
            generation: id.generation,
            seed,
            iteration,
            iter_seed,
            image: Chain::no_source(),
            ops: vec![Operation::Chain(chain)],
            words_used: random.words_used(),
            ops_filter: pool.map(|pool| pool.iter().map(|name| (*name).to_owned()).collect()),
            fields_filter: None,
        }
    }

    fn chain(&self, random: &mut NativeRandom, kinds: &[ActKind]) -> Chain {
        let swarm = Swarm::draw(random, kinds);
        let provoked = hazard(random).filter(|_| self.provokes);
        let layers = layers::draw(random, self);
        let steps = self.steps(random, &swarm, provoked, &layers);
        Chain { layers, steps }
    }

    /// Draws what is done with these images.
    fn steps(
        &self,
        random: &mut NativeRandom,
        swarm: &Swarm,
        provoked: Option<Hazard>,
        layers: &[Layer],
    ) -> Vec<Act> {
        let mut course = Course::start("", layers);
        let mut steps = Vec::new();
        for _ in 0..random.between(2, STEPS_MAX) {
            // Some kinds make no sense where the chain stands.
            let act = (0..TRIES_MAX).find_map(|_| {
                let favoured = self
                    .goes_below
                    .then(|| below::favoured(random, swarm.kinds()));
                let kind = favoured.flatten().unwrap_or_else(|| swarm.kind(random));
                let act = acts::draw(random, self, kind, &course)?;
                let hazard = Hazard::of(&course, &act);
                (hazard.is_none() || hazard == provoked).then_some(act)
            });
            if let Some(act) = act {
                course.advance(&act, true);
                steps.push(act);
            }
        }
        steps
    }
}

/// The one known defect of qemu-img that a case may meet; most may meet none.
fn hazard(random: &mut NativeRandom) -> Option<Hazard> {
    let drawn = *random.choice(&Hazard::PROVOKED);
    random.percent(PROVOKED_PERCENT).then_some(drawn)
}

/// The kinds of these names. A generation gives only names that it has.
fn named<'name>(pool: impl IntoIterator<Item = &'name (impl AsRef<str> + 'name)>) -> Vec<ActKind> {
    let kinds = pool
        .into_iter()
        .filter_map(|name| name.as_ref().parse().ok());
    kinds.collect()
}

/// Which kinds of steps a case has, and how often.
struct Swarm {
    kinds: Vec<ActKind>,
    weights: Vec<u64>,
}

impl Swarm {
    /// A third of the kinds is off, the others weigh from 1 to 64.
    fn draw(random: &mut NativeRandom, pool: &[ActKind]) -> Self {
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

    /// Those that may be drawn, off or not.
    fn kinds(&self) -> &[ActKind] {
        &self.kinds
    }

    fn kind(&self, random: &mut NativeRandom) -> ActKind {
        self.kinds[random.weighted(&self.weights)]
    }
}
