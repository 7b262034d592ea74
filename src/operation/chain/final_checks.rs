//! What is looked at when a chain is over, layer by layer: what the reference maps, what our own reading of the metadata says, what
//! lies on the host, what a witness says; and, of every step, which files it touched.
//!
//! Contents, descriptions and checks of what is left are judged as in every operation; here is what only a model can say more of.

use std::collections::BTreeMap;

use super::chain_state::ChainState;
use super::inspection::{map_lie, witnesses};
use crate::disk_format::qcow2::audit::{Audit, ranges_in_words};
use crate::image::model::{Bitmap, View};
use crate::oracle::judge::{self, CheckCounts};
use crate::oracle::observations::{Observations, Side, SideRun, StepResult, Task};
use crate::oracle::verdict::{
    Blame, Difference, DivergenceKind, Finding, OutputAspect, OutputRole, Place, Subject,
};
use crate::tool::request::{Answer, ImageFile, Request};

const MAP: DivergenceKind = DivergenceKind::ChainMap;
const CHECK: DivergenceKind = DivergenceKind::Output(OutputRole::Chain, OutputAspect::Check);
const METADATA: DivergenceKind = DivergenceKind::ChainMetadata;
const HEADER: DivergenceKind = DivergenceKind::ChainHeader;
const DIRTY: DivergenceKind = DivergenceKind::ChainDirty;
const HOST: DivergenceKind = DivergenceKind::ChainHost;
const WITNESS: DivergenceKind = DivergenceKind::ChainWitness;

/// How many times the host space of the other side's image an image may take.
pub const HOST_RATIO: u64 = 4;
/// How much more it may take in any case, in bytes: a few of the largest clusters.
pub const HOST_SLACK: u64 = 16 << 20;

/// What the harness looks at itself, beside the names of requests.
const AUDIT: &str = "audit";

/// Judges one image that is left, the exchange's output `index` and the top of `chain_state`; nothing when all agree. The first output is the current
/// image, the others lie below it.
pub(super) fn judge(
    observations: &Observations,
    index: usize,
    chain_state: &ChainState,
) -> Vec<Finding> {
    let (file, view) = (chain_state.top(), &chain_state.model.top);
    let look = |owner: Side, name: &str| {
        let side_run = match owner {
            Side::Candidate => Some(&observations.candidate),
            Side::Reference => observations.reference.as_ref(),
        };
        let asked = |request: &Request| request.name() == name;
        side_run.and_then(|side_run| match name {
            AUDIT => side_run.audit(index),
            _ => side_run.reading(index, Side::Reference, asked),
        })
    };
    let both = |name: &str| Some([look(Side::Candidate, name)?, look(Side::Reference, name)?]);
    let mut found = Vec::new();
    if let Some(maps) = both("map").filter(|maps| maps.iter().all(|map| map.succeeded())) {
        let [ours, theirs] = maps.map(|map| truth_of(map_lie(map, view)));
        let file = file.path.clone();
        let subject = Subject::FinalMap { file };
        found.extend(witnesses(MAP, subject, [ours, theirs, truth_of(None)]));
    }
    if let Some(answers) = both(AUDIT) {
        found.extend(audits(answers, index, chain_state));
    }
    // The witness was shown the current image.
    if let Some(info) = look(Side::Candidate, "info").filter(|_| index == 0) {
        found.extend(witnessed(observations, info, chain_state));
    }
    let place = Place::file(&file.path);
    let placed = found.into_iter();
    placed
        .map(|finding| finding.placed(place.clone()))
        .collect()
}

/// What the reference's check finds wrong with what both left, in the same way: nothing may be.
pub(super) fn unclean(observations: &Observations, file: &ImageFile) -> Option<Finding> {
    let is_check = |request: &Request| matches!(request, Request::Check { .. });
    let look = |side_run: &SideRun| {
        let answer = side_run.reading(0, Side::Reference, is_check)?;
        answer.json().ok()?;
        Some(CheckCounts::of(answer).to_string())
    };
    let (ours, theirs) = (
        look(&observations.candidate)?,
        look(observations.reference.as_ref()?)?,
    );
    let subject = Subject::CheckOnBothSides {
        file: file.path.clone(),
    };
    let is_shared = ours == theirs;
    let finding = witnesses(CHECK, subject, [ours, theirs, "clean".to_owned()]);
    let finding = finding.filter(|_| is_shared);
    finding.map(|finding| finding.placed(Place::file(&file.path)))
}

fn truth_of(lie: Option<String>) -> String {
    lie.unwrap_or_else(|| "nothing untrue".to_owned())
}

