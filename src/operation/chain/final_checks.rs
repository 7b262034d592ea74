//! The checks after the last step of a chain, image by image: the reference's map, our own audit of the metadata, the
//! space on the host, the third tool; and, for every step, the files that it touched.
//!
//! The common judges compare contents, descriptions and check results. These checks need the model.

use std::collections::BTreeMap;

use super::chain_state::ChainState;
use super::inspection::map_lie;
use super::witnesses::witnesses;
use crate::disk_format::qcow2::audit::{Audit, ranges_in_words};
use crate::image::model::{Bitmap, View};
use crate::oracle::judge::{self, CheckResult};
use crate::oracle::observations::{HarnessAction, Observations, Side, SideRun, StepResult, Task};
use crate::oracle::verdict::{
    Blame, Difference, DivergenceKind, Finding, OutputAspect, OutputRole, Place, Subject,
};
use crate::tool::request::{Answer, ImageFile, Report, Request, Window};

const MAP: DivergenceKind = DivergenceKind::ChainMap;
const CHECK: DivergenceKind = DivergenceKind::Output(OutputRole::Chain, OutputAspect::Check);
const METADATA: DivergenceKind = DivergenceKind::ChainMetadata;
const HEADER: DivergenceKind = DivergenceKind::ChainHeader;
const DIRTY: DivergenceKind = DivergenceKind::ChainDirty;
const HOST: DivergenceKind = DivergenceKind::ChainHost;
const WITNESS: DivergenceKind = DivergenceKind::ChainWitness;

/// Whether an image takes much more of the host, in bytes, than is enough.
pub fn is_bloated(allocated: u64, enough: u64) -> bool {
    allocated > enough.saturating_mul(HOST_RATIO).saturating_add(HOST_SLACK)
}

/// The limit of an image's host space, as a multiple of the other side's.
pub const HOST_RATIO: u64 = 4;
/// The host space that is allowed beyond [`HOST_RATIO`], in bytes: a few of the largest clusters.
pub const HOST_SLACK: u64 = 16 << 20;

/// The name of the harness's own inspection, among the names of requests.
const AUDIT: &str = "audit";

/// Judges one final image: output `index` of the observations, the current image of `chain_state`. Output 0 is the
/// chain's current image; the others are its backing images. Returns no findings if all witnesses agree.
pub(super) fn judge(
    observations: &Observations,
    index: usize,
    chain_state: &ChainState,
) -> Vec<Finding> {
    let (file, view) = (chain_state.top(), &chain_state.model.top);
    let answer_of = |owner: Side, name: &str| {
        let side_run = match owner {
            Side::Candidate => &observations.candidate,
            Side::Reference => observations.reference_or_candidate(),
        };
        let has_name = |request: &Request| request.name() == name;
        match name {
            AUDIT => side_run.audit(index),
            _ => side_run.inspection(index, Side::Reference, has_name),
        }
    };
    let both = |name: &str| {
        Some([
            answer_of(Side::Candidate, name)?,
            answer_of(Side::Reference, name)?,
        ])
    };
    let mut found = Vec::new();
    if let Some(maps) = both("map").filter(|maps| maps.iter().all(|map| map.succeeded())) {
        let [ours, theirs] = maps.map(|map| truth_of(map_lie(&map.report, view, Window::WHOLE)));
        let file = file.path.clone();
        let subject = Subject::FinalMap { file };
        found.extend(witnesses(MAP, subject, [ours, theirs, truth_of(None)]));
    }
    if let Some(answers) = both(AUDIT) {
        found.extend(audits(answers, index, chain_state));
        if let (None, Report::Audit(audit)) = (&observations.reference, &answers[0].report) {
            found.extend(unexpected_fields(audit, chain_state));
        }
    }
    // The third tool has read only the current image.
    if let Some(info) = answer_of(Side::Candidate, "info").filter(|_| index == 0) {
        found.extend(witnessed(observations, info, chain_state));
    }
    let place = Place::file(&file.path);
    let placed = found.into_iter();
    placed
        .map(|finding| finding.placed(place.clone()))
        .collect()
}

