//! Persistent dirty bitmaps: what they are, and what is dirty in them.

use super::{Model, View};

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

    /// The bitmap `name` is changed as `qemu-img bitmap` is told by these flags, in an image with clusters of `cluster_size` bytes.
    pub fn bitmap_changed(&mut self, flags: &[String], name: &str, cluster_size: u64) {
        let has = |flag: &str| flags.iter().any(|word| word == flag);
        let granularity = flags
            .iter()
            .position(|word| word == "-g")
            .and_then(|place| flags.get(place + 1)?.parse().ok());
        let default_granularity = cluster_size.clamp(GRANULARITY_MIN, GRANULARITY_MAX);
        let size = self.top.size;
        let bitmaps = &mut self.bitmaps;
        if has("--remove") {
            bitmaps.remove(name);
        } else if has("--add") {
            let granularity = granularity.unwrap_or(default_granularity);
            let bitmap = Bitmap::new(granularity, !has("--disable"), size);
            bitmaps.insert(name.to_owned(), bitmap);
        } else if let Some(place) = flags.iter().position(|word| word == "--merge") {
            let source = flags.get(place + 1).map_or("", String::as_str);
            self.merge_bitmap(source, name);
        } else if let Some(bitmap) = bitmaps.get_mut(name) {
            bitmap.enabled = (bitmap.enabled || has("--enable")) && !has("--disable");
            if has("--clear") {
                bitmap.dirty = Some(View::zeros(size));
            }
        }
    }
}
