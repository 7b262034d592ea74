//! Behavioural coverage: the classes of behaviour that a case made the tools show, and the checks that were made.
//!
//! The differential runner computes it from the observations of an operation. The guide of a campaign prefers to mutate cases that showed new
//! behaviours, and the summary counts behaviours and checks. This module is pure, and does not decide whether the tools agree.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::image::options::CreateOption;
use crate::oracle::observations::{HarnessAction, Observations, Side, Step, StepResult, Task};
use crate::tool::request::{Answer, Exit, ImageFile, Request};

/// Coverage of one operation, or of several.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// Fingerprints of the behaviours: combinations of a request's class, its outcome, the kind of image, and the request before it.
    pub behaviours: BTreeSet<u32>,
    /// The number of checks made, by kind.
    pub checks: BTreeMap<String, u64>,
}

/// The class of a successful step.
const DONE: &str = "done";

/// How many extents of a map count for its shape; later ones rarely make a new behaviour.
const SHAPE_EXTENTS_MAX: usize = 8;

impl Observed {
    /// The coverage of one operation.
    pub fn from_observations(observations: &Observations) -> Self {
        let mut observed = Self::default();
        let reference = observations.reference.as_ref();
        let mut before = "start";
        for (index, candidate) in observations.candidate.step_results.iter().enumerate() {
            let reference = reference.and_then(|side_run| side_run.step_results.get(index));
            observed.add_step(before, candidate, reference);
            before = candidate.step.task.name();
        }
        for inspection in &observations.candidate.inspections {
            let is_own = inspection.by == Side::Candidate;
            let check = match &inspection.task {
                Task::Tool(Request::Contents { .. }) if is_own => "cross_readings",
                Task::Tool(Request::Contents { .. }) => "contents_compared",
                Task::Tool(Request::Info { .. }) => "facts_compared",
                Task::Tool(Request::Check { .. }) => "checks_run",
                Task::Tool(Request::SnapshotContents { .. }) => "snapshots_compared",
                Task::Tool(Request::SnapshotList { .. }) => "snapshot_lists_compared",
                _ => continue,
            };
            observed.count(check);
        }
        if observations.cross_check.is_some() {
            observed.count("witness_opinions");
        }
        observed
    }

    /// The behaviours that these steps would show if each succeeded and printed nothing: an estimate of a case's worth before it runs.
    pub fn foreseen(steps: &[Step]) -> BTreeSet<u32> {
        let mut observed = Self::default();
        let mut before = "start";
        for step in steps {
            let name = step.task.name();
            observed.add_behaviour(&["exit", name, DONE, DONE]);
            observed.add_behaviour(&["after", before, name, DONE]);
            observed.add_request(&step.task);
            before = name;
        }
        observed.behaviours
    }

    /// Adds the coverage of `other`.
    pub fn add(&mut self, other: Self) {
        self.behaviours.extend(other.behaviours);
        for (check, count) in other.checks {
            *self.checks.entry(check).or_default() += count;
        }
    }

    fn count(&mut self, check: &str) {
        *self.checks.entry(check.to_owned()).or_default() += 1;
    }

    fn add_behaviour(&mut self, parts: &[&str]) {
        self.behaviours
            .insert(xxh3_64(parts.join("\n").as_bytes()) as u32);
    }

    /// Adds one step on both sides: its outcome, the step before it, the kind of image, and the shape of a map.
    fn add_step(&mut self, before: &str, candidate: &StepResult, reference: Option<&StepResult>) {
        let task = &candidate.step.task;
        let name = task.name();
        let classes = [Some(candidate), reference]
            .map(|step_result| step_result.map_or("none".to_owned(), exit_class));
        self.add_behaviour(&["exit", name, &classes[0], &classes[1]]);
        self.add_behaviour(&["after", before, name, &classes[0]]);
        self.add_request(task);
        if let Some(shape) = map_shape(task, &candidate.answer) {
            self.add_behaviour(&["map", &shape]);
        }
        if let Some(reference) = reference {
            self.count_checks(task, &candidate.answer, &reference.answer);
        }
    }

    /// Adds what follows from a request alone: the kind of image it runs on, and how its ranges are aligned.
    fn add_request(&mut self, task: &Task) {
        let name = task.name();
        let features = features(task.file());
        for (index, one) in features.iter().enumerate() {
            self.add_behaviour(&["on", name, one]);
            for other in &features[index + 1..] {
                self.add_behaviour(&["on", name, one, other]);
            }
        }
        for (offset, length) in ranges(task) {
            self.add_behaviour(&["range", name, &range_class(task.file(), offset, length)]);
        }
    }

    /// Counts the checks that the judges make on both sides' answers to a request.
    fn count_checks(&mut self, task: &Task, candidate: &Answer, reference: &Answer) {
        self.count("exits_compared");
        if matches!(
            (&candidate.exit, &reference.exit),
            (Exit::Refused(_), Exit::Refused(_))
        ) {
            self.count("refusals_compared");
        }
        let both = candidate.succeeded() && reference.succeeded();
        let check = match task {
            Task::Tool(Request::Check { .. }) => "checks_run",
            Task::Tool(Request::Contents { .. }) if both => "contents_compared",
            Task::Tool(Request::Info { .. }) if both => "facts_compared",
            Task::Tool(Request::Map { .. }) if both => "maps_compared",
            Task::Tool(Request::Measure { .. }) if both => "measures_compared",
            Task::Tool(Request::SnapshotList { .. }) if both => "snapshot_lists_compared",
            Task::Harness(HarnessAction::HostClusters { .. }) if both => "host_bytes_compared",
            _ => return,
        };
        self.count(check);
    }
}

