//! A case: one image recipe and a list of operations, and the name by which it is known everywhere.
//!
//! Plain data, complete before anything runs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::exchange::Ground;
use crate::image::ImageRecipe;
use crate::operation::Operation;
use crate::request::ImageFile;
use crate::simpler::Bulk;

/// The name of the source image, without its ending.
const SOURCE_STEM: &str = "image";

/// `GENERATION_sSEED_iITERATION`, the iteration in at least six digits: a Rust identifier.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CaseId {
    /// The generation's name.
    pub generation: String,
    /// The campaign's seed.
    pub seed: u64,
    /// The iteration, from 0.
    pub iteration: u64,
}

impl fmt::Display for CaseId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}_s{}_i{:06}",
            self.generation, self.seed, self.iteration
        )
    }
}

impl FromStr for CaseId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts = || {
            let (generation, rest) = text.rsplit_once("_s")?;
            let (seed, iteration) = rest.split_once("_i")?;
            let number = |digits: &str| {
                let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
                plain.then(|| digits.parse().ok()).flatten()
            };
            let generation = generation.to_owned();
            Some(Self {
                generation,
                seed: number(seed)?,
                iteration: number(iteration)?,
            })
        };
        parts().ok_or_else(|| {
            Error::usage(format!(
                "'{text}' is no case id: write GENERATION_sSEED_iITERATION, as in ops7_s1_i000042, both numbers below 2^64"
            ))
        })
    }
}

/// Everything that is done in one case. Its JSON form is the one that `imgduel show` prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// The generation's name.
    pub generation: String,
    /// The campaign's seed.
    pub seed: u64,
    /// The iteration, from 0.
    pub iteration: u64,
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

impl Case {
    /// Its name.
    pub fn id(&self) -> CaseId {
        CaseId {
            generation: self.generation.clone(),
            seed: self.seed,
            iteration: self.iteration,
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
        ] {
            assert!(text.parse::<CaseId>().is_err(), "{text}");
        }
    }
}
