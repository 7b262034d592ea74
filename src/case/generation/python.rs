//! Reproduces the generations of the Python harness (scripts/differential-fuzz.py of shakenfist/instar) bit for bit.
//!
//! A master generator yields the seed of each iteration. The iteration's own generator draws the image, the number and names of the
//! operations, and then each operation's parameters, in that order. The Python harness drew some parameters only after a tool had
//! answered; this module predicts that answer and draws the same values without running a tool.

use crate::base::rng::PythonRandom;
use crate::base::size::Size;
use crate::case::{Case, CaseId};
use crate::image::content::{Fill, Write};
use crate::image::dmg::{Chunk, ChunkKind, DmgRecipe, Payload, SECTOR_WORDS};
use crate::image::format::Format;
use crate::image::{ImageRecipe, Pattern};
use crate::operation::snapshot_bearing::{Command, SnapshotBearing};
use crate::operation::{Operation, Picker};

/// The formats of source images, in the order in which generations added them.
pub(super) const FORMATS: [Format; 8] = [
    Format::Qcow2,
    Format::Raw,
    Format::Vmdk,
    Format::Vpc,
    Format::Vdi,
    Format::Parallels,
    Format::Qcow,
    Format::Dmg,
];
const VIRTUAL_SIZES: [&str; 6] = ["1M", "4M", "16M", "64M", "256M", "1G"];
const PATTERNS: [Pattern; 4] = [
    Pattern::Zeros,
    Pattern::Random,
    Pattern::Sparse,
    Pattern::Mbr,
];
const CLUSTER_SIZES: [u64; 5] = [512, 4096, 65536, 262_144, 2_097_152];
const WRITE_OFFSETS: [u64; 5] = [0, 4096, 8192, 65536, 131_072];
const WRITE_LENGTHS: [u64; 2] = [512, 4096];
const PARALLELS_CLUSTER_SIZES: [u64; 3] = [4096, 65536, 1_048_576];
const DMG_CHUNKS_MAX: u64 = 8;
const DMG_SECTORS_MAX: u64 = 4096;

/// The operations of one Python generation and how it draws their parameters.
pub(super) struct PythonGeneration {
    pub(super) operations: &'static [&'static str],
    pub(super) picker: Picker,
    /// The formats of the source images.
    pub(super) formats: &'static [Format],
}

/// Returns the seeds of all iterations of `seed`, in order. Each is `randint(0, 2**32 - 1)` of the master generator. The number of
/// words that `randint` consumes varies, so earlier iterations cannot be skipped without drawing them.
pub(super) fn iteration_seeds(seed: u64) -> impl Iterator<Item = u64> {
    let mut master = PythonRandom::new(seed);
    std::iter::repeat_with(move || master.randint(0, u64::from(u32::MAX)))
}

impl PythonGeneration {
    /// Decodes the iteration whose own seed is `iter_seed`.
    pub(super) fn decode(&self, id: CaseId, iter_seed: u64, pool: Option<&[&str]>) -> Case {
        let mut random = PythonRandom::new(iter_seed);
        let image = draw_image(&mut random, self.formats, iter_seed);
        let count = random.randint(2, 4);
        let names: Vec<&str> = (0..count)
            .map(|_| *random.choice(pool.unwrap_or(self.operations)))
            .collect();
        let draw = |name: &str| {
            Operation::draw_python(name, &mut random, &image, self.picker)
                .expect("a generation lists operations that there are")
        };
        let ops = names.into_iter().map(draw).collect();
        let ops_filter = pool.map(|pool| pool.iter().map(|name| (*name).to_owned()).collect());
        let (seed, iteration) = id.campaign().unzip();
        let words_used = random.words_used();
        Case {
            generation: id.generation,
            seed,
            iteration,
            iter_seed: Some(iter_seed),
            image,
            from: None,
            ops,
            words_used,
            ops_filter,
            fields_filter: None,
        }
    }
}

