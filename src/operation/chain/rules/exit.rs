//! How an step that makes sense must end where a chain stands.

use super::super::chain_state::ChainState;
use super::super::known_bug::KnownQemuBug;
use super::super::step::ChainStep;
use crate::oracle::observations::ExitExpectation;
use crate::tool::request::{ImageFile, SnapshotAction};

impl ChainState {
    /// What the step's exit means: it must succeed, except where a format's limits may forbid it in ways that are not modelled.
    pub(super) fn exit(&self, step: &ChainStep) -> ExitExpectation {
        match step {
            ChainStep::Refused { .. } => ExitExpectation::Refuse,
            ChainStep::Below { .. } => {
                let (lower, step) = self.resolved(step);
                match step {
                    // There is no such image.
                    ChainStep::Below { .. } => ExitExpectation::GoOn,
                    step => lower.rule(step),
                }
            }
            // What it found is judged, not how it came out.
            ChainStep::Check | ChainStep::Compare { .. } => ExitExpectation::Free,
            _ if self.is_of_doubtful_size() => ExitExpectation::GoOn,
            ChainStep::Amend { .. } | ChainStep::Snapshot { .. } => ExitExpectation::GoOn,
            ChainStep::Bitmap { .. } if self.has_unsure_bitmaps() || self.is_version_2() => {
                ExitExpectation::GoOn
            }
            // An image with snapshots or bitmaps may keep its size; a measure may be unknown.
            ChainStep::Resize { .. }
                if !self.model.snapshots.is_empty() || !self.model.bitmaps.is_empty() =>
            {
                ExitExpectation::GoOn
            }
            // Version 2 cannot hide what a longer backing file holds behind the old end, and refuses to grow.
            ChainStep::Resize { .. } if cannot_hide(self.top()) => ExitExpectation::GoOn,
            ChainStep::Commit if self.below().last().is_some_and(cannot_hide) => {
                ExitExpectation::GoOn
            }
            ChainStep::Measure { .. } => ExitExpectation::GoOn,
            _ => ExitExpectation::Succeed,
        }
    }

    /// Whether nothing about the image can make a tool refuse the step, nor a known defect of qemu-img make it fail: what is done with a layer before
    /// another is put onto it has to be of this kind.
    pub fn is_sure(&self, step: &ChainStep) -> bool {
        let is_allowed = match step {
            // "Device has active dirty bitmaps".
            ChainStep::Snapshot {
                action: SnapshotAction::Apply,
                ..
            } => self.model.bitmaps.is_empty(),
            ChainStep::Snapshot { .. } => true,
            step => {
                !matches!(
                    self.rule(step),
                    ExitExpectation::GoOn | ExitExpectation::Refuse
                ) && !step.is_copy()
            }
        };
        is_allowed && KnownQemuBug::of(self, step).is_none()
    }
}

/// Version 2 has no zero clusters.
fn cannot_hide(file: &ImageFile) -> bool {
    file.backing.is_some() && file.options.is_version_2()
}
