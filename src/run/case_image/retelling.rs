//! An image from outside told as a recipe: one of our own writers makes an image of the same disk, and the case shows the same on that.
//!
//! `imgduel shrink` calls it after the image has been made smaller. The recipe needs nobody's file, and says which unusual feature the difference needs: the
//! plain image is tried first, then each feature alone; each with a recipe in place of what a guest wrote, then with that, if it is little.

use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::image_reduction::case_on;
use super::{CaseImage, Reading};
use crate::base::error::{Error, Result};
use crate::case::Case;
use crate::disk_format::trim;
use crate::disk_format::writer::{WrittenImage, WrittenLayer};
use crate::image::content::outside::{GuestBytes, registered};
use crate::image::content::{Fill, Recipe, Texture, Write};
use crate::image::format::SECTOR_BYTES;
use crate::image::options::CreateOption;
use crate::image::unusual_feature::Unusual;
use crate::process::scratch::Root;
use crate::run::outside_image::OutsideImage;

/// How long recipes are tried.
const TIME_MAX: Duration = Duration::from_secs(120);

/// The most writes that a recipe has.
const WRITES_MAX: usize = 1000;

/// The most sectors whose own bytes a recipe repeats.
const OWN_SECTORS_MAX: usize = 2;

/// What takes the place of data that is no repeated byte.
const RECIPE: Recipe = Recipe {
    texture: Texture::Sectors,
    seed: 1,
    shift: 0,
};

/// The recipe of an image.
pub struct Retold {
    /// The recipe.
    pub image: WrittenImage,
    /// Whether it repeats what a guest wrote.
    pub has_guest_data: bool,
}

/// Returns the recipe of an image on which `shows` holds for the case. `None` for images on others, of a format for which there is no writer, or where no
/// image of our own shows it.
pub fn retell(
    case: &Case,
    image: &CaseImage,
    reading: &Reading<'_>,
    mut shows: impl FnMut(&Case) -> Result<bool>,
) -> Result<Option<Retold>> {
    let started = Instant::now();
    let plain = [false, true].map(|has_guest_data| plain(image, has_guest_data));
    let features = Unusual::of_format(image.format).into_iter();
    // The recipe has one layer; that a file is large is no matter of structure.
    let is_tried = |feature: &Unusual| {
        !Unusual::OUTSIDE_A_LAYER.contains(feature)
            && !matches!(feature, Unusual::Beyond2Gib | Unusual::Beyond4Gib)
    };
    let features = features.filter(is_tried);
    for feature in std::iter::once(None).chain(features.map(Some)) {
        for (has_guest_data, plain) in [false, true].into_iter().zip(&plain) {
            let Some(mut layer) = plain.clone() else {
                continue;
            };
            if started.elapsed() > TIME_MAX {
                return Ok(None);
            }
            layer.unusual.extend(feature);
            let recipe = WrittenImage {
                layers: vec![layer],
            };
            let Some(made) = image.remade(&recipe, reading)? else {
                continue;
            };
            let case = case_on(case, &made);
            if case.validity().is_ok() && shows(&case)? {
                return Ok(Some(Retold {
                    image: recipe,
                    has_guest_data,
                }));
            }
        }
    }
    Ok(None)
}

/// The recipe of the same disk with nothing unusual. With a guest's data only where there are some, and few.
fn plain(image: &CaseImage, has_guest_data: bool) -> Option<WrittenLayer> {
    let [layer] = &image.layers[..] else {
        return None;
    };
    let guest = registered(layer.outside.as_ref()?.guest)?;
    let path = image.directory().join(&image.file.path);
    let mut plain = WrittenLayer::plain(image.format, layer.size);
    if let Some(unit) = trim::unit(&path, image.format) {
        plain.unit_bits = unit.ilog2();
    }
    let is_told_otherwise = |option: &CreateOption| {
        matches!(
            option,
            CreateOption::ClusterSize(_)
                | CreateOption::BlockSize(_)
                | CreateOption::BackingFile(_)
                | CreateOption::DataFile(_)
        )
    };
    plain.options = layer.options.clone();
    plain.options.retain(|option| !is_told_otherwise(option));
    plain.writes = writes(&guest, has_guest_data)?;
    Some(plain)
}

/// The writes that make the same disk, with a recipe in place of data that is no repeated byte, or with that data. `None` if there are too many, or no such data
/// where it is wanted.
fn writes(guest: &GuestBytes, has_guest_data: bool) -> Option<Vec<Write>> {
    let mut writes: Vec<Write> = Vec::new();
    let mut add = |offset: u64, length: u64, fill: Fill| match writes.last_mut() {
        Some(last) if last.fill == fill && last.offset + last.length == offset => {
            last.length += length;
        }
        _ => writes.push(Write {
            offset,
            length,
            fill,
        }),
    };
    let mut own_sectors = 0;
    for (start, end) in &guest.runs {
        for offset in (*start..*end).step_by(SECTOR_BYTES as usize) {
            let mut sector = [0; SECTOR_BYTES as usize];
            let length = (end - offset).min(SECTOR_BYTES);
            let bytes = &mut sector[..length as usize];
            guest.file.read_exact_at(bytes, offset).ok()?;
            let is_repeated = bytes.iter().all(|byte| *byte == bytes[0]);
            match (is_repeated, has_guest_data) {
                (true, _) => add(offset, length, Fill::Byte(bytes[0])),
                (false, false) => add(offset, length, Fill::Data(RECIPE)),
                (false, true) => {
                    own_sectors += 1;
                    (offset..)
                        .zip(&*bytes)
                        .for_each(|(place, byte)| add(place, 1, Fill::Byte(*byte)));
                }
            }
            if own_sectors > OWN_SECTORS_MAX {
                return None;
            }
        }
    }
    let is_wanted = own_sectors > 0 || !has_guest_data;
    (is_wanted && writes.len() <= WRITES_MAX + OWN_SECTORS_MAX * SECTOR_BYTES as usize)
        .then_some(writes)
}

impl CaseImage {
    /// Writes the image of a recipe under this image's name; `None` if there is none, or no case can begin with it.
    fn remade(&self, recipe: &WrittenImage, reading: &Reading<'_>) -> Result<Option<Arc<Self>>> {
        let stem = self.file.path.rsplit_once('.');
        let stem = stem.map_or(self.file.path.as_str(), |(stem, _)| stem);
        let root = Root::make(reading.workdir, "retold")?;
        let files = match recipe.validity().is_ok() {
            true => recipe.files(stem, None).unwrap_or_default(),
            false => Vec::new(),
        };
        if files.is_empty() {
            return Ok(None);
        }
        for file in &files {
            let written = file.write_into(root.path());
            written.map_err(|error| Error::io("write an image in", root.path(), &error))?;
        }
        let path = root.path().join(recipe.name(0, stem));
        let found = OutsideImage::find(&path)?;
        Ok(Self::of_found(found, Some(root), &path, reading).ok())
    }
}
