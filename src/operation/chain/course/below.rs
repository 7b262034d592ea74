//! The images below the current one: each is the top of a shorter course, which goes on by itself and is put back.
//!
//! What may be done with one is decided here; how it is drawn is the generator's business.

use std::borrow::Cow;

use super::{Act, Course};
use crate::exchange::Rule;
use crate::format::Format;

impl Course {
    /// The image at this place below the current one, as if nothing lay on it.
    pub fn lower(&self, index: usize) -> Option<Self> {
        let model = self.model.lower(index)?;
        Some(Self {
            files: self.files[..=index].to_vec(),
            model,
            previous: None,
            doubtful: None,
            ..self.clone()
        })
    }

    pub(super) fn replace_lower(&mut self, index: usize, lower: Self) {
        self.changed_below = lower.changed_below;
        self.changed_below
            .extend(lower.files.last().map(|file| file.path.clone()));
        self.ragged = lower.ragged;
        self.unsure_bitmaps = lower.unsure_bitmaps;
        self.model.replace_lower(index, lower.model);
        let above = self.files.split_off(index + 1);
        self.files = lower.files;
        for file in above {
            let file = file.over(self.top());
            self.files.push(file);
        }
    }

    /// The image that an act works on, with what is below it, and what is done with it.
    pub(in super::super) fn resolved<'act>(
        &'act self,
        act: &'act Act,
    ) -> (Cow<'act, Self>, &'act Act) {
        let Act::Below { layer, act: inner } = act else {
            return (Cow::Borrowed(self), act);
        };
        match self.lower(*layer) {
            Some(lower) => (Cow::Owned(lower), inner),
            None => (Cow::Borrowed(self), inner),
        }
    }

    /// The images below the current one that are worth a look of their own, each as if nothing lay on it: those that were changed while others
    /// lay on them, and those with snapshots or bitmaps.
    pub(in super::super) fn looked_at_below(&self) -> impl Iterator<Item = Self> {
        let is_worth_it = move |index: &usize| {
            let (file, lower) = (&self.files[*index], &self.model.below[*index]);
            let is_bare = lower.snapshots.is_empty() && lower.bitmaps.is_empty();
            !is_bare || self.changed_below.contains(&file.path)
        };
        let places = (0..self.below().len()).filter(is_worth_it);
        places.filter_map(|place| self.lower(place))
    }

    /// Whether it is known what a commit makes of the image below: not where that must grow, and shows what lies behind its end, or may refuse to.
    pub fn commits_simply(&self) -> bool {
        let (Some(file), Some(lower)) = (self.below().last(), self.model.below.last()) else {
            return true;
        };
        let is_plain = lower.snapshots.is_empty() && lower.bitmaps.is_empty();
        let must_grow = lower.view.size < self.model.top.size;
        !must_grow || (is_plain && !self.ragged.contains(&file.path))
    }

    /// Images above see what is below them wherever they have nothing of their own, and where that is only the tools know: so what is seen in an
    /// image below others has to stay as it is. It may grow, because beyond its end there are zeros already.
    pub(super) fn objection_below(&self, layer: usize, act: &Act) -> Option<&'static str> {
        let Some(lower) = self.lower(layer) else {
            return Some("there is no such image below the current one");
        };
        if act.is_copy() || matches!(act, Act::Below { .. }) {
            return Some("a copy of an image below the current one would lie below nothing");
        }
        // A write changes the content id by which a vmdk knows its parent, and it cannot be read any more (VMDK specification, parentCID).
        let above = self.files.get(layer + 1).map(|file| file.format);
        if above == Some(Format::Vmdk) && !lower.request(act).is_reading() {
            return Some("a vmdk on another one is not its child any more when that changes");
        }
        if matches!(act, Act::Resize { .. }) && lower.rule(act) != Rule::Succeed {
            return Some("the image below may keep its size");
        }
        let mut after = lower.clone();
        after.advance(act, true);
        let (seen, then) = (&lower.model.top, &after.model.top);
        let stays = then.size >= seen.size && seen.shows_the_same(then);
        lower.objection(act).or((!stays)
            .then_some("what is seen in the images above the one that is changed is not settled"))
    }
}
