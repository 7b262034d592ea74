//! A case: one image recipe, a list of operations, and the id that identifies it in every report.
//!
//! A case is plain data and complete before any tool runs. This module reads and validates cases; it does not run them.

/// Decodes cases from seeds.
pub mod generation;

/// Estimates how long the reference takes for a case.
pub mod cost;

/// Shrinks a case while it shows the same divergence.
pub mod shrink;

/// The catalogue of known divergences.
pub mod known;

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base::error::{Error, Result};
use crate::base::variants::CaseSize;
use crate::case::generation::{Generation, Selection};
use crate::image::ImageRecipe;
use crate::image::outside::Outside;
use crate::image::validity::{self, Validity};
use crate::operation::Operation;
use crate::operation::chain::Chain;
use crate::oracle::observations::StepContext;
use crate::tool::request::ImageFile;

/// The file name of the source image without its extension.
const SOURCE_STEM: &str = "image";

/// The id of a case: `GENERATION_sSEED_iITERATION` with at least six digits of the iteration, or `GENERATION_xSEED` with ten digits
/// of the iteration's own seed (reports of the Python harness often quote nothing else). Both forms are Rust identifiers, and no id is a
/// substring of another.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CaseId {
    /// The generation's name.
    pub generation: String,
    /// Which case of the generation.
    pub origin: Origin,
}

/// The numbers from which a generation decodes a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// An iteration of a campaign.
    Campaign {
        /// The campaign's seed.
        seed: u64,
        /// The iteration, from 0.
        iteration: u64,
    },
    /// The iteration's own seed, without the campaign that it belongs to.
    IterationSeed(u32),
}

impl CaseId {
    /// Returns the id of iteration `iteration` of the campaign with seed `seed`.
    pub fn in_campaign(generation: &str, seed: u64, iteration: u64) -> Self {
        Self {
            generation: generation.to_owned(),
            origin: Origin::Campaign { seed, iteration },
        }
    }

    /// Returns the id of another iteration of the same campaign.
    pub fn at(&self, iteration: u64) -> Self {
        let origin = match self.origin {
            Origin::Campaign { seed, .. } => Origin::Campaign { seed, iteration },
            other => other,
        };
        Self {
            origin,
            ..self.clone()
        }
    }

    /// Returns the campaign's seed and the iteration; `None` for an id that holds only the iteration's own seed.
    pub fn campaign(&self) -> Option<(u64, u64)> {
        match self.origin {
            Origin::Campaign { seed, iteration } => Some((seed, iteration)),
            Origin::IterationSeed(_) => None,
        }
    }
}

impl fmt::Display for CaseId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { generation, origin } = self;
        match origin {
            Origin::Campaign { seed, iteration } => {
                write!(formatter, "{generation}_s{seed}_i{iteration:06}")
            }
            Origin::IterationSeed(seed) => write!(formatter, "{generation}_x{seed:010}"),
        }
    }
}

/// Parses a number that consists of decimal digits only: no sign, no spaces.
fn number<T: FromStr>(digits: &str) -> Option<T> {
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

impl FromStr for CaseId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let in_campaign = || {
            let (generation, rest) = text.rsplit_once("_s")?;
            let (seed, iteration) = rest.split_once("_i")?;
            let (seed, iteration) = (number(seed)?, number(iteration)?);
            Some(Self::in_campaign(generation, seed, iteration))
        };
        let by_iteration_seed = || {
            let (generation, seed) = text.rsplit_once("_x")?;
            Some(Self {
                generation: generation.to_owned(),
                origin: Origin::IterationSeed(number(seed)?),
            })
        };
        in_campaign().or_else(by_iteration_seed).ok_or_else(|| {
            Error::usage(format!(
                "'{text}' is not a case id: write GENERATION_sSEED_iITERATION, as in ops7_s1_i000042, both numbers below 2^64, \
                 or GENERATION_xSEED with an iteration's own seed below 2^32, as in ops16_x0978924777"
            ))
        })
    }
}

/// One test case: the source image and the operations on it. `imgduel show` prints its JSON form. Deserialization validates the case;
/// its error says which field is invalid and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Case {
    /// The generation's name.
    pub generation: String,
    /// The campaign's seed; `None` if the case is identified by its iteration's own seed.
    pub seed: Option<u64>,
    /// The iteration, from 0; `None` if `seed` is `None`.
    pub iteration: Option<u64>,
    /// The seed of this iteration's own random number generator; `None` where seed and iteration themselves are the seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iter_seed: Option<u64>,
    /// The source image; left out in a case that has none.
    #[serde(
        default = "ImageRecipe::absent",
        skip_serializing_if = "ImageRecipe::is_absent"
    )]
    pub image: ImageRecipe,
    /// The image from outside that its operation begins with; `None` where everything was drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Outside>,
    /// The operations, in the order in which they run.
    pub ops: Vec<Operation>,
    /// The number of 32-bit words drawn from the iteration's random number generator.
    pub words_used: u64,
    /// The operations that `--ops` named; `None` if the generation's own list was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ops_filter: Option<Vec<String>>,
    /// The structures and fields that `--fields` named for damage; `None` without the flag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields_filter: Option<Vec<String>>,
}

