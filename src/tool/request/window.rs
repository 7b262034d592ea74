//! A part of a guest's address space.

use serde::{Deserialize, Serialize};

/// A part of a guest's address space; without a beginning from the start, without a length to the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Where it begins, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<u64>,
    /// How long it is at most, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
}

impl Window {
    /// All of it.
    pub const WHOLE: Self = Self {
        start: None,
        length: None,
    };

    /// How many of its ends are given.
    pub fn ends(self) -> usize {
        usize::from(self.start.is_some()) + usize::from(self.length.is_some())
    }

    /// The bytes that it leaves of an image of `size` bytes.
    pub fn within(self, size: u64) -> std::ops::Range<u64> {
        let start = self.start.unwrap_or(0);
        let end = self
            .length
            .map_or(size, |length| start.saturating_add(length));
        start..end.min(size)
    }
}
