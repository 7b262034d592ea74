//! What is true of the step or file in which a divergence lies, as `KEY=VALUE`: the catalogue of known divergences asks for it.
//!
//! Called by the duel once a divergence is found, through [`Perform::facts`](super::Perform::facts). Here is what holds of every
//! operation: the step, whose tool did it, and the files it was about. Chains and damaged images add what they know. Says nothing of
//! what the tools answered: that is in the differences.

use std::collections::BTreeSet;

use crate::image::options::{Compat, CreateOption, Subformat};
use crate::operation::feature::Feature;
use crate::oracle::observations::{Observations, Output, Side, StepResult, Task};
use crate::oracle::verdict::Place;
use crate::tool::request::{ImageFile, Request};

/// Every key that a fact can have:
///
/// * `step`: The name of the request of the step that differs; `left` for a file that is looked at when all steps are done.
/// * `by`: Whose tool did that step on the candidate's side.
/// * `file`: The format and the notable options of the file that differs.
/// * `below`: The same of any image below it.
/// * `target`: The same of the image that the step makes of it.
/// * `done`: What was done to that file before.
/// * `own`: The same, as far as the candidate's own tool did it.
/// * `origin`: The format and options of any image from which data came into it, itself and those below it included.
/// * `before`: What was done to any of those.
/// * `own_before`: The same, as far as the candidate's own tool did it.
/// * `met`: A known defect of qemu-img that one of those has met.
/// * `change`: What a damaged image was changed by, at that step or before it.
/// * `damaged`: The structures and fields that were damaged.
/// * `only`: The one structure, or field, that was damaged, where there is only one.
/// * `how`: How a structure was damaged: `STRUCTURE.FIELD:VALUE`, or `STRUCTURE:cut`.
/// * `space`: Whether the file takes no more of the host than a guest could ever have filled.
pub const KEYS: [&str; 16] = [
    "step",
    "by",
    "file",
    "below",
    "target",
    "done",
    "own",
    "origin",
    "before",
    "own_before",
    "met",
    "change",
    "damaged",
    "only",
    "how",
    "space",
];

/// The features that options of an image are notable for.
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

/// The feature that an option is notable for.
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

/// What is notable of these options.
pub fn of_options<'option>(options: impl Iterator<Item = &'option CreateOption>) -> Vec<Feature> {
    let found: Vec<Feature> = options.filter_map(of_option).collect();
    let features = OPTION_FEATURES.into_iter();
    features.filter(|feature| found.contains(feature)).collect()
}

/// The format and the notable options of one image.
pub fn of_file(file: &ImageFile) -> Vec<Feature> {
    let mut features = vec![Feature::Format(file.format)];
    features.extend(of_options(file.options.iter()));
    features.extend(file.backing.is_some().then_some(Feature::Backed));
    features
}

/// Facts, put together one by one.
#[derive(Default)]
pub struct Facts(BTreeSet<String>);

impl Facts {
    /// What holds in every operation.
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

    /// One more.
    pub fn add(&mut self, key: &str, value: &str) {
        debug_assert!(KEYS.contains(&key), "{key} is no key of a fact");
        self.0.insert(format!("{key}={value}"));
    }

    /// All of them, in their order.
    pub fn in_order(self) -> Vec<String> {
        self.0.into_iter().collect()
    }
}

/// The step of a place on the candidate's side, or on the reference's where the candidate did not get there.
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
        // Where nobody said in which step, it is the last one that a tool made on the candidate's side.
        None => {
            let own = candidate
                .iter()
                .rev()
                .find(|step_result| step_result.by == Side::Candidate);
            own.or_else(|| candidate.last())
        }
    }
}
