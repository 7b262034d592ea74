//! `measure`: both tools predict the file size of a conversion.
//!
//! qemu-img measures only raw and qcow2. For the other formats, the candidate is compared with itself: its conversion
//! must not be larger than it predicted.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{DrawPython, Operation, Perform, Picker, is_added};
use crate::base::rng::PythonRandom;
use crate::image::ImageRecipe;
use crate::image::format::Format;
use crate::image::validity::Validity;
use crate::oracle::judge::json_differences;
use crate::oracle::observations::{Observations, Output, Step, StepContext, StepResult};
use crate::oracle::verdict::{Difference, DivergenceKind, Finding, OutputRole, Subject, Verdict};
use crate::tool::request::{ImageFile, Request, RequestKind};

const TARGETS: [Format; 5] = [
    Format::Raw,
    Format::Qcow2,
    Format::Vmdk,
    Format::Vpc,
    Format::Vhdx,
];

const PARSE_FAILURE: DivergenceKind = DivergenceKind::MeasureJson;
const NUMERIC: DivergenceKind = DivergenceKind::MeasureNumeric;
const BITMAPS_PRESENCE: DivergenceKind = DivergenceKind::MeasureBitmaps;
const ABOVE_BOUND: DivergenceKind = DivergenceKind::MeasureAboveBound;

/// An output may exceed the prediction by this number of bytes, or by a sixteenth if that is more.
pub const BOUND_SLACK_BYTES: u64 = 1 << 20;

/// The parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// The format of the conversion; `None` if the operation is skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Format>,
    /// Why the operation is skipped: the format of an image that is not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}

impl DrawPython for Measure {
    fn draw_python(random: &mut PythonRandom, image: &ImageRecipe, _: Picker) -> Self {
        match is_added(image.format) {
            true => Self::passed_over(image.format),
            false => Self::to(*random.choice(&TARGETS)),
        }
    }
}

impl Measure {
    fn to(target: Format) -> Self {
        Self {
            target: Some(target),
            skipped: None,
        }
    }

    fn passed_over(format: Format) -> Self {
        Self {
            target: None,
            skipped: Some(format.name().to_owned()),
        }
    }

    /// The format of the conversion. Where the operation is skipped, nobody asks.
    fn target(&self) -> Format {
        self.target.unwrap_or(Format::Raw)
    }

    fn reference_measures(&self) -> bool {
        matches!(self.target(), Format::Raw | Format::Qcow2)
    }

    fn file(&self, context: &StepContext<'_>) -> ImageFile {
        ImageFile::new(&context.stem, self.target())
    }
}

impl Perform for Measure {
    fn validity(&self, image: &ImageRecipe) -> Validity {
        match (self.target, &self.skipped) {
            (Some(_), None) => Ok(()),
            (None, Some(why)) if is_added(image.format) && why == image.format.name() => Ok(()),
            _ => Err(
                " has no target, or is skipped for another reason than its image: write a target"
                    .to_owned(),
            ),
        }
    }

    fn reads_source(&self) -> bool {
        self.skipped.is_none()
    }

    fn skipped(&self) -> Option<String> {
        let format = self.skipped.as_ref()?;
        Some(format!("measure of a {format} image is skipped"))
    }

    fn sanitized(&self, image: &ImageRecipe) -> Option<Operation> {
        let is_skipped = self.skipped.is_some();
        let sanitized = match is_skipped && is_added(image.format) {
            true => Self::passed_over(image.format),
            false => Self::to(self.target()),
        };
        Some(Operation::Measure(sanitized))
    }

    /// Versions that convert to raw, or at least to a format that qemu-img measures.
    fn simpler(&self) -> Vec<Operation> {
        let simpler = [Format::Raw, Format::Qcow2].into_iter();
        let simpler = simpler.take_while(|target| *target != self.target());
        simpler
            .map(|target| Operation::Measure(Self::to(target)))
            .collect()
    }

    fn stands_alone(&self) -> bool {
        true
    }

    fn steps(&self, context: &StepContext<'_>) -> Vec<Step> {
        let source = || context.source.clone();
        let mut steps = vec![Step::own(Request::Measure {
            options: Default::default(),
            snapshot: None,
            source: source(),
            target: self.target(),
        })];
        if !self.reference_measures() {
            let target = self.file(context);
            steps.push(Step::own(Request::Convert {
                source: source(),
                target,
                compress: false,
                mode: Default::default(),
            }));
        }
        steps
    }

    fn outputs(&self, context: &StepContext<'_>, _: &Observations) -> Vec<Output> {
        if self.reference_measures() {
            return Vec::new();
        }
        let mut expected = context.recipe.contents();
        expected.size = self.target().created_size(expected.size);
        vec![Output::new(
            self.file(context),
            OutputRole::Measure,
            expected,
        )]
    }

    fn judge(&self, _: &StepContext<'_>, observations: &Observations) -> Option<Verdict> {
        match &observations.reference {
            None => judge_alone(&observations.candidate.step_results),
            Some(_) => judge_numbers(observations),
        }
        .map(Verdict::from)
    }
}

fn judge_numbers(observations: &Observations) -> Option<Finding> {
    let (candidate, reference) = observations.last_answers()?;
    let (candidate, reference) = match (candidate.report.tree(), reference.report.tree()) {
        (Ok(candidate), Ok(reference)) => (candidate, reference),
        (candidate, reference) => {
            let difference = Difference::of_parsing(RequestKind::Measure, &candidate, &reference);
            return Some(Finding::of_difference(PARSE_FAILURE, difference));
        }
    };
    let numbers = |json: &Value| -> Value {
        let numbers =
            ["required", "fully-allocated"].map(|name| (name.to_owned(), json[name].clone()));
        numbers
            .into_iter()
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let differences = json_differences(&numbers(candidate), &numbers(reference), false);
    Finding::of_differences(NUMERIC, differences).or_else(|| {
        let presence = |json: &Value| {
            if json.get("bitmaps").is_some() {
                "present"
            } else {
                "absent"
            }
        };
        let difference = Difference::new(
            Subject::json_key("bitmaps"),
            presence(candidate),
            presence(reference),
        );
        (difference.candidate != difference.reference)
            .then(|| Finding::of_difference(BITMAPS_PRESENCE, difference))
    })
}

fn judge_alone(step_results: &[StepResult]) -> Option<Finding> {
    let [measured, converted] = step_results else {
        return None;
    };
    let json = match measured.answer.report.tree() {
        Ok(json) => json,
        Err(error) => {
            let request = RequestKind::Measure;
            let difference = Difference::new(Subject::OutputAsJson { request }, error, "not asked");
            return Some(Finding::of_difference(PARSE_FAILURE, difference));
        }
    };
    let Some(foretold) = json.get("fully-allocated").and_then(Value::as_u64) else {
        let difference =
            Difference::new(Subject::json_key("fully-allocated"), "absent", "not asked");
        return Some(Finding::of_difference(NUMERIC, difference));
    };
    let bound = foretold.saturating_add(BOUND_SLACK_BYTES.max(foretold >> 4));
    let written = converted.file_bytes.unwrap_or(0);
    let difference = Difference::new(Subject::ConvertedBytes {}, written.to_string(), "not asked");
    let difference =
        difference.with_expected(format!("at most {bound} (fully-allocated {foretold})"));
    (written > bound).then(|| Finding::of_difference(ABOVE_BOUND, difference))
}