fn audits(answers: [&Answer; 2], index: usize, chain_state: &ChainState) -> Vec<Finding> {
    let file = chain_state.top();
    let read = |answer: &Answer| {
        serde_json::from_slice::<Audit>(&answer.stdout.bytes).map_err(|_| answer.describe())
    };
    let (ours, theirs) = match answers.map(read) {
        [Ok(ours), Ok(theirs)] => (ours, theirs),
        refused => {
            let told = refused.map(|audit| audit.err().unwrap_or_else(|| "read".to_owned()));
            let [ours, theirs] = told;
            let file = file.path.clone();
            let subject = Subject::MetadataUnreadable { file };
            let finding = witnesses(METADATA, subject, [ours, theirs, "read".to_owned()]);
            return finding.into_iter().collect();
        }
    };
    let told = |audit: &Audit| match audit.problems.is_empty() {
        true => "nothing wrong".to_owned(),
        false => audit.problems.join("; "),
    };
    let subject = Subject::Metadata {
        file: file.path.clone(),
    };
    let problems = [told(&ours), told(&theirs), "nothing wrong".to_owned()];
    let mut found: Vec<Finding> = witnesses(METADATA, subject, problems).into_iter().collect();
    found.extend(headers(&ours, &theirs, chain_state));
    found.extend(bitmaps(&ours, &theirs, index, chain_state));
    found.extend(lost_snapshots(&ours, &theirs, chain_state));
    found.extend(sizes(&ours, &theirs, file));
    found
}

/// Header fields that two images of one recipe share. The recipe says of some what they must be.
fn headers(ours: &Audit, theirs: &Audit, chain_state: &ChainState) -> Option<Finding> {
    let expected = expected_fields(chain_state);
    let differences = theirs.facts.iter().filter_map(|(name, value)| {
        let other = ours.facts.get(name).map_or("absent", String::as_str);
        let field = name.clone();
        let subject = Subject::HeaderField { field };
        let difference = Difference::new(subject, other, value);
        let difference = match expected.get(name.as_str()) {
            Some(expected) => difference.with_expected(expected.clone()),
            None => difference,
        };
        (other != value).then_some(difference)
    });
    let finding = Finding::of_differences(HEADER, differences.collect())?;
    let blame = finding.differences.iter().find_map(|difference| {
        let expected = difference.expected.as_ref()?;
        Some(Blame::among(
            &difference.candidate,
            &difference.reference,
            expected,
        ))
    });
    Some(finding.blamed(blame.unwrap_or(Blame::Unclear)))
}

/// Snapshots that both lost, or both have too many; where one did, its header differs.
fn lost_snapshots(ours: &Audit, theirs: &Audit, chain_state: &ChainState) -> Option<Finding> {
    const FIELD: &str = "nb_snapshots";
    let (ours, theirs) = (ours.facts.get(FIELD)?, theirs.facts.get(FIELD)?);
    let expected = chain_state.model.snapshots.len().to_string();
    let subject = Subject::SnapshotCount {
        file: chain_state.top().path.clone(),
    };
    let told = [ours.clone(), theirs.clone(), expected];
    witnesses(METADATA, subject, told).filter(|_| ours == theirs)
}

fn expected_fields(chain_state: &ChainState) -> BTreeMap<&'static str, String> {
    let (top, model) = (chain_state.top(), &chain_state.model);
    let options = &top.options;
    let lazy = !options.is_version_2() && options.lazy_refcounts() == Some(true);
    let is_raw = options.data_file_raw() == Some(true);
    let autoclear = u64::from(!model.bitmaps.is_empty()) + 2 * u64::from(is_raw);
    let fields = [
        ("size", model.top.size),
        ("nb_snapshots", model.snapshots.len() as u64),
        ("nb_bitmaps", model.bitmaps.len() as u64),
        ("compatible_features", u64::from(lazy)),
        ("autoclear_features", autoclear),
    ];
    fields.map(|(name, value)| (name, value.to_string())).into()
}

/// What is dirty in the bitmaps, granule by granule, where the model knows.
fn bitmaps(
    ours: &Audit,
    theirs: &Audit,
    index: usize,
    chain_state: &ChainState,
) -> Option<Finding> {
    chain_state.model.bitmaps.iter().find_map(|(name, bitmap)| {
        let dirty = bitmap.dirty.as_ref()?;
        let expected = ranges_in_words(&granules(dirty, bitmap));
        let told = |audit: &Audit| audit.dirty_in_words(name);
        let bitmap = name.clone();
        let subject = match index {
            0 => Subject::BitmapGranules { bitmap },
            _ => Subject::BitmapGranulesBelow {
                bitmap,
                file: chain_state.top().path.clone(),
            },
        };
        witnesses(DIRTY, subject, [told(ours), told(theirs), expected])
    })
}

