//! `convert_compressed`: like `convert`, with compressed clusters if the target is qcow2.

use serde::{Deserialize, Serialize};

use super::convert::Convert;
use super::{DrawPython, Operation, Perform, Picker};
use crate::base::rng::PythonRandom;
use crate::image::ImageRecipe;
use crate::image::format::Format;
use crate::image::validity::Validity;
use crate::oracle::observations::{Observations, Output, Step, StepContext};

/// The parameters, which are those of `convert`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConvertCompressed(pub Convert);

impl DrawPython for ConvertCompressed {
    fn draw_python(random: &mut PythonRandom, image: &ImageRecipe, picker: Picker) -> Self {
        Self(Convert::draw_python(random, image, picker))
    }
}

impl Perform for ConvertCompressed {
    fn validity(&self, _: &ImageRecipe) -> Validity {
        Ok(())
    }

    fn reads_source(&self) -> bool {
        self.0.reads_source()
    }

    /// A conversion to raw compresses nothing: that would be a plain conversion.
    fn simpler(&self) -> Vec<Operation> {
        let targets = self.0.simpler_targets().map(Self);
        targets.map(Operation::ConvertCompressed).collect()
    }

    fn steps(&self, context: &StepContext<'_>) -> Vec<Step> {
        self.0.steps_with(context, self.0.target == Format::Qcow2)
    }

    fn outputs(&self, context: &StepContext<'_>, observations: &Observations) -> Vec<Output> {
        self.0.outputs(context, observations)
    }
}
