//! Guest-visible model: computes from a recipe and the steps of a chain what a guest must see. Operations compare both tools with it.
//!
//! The model knows what each step means to a guest, but no tool, no file and no on-disk layout. It is sparse: an image of a terabyte costs only
//! as much as was written into it.
//!
//! For each image of a backing chain it keeps what a guest *sees* there, not which image holds a cluster: tools may choose that. That is
//! enough, because no step changes a backing image in a way that changes what its overlay shows.

use std::collections::BTreeMap;

use crate::image::content::{Contents, Write};

pub use bitmap::Bitmap;
pub use view::View;

mod bitmap;
mod view;

/// An image with its backing chain: what a guest sees in each of them and in their snapshots, and what is dirty in their bitmaps.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// What a guest sees in the active (top) image.
    pub top: View,
    /// The images of the backing chain, the base image first.
    pub below: Vec<Lower>,
    /// The active image's internal snapshots, by name.
    pub snapshots: BTreeMap<String, Snapshot>,
    /// The active image's persistent dirty bitmaps, by name.
    pub bitmaps: BTreeMap<String, Bitmap>,
}

/// A backing image.
#[derive(Clone, Debug, PartialEq)]
pub struct Lower {
    /// What a guest sees in it.
    pub view: View,
    /// Its internal snapshots, by name.
    pub snapshots: BTreeMap<String, Snapshot>,
    /// Its persistent dirty bitmaps, by name.
    pub bitmaps: BTreeMap<String, Bitmap>,
}

/// An internal snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The snapshot's id: one more than the highest id at the time it was created (QEMU, block/qcow2-snapshot.c).
    pub id: u64,
    /// What a guest sees after the snapshot is applied. `None`, that is unknown, once the backing image was changed or replaced: where a snapshot
    /// has no cluster of its own, it shows the backing image.
    pub seen: Option<View>,
}

impl Model {
    /// An empty image of `size` bytes without a backing image.
    pub fn new(size: u64) -> Self {
        Self {
            top: View::zeros(size),
            below: Vec::new(),
            snapshots: BTreeMap::new(),
            bitmaps: BTreeMap::new(),
        }
    }

    /// Creates an overlay of `size` bytes on the active image. The overlay shows the backing image up to the end of that, and zeros beyond.
    pub fn overlay(&mut self, size: u64) {
        let seen = self.top.resized(size);
        self.below.push(Lower {
            view: std::mem::replace(&mut self.top, seen),
            snapshots: std::mem::take(&mut self.snapshots),
            bitmaps: std::mem::take(&mut self.bitmaps),
        });
    }

    /// The backing image `index`, counted from the base image, as the active image of a chain of its own, without its overlays. `None` if there
    /// is no such image.
    pub fn lower(&self, index: usize) -> Option<Self> {
        let lower = self.below.get(index)?.clone();
        Some(Self {
            top: lower.view,
            below: self.below[..index].to_vec(),
            snapshots: lower.snapshots,
            bitmaps: lower.bitmaps,
        })
    }

    /// Replaces the backing images up to and including `index` with `lower` and its backing chain. `lower` must show what the image at `index`
    /// showed.
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

    /// Applies a guest write, as far as it lies in the image: of an image whose size is in doubt, requests up to 2^64 may be expected to succeed.
    pub fn write(&mut self, write: &Write) {
        let end = write.offset.saturating_add(write.length);
        self.top.fill(write.offset, end, write.fill);
        self.record(write.offset, write.length);
    }

    /// Zeroes a range, as `write -z` and discards do.
    pub fn zero(&mut self, offset: u64, length: u64) {
        self.top.fill(offset, offset.saturating_add(length), 0);
        self.record(offset, length);
    }

    /// Marks a written range in all enabled bitmaps.
    fn record(&mut self, offset: u64, length: u64) {
        let bitmaps = self.bitmaps.values_mut();
        bitmaps.for_each(|bitmap| bitmap.record(offset, length));
    }

    /// Resizes the active image. A shrink discards what lies beyond the new end; a growth adds zeros, even where a longer backing image has data.
    pub fn resize(&mut self, size: u64) {
        self.top = self.top.resized(size);
        for bitmap in self.bitmaps.values_mut() {
            bitmap.dirty = bitmap.dirty.as_ref().map(|dirty| dirty.resized(size));
        }
    }

