//! `dd`: both tools copy a window of the source image, block by block, into a new image.

use serde::{Deserialize, Serialize};

use super::{DrawPython, Perform, Picker};
use crate::content::{Contents, Write};
use crate::exchange::{Exchange, Ground, Output, Step};
use crate::format::{Format, SECTOR_BYTES};
use crate::image::ImageRecipe;
use crate::request::{ImageFile, Request};
use crate::rng::PythonRandom;

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

/// The window is drawn so that about this much is copied at the most, in bytes.
const WINDOW_BYTES: u64 = 67_108_864;

/// More blocks than this are not asked for: qemu-img 10.0.2 needs some 60 microseconds for each, whatever its size
/// (measured: a million blocks of one byte in 60 s), so that the usual limit would run out on every such case.
const BLOCKS_MAX: u64 = 200_000;

/// What is drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dd {
    /// The format to copy to.
    pub target: Format,
    /// The virtual size, in bytes, that the window was drawn against.
    pub virtual_size_probe: u64,
    /// The block size in bytes.
    pub bs: u64,
    /// How many blocks of the source are looked at, from its start; none: all.
    pub count: Option<u64>,
    /// How many blocks are passed over.
    pub skip: u64,
    /// How many bytes are copied.
    pub out_vsize: u64,
    /// Why nothing is asked: an empty window has no image in some formats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}

impl DrawPython for Dd {
    fn draw_python(random: &mut PythonRandom, image: &ImageRecipe, _: Picker) -> Self {
        let target = *random.choice(&TARGETS);
        let size = image.format.created_size(image.virtual_size.bytes());
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
            // int(1.5 * blocks), and at least one.
            _ => Some(random.randint(1, (blocks + blocks / 2).max(1).min(cap))),
        };
        let end = count.map_or(size, |count| (count * bs).min(size));
        let out_vsize = end.saturating_sub(skip * bs);
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
}

impl Dd {
    fn file(&self, ground: &Ground<'_>) -> ImageFile {
        ImageFile::new(&ground.stem, self.target)
    }

    /// The source's data, moved and cut to the window.
    fn expected(&self, ground: &Ground<'_>) -> Contents {
        let start = self.skip * self.bs;
        let moved = ground.recipe.all_writes().into_iter().filter_map(|write| {
            let write = write.within(start, start + self.out_vsize)?;
            Some(Write {
                offset: write.offset - start,
                ..write
            })
        });
        let moved: Vec<Write> = moved.collect();
        let size = self
            .target
            .created_size(self.out_vsize.next_multiple_of(SECTOR_BYTES));
        Contents::of_writes(size, &moved)
    }
}

impl Perform for Dd {
    fn reads_source(&self) -> bool {
        true
    }

    fn skipped(&self) -> Option<String> {
        if let Some(why) = &self.skipped {
            return Some(format!("dd of an {why} to {} is not asked", self.target));
        }
        let blocks = self.out_vsize.div_ceil(self.bs);
        let too_many = blocks > BLOCKS_MAX;
        too_many.then(|| {
            "dd in so many blocks would take qemu-img longer than any usual limit".to_owned()
        })
    }

    fn steps(&self, ground: &Ground<'_>) -> Vec<Step> {
        vec![Step::own(Request::Dd {
            source: ground.source.clone(),
            target: self.file(ground),
            block_size: self.bs,
            count: self.count,
            skip: self.skip,
        })]
    }

    fn outputs(&self, ground: &Ground<'_>, _: &Exchange) -> Vec<Output> {
        vec![Output::new(self.file(ground), "dd", self.expected(ground))]
    }
}