/// Returns a finding if the reference's check reports the same errors in both sides' images. A correct image has none.
pub(super) fn unclean(observations: &Observations, file: &ImageFile) -> Option<Finding> {
    let is_check = |request: &Request| matches!(request, Request::Check { .. });
    let answer_of =
        |side_run: &SideRun| match side_run.inspection(0, Side::Reference, is_check)?.report {
            Report::Check(counts) => Some(CheckResult::Counted(counts).to_string()),
            _ => None,
        };
    let (ours, theirs) = (
        answer_of(&observations.candidate)?,
        answer_of(observations.reference_or_candidate())?,
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

fn audits<'answers>(
    answers: [&'answers Answer; 2],
    index: usize,
    chain_state: &ChainState,
) -> Vec<Finding> {
    let file = chain_state.top();
    let read = |answer: &'answers Answer| match &answer.report {
        Report::Audit(audit) => Ok(audit),
        _ => Err(answer.describe()),
    };
    let (ours, theirs) = match answers.map(read) {
        [Ok(ours), Ok(theirs)] => (ours, theirs),
        refused => {
            let reported = refused.map(|audit| audit.err().unwrap_or_else(|| "read".to_owned()));
            let [ours, theirs] = reported;
            let file = file.path.clone();
            let subject = Subject::MetadataUnreadable { file };
            let finding = witnesses(METADATA, subject, [ours, theirs, "read".to_owned()]);
            return finding.into_iter().collect();
        }
    };
    let reported = |audit: &Audit| match audit.problems.is_empty() {
        true => "nothing wrong".to_owned(),
        false => audit.problems.join("; "),
    };
    let subject = Subject::Metadata {
        file: file.path.clone(),
    };
    let expected = match chain_state.must_be_sound() {
        true => "nothing wrong".to_owned(),
        false => reported(theirs),
    };
    let problems = [reported(ours), reported(theirs), expected];
    let mut found: Vec<Finding> = witnesses(METADATA, subject, problems).into_iter().collect();
    found.extend(headers(ours, theirs, chain_state));
    found.extend(bitmaps(ours, theirs, index, chain_state));
    found.extend(lost_snapshots(ours, theirs, chain_state));
    found.extend(sizes(ours, theirs, file));
    found
}

/// Compares the header fields that must agree between two images of one recipe. For some fields the recipe determines
/// the value.
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

/// Returns a finding if both images have the same wrong number of snapshots. If only one has, its header differs.
fn lost_snapshots(ours: &Audit, theirs: &Audit, chain_state: &ChainState) -> Option<Finding> {
    const FIELD: &str = "nb_snapshots";
    let (ours, theirs) = (ours.facts.get(FIELD)?, theirs.facts.get(FIELD)?);
    let expected = chain_state.model.snapshots.len().to_string();
    let subject = Subject::SnapshotCount {
        file: chain_state.top().path.clone(),
    };
    let reported = [ours.clone(), theirs.clone(), expected];
    witnesses(METADATA, subject, reported).filter(|_| ours == theirs)
}

/// Compares an image's header with all that the recipe says of it, where no other image of the recipe was made.
fn unexpected_fields(audit: &Audit, chain_state: &ChainState) -> Option<Finding> {
    if audit.facts.is_empty() || chain_state.is_outside() {
        return None;
    }
    let (top, options) = (chain_state.top(), &chain_state.top().options);
    let below = chain_state.below().last();
    let numbers = [
        ("version", if options.is_version_2() { 2 } else { 3 }),
        ("cluster_bits", u64::from(top.cluster_size().ilog2())),
        (
            "refcount_order",
            u64::from(options.refcount_width().ilog2()),
        ),
    ];
    let texts = [
        ("backing_file", below.map(|file| top.name_for(file))),
        ("backing_format", below.map(|file| file.format.to_string())),
        ("data_file", options.data_file().cloned()),
    ];
    let mut expected = expected_fields(chain_state);
    expected.extend(numbers.map(|(name, number)| (name, number.to_string())));
    expected.extend(texts.map(|(name, text)| (name, text.unwrap_or_default())));
    let differences = expected.into_iter().filter_map(|(name, expected)| {
        let value = audit.facts.get(name).map_or("absent", String::as_str);
        let field = name.to_owned();
        let difference = Difference::new(Subject::HeaderField { field }, value, value);
        (value != expected).then(|| difference.with_expected(expected))
    });
    let finding = Finding::of_differences(HEADER, differences.collect())?;
    Some(finding.blamed(Blame::Both))
}

fn expected_fields(chain_state: &ChainState) -> BTreeMap<&'static str, String> {
    let (top, model) = (chain_state.top(), &chain_state.model);
    let options = &top.options;
    let lazy = chain_state.has_lazy_refcounts();
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

/// Compares the dirty granules of each bitmap whose contents the model knows.
fn bitmaps(
    ours: &Audit,
    theirs: &Audit,
    index: usize,
    chain_state: &ChainState,
) -> Option<Finding> {
    chain_state.model.bitmaps.iter().find_map(|(name, bitmap)| {
        let dirty = bitmap.dirty.as_ref()?;
        let expected = ranges_in_words(&granules(dirty, bitmap));
        let reported = |audit: &Audit| audit.dirty_in_words(name);
        let bitmap = name.clone();
        let subject = match index {
            0 => Subject::BitmapGranules { bitmap },
            _ => Subject::BitmapGranulesBelow {
                bitmap,
                file: chain_state.top().path.clone(),
            },
        };
        witnesses(DIRTY, subject, [reported(ours), reported(theirs), expected])
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

/// Compares the host space. Tools may place data as they like, but must not need much more space. A file system may
/// compress one side's data, or not have counted it yet; that does not make the other side's image too large.
fn sizes(ours: &Audit, theirs: &Audit, file: &ImageFile) -> Option<Finding> {
    let bloated = |one: &Audit, other: &Audit| {
        let enough = other.allocated_bytes.max(other.data_bytes);
        is_bloated(one.allocated_bytes, enough)
    };
    let blame = if bloated(ours, theirs) {
        Blame::Candidate
    } else if bloated(theirs, ours) {
        Blame::Reference
    } else {
        return None;
    };
    let reported = |audit: &Audit| format!("{} bytes", audit.allocated_bytes);
    let file = file.path.clone();
    let difference = Difference::new(
        Subject::HostSpace { file },
        reported(ours),
        reported(theirs),
    );
    Some(Finding::of_difference(HOST, difference).blamed(blame))
}

/// Compares the third tool's description of the candidate's image with the reference's.
fn witnessed(
    observations: &Observations,
    info: &Answer,
    chain_state: &ChainState,
) -> Option<Finding> {
    let cross_check = observations.cross_check.as_ref()?;
    let described = judge::described(info.report.tree().ok()?, cross_check)?;
    let size = chain_state.model.top.size.to_string();
    let alone = described
        .differences
        .iter()
        .all(|found| found.candidate == size);
    // The third tool reads the candidate's image: if the reference reads what the model expects, the third tool stands
    // alone.
    (!alone).then_some(Finding {
        kind: WITNESS,
        ..described
    })
}

/// Returns a finding if a step touched files that it must not touch: its inputs, or files of other steps.
pub(super) fn touched(ours: &StepResult, theirs: &StepResult) -> Option<Finding> {
    let reported = |step_result: &StepResult| {
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
        [reported(ours), reported(theirs), "none".to_owned()],
    )
}

/// Whether a step may write, create or remove the file `name`.
pub fn may_touch(task: &Task, name: &str) -> bool {
    match task {
        task if task.is_reading() => false,
        Task::Harness(HarnessAction::Place { names, .. }) => names.iter().any(|own| own == name),
        Task::Tool(Request::Commit { file, base, .. }) => {
            let is_base = |below: &&ImageFile| base.as_ref().is_none_or(|base| below.path == *base);
            let mut below =
                std::iter::successors(file.backing.as_deref(), |it| it.backing.as_deref());
            file.owns(name) || below.find(is_base).is_some_and(|below| below.owns(name))
        }
        _ => task.file().owns(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::format::Format;

    const MIB: u64 = 1 << 20;

    /// Returns an audit with this host space and this amount of data, in bytes.
    fn audit(allocated_bytes: u64, data_bytes: u64) -> Audit {
        Audit {
            allocated_bytes,
            data_bytes,
            ..Audit::default()
        }
    }

    #[test]
    fn only_a_side_that_needs_much_more_host_space_than_the_other_is_blamed() {
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
            // The file system compressed the other side's file, or has not counted it yet.
            ((audit(200 * MIB, 200 * MIB), audit(512, 200 * MIB)), None),
        ];
        for ((ours, theirs), blame) in cases {
            let found = sizes(&ours, &theirs, &file);
            assert_eq!(found.map(|found| found.blame), blame, "{ours:?}");
        }
    }
}