    /// Rebases the active image onto `below[index]`, or onto no backing image. The guest-visible contents stay the same.
    pub fn rebase(&mut self, index: Option<usize>) {
        self.below.truncate(index.map_or(0, |index| index + 1));
        self.invalidate_snapshots_and_bitmaps();
    }

    /// Commits the active image into `below[index]`, which grows if necessary and never shrinks. The active image shows the same as before,
    /// and so do that image's snapshots. Which parts of its enabled bitmaps became dirty is unknown, because it depends on which clusters were
    /// copied. What the images between the two show is unknown too: where they have no data of their own, it is that of the changed image. Their
    /// views stay as they were; the caller must not use them.
    pub fn commit(&mut self, index: usize) {
        if let Some(between) = self.below.get_mut(index + 1..) {
            let snapshots = between
                .iter_mut()
                .flat_map(|lower| lower.snapshots.values_mut());
            snapshots.for_each(|snapshot| snapshot.seen = None);
        }
        if let Some(lower) = self.below.get_mut(index) {
            lower.view.cover(&self.top);
            let bitmaps = lower.bitmaps.values_mut();
            let recording = bitmaps.filter(|bitmap| bitmap.enabled);
            recording.for_each(|bitmap| bitmap.dirty = None);
        }
        self.invalidate_snapshots_and_bitmaps();
    }

    /// Marks what the active image's snapshots show and what its bitmaps hold as unknown: after a rebase or commit it depends on which clusters
    /// exist and which were copied, not on what a guest saw.
    fn invalidate_snapshots_and_bitmaps(&mut self) {
        let snapshots = self.snapshots.values_mut();
        snapshots.for_each(|snapshot| snapshot.seen = None);
        let bitmaps = self.bitmaps.values_mut();
        bitmaps.for_each(|bitmap| bitmap.dirty = None);
    }

    /// Converts the range of `length` bytes from `start` into a new image of `size` bytes without a backing image.
    pub fn copy_window(&mut self, start: u64, length: u64, size: u64) {
        self.convert(self.top.size);
        self.top = self.top.window(start, length).resized(size);
    }

    /// Converts what a snapshot shows, up to the end of the active image, into a new image of `size` bytes without a backing image.
    pub fn convert_snapshot(&mut self, name: &str, size: u64) {
        let snapshot = self.snapshots.get(name);
        if let Some(view) = snapshot.and_then(|snapshot| snapshot.seen.clone()) {
            self.top = view.resized(self.top.size);
        }
        self.convert(size);
    }

    /// Converts the active image into a new image of `size` bytes without a backing image, snapshots or bitmaps.
    pub fn convert(&mut self, size: u64) {
        self.top = self.top.resized(size);
        self.below.clear();
        self.snapshots.clear();
        self.bitmaps.clear();
    }

    /// Converts the active image as [`convert`](Self::convert) does, but keeps its backing images or its bitmaps.
    pub fn convert_keeping(&mut self, size: u64, backing: bool, bitmaps: bool) {
        let below = self.below.clone();
        let own = self.bitmaps.clone();
        self.convert(size);
        if backing {
            self.below = below;
        }
        if bitmaps {
            self.bitmaps = own;
        }
    }

    /// Creates a snapshot of the current contents.
    pub fn create_snapshot(&mut self, name: &str) {
        let highest = self.snapshots.values().map(|snapshot| snapshot.id).max();
        let snapshot = Snapshot {
            id: highest.unwrap_or(0) + 1,
            seen: Some(self.top.clone()),
        };
        self.snapshots.insert(name.to_owned(), snapshot);
    }

    /// Deletes a snapshot.
    pub fn delete_snapshot(&mut self, name: &str) {
        self.snapshots.remove(name);
    }

    /// Applies a snapshot: contents and size become those at the time it was created.
    pub fn apply_snapshot(&mut self, name: &str) {
        let snapshot = self.snapshots.get(name);
        if let Some(view) = snapshot.and_then(|snapshot| snapshot.seen.clone()) {
            self.resize(view.size);
            self.top = view;
        }
        // Tools may choose whether an applied snapshot counts as a write.
        let bitmaps = self.bitmaps.values_mut();
        bitmaps.for_each(|bitmap| bitmap.dirty = None);
    }

    /// What a guest must see in the active image.
    pub fn contents(&self) -> Contents {
        self.top.contents()
    }
}

#[cfg(test)]
mod tests;
