//! Judges the steps that read: candidate, reference and model must agree.

use std::ops::Range;

use serde_json::Value;

use super::chain_state::ChainState;
use super::faults;
use super::kept_overlay;
use super::measurement;
use super::session;
use super::step::ChainStep;
use super::witnesses::witnesses;
use crate::image::content::Contents;
use crate::image::model::View;
use crate::oracle::judge::CheckResult;
use crate::oracle::observations::StepResult;
use crate::oracle::verdict::{
    Blame, Difference, DivergenceKind, Finding, OutputAspect, OutputRole, Subject,
};
use crate::tool::request::{Answer, Exit, Report, Window};

const CONTENT: DivergenceKind = DivergenceKind::Output(OutputRole::Chain, OutputAspect::Content);
const RECIPE: DivergenceKind = DivergenceKind::Output(OutputRole::Chain, OutputAspect::Recipe);
const INFO: DivergenceKind = DivergenceKind::Output(OutputRole::Chain, OutputAspect::Info);
const MAP: DivergenceKind = DivergenceKind::ChainMap;
const CHECK: DivergenceKind = DivergenceKind::Output(OutputRole::Chain, OutputAspect::Check);
const COMPARE: DivergenceKind = DivergenceKind::ChainCompare;
const LIST: DivergenceKind = DivergenceKind::ChainSnapshotInfo;
const MEASURE: DivergenceKind = DivergenceKind::ChainMeasure;

/// Judges one step. Returns `None` if the step does not read, or if all witnesses agree.
pub(super) fn judge(
    step: &ChainStep,
    chain_state: &ChainState,
    ours: &StepResult,
    theirs: &StepResult,
) -> Option<Finding> {
    let (chain_state, step) = chain_state.resolved(step);
    let chain_state = &*chain_state;
    let emptied = kept_overlay::emptied(step, chain_state, ours, theirs);
    let of_image = measurement::of_image(ours);
    let (ours, theirs) = (&ours.answer, &theirs.answer);
    match step {
        ChainStep::Commit { .. } => emptied,
        ChainStep::Check => checks(chain_state, ours, theirs),
        ChainStep::Compare { with } => comparisons(chain_state, *with, ours, theirs),
        ChainStep::Fault { .. } => faults::judge(chain_state, ours, theirs),
        _ if !ours.succeeded() || !theirs.succeeded() => None,
        ChainStep::Read => contents(
            chain_state,
            ours.report.contents()?,
            theirs.report.contents()?,
        ),
        ChainStep::Map { window } => maps(chain_state, *window, ours, theirs),
        ChainStep::Info => descriptions(chain_state, ours, theirs),
        ChainStep::Measure {
            target,
            options,
            snapshot,
        } => {
            let expected = chain_state.fully_allocated(*target, options);
            measures(expected, ours, theirs)
                .or_else(|| spaces(chain_state, snapshot.as_deref(), ours, theirs))
                .or(of_image)
        }
        ChainStep::SnapshotList => lists(chain_state, ours, theirs),
        ChainStep::Session { requests } => session::judge(requests, chain_state, ours, theirs),
        _ => None,
    }
}

fn contents(chain_state: &ChainState, ours: &Contents, theirs: &Contents) -> Option<Finding> {
    let expected = chain_state.model.contents();
    let blame = Blame::among(ours, theirs, &expected);
    let (kind, found, expected_text) = match ours.difference(theirs) {
        Some(found) => {
            let expected_text = match theirs.difference(&expected) {
                None => found.second.clone(),
                Some(_) if ours == &expected => found.first.clone(),
                Some(other) => format!("neither ({})", other.place),
            };
            (CONTENT, found, expected_text)
        }
        None => {
            let found = theirs.difference(&expected)?;
            let expected_text = found.second.clone();
            let second = found.first.clone();
            (
                RECIPE,
                crate::image::content::ContentDifference { second, ..found },
                expected_text,
            )
        }
    };
    let subject = Subject::IntermediateContents {
        file: chain_state.top().path.clone(),
        place: found.place,
    };
    let difference =
        Difference::new(subject, found.first, found.second).with_expected(expected_text);
    Some(Finding::of_difference(kind, difference).blamed(blame))
}

