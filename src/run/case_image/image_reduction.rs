//! Makes the image from outside of a case smaller while the case shows the same: fewer blocks of data, less structure, a smaller disk.
//!
//! `imgduel shrink` calls it after the case itself has been made smaller. Each attempt works on a copy of its own; the person's file stays as it is.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{CaseImage, Reading, unusable};
use crate::base::error::{Error, Result};
use crate::case::Case;
use crate::disk_format::block_removal::{self, Block};
use crate::disk_format::qcow2::Unparsable;
use crate::disk_format::trim::{self, Trim};
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
    /// What else went, in words.
    pub steps: Vec<String>,
    /// How often a case was tried.
    pub attempts: usize,
    /// How long that took.
    pub duration: Duration,
}

/// The search for a smaller image.
struct Search<'run, Shows> {
    case: &'run Case,
    reading: &'run Reading<'run>,
    shows: Shows,
    /// The smallest image so far that shows the same, with the case on it.
    image: Arc<CaseImage>,
    found: Option<Case>,
    steps: Vec<String>,
    attempts: usize,
    started: Instant,
}

/// Makes the image of a case smaller while `shows` holds for the case on it. `None` where nothing of it is known here that could go, or all of it is needed.
pub fn shrink(
    case: &Case,
    reading: &Reading<'_>,
    shows: impl FnMut(&Case) -> Result<bool>,
) -> Result<Option<Smaller>> {
    let Some(from) = &case.from else {
        return Ok(None);
    };
    let image = CaseImage::of_case(from, reading)?;
    let blocks = |image: &CaseImage| {
        let path = image.directory().join(&image.file.path);
        block_removal::blocks(&path, image.format)
    };
    let told = |why: Unparsable| unusable(&from.path, why);
    let before = blocks(&image).map_err(told)?;
    let mut search = Search {
        case,
        reading,
        shows,
        image,
        found: None,
        steps: Vec::new(),
        attempts: 0,
        started: Instant::now(),
    };
    // What a snapshot shares is given back only when that is gone; the disk can be as small as what is left.
    search.take_structure()?;
    let all = blocks(&search.image).map_err(told)?;
    search.take_blocks(all)?;
    search.take_structure()?;
    let after = blocks(&search.image).map_err(told)?;
    let Some(case) = search.found else {
        return Ok(None);
    };
    Ok(Some(Smaller {
        image: search.image,
        case,
        blocks: (before.len(), after.len()),
        steps: search.steps,
        attempts: search.attempts,
        duration: search.started.elapsed(),
    }))
}

impl<Shows: FnMut(&Case) -> Result<bool>> Search<'_, Shows> {
    fn is_over(&self) -> bool {
        self.attempts == ATTEMPTS_MAX || self.started.elapsed() > TIME_MAX
    }

    /// Tries the case on another image, and goes on with that if the case shows the same.
    fn tries(&mut self, image: Option<Arc<CaseImage>>) -> Result<bool> {
        self.attempts += 1;
        let Some(image) = image else {
            return Ok(false);
        };
        let case = case_on(self.case, &image);
        if case.validity().is_err() || !(self.shows)(&case)? {
            return Ok(false);
        }
        (self.image, self.found) = (image, Some(case));
        Ok(true)
    }

    /// Takes structure away, one step at a time, until no step is left that the difference can spare.
    fn take_structure(&mut self) -> Result<()> {
        let mut needed = Vec::new();
        loop {
            let path = self.image.directory().join(&self.image.file.path);
            let steps = trim::steps(&path, self.image.format);
            let next = steps.into_iter().find(|step| !needed.contains(step));
            let Some(step) = next.filter(|_| !self.is_over()) else {
                return Ok(());
            };
            let format = self.image.format;
            let changed = self
                .image
                .changed(self.reading, |path| trim::take(path, format, &step));
            // A step that fails is none.
            let image = changed.unwrap_or_default();
            match self.tries(image)? {
                true => {
                    self.steps.push(step.to_string());
                    // Those with a place or an index have moved.
                    let stays = |step: &Trim| matches!(step, Trim::Snapshot(_) | Trim::Size(_));
                    needed.retain(stays);
                }
                false => needed.push(step),
            }
        }
    }

    /// Takes blocks of data away: half of them at once, then fewer.
    fn take_blocks(&mut self, all: Vec<Block>) -> Result<()> {
        let original = self.image.clone();
        let mut kept = all.clone();
        let mut part = kept.len();
        while part > 0 {
            let mut start = 0;
            while start < kept.len() {
                if self.is_over() {
                    return Ok(());
                }
                let end = (start + part).min(kept.len());
                let fewer_blocks = [&kept[..start], &kept[end..]].concat();
                let is_gone = |block: &&Block| !fewer_blocks.contains(block);
                let gone: Vec<Block> = all.iter().filter(is_gone).cloned().collect();
                let format = original.format;
                let image = original.changed(self.reading, |path| {
                    block_removal::give_back(path, format, &gone)
                })?;
                match self.tries(image)? {
                    true => kept = fewer_blocks,
                    false => start = end,
                }
            }
            let fewest = usize::from(!kept.is_empty());
            part = match part {
                1 => 0,
                part => part.min(kept.len()).div_ceil(2).max(fewest),
            };
        }
        Ok(())
    }
}

/// The case on another image of the same layers.
pub(super) fn case_on(case: &Case, image: &CaseImage) -> Case {
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
    /// Returns the image after a change of its own file; `None` if it is none any more with which a case can begin.
    fn changed(
        &self,
        reading: &Reading<'_>,
        change: impl FnOnce(&Path) -> std::result::Result<(), Unparsable>,
    ) -> Result<Option<Arc<Self>>> {
        let root = Root::make(reading.workdir, "smaller")?;
        self.copy_to(root.path())?;
        let path = root.path().join(&self.file.path);
        change(&path).map_err(|why| unusable(&path, why))?;
        let found = OutsideImage::find(&path)?;
        Ok(Self::of_found(found, Some(root), &path, reading).ok())
    }

    /// Copies its files into a directory, which is made.
    pub fn save(&self, directory: &Path) -> Result<()> {
        std::fs::create_dir_all(directory).map_err(|error| Error::io("make", directory, &error))?;
        self.copy_to(directory)
    }

    /// Copies its files into a directory that is there.
    fn copy_to(&self, directory: &Path) -> Result<()> {
        for path in &self.found.taken {
            let name = path.file_name().unwrap_or_default();
            copy_sparse(&self.directory().join(name), &directory.join(name))?;
        }
        Ok(())
    }
}
