//! How a meaningful step must exit.

use super::super::chain_state::ChainState;
use super::super::known_bug::KnownQemuBug;
use super::super::step::ChainStep;
use crate::oracle::observations::ExitExpectation;
use crate::tool::request::{ImageFile, SnapshotAction};

impl ChainState {
    /// Returns the expected exit: success, unless a limit of the format that is not modelled may forbid the step.
    pub(super) fn exit(&self, step: &ChainStep) -> ExitExpectation {
        match step {
            ChainStep::Refused { .. } => ExitExpectation::Refuse,
            ChainStep::Below { .. } => {
                let (lower, step) = self.resolved(step);
                match step {
                    // No such image exists.
                    ChainStep::Below { .. } => ExitExpectation::GoOn,
                    step => lower.expected_exit(step),
                }
            }
            ChainStep::Opened { step, .. } => self.exit(step),
            // The judges compare the result, not the exit.
            ChainStep::Check | ChainStep::Compare { .. } => ExitExpectation::Free,
            _ if self.is_of_doubtful_size() => ExitExpectation::GoOn,
            ChainStep::Amend { .. } | ChainStep::Snapshot { .. } => ExitExpectation::GoOn,
            ChainStep::Bitmap { .. } if self.has_unsure_bitmaps() || self.is_version_2() => {
                ExitExpectation::GoOn
            }
            // qemu-img may refuse to resize an image with snapshots or bitmaps.
            ChainStep::Resize { .. }
                if !self.model.snapshots.is_empty() || !self.model.bitmaps.is_empty() =>
            {
                ExitExpectation::GoOn
            }
            // Version 2 cannot hide the data of a longer backing file beyond the old end, and refuses to grow.
            ChainStep::Resize { .. } if cannot_hide(self.top()) => ExitExpectation::GoOn,
            ChainStep::Commit { base, .. } if self.commits_into_what_cannot_hide(*base) => {
                ExitExpectation::GoOn
            }
            ChainStep::Measure { .. } => ExitExpectation::GoOn,
            _ => ExitExpectation::Succeed,
        }
    }

    fn commits_into_what_cannot_hide(&self, base: Option<usize>) -> bool {
        let index = self.committed_into(base);
        let below = index.and_then(|index| self.below().get(index));
        below.is_some_and(cannot_hide)
    }

    /// Whether the step certainly succeeds: no property of the image lets a tool refuse it, and it meets no known bug
    /// of qemu-img. Only such steps are performed on a layer before its overlay is created.
    pub fn is_sure(&self, step: &ChainStep) -> bool {
        let is_allowed = match step {
            // qemu-img refuses it with "Device has active dirty bitmaps".
            ChainStep::Snapshot {
                action: SnapshotAction::Apply,
                ..
            } => self.model.bitmaps.is_empty(),
            ChainStep::Snapshot { .. } => true,
            step => {
                !matches!(
                    self.expected_exit(step),
                    ExitExpectation::GoOn | ExitExpectation::Refuse
                ) && !step.is_copy()
            }
        };
        is_allowed && KnownQemuBug::met_by(self, step).is_none()
    }
}

/// Whether the image has a backing file but no zero clusters, because it has version 2.
fn cannot_hide(file: &ImageFile) -> bool {
    file.backing.is_some() && file.options.is_version_2()
}