/// Compares the virtual size and, if the tool reports all facts, the bitmaps.
fn descriptions(chain_state: &ChainState, ours: &Answer, theirs: &Answer) -> Option<Finding> {
    let size = |answer: &Answer| value(&answer.report, "virtual-size");
    let expected = chain_state.model.top.size.to_string();
    let sizes = [size(ours), size(theirs), expected];
    let file = || chain_state.top().path.clone();
    witnesses(
        INFO,
        Subject::IntermediateVirtualSize { file: file() },
        sizes,
    )
    .or_else(|| {
        let expected = expected_bitmaps(chain_state);
        let reported = |answer: &Answer| match &answer.report {
            Report::Json {
                tree,
                is_partial: false,
            } => reported_bitmaps(tree),
            _ => expected.clone(),
        };
        let bitmaps = [reported(ours), reported(theirs), expected.clone()];
        witnesses(INFO, Subject::IntermediateBitmaps { file: file() }, bitmaps)
    })
}

/// Compares whether two images have the same guest-visible contents.
fn comparisons(
    chain_state: &ChainState,
    with: Option<usize>,
    ours: &Answer,
    theirs: &Answer,
) -> Option<Finding> {
    let (file, view) = chain_state.counterpart(with)?;
    let result = |answer: &Answer| match answer.exit {
        Exit::Success => "the same".to_owned(),
        Exit::Refused(1) => "not the same".to_owned(),
        _ => answer.describe(),
    };
    let expected = match chain_state.model.top.shows_the_same(view) {
        true => "the same",
        false => "not the same",
    };
    let subject = Subject::Compare {
        first: chain_state.top().path.clone(),
        second: file.path.clone(),
    };
    witnesses(
        COMPARE,
        subject,
        [result(ours), result(theirs), expected.to_owned()],
    )
}

/// Compares the first two columns of a snapshot list: id and name. The other columns have times and sizes of this run.
fn lists(chain_state: &ChainState, ours: &Answer, theirs: &Answer) -> Option<Finding> {
    let reported = |answer: &Answer| {
        let text = answer.transcript.stdout.text();
        let lines = text.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            let (id, name) = (words.next()?, words.next()?);
            id.parse::<u64>().is_ok().then(|| format!("{id} {name}"))
        });
        lines.collect::<Vec<_>>().join(", ")
    };
    let mut expected: Vec<_> = chain_state.model.snapshots.iter().collect();
    expected.sort_by_key(|(_, snapshot)| snapshot.id);
    let expected: Vec<_> = expected
        .iter()
        .map(|(name, snapshot)| format!("{} {name}", snapshot.id))
        .collect();
    let lists = [reported(ours), reported(theirs), expected.join(", ")];
    witnesses(
        LIST,
        Subject::IntermediateSnapshotsListed {
            file: chain_state.top().path.clone(),
        },
        lists,
    )
}

fn expected_bitmaps(chain_state: &ChainState) -> String {
    let bitmaps = chain_state.model.bitmaps.iter().map(|(name, bitmap)| {
        let state = if bitmap.enabled { "on" } else { "off" };
        format!("{name} {} {state}", bitmap.granularity)
    });
    bitmaps.collect::<Vec<_>>().join(", ")
}

/// Returns the reported bitmaps in the order of their names, like [`expected_bitmaps`].
fn reported_bitmaps(described: &Value) -> String {
    let bitmaps = described["format-specific"]["data"]["bitmaps"].as_array();
    let mut reported: Vec<String> = bitmaps
        .into_iter()
        .flatten()
        .map(|bitmap| {
            let enabled = bitmap["flags"].as_array().is_some_and(|flags| {
                let automatic = Value::from("auto");
                flags.contains(&automatic)
            });
            let state = if enabled { "on" } else { "off" };
            let name = bitmap["name"].as_str().unwrap_or_default();
            format!("{name} {} {state}", bitmap["granularity"])
        })
        .collect();
    reported.sort();
    reported.join(", ")
}

