//! `dd`: both tools copy a window of the source image, block by block, into a new image.

use serde::{Deserialize, Serialize};

use super::{DrawPython, Operation, Perform, Picker};
use crate::base::rng::PythonRandom;
use crate::base::variants::{self, CaseSize};
use crate::image::ImageRecipe;
use crate::image::content::Contents;
use crate::image::format::{Format, SECTOR_BYTES};
use crate::image::validity::{self, Validity};
use crate::oracle::observations::{Observations, Output, Step, StepContext};
use crate::oracle::verdict::OutputRole;
use crate::tool::request::{ImageFile, Request};

const TARGETS: [Format; 5] = [
    Format::Raw,
    Format::Qcow2,
    Format::Vmdk,
    Format::Vpc,
    Format::Vhdx,
];
const EVEN_BLOCK_SIZES: [u64; 4] = [512, 4096, 65536, 1_048_576];
const ODD_BLOCK_SIZES: [u64; 7] = [1, 777, 999, 1000, 4095, 65537, 1_048_577];
const LARGEST_BLOCK_SIZE: u64 = 8_388_608;

/// The approximate maximum number of bytes that a drawn window has.
const WINDOW_BYTES: u64 = 67_108_864;

/// The maximum number of blocks: qemu-img 10.0.2 takes about 60 microseconds for each, whatever its size (measured: a
/// million blocks of one byte in 60 s), so that larger numbers would always run into the usual time limit.
const BLOCKS_MAX: u64 = 200_000;

/// The maximum number of blocks of a simpler version, unless the operation already has more.
const SIMPLER_BLOCKS_MAX: u64 = 4096;

/// The parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dd {
    /// The target format.
    pub target: Format,
    /// The virtual size in bytes for which the window was drawn.
    pub virtual_size_probe: u64,
    /// The block size in bytes.
    pub bs: u64,
    /// The number of blocks of the source, from its start; `None` for all.
    pub count: Option<u64>,
    /// The number of blocks to skip.
    pub skip: u64,
    /// The number of bytes to copy.
    pub out_vsize: u64,
    /// Why the operation is skipped: some formats cannot store an empty window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}

impl DrawPython for Dd {
    fn draw_python(random: &mut PythonRandom, image: &ImageRecipe, picker: Picker) -> Self {
        let target = *random.choice(&TARGETS);
        let size = probe(image);
        let kind = random.random();
        let bs = match kind {
            _ if kind < 0.45 => *random.choice(&EVEN_BLOCK_SIZES),
            _ if kind < 0.90 => *random.choice(&ODD_BLOCK_SIZES),
            _ => LARGEST_BLOCK_SIZE,
        };
        let blocks = size.div_ceil(bs);
        let cap = (WINDOW_BYTES / bs).max(1);
        let skip = random.randint(0, (2 * blocks).max(1).min(2 * cap));
        let kind = random.random();
        let count = match kind {
            _ if kind < 0.55 => None,
            _ if kind < 0.62 => Some(0),
            // int(1.5 * blocks), but at least 1.
            _ => Some(random.randint(1, (blocks + blocks / 2).max(1).min(cap))),
        };
        let mut drawn = Self::new(target, size, bs, count, skip);
        if picker == Picker::V3 {
            // The later generations are not known to pass over anything.
            drawn.skipped = None;
        }
        drawn
    }
}

/// Returns the virtual size in bytes for which a window is drawn.
fn probe(image: &ImageRecipe) -> u64 {
    image.created_bytes()
}

impl Dd {
    /// Returns the operation with its derived parameters.
    fn new(target: Format, size: u64, bs: u64, count: Option<u64>, skip: u64) -> Self {
        let end = count.map_or(size, |count| count.saturating_mul(bs).min(size));
        let out_vsize = end.saturating_sub(skip.saturating_mul(bs));
        let empty = out_vsize == 0 && matches!(target, Format::Vmdk | Format::Vhdx);
        let skipped = empty.then(|| "empty window".to_owned());
        Self {
            target,
            virtual_size_probe: size,
            bs,
            count,
            skip,
            out_vsize,
            skipped,
        }
    }

