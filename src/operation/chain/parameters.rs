//! The parameters of requests that are computed from steps: names and options of files, the plan of a bench, the window
//! of a dd.

use super::step::{BESIDE, ChainStep};
use crate::image::format::Format;
use crate::image::options::{CreateOption, CreateOptions};
use crate::tool::request::{BenchPlan, ImageFile};

/// Returns the file of an image with these options. A data file called `beside` is named after the image.
pub(super) fn placed(stem: &str, format: Format, options: &CreateOptions) -> ImageFile {
    let placed = options.iter().map(|option| match option {
        CreateOption::DataFile(name) if name == BESIDE => {
            CreateOption::DataFile(format!("{stem}.data"))
        }
        option => option.clone(),
    });
    ImageFile::new(stem, format).with_options(placed.collect::<CreateOptions>())
}

/// Returns the guest range that dd copies: (start, length) in bytes.
pub fn window(size: u64, block_size: u64, count: Option<u64>, skip: u64) -> (u64, u64) {
    let end = count.map_or(size, |count| count.saturating_mul(block_size).min(size));
    let start = skip.saturating_mul(block_size).min(end);
    (start, end - start)
}

/// Returns the plan of a bench. If the bench may reach beyond the end of the image, `singly` limits it to one request
/// at a time: when a request fails, the state of those in flight is random.
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
