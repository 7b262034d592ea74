//! Layers that come from outside: what a guest sees in them is registered by the run, and what the rules know of them is in the layer.

use super::{ChainState, Layer};
use crate::image::format::Format;
use crate::image::model::{Bitmap, Model, Snapshot};
use crate::image::outside::{self, OutsideFile};
use crate::operation::chain::ChainStep;
use crate::tool::request::ImageFile;

/// What the rules and judges know of a file from outside.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    is_only_read: bool,
    is_sound: bool,
}

impl ChainState {
    /// Puts an image from outside onto the chain.
    pub(super) fn add_outside(&mut self, layer: &Layer, outside: &OutsideFile) {
        let mut file = ImageFile::new("", layer.format).with_options(layer.options.clone());
        file.path.clone_from(&outside.name);
        // Some tools take a fixed vpc for raw, unless they are told.
        file.format_is_told = true;
        let file = match self.files.last() {
            Some(below) => file.over(below),
            None => file,
        };
        match self.files.is_empty() {
            true => self.model = Model::new(layer.size),
            false => self.model.overlay(layer.size),
        }
        self.model.top = outside::view(outside.guest, layer.size);
        for snapshot in &outside.snapshots {
            let seen = snapshot.seen.map(|(size, key)| outside::view(key, size));
            let id = snapshot.id;
            let snapshot_of = Snapshot { id, seen };
            self.model
                .snapshots
                .insert(snapshot.name.clone(), snapshot_of);
        }
        for bitmap in &outside.bitmaps {
            let unknown = Bitmap {
                dirty: None,
                ..Bitmap::new(bitmap.granularity, bitmap.enabled, layer.size)
            };
            self.model.bitmaps.insert(bitmap.name.clone(), unknown);
        }
        // What lies behind the end in the last cluster is not known.
        if layer.format == Format::Qcow2 && !layer.size.is_multiple_of(file.cluster_size()) {
            self.unaligned.insert(file.path.clone());
        }
        let origin = Origin {
            is_only_read: outside.only_read.is_some(),
            is_sound: outside.is_sound,
        };
        self.origins.insert(file.path.clone(), origin);
        self.files.push(file);
    }

    /// Whether the current image comes from outside.
    pub(in super::super) fn is_outside(&self) -> bool {
        self.origins.contains_key(&self.top().path)
    }

    /// Whether a check of the current image must find nothing. Of an image from outside, only our own audit can promise that.
    pub(in super::super) fn must_be_sound(&self) -> bool {
        let origin = self.origins.get(&self.top().path);
        origin.is_none_or(|origin| origin.is_sound)
    }

    /// Whether the step would change an image from outside that is only to be read.
    pub(in super::super) fn changes_what_is_only_read(&self, step: &ChainStep) -> bool {
        if self.origins.is_empty() {
            return false;
        }
        let is_only_read = |file: Option<&ImageFile>| {
            let origin = file.and_then(|file| self.origins.get(&file.path));
            origin.is_some_and(|origin| origin.is_only_read)
        };
        match step {
            // The rules ask the image below itself.
            ChainStep::Below { .. } => false,
            ChainStep::Commit { base, .. } => {
                let index = self.committed_into(*base);
                let into = index.and_then(|index| self.below().get(index));
                is_only_read(Some(self.top())) || is_only_read(into)
            }
            ChainStep::ConvertInto { .. } => {
                is_only_read(self.counterpart(None).map(|(file, _)| file))
            }
            ChainStep::Compare { .. } | ChainStep::Bench { byte: None, .. } => false,
            step => !step.is_copy() && !step.is_look() && is_only_read(Some(self.top())),
        }
    }
}