fn granules(dirty: &View, bitmap: &Bitmap) -> Vec<(u64, u64)> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for (start, end) in dirty.runs() {
        let (start, end) = (start / bitmap.granularity, end.div_ceil(bitmap.granularity));
        match ranges.last_mut() {
            Some(last) if last.1 >= start => last.1 = last.1.max(end),
            _ => ranges.push((start, end)),
        }
    }
    ranges
}

/// Where a tool puts things is its own business, but not how much the host must give for it. A file system may compress what one side
/// left, or not have counted it yet: that makes no image of the other side too large.
fn sizes(ours: &Audit, theirs: &Audit, file: &ImageFile) -> Option<Finding> {
    let bloated = |one: &Audit, other: &Audit| {
        let enough = other.allocated_bytes.max(other.data_bytes);
        one.allocated_bytes > enough.saturating_mul(HOST_RATIO).saturating_add(HOST_SLACK)
    };
    let blame = if bloated(ours, theirs) {
        Blame::Candidate
    } else if bloated(theirs, ours) {
        Blame::Reference
    } else {
        return None;
    };
    let told = |audit: &Audit| format!("{} bytes", audit.allocated_bytes);
    let file = file.path.clone();
    let difference = Difference::new(Subject::HostSpace { file }, told(ours), told(theirs));
    Some(Finding::of_difference(HOST, difference).blamed(blame))
}

/// A third tool's description of what the candidate left, against the reference's.
fn witnessed(
    observations: &Observations,
    info: &Answer,
    chain_state: &ChainState,
) -> Option<Finding> {
    let opinion = observations.opinion.as_ref()?;
    let described = judge::described(&info.json().ok()?, opinion)?;
    let size = chain_state.model.top.size.to_string();
    let alone = described
        .differences
        .iter()
        .all(|found| found.candidate == size);
    // The witness reads the candidate's image: where the reference reads it as the model says, the witness is alone.
    (!alone).then_some(Finding {
        kind: WITNESS,
        ..described
    })
}

/// Files that a step touched and had no business to: the step's inputs, or files that it leaves behind.
pub(super) fn touched(ours: &StepResult, theirs: &StepResult) -> Option<Finding> {
    let told = |step_result: &StepResult| {
        let wrongly = step_result
            .changed_files
            .iter()
            .filter(|name| !may_touch(&step_result.step.task, name));
        let names: Vec<&str> = wrongly.map(String::as_str).collect();
        match names.is_empty() {
            true => "none".to_owned(),
            false => names.join(", "),
        }
    };
    let request = ours.step.task.kind();
    let kind = match ours.step.task.is_reading() {
        true => DivergenceKind::InputChanged,
        false => HOST,
    };
    witnesses(
        kind,
        Subject::TouchedFiles { request },
        [told(ours), told(theirs), "none".to_owned()],
    )
}

/// Whether a step may write to the file of this name, or make or remove it.
pub fn may_touch(task: &Task, name: &str) -> bool {
    match task {
        task if task.is_reading() => false,
        Task::Tool(Request::Commit { file, .. }) => {
            file.owns(name) || file.backing.as_ref().is_some_and(|below| below.owns(name))
        }
        _ => task.file().owns(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::format::Format;

    const MIB: u64 = 1 << 20;

    /// Of an image that takes so much of the host, and has so much data.
    fn audit(allocated_bytes: u64, data_bytes: u64) -> Audit {
        Audit {
            allocated_bytes,
            data_bytes,
            ..Audit::default()
        }
    }

    #[test]
    fn only_who_takes_much_more_of_the_host_than_the_other_needs_is_blamed() {
        let file = ImageFile::new("a", Format::Qcow2);
        let cases = [
            ((audit(MIB, MIB), audit(MIB, MIB)), None),
            ((audit(20 * MIB, MIB), audit(MIB, MIB)), None),
            (
                (audit(200 * MIB, MIB), audit(MIB, MIB)),
                Some(Blame::Candidate),
            ),
            (
                (audit(MIB, MIB), audit(200 * MIB, 200 * MIB)),
                Some(Blame::Reference),
            ),
            // The other's was compressed by the file system, or is not counted yet.
            ((audit(200 * MIB, 200 * MIB), audit(512, 200 * MIB)), None),
        ];
        for ((ours, theirs), blame) in cases {
            let found = sizes(&ours, &theirs, &file);
            assert_eq!(found.map(|found| found.blame), blame, "{ours:?}");
        }
    }
}
