//! The rules for steps that open an image in another way, and for snapshots of another size than their image.

use super::super::chain_state::ChainState;
use super::super::step::ChainStep;
use super::{Sensible, Unsettled, only_if};
use crate::tool::request::Opening;

impl ChainState {
    /// A step that reads means the same however the image is opened.
    pub(super) fn sense_of_opening(&self, opening: Opening, step: &ChainStep) -> Sensible {
        let is_reading = matches!(
            step,
            ChainStep::Info
                | ChainStep::Check
                | ChainStep::Map { .. }
                | ChainStep::Measure { .. }
                | ChainStep::Compare { .. }
                | ChainStep::Convert(_)
                | ChainStep::ConvertSnapshot { .. }
                | ChainStep::ConvertInto { .. }
                | ChainStep::Dd { .. }
        );
        let usual = "only steps that read open an image in another way";
        only_if(is_reading && !opening.is_usual(), Unsettled(usual))?;
        // Whoever shares an image reads it only.
        let is_there = matches!(step, ChainStep::ConvertInto { .. });
        let written = "an image that is copied into is not shared";
        only_if(!(is_there && opening.shared), Unsettled(written))?;
        self.sense(step)
    }

    /// A snapshot is read whose size may differ from the image's only where the step says so.
    pub(super) fn sense_of_reading_any(&self, snapshot: &str, resized: bool) -> Sensible {
        match resized {
            true => self.sense_of_reading_resized(snapshot),
            false => self.sense_of_reading(snapshot),
        }
    }

    /// What a guest sees in a snapshot of another size is cut at the end of the image; behind its own end, the snapshot has no clusters, so
    /// that an image below shows through.
    fn sense_of_reading_resized(&self, snapshot: &str) -> Sensible {
        let snapshot = self.model.snapshots.get(snapshot);
        let seen = snapshot.and_then(|snapshot| snapshot.seen.as_ref());
        let settled = "what `convert -l` sees in the snapshot is not settled";
        let Some(view) = seen else {
            return Err(Unsettled(settled));
        };
        let (end, size) = (view.size, self.model.top.size);
        let below = self.model.below.last();
        let is_bare = below.is_none_or(|lower| {
            let end_below = lower.view.size.min(size);
            end_below <= end || lower.view.is_zero(end, end_below)
        });
        let last = self.below().len().checked_sub(1);
        let is_known = last.is_none_or(|last| !self.is_unsettled(last));
        let is_whole = end.is_multiple_of(self.top().cluster_size());
        let behind = "what lies behind the end of the snapshot is not settled";
        let is_settled = end >= size || (is_bare && is_known && is_whole);
        // Otherwise it may have kept its size.
        let was_resized = !self.is_version_2() && self.model.bitmaps.is_empty();
        only_if(is_settled && was_resized, Unsettled(behind))
    }
}
