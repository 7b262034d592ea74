//! The third witness: what a guest must see, computed by plain code of ours from a recipe and its steps.
//!
//! Knows no tool, no file and no format's layout; only what each step means to a guest. Everything is kept sparsely, so that an
//! image of a terabyte costs what was written into it. Asked by operations; what it says is held against both tools.
//!
//! It keeps what a guest *sees* in each image of a backing chain, not which image holds a cluster: that is the tools' business, and
//! no step of ours changes what is seen in a backing file behind its overlay's back.

use std::collections::BTreeMap;

use crate::image::content::{Contents, Write};

pub use bitmap::Bitmap;
pub use view::View;

mod bitmap;
mod view;

/// A stateful image: what is seen in it, in the images below it, and in its snapshots.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// The current image.
    pub top: View,
    /// The images of its backing chain, bottom first.
    pub below: Vec<Lower>,
    /// Its internal snapshots by name.
    pub snapshots: BTreeMap<String, Snapshot>,
    /// Its persistent dirty bitmaps by name.
    pub bitmaps: BTreeMap<String, Bitmap>,
}

/// An image that lies below another.
#[derive(Clone, Debug, PartialEq)]
pub struct Lower {
    /// What is seen in it.
    pub view: View,
    /// Its internal snapshots by name.
    pub snapshots: BTreeMap<String, Snapshot>,
    /// Its persistent dirty bitmaps by name.
    pub bitmaps: BTreeMap<String, Bitmap>,
}

/// An internal snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Its id: one more than the highest there was when it was made (QEMU, block/qcow2-snapshot.c).
    pub id: u64,
    /// What a guest sees when it is applied; nothing once the image below has been changed or replaced: where a snapshot has no
    /// cluster of its own, it shows whatever lies below.
    pub seen: Option<View>,
}

impl Model {
    /// An empty image of `size` bytes, with nothing below it.
    pub fn new(size: u64) -> Self {
        Self {
            top: View::zeros(size),
            below: Vec::new(),
            snapshots: BTreeMap::new(),
            bitmaps: BTreeMap::new(),
        }
    }

    /// Puts a new overlay of `size` bytes on the image: what is below shows through as far as it reaches, and beyond it there are
    /// zeros.
    pub fn overlay(&mut self, size: u64) {
        let seen = self.top.resized(size);
        self.below.push(Lower {
            view: std::mem::replace(&mut self.top, seen),
            snapshots: std::mem::take(&mut self.snapshots),
            bitmaps: std::mem::take(&mut self.bitmaps),
        });
    }

    /// The image `index` of the chain, counted from the bottom, with what is below it, as if nothing lay on it.
    pub fn lower(&self, index: usize) -> Option<Self> {
        let lower = self.below.get(index)?.clone();
        Some(Self {
            top: lower.view,
            below: self.below[..index].to_vec(),
            snapshots: lower.snapshots,
            bitmaps: lower.bitmaps,
        })
    }

    /// The image that was the one at `index` of the chain, and all below it, is now `lower`; a guest sees in it what it saw.
    pub fn replace_lower(&mut self, index: usize, lower: Self) {
        let Self {
            top: view,
            mut below,
            snapshots,
            bitmaps,
        } = lower;
        below.push(Lower {
            view,
            snapshots,
            bitmaps,
        });
        self.below.splice(..=index, below);
    }

    /// A guest write.
    pub fn write(&mut self, write: &Write) {
        self.top
            .fill(write.offset, write.offset + write.length, write.byte);
        self.record(write.offset, write.length);
    }

    /// Zeros, written or left where space was given back.
    pub fn zero(&mut self, offset: u64, length: u64) {
        self.top.fill(offset, offset + length, 0);
        self.record(offset, length);
    }

    fn record(&mut self, offset: u64, length: u64) {
        let bitmaps = self.bitmaps.values_mut();
        bitmaps.for_each(|bitmap| bitmap.record(offset, length));
    }

    /// Another size: what is cut off is gone, what is added is zero, whatever a longer backing file holds there.
    pub fn resize(&mut self, size: u64) {
        self.top = self.top.resized(size);
        for bitmap in self.bitmaps.values_mut() {
            bitmap.dirty = bitmap.dirty.as_ref().map(|dirty| dirty.resized(size));
        }
    }

    /// The overlay is put onto the image `below[index]`, or onto nothing; the guest sees what it saw.
    pub fn rebase(&mut self, index: Option<usize>) {
        self.below.truncate(index.map_or(0, |index| index + 1));
        self.unsettle();
    }

    /// The overlay is merged into the image below it, which grows if it must and never shrinks; the guest sees what it saw. The
    /// snapshots of the image below show what they showed; which writes its bitmaps saw depends on which clusters were copied.
    pub fn commit(&mut self) {
        if let Some(lower) = self.below.last_mut() {
            lower.view.cover(&self.top);
            let bitmaps = lower.bitmaps.values_mut();
            let recording = bitmaps.filter(|bitmap| bitmap.enabled);
            recording.for_each(|bitmap| bitmap.dirty = None);
        }
        self.unsettle();
    }

    /// What the snapshots show now depends on which clusters are theirs, and what is dirty on which clusters were copied: not on what
    /// a guest saw.
    fn unsettle(&mut self) {
        let snapshots = self.snapshots.values_mut();
        snapshots.for_each(|snapshot| snapshot.seen = None);
        let bitmaps = self.bitmaps.values_mut();
        bitmaps.for_each(|bitmap| bitmap.dirty = None);
    }

