//! The images below the current one: each is the top of a shorter course, which goes on by itself and is put back.

use std::borrow::Cow;

use super::{ChainState, ChainStep};
use crate::image::format::Format;

impl ChainState {
    /// The image at this place below the current one, as if nothing lay on it.
    pub fn lower(&self, index: usize) -> Option<Self> {
        let model = self.model.lower(index)?;
        Some(Self {
            files: self.files[..=index].to_vec(),
            model,
            previous: None,
            ..self.clone()
        })
    }

    pub(super) fn replace_lower(&mut self, index: usize, lower: Self) {
        self.changed_below = lower.changed_below;
        self.changed_below
            .extend(lower.files.last().map(|file| file.path.clone()));
        self.unaligned = lower.unaligned;
        self.doubtful = lower.doubtful;
        self.unsure_bitmaps = lower.unsure_bitmaps;
        self.model.replace_lower(index, lower.model);
        let above = self.files.split_off(index + 1);
        self.files = lower.files;
        for file in above {
            let file = file.over(self.top());
            self.files.push(file);
        }
    }

    /// The image that an step works on, with what is below it, and what is done with it.
    pub(in super::super) fn resolved<'step>(
        &'step self,
        step: &'step ChainStep,
    ) -> (Cow<'step, Self>, &'step ChainStep) {
        let ChainStep::Below { layer, step: inner } = step else {
            return (Cow::Borrowed(self), step);
        };
        match self.lower(*layer) {
            Some(lower) => (Cow::Owned(lower), inner),
            None => (Cow::Borrowed(self), inner),
        }
    }

    /// The images below the current one that are worth a look of their own, each as if nothing lay on it: those that were changed while others
    /// lay on them, and those with snapshots or bitmaps.
    pub(in super::super) fn inspected_backing_images(&self) -> impl Iterator<Item = Self> {
        let is_worth_it = move |index: &usize| {
            let (file, lower) = (&self.files[*index], &self.model.below[*index]);
            let is_bare = lower.snapshots.is_empty() && lower.bitmaps.is_empty();
            !is_bare || self.changed_below.contains(&file.path)
        };
        let places = (0..self.below().len()).filter(is_worth_it);
        places.filter_map(|place| self.lower(place))
    }

    /// The format of the image that lies on the one at this place.
    pub(in super::super) fn format_above(&self, layer: usize) -> Option<Format> {
        self.files.get(layer + 1).map(|file| file.format)
    }

    /// The same as [`ChainState::has_unaligned_tail`] of the image below the current one.
    pub(in super::super) fn has_unaligned_tail_below(&self) -> bool {
        let below = self.below().last();
        below.is_some_and(|file| self.unaligned.contains(&file.path))
    }
}
