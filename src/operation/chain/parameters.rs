//! The parameters of requests that are computed from steps: names and options of files, and the plan of a bench.

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
