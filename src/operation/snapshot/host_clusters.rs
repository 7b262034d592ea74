//! Compares both sides' host clusters after a step, with normalized dates of the snapshots: they must be equal.
//!
//! `snapshot` calls it for every create and delete. The harness normalizes the dates.

use crate::oracle::observations::{StepResult, Task};
use crate::oracle::verdict::{
    Difference, DivergenceKind, Finding, InconclusiveKind, SnapshotStep, Subject, Verdict,
};
use crate::tool::request::{Answer, Report, Request, qemu_words};

const NORMALIZE: DivergenceKind = DivergenceKind::SnapshotNormalize;
const BYTES: DivergenceKind = DivergenceKind::SnapshotBytes;
const DATE: DivergenceKind = DivergenceKind::SnapshotDate;

/// The maximum difference between the dates of the same snapshot on both sides, in seconds: less than the difference of
/// any two time zones, more than the duration of a chain.
pub const DATE_SLACK_SECONDS: u32 = 800;

/// After a successful create or delete, both files must have the same bytes, except those that
/// [`HostClusters::difference`](crate::disk_format::qcow2::host_clusters::HostClusters::difference) ignores and the
/// normalized dates; and the dates must be close.
pub(super) fn same_bytes(
    action: &StepResult,
    candidate: &Answer,
    reference: &Answer,
) -> Option<Verdict> {
    let after = match &action.step.task {
        Task::Tool(Request::Snapshot {
            action, snapshot, ..
        }) => {
            let [_, argument] = qemu_words::snapshot_change(*action, snapshot);
            SnapshotStep::Snapshot {
                action: *action,
                argument,
            }
        }
        task => SnapshotStep::Other(task.kind()),
    };
    let Report::HostClusters(standard) = &reference.report else {
        return Some(Verdict::inconclusive(
            InconclusiveKind::ReferenceUnsound,
            format!("the reference's image {after}: {}", reference.describe()),
        ));
    };
    let Report::HostClusters(found) = &candidate.report else {
        let difference = Difference::new(
            Subject::SnapshotTable { after },
            candidate.describe(),
            "is understood",
        );
        return Some(Finding::of_difference(NORMALIZE, difference).into());
    };
    if let Some(other) = found.difference(standard) {
        let subject = Subject::HostClusters {
            region: other.region,
            after,
            place: other.place,
        };
        let difference = Difference::new(subject, other.first, other.second);
        return Some(Finding::of_difference(BYTES, difference).into());
    }
    let dates = std::iter::zip(&found.snapshot_dates, &standard.snapshot_dates);
    let (index, (ours, theirs)) = dates
        .enumerate()
        .find(|(_, (ours, theirs))| ours.abs_diff(**theirs) > DATE_SLACK_SECONDS)?;
    let difference = Difference::new(
        Subject::SnapshotDate {
            entry: index,
            after,
        },
        ours.to_string(),
        theirs.to_string(),
    );
    Some(Finding::of_difference(DATE, difference).into())
}
