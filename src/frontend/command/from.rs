//! `--from`: the images from outside with which cases begin.
//!
//! `fuzz` draws cases from them; `replay`, `shrink`, `script`, `report` and `show` find the image of an id among them. Nothing is written to them
//! or their directories.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use crate::base::error::{Error, Result};
use crate::campaign::settings::Settings;
use crate::case::Case;
use crate::case::CaseId;
use crate::case::generation::Generation;
use crate::case::generation::image_case;
use crate::case::generation::start_image::StartImage;
use crate::disk_format::probe;
use crate::image::format::Format;
use crate::report::complain;
use crate::report::seed_file::SeedFile;
use crate::run::case_image::{self, CaseImage, Reading};
use crate::run::kept_image::ENDING;
use crate::tool::{self, ToolEnv, model};

/// The arguments about images from outside.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct FromArguments {
    /// Begin with images from outside: an image, a directory of images, or what accept-image kept (may be repeated)
    #[arg(long = "from", value_name = "FILE|DIR")]
    pub(super) paths: Vec<PathBuf>,
}

/// The images, which are there as long as this is held.
#[derive(Default)]
pub(super) struct Images {
    held: Vec<Arc<CaseImage>>,
}

impl FromArguments {
    /// Opens the images that are named. Names on standard error, in one line, the files of directories that are left out. Fails if none is left.
    pub(super) fn open(&self, settings: &Settings) -> Result<Images> {
        let mut images = Images::default();
        if self.paths.is_empty() {
            return Ok(images);
        }
        let tool_env = ToolEnv::of_this_program(settings.timeout, settings.launcher())?;
        let reference = tool::open(&settings.reference(), &tool_env);
        let reference = reference.unwrap_or_else(|_| model::tool());
        let (workdir, sandbox) = (settings.workdir(), settings.sandbox());
        let reading = Reading {
            workdir: &workdir,
            limit: settings.timeout,
            sandbox: &sandbox,
            reference: &*reference,
        };
        for path in &self.paths {
            match path.is_dir() {
                true => images.add_all(path, &reading)?,
                false => images.add(CaseImage::open(path, &reading)?),
            }
        }
        images
            .held
            .sort_by(|one, other| one.from.digest.cmp(&other.from.digest));
        Ok(images)
    }
}

impl Images {
    fn add(&mut self, image: Arc<CaseImage>) {
        let is_there = |held: &Arc<CaseImage>| held.from.digest == image.from.digest;
        if !self.held.iter().any(is_there) {
            self.held.push(image);
        }
    }

    /// Adds the images of a directory. A part of another image, or an image below one, is no image of its own.
    fn add_all(&mut self, directory: &Path, reading: &Reading<'_>) -> Result<()> {
        let (mut left, mut found) = (Vec::new(), Vec::new());
        for path in case_image::within(directory)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if is_no_image(&path) {
                left.push(format!("{} (no image)", name.escape_debug()));
                continue;
            }
            let opened = match path.extension().is_some_and(|ending| ending == "json") {
                true => of_case(&path, reading),
                false => CaseImage::open(&path, reading),
            };
            match opened {
                Ok(image) => found.push(image),
                Err(error) => {
                    let error = error.to_string();
                    let why = error.rsplit_once(&format!("{name}: "));
                    let why = why.map_or(error.as_str(), |(_, why)| why);
                    left.push(format!("{} ({why})", name.escape_debug()));
                }
            }
        }
        let parts = found
            .iter()
            .flat_map(|image| image.found.taken.iter().skip(1));
        let parts: BTreeSet<PathBuf> = parts.cloned().collect();
        let is_whole = |image: &&Arc<CaseImage>| {
            !image
                .found
                .taken
                .iter()
                .take(1)
                .any(|path| parts.contains(path))
        };
        let whole = found.iter().filter(is_whole).cloned();
        whole.for_each(|image| self.add(image));
        let shown = directory.display();
        if found.is_empty() {
            return Err(Error::usage(format!(
                "{shown}: no image is in it that cases could begin with: {}",
                left.join(", ")
            )));
        }
        if !left.is_empty() {
            complain(&Error::usage(format!(
                "{shown}: left out: {}",
                left.join(", ")
            )));
        }
        Ok(())
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Returns the images as cases are drawn from them.
    pub(super) fn starts(&self) -> Vec<StartImage> {
        let starts = self.held.iter().map(|image| StartImage {
            from: image.from.clone(),
            format: image.format,
            layers: image.layers.clone(),
            fields: image.fields(),
        });
        starts.collect()
    }

    /// Returns the case of an id, which begins with one of these images or with none.
    pub(super) fn case(&self, id: &CaseId, settings: &Settings) -> Result<Case> {
        let is_begun = image_case::parted(&id.generation).1.is_some();
        match is_begun && !self.is_empty() {
            true => Generation::case_from(id, &settings.selection(), &self.starts()),
            false => Generation::case(id, &settings.selection()),
        }
    }

    /// Says where the image of a case is now, if it is one of these.
    pub(super) fn find_again(&self, case: &mut Case) {
        let Some(from) = &mut case.from else { return };
        let found = self
            .held
            .iter()
            .find(|image| image.from.digest == from.digest);
        if let Some(image) = found {
            from.path.clone_from(&image.from.path);
        }
    }
}

/// The image with which the case of a seed or a corpus begins.
fn of_case(path: &Path, reading: &Reading<'_>) -> Result<Arc<CaseImage>> {
    let case = SeedFile::read(path)?.case()?;
    match &case.from {
        Some(from) => CaseImage::of_case(from, reading),
        None => Err(Error::usage("a case of drawn images")),
    }
}

/// Whether a file of a directory is no image at all.
fn is_no_image(path: &Path) -> bool {
    let is_ours = |ending: &std::ffi::OsStr| ending == ENDING || ending == "json";
    let is_kept = path.extension().is_some_and(is_ours);
    !is_kept && probe::format(path).is_ok_and(|format| format == Format::Raw)
}