impl Serialize for Case {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // `#[serde(remote)]` makes the derived implementation an inherent method.
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Case {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut case = Self::deserialize(deserializer)?;
        if let Some(dmg) = &mut case.image.dmg {
            dmg.payload = Generation::payload(case.iter_seed.unwrap_or_default());
            validity::at("image", dmg.validity_of_chunks()).map_err(D::Error::custom)?;
            if dmg.guest_sha256.is_empty() {
                dmg.complete();
            }
        }
        case.validity().map_err(D::Error::custom)?;
        Ok(case)
    }
}

impl Case {
    /// Returns the case of one operation that a generation drew without a source image. `pool` is what `--ops` named.
    fn drawn(
        id: CaseId,
        iter_seed: u64,
        words_used: u64,
        operation: Operation,
        pool: Option<&[&str]>,
    ) -> Self {
        let (seed, iteration) = id.campaign().unzip();
        Self {
            generation: id.generation,
            seed,
            iteration,
            iter_seed: Some(iter_seed),
            image: Chain::no_source(),
            from: None,
            ops: vec![operation],
            words_used,
            ops_filter: pool.map(|pool| pool.iter().map(|name| (*name).to_owned()).collect()),
            fields_filter: None,
        }
    }

    /// Returns an error that names the first invalid field. Cases that are read from files or changed need this check; generated ones are valid.
    pub fn validity(&self) -> Validity {
        validity::identifier("generation", &self.generation)?;
        if self.iter_seed.is_none() && self.seed.is_none() {
            return Err("iter_seed is missing: write it, or seed and iteration".to_owned());
        }
        validity::not_empty("ops", &self.ops)?;
        if let Some(outside) = &self.from {
            validity::at("from", outside.validity())?;
        }
        match self.image.is_absent() {
            false => validity::at("image", self.image.validity())?,
            true if self
                .ops
                .iter()
                .any(|operation| operation.perform().reads_source()) =>
            {
                return Err("image is missing: an operation reads it".to_owned());
            }
            true => {}
        }
        validity::each("ops", &self.ops, |operation| {
            let validity = operation.perform().validity(&self.image);
            validity::at(format!(" ({})", operation.name()), validity)
        })
    }

    /// Returns the selection that the case was drawn from.
    pub fn selection(&self) -> Selection {
        Selection {
            operations: self.ops_filter.clone(),
            fields: self.fields_filter.clone(),
        }
    }

    /// Returns the id.
    pub fn id(&self) -> CaseId {
        let origin = match (self.seed, self.iteration) {
            (Some(seed), Some(iteration)) => Origin::Campaign { seed, iteration },
            // Only the Python generations have cases without a campaign. Their seeds have 32 bits.
            _ => Origin::IterationSeed(self.iter_seed.unwrap_or_default() as u32),
        };
        CaseId {
            generation: self.generation.clone(),
            origin,
        }
    }

    /// Returns the size of the case, by which shrinking progress is measured. A source image that no operation reads is not counted.
    pub fn case_size(&self) -> CaseSize {
        let reads_source = |operation: &Operation| operation.perform().reads_source();
        let image = self
            .ops
            .iter()
            .any(reads_source)
            .then(|| self.image.case_size());
        let operations = self
            .ops
            .iter()
            .map(|operation| operation.perform().case_size());
        operations.chain(image).sum()
    }

    /// Returns the context from which operation `index` generates its steps.
    pub fn context(&self, index: usize) -> StepContext<'_> {
        let recipe = &self.image;
        let source =
            ImageFile::new(SOURCE_STEM, recipe.format).with_options(recipe.create_options());
        StepContext {
            recipe,
            source,
            stem: format!("{index}-{}", self.ops[index].name()),
            salt: self.iter_seed.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_parses_to_the_value_it_was_printed_from_and_leading_zeros_are_optional() {
        let id: CaseId = "ops7_s59095591_i751".parse().unwrap();
        assert_eq!(id.to_string(), "ops7_s59095591_i000751");
        assert_eq!(id.to_string().parse::<CaseId>().unwrap(), id);
    }

    #[test]
    fn an_id_with_the_iteration_s_own_seed_has_ten_digits() {
        let id: CaseId = "ops16_x933136565".parse().unwrap();
        assert_eq!(id.origin, Origin::IterationSeed(933_136_565));
        assert_eq!(id.to_string(), "ops16_x0933136565");
        assert_eq!(id.to_string().parse::<CaseId>().unwrap(), id);
        // Spliced cases also use the letter x.
        let child: CaseId = "native1_x45_s7_i000123".parse().unwrap();
        assert_eq!(child.campaign(), Some((7, 123)));
    }

    #[test]
    fn an_invalid_id_is_an_error() {
        for text in [
            "",
            "ops7",
            "ops7_s1",
            "ops7_s1_i",
            "ops7_s-1_i2",
            "ops7_sx_i2",
            "ops7_s1_i2x",
            "ops7_s+1_i2",
            "ops16_x",
            "ops16_x-1",
            "ops16_x4294967296",
        ] {
            assert!(text.parse::<CaseId>().is_err(), "{text}");
        }
    }
}
