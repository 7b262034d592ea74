//! What steps come to: files' names and options, a bench's rhythm, a dd's window.

use super::step::{BESIDE, ChainStep};
use crate::image::format::Format;
use crate::image::options::{CreateOption, CreateOptions};
use crate::tool::request::{BenchPlan, ImageFile};

/// The file of an image with these options: a data file that lies beside it is named after it.
pub(super) fn placed(stem: &str, format: Format, options: &CreateOptions) -> ImageFile {
    let placed = options.iter().map(|option| match option {
        CreateOption::DataFile(name) if name == BESIDE => {
            CreateOption::DataFile(format!("{stem}.data"))
        }
        option => option.clone(),
    });
    ImageFile::new(stem, format).with_options(placed.collect::<CreateOptions>())
}

/// The guest range that dd copies: (start, length) in bytes.
pub fn window(size: u64, block_size: u64, count: Option<u64>, skip: u64) -> (u64, u64) {
    let end = count.map_or(size, |count| count.saturating_mul(block_size).min(size));
    let start = skip.saturating_mul(block_size).min(end);
    (start, end - start)
}

/// The rhythm of a bench. Where it may reach over the end it asks `singly`, one request after the other: what is under way when one
/// fails is left half done, as chance has it.
pub(super) fn plan(step: &ChainStep, singly: bool) -> BenchPlan {
    let ChainStep::Bench {
        count,
        length,
        offset,
        stride,
        depth,
        byte,
    } = *step
    else {
        return BenchPlan::default();
    };
    BenchPlan {
        count,
        depth: Some(if singly { 1 } else { depth }),
        length: Some(length),
        stride: Some(stride),
        offset: Some(offset),
        byte,
        writes: byte.is_some(),
        ..BenchPlan::default()
    }
}
