//! Makes the image from outside of a case smaller while the case shows the same: fewer blocks of data, half of them at once, then fewer.
//!
//! `imgduel shrink` calls it after the case itself has been made smaller. Each attempt works on a copy of its own; the person's file stays as it is.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{CaseImage, Reading, unusable};
use crate::base::error::{Error, Result};
use crate::case::Case;
use crate::disk_format::fewer::{self, Block};
use crate::disk_format::qcow2::Unparsable;
use crate::image::content::copy_sparse;
use crate::operation::Operation;
use crate::process::scratch::Root;
use crate::run::outside_image::OutsideImage;

/// How often a case is tried, and for how long new attempts are begun.
const ATTEMPTS_MAX: usize = 300;
const TIME_MAX: Duration = Duration::from_secs(300);

/// A smaller image, and the case on it.
pub struct Smaller {
    /// The image.
    pub image: Arc<CaseImage>,
    /// The case.
    pub case: Case,
    /// How many blocks with data the image had, and has.
    pub blocks: (usize, usize),
    /// How often a case was tried.
    pub attempts: usize,
    /// How long that took.
    pub duration: Duration,
}

/// Makes the image of a case smaller while `shows` holds for the case on it. `None` where it has no blocks that are known here, or needs all of them.
pub fn shrink(
    case: &Case,
    reading: &Reading<'_>,
    mut shows: impl FnMut(&Case) -> Result<bool>,
) -> Result<Option<Smaller>> {
    let Some(from) = &case.from else {
        return Ok(None);
    };
    let started = Instant::now();
    let original = CaseImage::of_case(from, reading)?;
    let path = original.directory().join(&original.file.path);
    let told = |why: Unparsable| unusable(&from.path, why);
    let all = fewer::blocks(&path, original.format).map_err(told)?;
    let mut kept: Vec<Block> = all.clone();
    let mut found: Option<(Arc<CaseImage>, Case)> = None;
    let mut attempts = 0;
    let mut part = kept.len();
    while part > 0 {
        let mut start = 0;
        while start < kept.len() {
            if attempts == ATTEMPTS_MAX || started.elapsed() > TIME_MAX {
                return Ok(done(found, &all, &kept, attempts, started));
            }
            attempts += 1;
            let end = (start + part).min(kept.len());
            let fewer_blocks = [&kept[..start], &kept[end..]].concat();
            let gone: Vec<Block> = all
                .iter()
                .filter(|block| !fewer_blocks.contains(block))
                .cloned()
                .collect();
            let tried = original.without(&gone, reading)?;
            let smaller = tried.map(|image| (case_on(case, &image), image));
            match smaller {
                Some((case, image)) if shows(&case)? => {
                    found = Some((image, case));
                    kept = fewer_blocks;
                }
                _ => start = end,
            }
        }
        part = match part {
            1 => 0,
            part => part
                .min(kept.len())
                .div_ceil(2)
                .max(usize::from(!kept.is_empty())),
        };
    }
    Ok(done(found, &all, &kept, attempts, started))
}

fn done(
    found: Option<(Arc<CaseImage>, Case)>,
    all: &[Block],
    kept: &[Block],
    attempts: usize,
    started: Instant,
) -> Option<Smaller> {
    let (image, case) = found?;
    Some(Smaller {
        image,
        case,
        blocks: (all.len(), kept.len()),
        attempts,
        duration: started.elapsed(),
    })
}

/// The case on another image of the same layers.
fn case_on(case: &Case, image: &CaseImage) -> Case {
    let mut case = case.clone();
    case.from = Some(image.from.clone());
    for operation in &mut case.ops {
        let layers = match operation {
            Operation::Chain(chain) => &mut chain.layers,
            Operation::Malformed(malformed) => &mut malformed.outside,
            _ => continue,
        };
        let outside = layers.iter_mut().filter(|layer| layer.outside.is_some());
        for (layer, other) in outside.zip(&image.layers) {
            layer.clone_from(other);
        }
    }
    case
}

impl CaseImage {
    /// Returns the image without some of its blocks; `None` if it is none any more with which a case can begin.
    fn without(&self, gone: &[Block], reading: &Reading<'_>) -> Result<Option<Arc<Self>>> {
        let root = Root::make(reading.workdir, "smaller")?;
        for path in &self.found.taken {
            let name = path.file_name().unwrap_or_default();
            copy_sparse(&self.directory().join(name), &root.path().join(name))?;
        }
        let path = root.path().join(&self.file.path);
        fewer::give_back(&path, self.format, gone).map_err(|why| unusable(&path, why))?;
        let found = OutsideImage::find(&path)?;
        Ok(Self::of_found(found, Some(root), &path, reading).ok())
    }

    /// Copies its files into a directory, which is made.
    pub fn save(&self, directory: &Path) -> Result<()> {
        std::fs::create_dir_all(directory).map_err(|error| Error::io("make", directory, &error))?;
        for path in &self.found.taken {
            let name = path.file_name().unwrap_or_default();
            copy_sparse(&self.directory().join(name), &directory.join(name))?;
        }
        Ok(())
    }
}
