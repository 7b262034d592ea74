//! Persistent dirty bitmaps of the model: their settings, and what is dirty in them.

use std::collections::BTreeMap;

use super::{Model, View};
use crate::image::bitmap_action::BitmapAction;

/// The default granularity of a bitmap is the cluster size, limited to this range in bytes (QEMU, bdrv_get_default_bitmap_granularity).
const GRANULARITY_MIN: u64 = 4096;
const GRANULARITY_MAX: u64 = 65536;

/// A persistent dirty bitmap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bitmap {
    /// The number of guest bytes that one bit covers.
    pub granularity: u64,
    /// Whether the bitmap records writes.
    pub enabled: bool,
    /// The dirty granules, as ranges of non-zero bytes; `None` if it is unknown what is dirty.
    pub dirty: Option<View>,
}

impl Bitmap {
    /// A clean bitmap of an image of `size` bytes.
    pub fn new(granularity: u64, enabled: bool, size: u64) -> Self {
        Self {
            granularity,
            enabled,
            dirty: Some(View::zeros(size)),
        }
    }

    /// Marks a written range as dirty if the bitmap is enabled.
    pub(super) fn record(&mut self, offset: u64, length: u64) {
        if self.enabled && length > 0 {
            self.mark(offset, offset.saturating_add(length));
        }
    }

    fn mark(&mut self, start: u64, end: u64) {
        let granularity = self.granularity;
        if let Some(dirty) = &mut self.dirty {
            let first = start / granularity * granularity;
            let last = end.checked_next_multiple_of(granularity);
            dirty.fill(first, last.unwrap_or(u64::MAX), 1);
        }
    }
}

impl Model {
    /// Marks everything that is dirty in the bitmap `from`, of another image if `others` has its bitmaps, as dirty in `into`.
    fn merge_bitmap(&mut self, from: &str, others: Option<&BTreeMap<String, Bitmap>>, into: &str) {
        let from = others.unwrap_or(&self.bitmaps).get(from);
        let Some(added) = from.map(|bitmap| bitmap.dirty.clone()) else {
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

    /// Applies these actions to the bitmap `name`, in an image with clusters of `cluster_size` bytes. `Remove`, `Add` and `Merge` exclude any other
    /// action, except that `Add` with `Disable` creates a bitmap that does not record.
    /// A bitmap is merged from those of another image, if `others` has them.
    pub fn bitmap_changed(
        &mut self,
        actions: &[BitmapAction],
        name: &str,
        others: Option<BTreeMap<String, Bitmap>>,
        cluster_size: u64,
    ) {
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
            self.merge_bitmap(source, others.as_ref(), name);
        } else if let Some(bitmap) = bitmaps.get_mut(name) {
            let enables = has(&BitmapAction::Enable);
            bitmap.enabled = (bitmap.enabled || enables) && !has(&BitmapAction::Disable);
            if has(&BitmapAction::Clear) {
                bitmap.dirty = Some(View::zeros(size));
            }
        }
    }
}
