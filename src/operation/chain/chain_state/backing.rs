//! The backing images: each is the current image of a shorter chain, whose state advances on its own and is then put
//! back.

use std::borrow::Cow;

use super::{ChainState, ChainStep};
use crate::image::format::Format;
use crate::tool::request::ImageFile;

impl ChainState {
    /// Returns the state of the chain whose current image is the backing image `index`.
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
        self.downgraded = lower.downgraded;
        self.unsettled = lower.unsettled;
        self.model.replace_lower(index, lower.model);
        // A copy that shares these images may show something else now.
        let is_shared = |file: &ImageFile| lower.files.iter().any(|it| it.path == file.path);
        let previous = self.previous.take();
        self.previous = previous.filter(|other| !other.files.iter().any(is_shared));
        let above = self.files.split_off(index + 1);
        self.files = lower.files;
        for file in above {
            let file = file.over(self.top());
            self.files.push(file);
        }
    }

    /// Returns the state of the chain that the step works on, and the step on it: for a step on a backing image, the
    /// inner step, as for one that opens the image in another way.
    pub(in super::super) fn resolved<'step>(
        &'step self,
        step: &'step ChainStep,
    ) -> (Cow<'step, Self>, &'step ChainStep) {
        match step {
            ChainStep::Below { layer, step: inner } => match self.lower(*layer) {
                Some(lower) => (Cow::Owned(lower), inner),
                None => (Cow::Borrowed(self), inner),
            },
            ChainStep::Opened { step: inner, .. } => (Cow::Borrowed(self), inner),
            step => (Cow::Borrowed(self), step),
        }
    }

    /// Returns the states of the backing images that need final checks of their own: those that changed while they were
    /// backing files, and those with snapshots or bitmaps.
    pub(in super::super) fn inspected_backing_images(&self) -> impl Iterator<Item = Self> {
        let is_worth_it = move |index: &usize| {
            let (file, lower) = (&self.files[*index], &self.model.below[*index]);
            let is_bare = lower.snapshots.is_empty() && lower.bitmaps.is_empty();
            let is_worth_it = !is_bare || self.changed_below.contains(&file.path);
            is_worth_it && !self.is_unsettled(*index)
        };
        let places = (0..self.below().len()).filter(is_worth_it);
        places.filter_map(|place| self.lower(place))
    }

    /// Returns the format of the overlay of image `layer`.
    pub(in super::super) fn format_above(&self, layer: usize) -> Option<Format> {
        self.files.get(layer + 1).map(|file| file.format)
    }

    /// Whether [`ChainState::has_unaligned_tail`] holds for the backing image `index`.
    pub(in super::super) fn has_unaligned_tail_below(&self, index: usize) -> bool {
        let below = self.below().get(index);
        below.is_some_and(|file| self.unaligned.contains(&file.path))
    }
}
