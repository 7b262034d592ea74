//! What copies do to the state: the new image is the current one thereafter.

use super::{ChainState, created_size};
use crate::image::format::SECTOR_BYTES;
use crate::image::options::CreateOptions;
use crate::operation::chain::step::{ChainStep, Conversion};
use crate::tool::request::{ImageFile, dd_range};

impl ChainState {
    /// Makes the copy of a window, which dd made, the current image.
    pub(super) fn window_copied(&mut self, step: &ChainStep) {
        let ChainStep::Dd {
            format,
            block_size,
            count,
            skip,
        } = step
        else {
            return;
        };
        let (start, length) = dd_range(self.model.top.size, *block_size, *count, *skip);
        let target = self.target(*format, &CreateOptions::new());
        let size = self.copied(target, length.next_multiple_of(SECTOR_BYTES));
        self.model.copy_window(start, length, size);
    }

    /// Makes the copy of the whole image the current one.
    pub(super) fn all_copied(&mut self, to: &Conversion) {
        let target = self.converted(to);
        let below = match target.backing {
            Some(_) => self.below().to_vec(),
            None => Vec::new(),
        };
        let is_overlay = !below.is_empty();
        let size = self.copied(target, self.model.top.size);
        self.files.splice(..0, below);
        self.model
            .convert_keeping(size, is_overlay, to.mode.bitmaps);
    }

    /// Makes the copy, created for `size` bytes, the current image. Returns its size.
    pub(super) fn copied(&mut self, target: ImageFile, size: u64) -> u64 {
        let size = created_size(&target, size);
        let previous = Self {
            previous: None,
            ..self.clone()
        };
        self.previous = Some(Box::new(previous));
        self.files = vec![target];
        self.conversions += 1;
        size
    }

    /// Makes the image that the current one was converted from the current one again, with the same contents.
    pub(super) fn copied_back(&mut self) {
        let Some(previous) = self.previous.take() else {
            return;
        };
        let Self {
            files, mut model, ..
        } = *previous;
        model.top.cover(&self.model.top);
        self.previous = Some(Box::new(self.clone()));
        self.files = files;
        self.model = model;
    }
}
