//! A part of a guest's address space.

use serde::{Deserialize, Serialize};

/// A part of a guest's address space; from the start if it has no start, and to the end if it has no length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The start, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<u64>,
    /// The maximum length, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
}

impl Window {
    /// The whole address space.
    pub const WHOLE: Self = Self {
        start: None,
        length: None,
    };

    /// Returns how many of start and length are given.
    pub fn ends(self) -> usize {
        usize::from(self.start.is_some()) + usize::from(self.length.is_some())
    }

    /// Returns the range within an image of `size` bytes.
    pub fn within(self, size: u64) -> std::ops::Range<u64> {
        let start = self.start.unwrap_or(0);
        let end = self
            .length
            .map_or(size, |length| start.saturating_add(length));
        start..end.min(size)
    }
}

/// Returns the guest range that dd copies: (start, length) in bytes.
pub fn dd_range(size: u64, block_size: u64, count: Option<u64>, skip: u64) -> (u64, u64) {
    let end = count.map_or(size, |count| count.saturating_mul(block_size).min(size));
    let start = skip.saturating_mul(block_size).min(end);
    (start, end - start)
}