/// Decodes an iteration of cow-soak, a script of the Python harness that was retired: one operation with snapshots, without a source image.
/// Texts made of seed and iteration seed its two generators, of which one draws the operation and the other the images; only the words of the
/// second are counted.
pub(super) fn decode_soak(id: CaseId, pool: Option<&[&str]>) -> Case {
    let (seed, iteration) = id.campaign().unwrap_or_default();
    let mut plan = PythonRandom::of_text(&format!("{seed}-plan-{iteration}"));
    let cluster_size = SnapshotBearing::draw_cluster_size(&mut plan);
    let command = match *plan.choice(pool.unwrap_or(&SOAK_OPERATIONS)) {
        "commit" => Command::Commit,
        "rebase" => Command::Rebase,
        _ => Command::Bench,
    };
    let mut random = PythonRandom::of_text(&format!("{seed}-fixture-{iteration}"));
    let recipe = SnapshotBearing::draw(command, &mut random, cluster_size);
    Case {
        generation: id.generation,
        seed: Some(seed),
        iteration: Some(iteration),
        iter_seed: None,
        image: ImageRecipe::absent(),
        from: None,
        ops: vec![recipe.into()],
        words_used: random.words_used(),
        ops_filter: pool.map(|pool| pool.iter().map(|name| (*name).to_owned()).collect()),
        fields_filter: None,
    }
}

/// The operations of cow-soak, in its order.
pub(super) const SOAK_OPERATIONS: [&str; 3] = ["commit", "rebase", "bench"];

fn draw_image(random: &mut PythonRandom, formats: &[Format], iter_seed: u64) -> ImageRecipe {
    let format = *random.choice(formats);
    let virtual_size = Size::literal(random.choice::<&str>(&VIRTUAL_SIZES));
    let pattern = *random.choice(&PATTERNS);
    if format == Format::Dmg {
        return ImageRecipe::of_dmg(draw_dmg(random, iter_seed));
    }
    let mut image = ImageRecipe::plain(format, virtual_size);
    image.pattern = Some(pattern);
    image.cluster_size = match format {
        Format::Qcow2 => Some(*random.choice(&CLUSTER_SIZES)),
        Format::Parallels => random
            .chance(0.3)
            .then(|| *random.choice(&PARALLELS_CLUSTER_SIZES)),
        _ => None,
    };
    image.r#static = (format == Format::Vdi).then(|| random.chance(0.3));
    image.writes = (pattern == Pattern::Random).then(|| {
        let count = random.randint(1, 4);
        (0..count).map(|_| draw_write(random)).collect()
    });
    image.compressed = (format == Format::Qcow).then(|| random.chance(0.3));
    image
}

/// Draws a dmg. The data of its chunks are drawn in between.
fn draw_dmg(random: &mut PythonRandom, iter_seed: u64) -> DmgRecipe {
    let (chunks, split) = draw_chunks(random);
    let words_before = random.words_used();
    let sectors = chunks.iter().filter(|chunk| chunk.has_data());
    random.skip(sectors.map(|chunk| chunk.1 * SECTOR_WORDS).sum());
    let resource_fork = random.chance(0.20);
    let payload = Payload {
        seed: iter_seed,
        words_before,
    };
    DmgRecipe::new(chunks, split, resource_fork, payload)
}

fn draw_chunks(random: &mut PythonRandom) -> (Vec<Chunk>, Option<u64>) {
    let count = random.randint(1, DMG_CHUNKS_MAX);
    let chunks = (0..count).map(|_| {
        let kind = *random.choice(&ChunkKind::ALL);
        Chunk(kind, random.randint(1, DMG_SECTORS_MAX))
    });
    let chunks = chunks.collect();
    let is_split = count >= 2 && random.chance(0.25);
    let split = is_split.then(|| random.randint(1, count - 1));
    (chunks, split)
}

/// Returns where the data of a dmg come from in a case with this seed, whatever chunks a file then says it has.
pub(super) fn payload(iter_seed: u64) -> Payload {
    let mut random = PythonRandom::new(iter_seed);
    random.choice(&FORMATS);
    random.choice(&VIRTUAL_SIZES);
    random.choice(&PATTERNS);
    draw_chunks(&mut random);
    Payload {
        seed: iter_seed,
        words_before: random.words_used(),
    }
}

fn draw_write(random: &mut PythonRandom) -> Write {
    let offset = *random.choice(&WRITE_OFFSETS);
    let length = *random.choice(&WRITE_LENGTHS);
    let byte = random.randint(0, 255) as u8;
    Write {
        offset,
        length,
        fill: Fill::Byte(byte),
    }
}
