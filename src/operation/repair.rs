//! `repair`: a qcow2 is damaged in a known way and both tools repair it.

use serde::{Deserialize, Serialize};

use super::{DrawPython, Operation, Perform, Picker};
use crate::exchange::{Ground, Step};
use crate::image::ImageRecipe;
use crate::rng::PythonRandom;
use crate::simpler::Bulk;

const CLUSTER_SIZES: [u64; 3] = [512, 4096, 65536];
/// qemu-img's, in bytes.
const DEFAULT_CLUSTER_SIZE: u64 = 65536;

const CORRUPTIONS: [&str; 5] = [
    "refcount_zero",
    "refcount_too_high",
    "leaked_cluster",
    "stale_copied",
    "overlapping",
];

/// What is drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Repair {
    /// The cluster size in bytes.
    pub cluster_size: u64,
    /// What is damaged.
    pub corruption: String,
    /// `leaks` or `all`.
    pub tier: String,
}

impl DrawPython for Repair {
    fn draw_python(random: &mut PythonRandom, _: &ImageRecipe, _: Picker) -> Self {
        let cluster_size = *random.choice(&CLUSTER_SIZES);
        let corruption = (*random.choice(&CORRUPTIONS)).to_owned();
        let tier = (*random.choice(&["leaks", "all"])).to_owned();
        Self {
            cluster_size,
            corruption,
            tier,
        }
    }
}

impl Perform for Repair {
    fn reads_source(&self) -> bool {
        false
    }

    fn simpler(&self) -> Vec<Operation> {
        let default = self.cluster_size != DEFAULT_CLUSTER_SIZE;
        let default = default.then(|| Self {
            cluster_size: DEFAULT_CLUSTER_SIZE,
            ..self.clone()
        });
        default.into_iter().map(Operation::Repair).collect()
    }

    fn bulk(&self) -> Bulk {
        Bulk::of_operation(usize::from(self.cluster_size != DEFAULT_CLUSTER_SIZE))
    }

    fn skipped(&self) -> Option<String> {
        Some("repair is not made yet".to_owned())
    }

    fn steps(&self, _: &Ground<'_>) -> Vec<Step> {
        Vec::new()
    }
}
