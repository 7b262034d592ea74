//! What the model alone cannot tell of a candidate that it agrees with.
//!
//! The runner asks where no reference takes part. Whatever is named here is run again with a reference: too much costs time, too little a finding.

use crate::image::content::Contents;
use crate::operation::chain::is_bloated;
use crate::oracle::observations::{ExitExpectation, Observations, Output, Side};
use crate::tool::request::{ImageFile, Report};

/// Why a reference has to be asked; `None` if the model is enough.
pub(super) fn why_unsure(observations: &Observations, outputs: &[Output]) -> Option<String> {
    let mut steps = observations.candidate.step_results.iter();
    // Whichever way it came out: success is wrong where a reference refuses.
    let open = steps.find(|result| {
        let may_refuse = result.step.expected_exit == ExitExpectation::GoOn;
        may_refuse && result.by == Side::Candidate
    });
    if let Some(result) = open {
        let request = result.step.task.name();
        return Some(format!(
            "{request} may be refused, and the model does not know whether"
        ));
    }
    outputs.iter().enumerate().find_map(|(index, output)| {
        let Report::Audit(audit) = &observations.candidate.audit(index)?.report else {
            return None;
        };
        let mut steps = observations.candidate.step_results.iter();
        let is_own = steps.any(|result| {
            let mut changed = result.changed_files.iter();
            result.by == Side::Candidate && changed.any(|name| output.file.owns(name))
        });
        // Of an image that the candidate never changed, the space is not its fault.
        if !is_own {
            return None;
        }
        let allocated = audit.allocated_bytes;
        let enough = needed(&output.file, &output.expected);
        is_bloated(allocated, enough)
            .then(|| format!("{} takes {allocated} bytes on the host", output.file.path))
    })
}

/// How much space on the host an image needs at least for what a guest sees in it, in bytes.
fn needed(file: &ImageFile, expected: &Contents) -> u64 {
    let cluster = file.cluster_size();
    let ranges = expected.non_zero_ranges().into_iter();
    let clusters = ranges.map(|(start, length)| {
        let end = start.saturating_add(length).div_ceil(cluster);
        end - start / cluster
    });
    clusters
        .fold(0, u64::saturating_add)
        .saturating_mul(cluster)
}
