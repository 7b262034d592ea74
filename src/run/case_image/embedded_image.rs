//! A case that carries its image: in the minimal form of `accept-image`, so that a seed file runs where the file is not.
//!
//! `imgduel accept` asks for it. Nothing is written to the image.

use std::path::Path;

use super::{digest, guest};
use crate::base::base64::in_base64;
use crate::base::error::{Error, Result};
use crate::case::Case;
use crate::operation::Operation;
use crate::operation::chain::Layer;
use crate::run::kept_image::{FILE_BYTES_MAX, KeptImage};
use crate::run::outside_image::OutsideImage;

/// Lets a case that begins with an image from outside carry it. Without `keeps_data` a recipe takes the place of what a guest wrote; the digest of the
/// image is another one then. Fails where the image is not what it was, data cannot be told from structure, or there is too much.
pub fn carry(case: &mut Case, keeps_data: bool) -> Result<()> {
    let Some(from) = &case.from else {
        return Ok(());
    };
    if from.kept.is_some() {
        return Ok(());
    }
    let scratch = [scratch()?, scratch()?, scratch()?];
    let [original, made, again] = &scratch;
    let is_kept = |path: &Path| {
        path.extension()
            .is_some_and(|ending| ending == crate::run::kept_image::ENDING)
    };
    let found = match is_kept(&from.path) {
        true => {
            let (kept, bytes) = KeptImage::read(&from.path)?;
            OutsideImage::find(&kept.make(&bytes, again.path())?)?
        }
        false => OutsideImage::find(&from.path)?,
    };
    found.copy_to(original.path())?;
    let refused = |why: String| Error::usage(format!("{}: {why}", from.path.display()));
    if digest(&found, original.path())? != from.digest {
        return Err(refused(format!(
            "it is not the image with which the case begins (digest {})",
            from.short()
        )));
    }
    let (kept, bytes) = KeptImage::of_copy(&found, original.path(), keeps_data)?;
    let packed = kept.packed(&bytes)?;
    if packed.len() as u64 > FILE_BYTES_MAX {
        return Err(refused(format!(
            "it takes {} bytes compressed, and a seed carries at most {FILE_BYTES_MAX}: make it smaller first (imgduel shrink)",
            packed.len()
        )));
    }
    let remade = OutsideImage::find(&kept.make(&bytes, made.path())?)?;
    let digest = digest(&remade, made.path())?;
    let mut from = from.clone();
    from.digest.clone_from(&digest);
    from.path = from.path.file_name().unwrap_or_default().into();
    from.kept = Some(in_base64(&packed));
    case.from = Some(from);
    for operation in &mut case.ops {
        let layers = match operation {
            Operation::Chain(chain) => &mut chain.layers,
            Operation::Malformed(malformed) => &mut malformed.outside,
            _ => continue,
        };
        for (depth, layer) in layers.iter_mut().enumerate() {
            let digest = &digest;
            rename(layer, guest::Key { digest, depth });
        }
    }
    Ok(())
}

/// Gives a layer the digest of the image that the case carries, and the keys that follow from it.
fn rename(layer: &mut Layer, key: guest::Key<'_>) {
    let Some(outside) = &mut layer.outside else {
        return;
    };
    key.digest.clone_into(&mut outside.digest);
    outside.guest = key.number(None);
    for snapshot in &mut outside.snapshots {
        let key = key.number(Some(snapshot.id));
        snapshot.seen = snapshot.seen.map(|(size, _)| (size, key));
    }
}

fn scratch() -> Result<tempfile::TempDir> {
    tempfile::tempdir()
        .map_err(|error| Error::io("make a directory in", &std::env::temp_dir(), &error))
}
