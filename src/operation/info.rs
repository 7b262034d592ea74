//! `info`: both tools describe their copy of the source image.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{DrawPython, Perform, Picker};
use crate::base::rng::PythonRandom;
use crate::image::ImageRecipe;
use crate::image::validity::Validity;
use crate::oracle::judge::{self, json_differences};
use crate::oracle::normalize::{Purpose, normalize};
use crate::oracle::observations::{Observations, Output, Step, StepContext};
use crate::oracle::verdict::{Difference, DivergenceKind, Finding, OutputRole, Subject, Verdict};
use crate::tool::request::{Request, RequestKind};

const OUTPUT: DivergenceKind = DivergenceKind::InfoOutput;

/// The operation has no parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Info {}

impl DrawPython for Info {
    fn draw_python(_: &mut PythonRandom, _: &ImageRecipe, _: Picker) -> Self {
        Self {}
    }
}

impl Perform for Info {
    fn validity(&self, _: &ImageRecipe) -> Validity {
        Ok(())
    }

    fn reads_source(&self) -> bool {
        true
    }

    fn hears_witness(&self) -> bool {
        true
    }

    fn steps(&self, context: &StepContext<'_>) -> Vec<Step> {
        vec![Step::own(Request::Info {
            file: context.source.clone(),
        })]
    }

    /// An image that no tool writes is read as well: no other operation shows what a reader reads of it.
    fn outputs(&self, context: &StepContext<'_>, _: &Observations) -> Vec<Output> {
        let is_written = context.source.format.is_written();
        let read = || {
            let contents = context.recipe.contents();
            Output::new(context.source.clone(), OutputRole::Info, contents)
        };
        (!is_written).then(read).into_iter().collect()
    }

    fn judge(&self, context: &StepContext<'_>, observations: &Observations) -> Option<Verdict> {
        let (candidate, reference) = observations.last_answers()?;
        let (described, standard) = match (candidate.report.tree(), reference.report.tree()) {
            (Ok(described), Ok(standard)) => (described, standard),
            (candidate, reference) => {
                let difference = Difference::of_parsing(RequestKind::Info, &candidate, &reference);
                return Some(Finding::of_difference(OUTPUT, difference).into());
            }
        };
        let size = context.recipe.created_bytes();
        if described.get("virtual-size").and_then(Value::as_u64) != Some(size) {
            return Some(virtual_size_finding(described, standard, size).into());
        }
        let cross_check = observations
            .cross_check
            .as_ref()
            .and_then(|cross_check| judge::described(described, cross_check));
        let [ours, theirs] = [described, standard].map(|description| {
            normalize(
                description.clone(),
                Purpose::Description,
                &observations.tool_versions,
            )
        });
        let differences = json_differences(&ours, &theirs, candidate.report.is_partial());
        Finding::of_differences(OUTPUT, differences)
            .or(cross_check)
            .map(Verdict::from)
    }
}

fn virtual_size_finding(candidate: &Value, reference: &Value, expected: u64) -> Finding {
    let show = |json: &Value| {
        json.get("virtual-size")
            .map_or_else(|| "absent".to_owned(), Value::to_string)
    };
    let difference = Difference::new(
        Subject::json_key("virtual-size"),
        show(candidate),
        show(reference),
    );
    Finding::of_difference(OUTPUT, difference.with_expected(expected.to_string()))
}
