//! Facts about the step or file at which a divergence lies, as `KEY=VALUE`: the catalogue of known divergences matches
//! them.
//!
//! The runner calls this through [`Perform::facts`](super::Perform::facts) after it has found a divergence. This module
//! has the facts of every operation: the step, the tool that performed it, and its files. Chains and damaged images add
//! their own. The facts do not include the tools' answers, which are in the differences.

use std::collections::BTreeSet;

use crate::image::options::{Compat, CreateOption, Subformat};
use crate::operation::feature::Feature;
use crate::oracle::observations::{HarnessAction, Observations, Output, Side, StepResult, Task};
use crate::oracle::verdict::Place;
use crate::tool::request::{ImageFile, Request};

/// All keys of facts:
///
/// * `step`: The kind of request of the step that differs; `left` for a final image.
/// * `by`: The tool that performed that step on the candidate's side.
/// * `file`: The format and the features of the file that differs.
/// * `below`: The same for any of its backing images.
/// * `target`: The same for the image that the step creates from it.
/// * `done`: A step on that file before.
/// * `own`: The same, if the candidate's own tool performed it.
/// * `origin`: The format and features of any image from which its data came, including itself and its backing images.
/// * `before`: A step on any of those.
/// * `own_before`: The same, if the candidate's own tool performed it.
/// * `met`: A known qemu-img bug that one of those met.
/// * `change`: The change of a damaged image, at that step or before it.
/// * `damaged`: A damaged structure or field.
/// * `only`: The only damaged structure or field, if there is just one.
/// * `how`: The kind of a mutation: `STRUCTURE.FIELD:VALUE`, or `STRUCTURE:cut`.
/// * `within`: The kind of request within which a call was made to fail.
/// * `fault`: The kind of that call, and what came of it.
/// * `writer`: The tool that wrote the image, where a case names one.
/// * `space`: Whether the file takes no more host space than a guest could ever have filled.
pub const KEYS: [&str; 19] = [
    "step",
    "by",
    "file",
    "below",
    "target",
    "done",
    "own",
    "origin",
    "within",
    "fault",
    "writer",
    "before",
    "own_before",
    "met",
    "change",
    "damaged",
    "only",
    "how",
    "space",
];

/// The features that depend on options of an image.
const OPTION_FEATURES: [Feature; 8] = [
    Feature::Version2,
    Feature::Encryption,
    Feature::DataFile,
    Feature::DataFileRaw,
    Feature::ExtendedL2,
    Feature::ZeroedGrain,
    Feature::StreamOptimized,
    Feature::Fixed,
];

/// Returns the feature that an option stands for.
fn of_option(option: &CreateOption) -> Option<Feature> {
    Some(match option {
        CreateOption::Compat(Compat::Version2) => Feature::Version2,
        CreateOption::EncryptFormat(_) => Feature::Encryption,
        CreateOption::DataFile(_) => Feature::DataFile,
        CreateOption::DataFileRaw(true) => Feature::DataFileRaw,
        CreateOption::ExtendedL2(true) => Feature::ExtendedL2,
        CreateOption::ZeroedGrain(true) => Feature::ZeroedGrain,
        CreateOption::Subformat(Subformat::StreamOptimized) => Feature::StreamOptimized,
        CreateOption::Subformat(Subformat::Fixed) => Feature::Fixed,
        _ => return None,
    })
}

/// Returns the features that these options stand for.
pub fn of_options<'option>(options: impl Iterator<Item = &'option CreateOption>) -> Vec<Feature> {
    let found: Vec<Feature> = options.filter_map(of_option).collect();
    let features = OPTION_FEATURES.into_iter();
    features.filter(|feature| found.contains(feature)).collect()
}

/// Returns the format of an image and the features of its options.
pub fn of_file(file: &ImageFile) -> Vec<Feature> {
    let mut features = vec![Feature::Format(file.format)];
    features.extend(of_options(file.options.iter()));
    features.extend(file.backing.is_some().then_some(Feature::Backed));
    features.extend(file.unusual.iter().copied().map(Feature::Unusual));
    features
}

/// A collection of facts.
#[derive(Default)]
pub struct Facts(BTreeSet<String>);

impl Facts {
    /// Returns the facts that every operation has.
    pub fn of_place(observations: &Observations, outputs: &[Output], place: &Place) -> Self {
        let mut facts = Self::default();
        if let Some(name) = &place.file {
            facts.add("step", "left");
            let output = outputs.iter().find(|output| output.file.path == *name);
            output.iter().for_each(|output| facts.file(&output.file));
            return facts;
        }
        let Some(step_result) = step_result(observations, place) else {
            return facts;
        };
        let task = &step_result.step.task;
        facts.add("step", task.name());
        facts.add("by", step_result.by.name());
        if let Task::Harness(HarnessAction::Fault { request, fault, .. }) = task {
            facts.add("within", request.name());
            facts.add("fault", fault.call.name());
            facts.add("fault", fault.how.name());
        }
        match task {
            Task::Tool(
                Request::Convert { source, target, .. }
                | Request::ConvertSnapshot { source, target, .. }
                | Request::Dd { source, target, .. },
            ) => {
                facts.file(source);
                of_file(target)
                    .into_iter()
                    .for_each(|feature| facts.add("target", feature.name()));
            }
            _ => facts.file(task.file()),
        }
        facts
    }

    fn file(&mut self, file: &ImageFile) {
        of_file(file)
            .into_iter()
            .for_each(|feature| self.add("file", feature.name()));
        let mut below = file.backing.as_deref();
        while let Some(file) = below {
            of_file(file)
                .into_iter()
                .for_each(|feature| self.add("below", feature.name()));
            below = file.backing.as_deref();
        }
    }

    /// Adds a fact.
    pub fn add(&mut self, key: &str, value: &str) {
        debug_assert!(KEYS.contains(&key), "{key} is no key of a fact");
        self.0.insert(format!("{key}={value}"));
    }

    /// Returns all facts, sorted.
    pub fn in_order(self) -> Vec<String> {
        self.0.into_iter().collect()
    }
}

/// Returns the result of the step on the candidate's side, or on the reference's if the candidate did not get there.
fn step_result<'observations>(
    observations: &'observations Observations,
    place: &Place,
) -> Option<&'observations StepResult> {
    let candidate = &observations.candidate.step_results;
    let reference = observations
        .reference
        .as_ref()
        .map(|side_run| &side_run.step_results);
    match place.step {
        Some(index) => candidate
            .get(index)
            .or_else(|| reference.and_then(|step_results| step_results.get(index))),
        // If the place has no step, the last step of a tool on the candidate's side counts.
        None => {
            let own = candidate
                .iter()
                .rev()
                .find(|step_result| step_result.by == Side::Candidate);
            own.or_else(|| candidate.last())
        }
    }
}
