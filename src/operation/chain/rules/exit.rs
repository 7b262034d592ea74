//! How an act that makes sense must end where a chain stands.

use super::super::act::Act;
use super::super::course::Course;
use super::super::hazard::Hazard;
use crate::oracle::exchange::Rule;
use crate::tool::request::{ImageFile, SnapshotAction};

impl Course {
    /// What the act's exit means: it must succeed, except where a format's limits may forbid it in ways that are not modelled.
    pub(super) fn exit(&self, act: &Act) -> Rule {
        match act {
            Act::Refused { .. } => Rule::Refuse,
            Act::Below { .. } => {
                let (lower, act) = self.resolved(act);
                match act {
                    // There is no such image.
                    Act::Below { .. } => Rule::GoOn,
                    act => lower.rule(act),
                }
            }
            // What it found is judged, not how it came out.
            Act::Check | Act::Compare { .. } => Rule::Free,
            _ if self.is_of_doubtful_size() => Rule::GoOn,
            Act::Amend { .. } | Act::Snapshot { .. } => Rule::GoOn,
            Act::Bitmap { .. } if self.has_unsure_bitmaps() || self.is_version_2() => Rule::GoOn,
            // An image with snapshots or bitmaps may keep its size; a measure may be unknown.
            Act::Resize { .. }
                if !self.model.snapshots.is_empty() || !self.model.bitmaps.is_empty() =>
            {
                Rule::GoOn
            }
            // Version 2 cannot hide what a longer backing file holds behind the old end, and refuses to grow.
            Act::Resize { .. } if cannot_hide(self.top()) => Rule::GoOn,
            Act::Commit if self.below().last().is_some_and(cannot_hide) => Rule::GoOn,
            Act::Measure { .. } => Rule::GoOn,
            _ => Rule::Succeed,
        }
    }

    /// Whether nothing about the image can make a tool refuse the act, nor a known defect of qemu-img make it fail: what is done with a layer before
    /// another is put onto it has to be of this kind.
    pub fn is_sure(&self, act: &Act) -> bool {
        let is_allowed = match act {
            // "Device has active dirty bitmaps".
            Act::Snapshot {
                action: SnapshotAction::Apply,
                ..
            } => self.model.bitmaps.is_empty(),
            Act::Snapshot { .. } => true,
            act => !matches!(self.rule(act), Rule::GoOn | Rule::Refuse) && !act.is_copy(),
        };
        is_allowed && Hazard::of(self, act).is_none()
    }
}

/// Version 2 has no zero clusters.
fn cannot_hide(file: &ImageFile) -> bool {
    file.backing.is_some() && file.options.is_version_2()
}