    /// Returns the number of blocks that are copied.
    fn blocks(&self) -> u64 {
        self.out_vsize.div_ceil(self.bs)
    }

    fn file(&self, context: &StepContext<'_>) -> ImageFile {
        ImageFile::new(&context.stem, self.target)
    }

    /// Returns the source's data, moved and cut to the window.
    fn expected(&self, context: &StepContext<'_>) -> Contents {
        let start = self.skip.saturating_mul(self.bs);
        let size = self
            .target
            .created_size(self.out_vsize.next_multiple_of(SECTOR_BYTES));
        let mut window = context.recipe.contents_within(start, self.out_vsize);
        window.size = size;
        window
    }
}

impl Perform for Dd {
    fn validity(&self, image: &ImageRecipe) -> Validity {
        validity::number("bs", self.bs, 1..=validity::BYTES_MAX)?;
        let whole = Self::new(self.target, probe(image), self.bs, self.count, self.skip);
        let carried_out = Self {
            skipped: None,
            ..whole.clone()
        };
        match *self == whole || *self == carried_out {
            true => Ok(()),
            false => Err(format!(
                " does not follow from the image: write virtual_size_probe {}, out_vsize {}, {}",
                whole.virtual_size_probe,
                whole.out_vsize,
                whole
                    .skipped
                    .map_or("nothing skipped".to_owned(), |why| format!(
                        "skipped \"{why}\""
                    )),
            )),
        }
    }

    fn reads_source(&self) -> bool {
        true
    }

    fn simpler(&self) -> Vec<Operation> {
        let Self {
            target,
            virtual_size_probe: size,
            bs,
            count,
            skip,
            ..
        } = *self;
        let mut versions = Vec::new();
        versions
            .extend((target != Format::Raw).then(|| Self::new(Format::Raw, size, bs, count, skip)));
        versions.extend((skip > 0).then(|| Self::new(target, size, bs, count, 0)));
        versions.extend(
            count
                .is_some()
                .then(|| Self::new(target, size, bs, None, skip)),
        );
        let is_default = bs == SECTOR_BYTES;
        versions.extend((!is_default).then(|| Self::new(target, size, SECTOR_BYTES, count, skip)));
        let skips = variants::numbers(skip, &[1, 2]).into_iter();
        versions.extend(skips.map(|skip| Self::new(target, size, bs, count, skip)));
        let counts = variants::numbers(count.unwrap_or(0), &[1, 2]).into_iter();
        versions.extend(counts.map(|count| Self::new(target, size, bs, Some(count), skip)));
        // A version that takes seconds is not simpler.
        let blocks_max = self.blocks().max(SIMPLER_BLOCKS_MAX);
        versions.retain(|version| version.blocks() <= blocks_max);
        versions.into_iter().map(Operation::Dd).collect()
    }

    fn sanitized(&self, image: &ImageRecipe) -> Option<Operation> {
        let mut sanitized = Self::new(self.target, probe(image), self.bs, self.count, self.skip);
        if self.skipped.is_none() && self.out_vsize == 0 {
            sanitized.skipped = None;
        }
        Some(Operation::Dd(sanitized))
    }

    fn case_size(&self) -> CaseSize {
        let given = [self.bs != SECTOR_BYTES, self.count.is_some(), self.skip > 0];
        CaseSize::of_operation(given.into_iter().filter(|given| *given).count())
    }

    fn skipped(&self) -> Option<String> {
        if let Some(why) = &self.skipped {
            return Some(format!("dd of an {why} to {} is skipped", self.target));
        }
        let too_many = self.blocks() > BLOCKS_MAX;
        too_many.then(|| {
            "dd in so many blocks would take qemu-img longer than any usual limit".to_owned()
        })
    }

    fn steps(&self, context: &StepContext<'_>) -> Vec<Step> {
        vec![Step::own(Request::Dd {
            source: context.source.clone(),
            target: self.file(context),
            block_size: self.bs,
            count: self.count,
            skip: self.skip,
        })]
    }

    fn outputs(&self, context: &StepContext<'_>, _: &Observations) -> Vec<Output> {
        vec![Output::new(
            self.file(context),
            OutputRole::Dd,
            self.expected(context),
        )]
    }
}
