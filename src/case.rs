//! A case: one image recipe and a list of operations, and the name by which it is known everywhere.
//!
//! Plain data, complete before anything runs.

/// How a seed becomes a case.
pub mod generation;

/// What a case costs the reference.
pub mod cost;

/// A smaller case that shows the same.
pub mod shrink;

/// The catalogue of known divergences.
pub mod known;

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base::error::{Error, Result};
use crate::base::simpler::Bulk;
use crate::image::ImageRecipe;
use crate::image::validity::{self, Validity};
use crate::operation::Operation;
use crate::oracle::exchange::Ground;
use crate::tool::request::ImageFile;

/// The name of the source image, without its ending.
const SOURCE_STEM: &str = "image";

/// `GENERATION_sSEED_iITERATION`, the iteration in at least six digits; or `GENERATION_xSEED` with the iteration's own seed in ten
/// digits, of which often nothing else is quoted. Both are Rust identifiers, and no id is a part of another.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CaseId {
    /// The generation's name.
    pub generation: String,
    /// Which of its cases.
    pub origin: Origin,
}

/// What a generation decodes a case from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// A place in a campaign.
    Campaign {
        /// The campaign's seed.
        seed: u64,
        /// The iteration, from 0.
        iteration: u64,
    },
    /// The iteration's own seed, whatever campaign it was met in.
    IterationSeed(u32),
}

impl CaseId {
    /// That of a place in a campaign.
    pub fn in_campaign(generation: &str, seed: u64, iteration: u64) -> Self {
        Self {
            generation: generation.to_owned(),
            origin: Origin::Campaign { seed, iteration },
        }
    }

    /// The campaign's seed and the iteration, where they are known.
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

/// A number in plain digits: no sign, no spaces.
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
                "'{text}' is no case id: write GENERATION_sSEED_iITERATION, as in ops7_s1_i000042, both numbers below 2^64, \
                 or GENERATION_xSEED with an iteration's own seed below 2^32, as in ops16_x0978924777"
            ))
        })
    }
}

/// Everything that is done in one case. Its JSON form is the one that `imgduel show` prints.
/// What is read is valid, or is refused: what is wrong with it, and where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Case {
    /// The generation's name.
    pub generation: String,
    /// The campaign's seed; `None` of a case that is named by its iteration's own seed.
    pub seed: Option<u64>,
    /// The iteration, from 0; `None` likewise.
    pub iteration: Option<u64>,
    /// The seed of this iteration's own generator.
    pub iter_seed: u64,
    /// The source image.
    pub image: ImageRecipe,
    /// The operations, in their order.
    pub ops: Vec<Operation>,
    /// How many 32-bit words were drawn from the iteration's generator.
    pub words_used: u64,
    /// The pool of operations it was drawn from, when it was not the generation's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ops_filter: Option<Vec<String>>,
    /// The structures and fields that were damaged, when they were named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields_filter: Option<Vec<String>>,
}

impl Serialize for Case {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The derived one, which `remote` makes an own method.
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Case {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let case = Self::deserialize(deserializer)?;
        case.validity().map_err(D::Error::custom)?;
        Ok(case)
    }
}

impl Case {
    /// What is wrong with it, if it came out of a file.
    fn validity(&self) -> Validity {
        validity::identifier("generation", &self.generation)?;
        validity::at("image", self.image.validity())?;
        validity::not_empty("ops", &self.ops)?;
        validity::each("ops", &self.ops, |operation| {
            let validity = operation.perform().validity(&self.image);
            validity::at(format!(" ({})", operation.name()), validity)
        })
    }

    /// Its name.
    pub fn id(&self) -> CaseId {
        let origin = match (self.seed, self.iteration) {
            (Some(seed), Some(iteration)) => Origin::Campaign { seed, iteration },
            // Only the Python generations have cases without a campaign, and their seeds have 32 bits.
            _ => Origin::IterationSeed(self.iter_seed as u32),
        };
        CaseId {
            generation: self.generation.clone(),
            origin,
        }
    }

    /// How much there is of it. An image that no operation reads does not count.
    pub fn bulk(&self) -> Bulk {
        let reads_source = |operation: &Operation| operation.perform().reads_source();
        let image = self.ops.iter().any(reads_source).then(|| self.image.bulk());
        let operations = self.ops.iter().map(|operation| operation.perform().bulk());
        operations.chain(image).sum()
    }

    /// What operation `index` may know when it writes its steps.
    pub fn ground(&self, index: usize) -> Ground<'_> {
        let recipe = &self.image;
        let source =
            ImageFile::new(SOURCE_STEM, recipe.format).with_options(recipe.create_options());
        Ground {
            recipe,
            source,
            stem: format!("{index}-{}", self.ops[index].name()),
            salt: self.iter_seed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_as_it_was_written_and_zeros_may_be_left_out() {
        let id: CaseId = "ops7_s59095591_i751".parse().unwrap();
        assert_eq!(id.to_string(), "ops7_s59095591_i000751");
        assert_eq!(id.to_string().parse::<CaseId>().unwrap(), id);
    }

    #[test]
    fn an_id_by_the_iteration_s_own_seed_has_ten_digits() {
        let id: CaseId = "ops16_x933136565".parse().unwrap();
        assert_eq!(id.origin, Origin::IterationSeed(933_136_565));
        assert_eq!(id.to_string(), "ops16_x0933136565");
        assert_eq!(id.to_string().parse::<CaseId>().unwrap(), id);
        // A splice has that letter, too.
        let child: CaseId = "native1_x45_s7_i000123".parse().unwrap();
        assert_eq!(child.campaign(), Some((7, 123)));
    }

    #[test]
    fn what_is_no_id_is_refused() {
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
