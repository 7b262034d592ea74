//! Persistent dirty bitmaps: what they are, and what is dirty in them.

use super::{Model, View};
use crate::image::bitmap_action::BitmapAction;

/// The granularity of a bitmap for which none is named is the cluster size, within these bounds (QEMU,
/// bdrv_get_default_bitmap_granularity).
const GRANULARITY_MIN: u64 = 4096;
const GRANULARITY_MAX: u64 = 65536;

/// A persistent dirty bitmap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bitmap {
    /// Guest bytes a bit stands for.
    pub granularity: u64,
    /// Whether it records.
    pub enabled: bool,
    /// What is dirty: not zero in whole granules; nothing when that is not settled.
    pub dirty: Option<View>,
}

impl Bitmap {
    /// A clean one for an image of `size` bytes.
    pub fn new(granularity: u64, enabled: bool, size: u64) -> Self {
        Self {
            granularity,
            enabled,
            dirty: Some(View::zeros(size)),
        }
    }

    /// Marks what was written to.
    pub(super) fn record(&mut self, offset: u64, length: u64) {
        if self.enabled && length > 0 {
            self.mark(offset, offset + length);
        }
    }

    fn mark(&mut self, start: u64, end: u64) {
        let granularity = self.granularity;
        if let Some(dirty) = &mut self.dirty {
            let first = start / granularity * granularity;
            dirty.fill(first, end.next_multiple_of(granularity), 1);
        }
    }
}

impl Model {
    /// All that is dirty in the bitmap `from` becomes dirty in `into` as well.
    fn merge_bitmap(&mut self, from: &str, into: &str) {
        let Some(added) = self.bitmaps.get(from).map(|bitmap| bitmap.dirty.clone()) else {
            return;
        };
        let Some(target) = self.bitmaps.get_mut(into) else {
            return;
        };
        match added {
            Some(added) => added
                .runs()
                .for_each(|(start, end)| target.mark(start, end)),
            None => target.dirty = None,
        }
    }

    /// All of these are done with the bitmap `name`, in an image with clusters of `cluster_size` bytes. Made, removed or merged into, it is
    /// that alone; a new one records unless it is disabled at once.
    pub fn bitmap_changed(&mut self, actions: &[BitmapAction], name: &str, cluster_size: u64) {
        let has = |wanted: &BitmapAction| actions.contains(wanted);
        let default_granularity = cluster_size.clamp(GRANULARITY_MIN, GRANULARITY_MAX);
        let size = self.top.size;
        let added = actions.iter().find_map(|action| match action {
            BitmapAction::Add { granularity } => Some(granularity.unwrap_or(default_granularity)),
            _ => None,
        });
        let merged = actions.iter().find_map(|action| match action {
            BitmapAction::Merge { source } => Some(source),
            _ => None,
        });
        let bitmaps = &mut self.bitmaps;
        if has(&BitmapAction::Remove) {
            bitmaps.remove(name);
        } else if let Some(granularity) = added {
            let bitmap = Bitmap::new(granularity, !has(&BitmapAction::Disable), size);
            bitmaps.insert(name.to_owned(), bitmap);
        } else if let Some(source) = merged {
            self.merge_bitmap(source, name);
        } else if let Some(bitmap) = bitmaps.get_mut(name) {
            let enables = has(&BitmapAction::Enable);
            bitmap.enabled = (bitmap.enabled || enables) && !has(&BitmapAction::Disable);
            if has(&BitmapAction::Clear) {
                bitmap.dirty = Some(View::zeros(size));
            }
        }
    }
}
