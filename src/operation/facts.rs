//! What is true of the step or file in which a divergence lies, as `KEY=VALUE`: the catalogue of known divergences asks for it.
//!
//! Called by the duel once a divergence is found, through [`Perform::facts`](super::Perform::facts). Here is what holds of every
//! operation: the step, whose tool did it, and the files it was about. Chains and damaged images add what they know. Says nothing of
//! what the tools answered: that is in the differences.

use std::collections::BTreeSet;

use crate::image::options::{Compat, CreateOption, Subformat};
use crate::oracle::exchange::{Exchange, Output, Side, Turn};
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
const OPTION_FEATURES: [&str; 8] = [
    "version_2",
    "encryption",
    "data_file",
    "data_file_raw",
    "extended_l2",
    "zeroed_grain",
    "stream_optimized",
    "fixed",
];

/// The feature that an option is notable for.
fn of_option(option: &CreateOption) -> Option<&'static str> {
    Some(match option {
        CreateOption::Compat(Compat::Version2) => "version_2",
        CreateOption::EncryptFormat(_) => "encryption",
        CreateOption::DataFile(_) => "data_file",
        CreateOption::DataFileRaw(true) => "data_file_raw",
        CreateOption::ExtendedL2(true) => "extended_l2",
        CreateOption::ZeroedGrain(true) => "zeroed_grain",
        CreateOption::Subformat(Subformat::StreamOptimized) => "stream_optimized",
        CreateOption::Subformat(Subformat::Fixed) => "fixed",
        _ => return None,
    })
}

/// What is notable of these options.
pub fn of_options<'option>(
    options: impl Iterator<Item = &'option CreateOption>,
) -> Vec<&'static str> {
    let found: Vec<&str> = options.filter_map(of_option).collect();
    let features = OPTION_FEATURES.into_iter();
    features.filter(|name| found.contains(name)).collect()
}

/// The format and the notable options of one image.
pub fn of_file(file: &ImageFile) -> Vec<&'static str> {
    let mut features = vec![file.format.name()];
    features.extend(of_options(file.options.iter()));
    features.extend(file.backing.is_some().then_some("backed"));
    features
}

/// The names of all notable options.
pub fn option_features() -> impl Iterator<Item = &'static str> {
    OPTION_FEATURES.into_iter()
}

/// Facts, put together one by one.
#[derive(Default)]
pub struct Facts(BTreeSet<String>);

impl Facts {
    /// What holds in every operation.
    pub fn of_place(exchange: &Exchange, outputs: &[Output], place: &Place) -> Self {
        let mut facts = Self::default();
        if let Some(name) = &place.file {
            facts.add("step", "left");
            let output = outputs.iter().find(|output| output.file.path == *name);
            output.iter().for_each(|output| facts.file(&output.file));
            return facts;
        }
        let Some(turn) = turn(exchange, place) else {
            return facts;
        };
        let request = &turn.step.request;
        facts.add("step", request.name());
        facts.add("by", turn.by.name());
        match request {
            Request::Convert { source, target, .. }
            | Request::ConvertSnapshot { source, target, .. }
            | Request::Dd { source, target, .. } => {
                facts.file(source);
                of_file(target)
                    .into_iter()
                    .for_each(|feature| facts.add("target", feature));
            }
            _ => facts.file(request.file()),
        }
        facts
    }

    fn file(&mut self, file: &ImageFile) {
        of_file(file)
            .into_iter()
            .for_each(|feature| self.add("file", feature));
        let mut below = file.backing.as_deref();
        while let Some(file) = below {
            of_file(file)
                .into_iter()
                .for_each(|feature| self.add("below", feature));
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
fn turn<'exchange>(exchange: &'exchange Exchange, place: &Place) -> Option<&'exchange Turn> {
    let candidate = &exchange.candidate.turns;
    let reference = exchange.reference.as_ref().map(|deed| &deed.turns);
    match place.step {
        Some(index) => candidate
            .get(index)
            .or_else(|| reference.and_then(|turns| turns.get(index))),
        // Where nobody said in which step, it is the last one that a tool made on the candidate's side.
        None => {
            let own = candidate
                .iter()
                .rev()
                .find(|turn| turn.by == Side::Candidate);
            own.or_else(|| candidate.last())
        }
    }
}