/// The outcome of a step; for a refusal with its message, without the image's name and without digits.
fn exit_class(step_result: &StepResult) -> String {
    match &step_result.answer.exit {
        Exit::Success => DONE.to_owned(),
        Exit::Refused(_) => {
            let line = step_result.answer.transcript.stderr.first_line();
            let line = line.replace(&step_result.step.task.file().path, "");
            let words = line.chars().filter(|letter| !letter.is_ascii_digit());
            format!("refused {}", words.collect::<String>())
        }
        Exit::Crashed(_) => "crashed".to_owned(),
        Exit::TimedOut(_) => "timed out".to_owned(),
        Exit::Unsupported(feature) => format!("unsupported {feature}"),
        Exit::HitLimit(limit) => format!("hit its limit of {limit:?}"),
    }
}

/// The kind of an image: its format, the format of its backing image, and its options.
fn features(file: &ImageFile) -> Vec<String> {
    let below = file
        .backing
        .as_ref()
        .map_or("nothing".to_owned(), |below| below.format.to_string());
    let own = [file.format.to_string(), format!("over {below}")];
    // Names of other files would make every image a kind of its own.
    let is_own = |option: &&CreateOption| {
        !matches!(
            option,
            CreateOption::BackingFile(_) | CreateOption::BackingFormat(_)
        )
    };
    let options = file.options.iter().filter(is_own);
    own.into_iter()
        .chain(options.map(ToString::to_string))
        .collect()
}

/// The guest ranges that a request changes: (offset, length) in bytes.
fn ranges(task: &Task) -> Vec<(u64, u64)> {
    match task {
        Task::Tool(Request::Write { writes, .. }) => {
            let writes = writes.iter();
            writes.map(|write| (write.offset, write.length)).collect()
        }
        Task::Tool(
            Request::WriteZeroes { offset, length, .. } | Request::Discard { offset, length, .. },
        ) => {
            vec![(*offset, *length)]
        }
        _ => Vec::new(),
    }
}

/// How a range is aligned to the image's clusters, and whether it crosses clusters or L2 tables.
fn range_class(file: &ImageFile, offset: u64, length: u64) -> String {
    let cluster = file.cluster_size();
    let entry = if file.options.has_extended_l2() {
        16
    } else {
        8
    };
    let table = cluster.saturating_pow(2) / entry;
    let end = offset.saturating_add(length);
    let crosses = |grain: u64| offset / grain != end.saturating_sub(1) / grain;
    let edge = |place: u64| match place {
        _ if place.is_multiple_of(cluster) => "cluster",
        _ if place.is_multiple_of(512) => "sector",
        _ => "byte",
    };
    let (from, to) = (edge(offset), edge(end));
    format!(
        "{from} to {to} {} {} {} clusters of {cluster}",
        crosses(cluster),
        crosses(table),
        file.options.refcount_width()
    )
}

/// The kinds of a map's first extents, in order. `None` for any other request, and for output that is not a JSON list.
fn map_shape(task: &Task, answer: &Answer) -> Option<String> {
    if !matches!(task, Task::Tool(Request::Map { .. })) {
        return None;
    }
    let extents = answer
        .report
        .tree()
        .ok()?
        .as_array()?
        .iter()
        .take(SHAPE_EXTENTS_MAX);
    let letter = |extent: &serde_json::Value| {
        let depth = extent["depth"].as_u64().unwrap_or(0);
        let is = |key: &str, letter: char| if extent[key] == true { letter } else { '-' };
        format!(
            "{depth}{}{}{}",
            is("zero", 'z'),
            is("data", 'd'),
            is("present", 'p')
        )
    };
    Some(extents.map(letter).collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::format::Format;
    use crate::image::options::CreateOptions;

    #[test]
    fn ranges_with_the_same_alignment_are_of_one_class() {
        let file = ImageFile::new("image", Format::Qcow2);
        assert_eq!(
            range_class(&file, 65536, 512),
            range_class(&file, 131_072, 1024)
        );
        assert_ne!(
            range_class(&file, 65536, 512),
            range_class(&file, 65536, 511)
        );
        assert_ne!(
            range_class(&file, 65536, 512),
            range_class(&file, 65024, 1024)
        );
    }

    #[test]
    fn an_image_s_options_are_features_and_file_names_are_not() {
        let options = ["compat=0.10", "backing_file=a.raw", "backing_fmt=raw"];
        let options = CreateOptions::parse(&options).expect("options");
        let below = ImageFile::new("a", Format::Raw);
        let file = ImageFile::new("b", Format::Qcow2)
            .with_options(options)
            .over(&below);
        assert_eq!(features(&file), ["qcow2", "over raw", "compat=0.10"]);
    }
}
