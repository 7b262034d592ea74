//! Cases that begin with an image from outside instead of a drawn one.
//!
//! The name of their generation has the beginning of the image's digest, so that an id names the image: `native3_f0123456789ab_s7_i000042` is
//! iteration 42 of seed 7 of native3 on that image. Seed, iteration and the image's bytes determine the case.

use super::start_image::StartImage;
use super::{Draws, Generation, Selection, malformed, native};
use crate::base::error::{Error, Result};
use crate::case::{Case, CaseId};
use crate::image::outside::SHORT_DIGEST;

/// The generators of cases that begin with an image from outside.
#[derive(Clone, Copy)]
enum Begins {
    Native(&'static native::NativeProfile),
    Malformed(&'static malformed::MalformedProfile),
}

/// The letter before a digest in the name of a generation.
const MARK: char = 'f';

/// Splits the name of a generation into that of the drawn one and the beginning of an image's digest, if it has one.
pub fn parted(name: &str) -> (&str, Option<&str>) {
    let split = name.rsplit_once('_');
    let digest = split.and_then(|(base, last)| Some((base, last.strip_prefix(MARK)?)));
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    match digest {
        Some((base, digest)) if digest.len() == SHORT_DIGEST && digest.bytes().all(is_digit) => {
            (base, Some(digest))
        }
        _ => (name, None),
    }
}

impl Generation {
    /// The name of the default generation for images from outside, where this one is the default for drawn ones.
    pub fn of_images(&self) -> &'static str {
        match self.name {
            "native1_imago" => "native3_imago",
            "native1_readers" => "native3_readers",
            _ => "native3",
        }
    }

    /// The name of the generation on this image.
    fn name_from(&self, image: &StartImage) -> String {
        format!("{}_{MARK}{}", self.name, image.from.short())
    }

    /// Returns an endless iterator over the cases of `seed` that begin with these images in turn, from iteration `start` on. Fails for generations that
    /// draw no images of their own.
    pub fn cases_from(
        &'static self,
        seed: u64,
        start: u64,
        selection: &Selection,
        images: Vec<StartImage>,
    ) -> Result<impl Iterator<Item = Case> + use<>> {
        self.checked_start(selection, start)?;
        let pool = self.checked_pool(selection)?;
        let fields = selection.fields.clone();
        let draws = match &self.draws {
            Draws::Native(profile) => Begins::Native(profile),
            Draws::Malformed(profile) => {
                for image in &images {
                    if malformed::wanted(&image.fields, fields.as_deref()).is_empty() {
                        let path = image.from.path.display();
                        return Err(Error::usage(format!(
                            "{path}: no field of it can be damaged: {}",
                            image.why_undamaged(&fields)
                        )));
                    }
                }
                Begins::Malformed(profile)
            }
            _ => {
                return Err(Error::usage(format!(
                    "--from: cases of {} begin with no such image: choose a generation that is native or malformed",
                    self.name
                )));
            }
        };
        let seeds = native::iteration_seeds(seed, start);
        Ok(seeds.map(move |(iteration, iter_seed)| {
            let image = &images[(iteration % images.len() as u64) as usize];
            let id = CaseId::in_campaign(&self.name_from(image), seed, iteration);
            let (pool, fields) = (pool.as_deref(), fields.as_deref());
            match draws {
                Begins::Native(profile) => profile.decode(id, iter_seed, pool, Some(image)),
                Begins::Malformed(profile) => {
                    profile.decode_from(id, iter_seed, pool, fields, image)
                }
            }
        }))
    }

    /// Returns the case with this id, of those that begin with one of these images.
    pub fn case_from(id: &CaseId, selection: &Selection, images: &[StartImage]) -> Result<Case> {
        let (base, digest) = parted(&id.generation);
        let generation = Self::named(base)?;
        let image = images
            .iter()
            .find(|image| Some(image.from.short()) == digest);
        let image = image.ok_or_else(|| missing(id, digest.unwrap_or_default()))?;
        let Some((seed, iteration)) = id.campaign() else {
            return Err(Error::usage(format!(
                "{id}: write GENERATION_sSEED_iITERATION"
            )));
        };
        let images = vec![image.clone()];
        let mut cases = generation.cases_from(seed, iteration, selection, images)?;
        Ok(cases.next().expect("the cases of a seed have no end"))
    }
}

/// Says that the image of a case is needed.
pub(super) fn missing(id: &CaseId, digest: &str) -> Error {
    Error::usage(format!(
        "{id} begins with an image from outside whose digest begins with {digest}: name it with --from FILE"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_the_beginning_of_a_digest_or_none() {
        assert_eq!(
            parted("native3_imago_f0123456789ab"),
            ("native3_imago", Some("0123456789ab"))
        );
        for name in [
            "native3",
            "native3_f0123",
            "native3_m3",
            "native3_fxyzxyzxyzxyz",
        ] {
            assert_eq!(parted(name), (name, None));
        }
    }
}