    /// A window of the image is copied into a new one of `size` bytes with nothing below it.
    pub fn copy_window(&mut self, start: u64, length: u64, size: u64) {
        self.convert(self.top.size);
        self.top = self.top.window(start, length).resized(size);
    }

    /// What is seen in a snapshot is copied into a new image of `size` bytes with nothing below it.
    pub fn convert_snapshot(&mut self, name: &str, size: u64) {
        let snapshot = self.snapshots.get(name);
        if let Some(view) = snapshot.and_then(|snapshot| snapshot.seen.clone()) {
            self.top = view;
        }
        self.convert(size);
    }

    /// The image is copied into a new one of `size` bytes with nothing below it.
    pub fn convert(&mut self, size: u64) {
        self.top = self.top.resized(size);
        self.below.clear();
        self.snapshots.clear();
        self.bitmaps.clear();
    }

    /// A snapshot of what the guest sees now.
    pub fn create_snapshot(&mut self, name: &str) {
        let highest = self.snapshots.values().map(|snapshot| snapshot.id).max();
        let snapshot = Snapshot {
            id: highest.unwrap_or(0) + 1,
            seen: Some(self.top.clone()),
        };
        self.snapshots.insert(name.to_owned(), snapshot);
    }

    /// One snapshot less.
    pub fn delete_snapshot(&mut self, name: &str) {
        self.snapshots.remove(name);
    }

    /// The guest sees what it saw when the snapshot was made, and in that size.
    pub fn apply_snapshot(&mut self, name: &str) {
        let snapshot = self.snapshots.get(name);
        if let Some(view) = snapshot.and_then(|snapshot| snapshot.seen.clone()) {
            self.resize(view.size);
            self.top = view;
        }
        // Whether an apply counts as a write is each tool's business.
        let bitmaps = self.bitmaps.values_mut();
        bitmaps.for_each(|bitmap| bitmap.dirty = None);
    }

    /// What a guest must see in the current image.
    pub fn contents(&self) -> Contents {
        self.top.contents()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::bitmap_action::BitmapAction;

    fn write(offset: u64, length: u64, byte: u8) -> Write {
        Write {
            offset,
            length,
            byte,
        }
    }

    #[test]
    fn a_longer_overlay_sees_zeros_beyond_its_backing_file() {
        let mut model = Model::new(1024);
        model.write(&write(0, 1024, 7));
        model.overlay(4096);
        assert_eq!(
            model.contents(),
            Contents::of_writes(4096, &[write(0, 1024, 7)])
        );
    }

    #[test]
    fn growing_over_a_longer_backing_file_shows_zeros_not_its_data() {
        let mut model = Model::new(4096);
        model.write(&write(0, 4096, 7));
        model.overlay(1024);
        model.resize(4096);
        assert_eq!(
            model.contents(),
            Contents::of_writes(4096, &[write(0, 1024, 7)])
        );
    }

    #[test]
    fn a_commit_keeps_the_end_of_a_longer_backing_file_and_grows_a_shorter_one() {
        let mut model = Model::new(4096);
        model.write(&write(0, 4096, 7));
        model.overlay(1024);
        model.write(&write(0, 512, 9));
        model.commit();
        let merged = Contents::of_writes(4096, &[write(0, 4096, 7), write(0, 512, 9)]);
        assert_eq!(model.below[0].view.contents(), merged);
        model.resize(8192);
        model.write(&write(8000, 192, 3));
        model.commit();
        assert_eq!(model.below[0].view.contents(), model.contents());
    }

    #[test]
    fn an_applied_snapshot_brings_back_contents_and_size() {
        let mut model = Model::new(4096);
        model.write(&write(0, 512, 1));
        model.create_snapshot("a");
        let then = model.contents();
        model.zero(0, 4096);
        model.resize(512);
        model.apply_snapshot("a");
        assert_eq!(model.contents(), then);
    }

    #[test]
    fn an_image_below_others_keeps_its_snapshots_and_bitmaps_through_a_commit() {
        let mut model = Model::new(4096);
        model.write(&write(0, 512, 1));
        model.create_snapshot("a");
        model.bitmap_changed(&[BitmapAction::Add { granularity: None }], "on", 4096);
        let then = model.contents();
        model.overlay(4096);
        model.write(&write(0, 512, 2));
        model.commit();
        let mut lower = model.lower(0).unwrap();
        assert_eq!(lower.contents(), model.contents());
        assert_eq!(lower.bitmaps["on"].dirty, None);
        lower.apply_snapshot("a");
        assert_eq!(lower.contents(), then);
        lower.delete_snapshot("a");
        model.replace_lower(0, lower);
        assert!(model.below[0].snapshots.is_empty() && model.below.len() == 1);
    }

    #[test]
    fn a_conversion_of_a_snapshot_shows_what_was_seen_then() {
        let mut model = Model::new(1024);
        model.write(&write(0, 512, 1));
        model.create_snapshot("a");
        let then = model.contents();
        model.write(&write(0, 512, 2));
        model.convert_snapshot("a", 1024);
        assert_eq!((model.contents(), model.snapshots.len()), (then, 0));
    }

    #[test]
    fn a_rebase_onto_a_lower_image_shortens_the_chain_and_nothing_else() {
        let mut model = Model::new(1024);
        model.overlay(1024);
        model.write(&write(0, 512, 1));
        model.overlay(1024);
        let seen = model.contents();
        model.rebase(Some(0));
        assert_eq!((model.below.len(), model.contents()), (1, seen));
    }
}
