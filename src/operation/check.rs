//! `check`: both tools check their copy of the source image; the results must agree.

use serde::{Deserialize, Serialize};

use super::{DrawPython, Perform, Picker};
use crate::base::rng::PythonRandom;
use crate::image::ImageRecipe;
use crate::image::validity::Validity;
use crate::oracle::judge::{self, CheckResult};
use crate::oracle::observations::{Observations, Step, StepContext};
use crate::oracle::verdict::{Difference, DivergenceKind, Finding, Subject, Verdict};
use crate::tool::request::Request;

const OUTPUT: DivergenceKind = DivergenceKind::CheckOutput;

/// The operation has no parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {}

impl DrawPython for Check {
    fn draw_python(_: &mut PythonRandom, _: &ImageRecipe, _: Picker) -> Self {
        Self {}
    }
}

impl Perform for Check {
    fn validity(&self, _: &ImageRecipe) -> Validity {
        Ok(())
    }

    fn reads_source(&self) -> bool {
        true
    }

    fn hears_witness(&self) -> bool {
        true
    }

    /// Only a third tool can cross-check a format that qemu-img does not check.
    fn stands_alone(&self) -> bool {
        true
    }

    fn steps(&self, context: &StepContext<'_>) -> Vec<Step> {
        vec![Step::own(Request::Check {
            file: context.source.clone(),
        })]
    }

    fn judge(&self, _: &StepContext<'_>, observations: &Observations) -> Option<Verdict> {
        let cross_check = || {
            judge::checked(
                &observations.candidate.step_results.last()?.answer,
                observations.cross_check.as_ref()?,
            )
        };
        let Some((candidate, reference)) = observations.last_answers() else {
            return cross_check().map(Verdict::from);
        };
        let (found, standard) = (
            CheckResult::from_answer(candidate),
            CheckResult::from_answer(reference),
        );
        let difference = Difference::new(
            Subject::CheckResult {},
            found.to_string(),
            standard.to_string(),
        );
        (found != standard)
            .then(|| Finding::of_difference(OUTPUT, difference))
            .or_else(cross_check)
            .map(Verdict::from)
    }
}
