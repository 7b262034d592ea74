//! Reproduces the generations of the Python harness (scripts/differential-fuzz.py of shakenfist/instar) bit for bit.
//!
//! A master generator yields the seed of each iteration. The iteration's own generator draws the image, the number and names of the
//! operations, and then each operation's parameters, in that order. The Python harness drew some parameters only after a tool had
//! answered; this module predicts that answer and draws the same values without running a tool.

use crate::base::rng::PythonRandom;
use crate::base::size::Size;
use crate::case::{Case, CaseId};
use crate::image::content::Write;
use crate::image::format::Format;
use crate::image::{ImageRecipe, Pattern};
use crate::operation::{Operation, Picker};

const FORMATS: [Format; 4] = [Format::Qcow2, Format::Raw, Format::Vmdk, Format::Vpc];
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

/// The operations of one Python generation and how it draws their parameters.
pub(super) struct PythonGeneration {
    pub(super) operations: &'static [&'static str],
    pub(super) picker: Picker,
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
        let image = draw_image(&mut random);
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
            iter_seed,
            image,
            ops,
            words_used,
            ops_filter,
            fields_filter: None,
        }
    }
}

fn draw_image(random: &mut PythonRandom) -> ImageRecipe {
    let format = *random.choice(&FORMATS);
    let virtual_size = Size::literal(random.choice::<&str>(&VIRTUAL_SIZES));
    let pattern = *random.choice(&PATTERNS);
    let cluster_size = (format == Format::Qcow2).then(|| *random.choice(&CLUSTER_SIZES));
    let writes = (pattern == Pattern::Random).then(|| {
        let count = random.randint(1, 4);
        (0..count).map(|_| draw_write(random)).collect()
    });
    ImageRecipe {
        format,
        virtual_size,
        pattern,
        cluster_size,
        writes,
    }
}

fn draw_write(random: &mut PythonRandom) -> Write {
    let offset = *random.choice(&WRITE_OFFSETS);
    let length = *random.choice(&WRITE_LENGTHS);
    let byte = random.randint(0, 255) as u8;
    Write {
        offset,
        length,
        byte,
    }
}
