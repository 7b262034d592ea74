//! `convert`: both tools copy the source image into a new one, raw or qcow2.

use serde::{Deserialize, Serialize};

use super::{DrawPython, Operation, Perform, Picker};
use crate::base::rng::PythonRandom;
use crate::image::ImageRecipe;
use crate::image::format::Format;
use crate::image::validity::Validity;
use crate::oracle::observations::{Observations, Output, Step, StepContext};
use crate::oracle::verdict::OutputRole;
use crate::tool::request::{ImageFile, Request};

/// The target formats of the Python generations.
const TARGETS: [Format; 2] = [Format::Raw, Format::Qcow2];

/// The parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Convert {
    /// The target format.
    pub target: Format,
}

impl DrawPython for Convert {
    fn draw_python(random: &mut PythonRandom, _: &ImageRecipe, _: Picker) -> Self {
        Self {
            target: *random.choice(&TARGETS),
        }
    }
}

impl Convert {
    /// Returns the steps of a conversion.
    pub(super) fn steps_with(&self, context: &StepContext<'_>, compress: bool) -> Vec<Step> {
        let target = self.file(context);
        vec![Step::own(Request::Convert {
            source: context.source.clone(),
            target,
            compress,
            mode: Default::default(),
        })]
    }

    /// Returns the operation with the simplest target, if it has another.
    pub(super) fn simpler_targets(&self) -> impl Iterator<Item = Self> + use<> {
        let target = Format::Raw;
        (self.target != target)
            .then_some(Self { target })
            .into_iter()
    }

    fn file(&self, context: &StepContext<'_>) -> ImageFile {
        ImageFile::new(&context.stem, self.target)
    }
}

impl Perform for Convert {
    fn validity(&self, _: &ImageRecipe) -> Validity {
        Ok(())
    }

    fn reads_source(&self) -> bool {
        true
    }

    fn simpler(&self) -> Vec<Operation> {
        self.simpler_targets().map(Operation::Convert).collect()
    }

    fn steps(&self, context: &StepContext<'_>) -> Vec<Step> {
        self.steps_with(context, false)
    }

    fn outputs(&self, context: &StepContext<'_>, _: &Observations) -> Vec<Output> {
        vec![Output::new(
            self.file(context),
            OutputRole::Convert,
            context.recipe.contents(),
        )]
    }
}