/// Checks a map. A map may be coarse, and tools may allocate as they like; but it must cover the image, and must not
/// report zeros where there is data.
fn maps(
    chain_state: &ChainState,
    window: Window,
    ours: &Answer,
    theirs: &Answer,
) -> Option<Finding> {
    let reported = [ours, theirs].map(|answer| {
        map_lie(&answer.report, &chain_state.model.top, window)
            .unwrap_or_else(|| "nothing untrue".to_owned())
    });
    let [ours, theirs] = reported;
    let file = chain_state.top().path.clone();
    let subject = Subject::IntermediateMap { file };
    witnesses(MAP, subject, [ours, theirs, "nothing untrue".to_owned()])
}

pub(super) fn map_lie(report: &Report, view: &View, window: Window) -> Option<String> {
    let extents = match report.tree().map(Value::as_array) {
        Ok(Some(extents)) => extents,
        Ok(None) => return Some("no array".to_owned()),
        Err(why) => return Some(why.to_owned()),
    };
    let Range { start, end } = window.within(view.size);
    let mut reached = start;
    for extent in extents {
        let (start, length) = (extent["start"].as_u64()?, extent["length"].as_u64()?);
        if start != reached {
            return Some(format!("an extent starts at {start}, not at {reached}"));
        }
        reached = start.saturating_add(length);
        if extent["zero"] == true && !view.is_zero(start, reached) {
            return Some(format!("{start} to {reached} is called zero"));
        }
    }
    // A window may begin behind the end of an image that did not grow.
    let end = end.max(start);
    (reached != end).then(|| format!("it ends at {reached}, not at {end}"))
}

fn checks(chain_state: &ChainState, ours: &Answer, theirs: &Answer) -> Option<Finding> {
    let [ours, theirs] = [ours, theirs].map(|answer| CheckResult::from_answer(answer).to_string());
    let expected = match chain_state.must_be_sound() {
        true => "clean".to_owned(),
        false => theirs.clone(),
    };
    witnesses(
        CHECK,
        Subject::IntermediateCheck {},
        [ours, theirs, expected],
    )
}

/// Returns a value of a report, or why there is no report.
fn value(report: &Report, key: &str) -> String {
    let value = report.tree().map(|tree| tree[key].to_string());
    value.unwrap_or_else(str::to_owned)
}

/// Compares the size of a fully allocated copy, which depends only on the virtual size. The required size depends on
/// how a tool allocates.
/// Compares the space that is required with the data that must fit into it. How much more it is depends on what is
/// allocated, which is the tools' choice.
fn spaces(
    chain_state: &ChainState,
    snapshot: Option<&str>,
    ours: &Answer,
    theirs: &Answer,
) -> Option<Finding> {
    let least = chain_state.measured_bytes(snapshot);
    let enough = || format!("at least {least} bytes");
    let told = |answer: &Answer| {
        let required = value(&answer.report, "required");
        match required.parse::<u64>() {
            Ok(bytes) if bytes < least => required,
            _ => enough(),
        }
    };
    witnesses(
        MEASURE,
        Subject::IntermediateRequired {},
        [told(ours), told(theirs), enough()],
    )
}

/// Compares the space of a fully allocated copy; without an expected one, those of the two sides.
fn measures(expected: Option<u64>, ours: &Answer, theirs: &Answer) -> Option<Finding> {
    let reported = |answer: &Answer| value(&answer.report, "fully-allocated");
    let (ours, theirs) = (reported(ours), reported(theirs));
    if let Some(bytes) = expected {
        let values = [ours, theirs, bytes.to_string()];
        return witnesses(MEASURE, Subject::IntermediateMeasure {}, values);
    }
    let difference = Difference::new(Subject::IntermediateMeasure {}, ours, theirs);
    (difference.candidate != difference.reference)
        .then(|| Finding::of_difference(MEASURE, difference))
}
