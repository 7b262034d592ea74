//! Judges commits that must keep the overlay: its file stays as it is.

use super::chain_state::ChainState;
use super::step::ChainStep;
use super::witnesses::witnesses;
use crate::oracle::observations::StepResult;
use crate::oracle::verdict::{DivergenceKind, Finding, Subject};

/// Returns a finding if a commit that keeps the overlay changed it. A base that is named implies that it is kept (qemu-img(1), commit). A persistent
/// bitmap is marked while the image is open.
pub(super) fn emptied(
    step: &ChainStep,
    chain_state: &ChainState,
    ours: &StepResult,
    theirs: &StepResult,
) -> Option<Finding> {
    let ChainStep::Commit { base, keeps } = step else {
        return None;
    };
    let is_kept = *keeps || base.is_some();
    let is_marked = !chain_state.model.bitmaps.is_empty() || chain_state.has_lazy_refcounts();
    let overlay = &chain_state.top().path;
    let reported = |step_result: &StepResult| match step_result.changed_files.contains(overlay) {
        true => overlay.clone(),
        false => "none".to_owned(),
    };
    let request = ours.step.task.kind();
    let subject = Subject::TouchedFiles { request };
    let values = [reported(ours), reported(theirs), "none".to_owned()];
    (is_kept && !is_marked)
        .then(|| witnesses(DivergenceKind::ChainHost, subject, values))
        .flatten()
}
