//! The rhythm in which an image is read or written by a benchmark.

use serde::{Deserialize, Serialize};

use crate::image::content::Write;

/// What is read or written at a time when nothing is said of it: qemu-img(1), bench.
const DEFAULT_LENGTH_BYTES: u64 = 4096;

/// The rhythm of a benchmark. What is left out is the tool's choice, by qemu-img(1): requests of 4096 bytes, one behind the other from the
/// start, 64 under way at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BenchPlan {
    /// How many requests.
    pub count: u64,
    /// How many are under way at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depth: Option<u64>,
    /// Bytes of each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// Bytes from the beginning of one to that of the next; none, or 0: as long as each is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stride: Option<u64>,
    /// Where the first begins, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// What is written; none: zeros.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub byte: Option<u8>,
    /// Whether it writes.
    pub writes: bool,
    /// After how many requests it flushes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flush_interval: Option<u64>,
    /// Whether it goes on while it flushes.
    pub no_drain: bool,
}

impl BenchPlan {
    /// Every request in order, as if all of them were writes.
    pub fn requests(self) -> impl Iterator<Item = Write> {
        let length = self.length.unwrap_or(DEFAULT_LENGTH_BYTES);
        let stride = match self.stride.unwrap_or(0) {
            0 => length,
            stride => stride,
        };
        let offset = self.offset.unwrap_or(0);
        (0..self.count).map(move |index| Write {
            offset: offset.saturating_add(index.saturating_mul(stride)),
            length,
            byte: self.byte.unwrap_or(0),
        })
    }

    /// What is written, in order; nothing when it reads.
    pub fn written(self) -> Vec<Write> {
        match self.writes {
            true => self.requests().collect(),
            false => Vec::new(),
        }
    }

    /// How much is said beyond the number of requests.
    pub fn details(self) -> usize {
        let given = [
            self.depth.is_some(),
            self.length.is_some(),
            self.stride.is_some(),
            self.offset.is_some(),
            self.byte.is_some(),
            self.writes,
            self.flush_interval.is_some(),
            self.no_drain,
        ];
        given.into_iter().filter(|given| *given).count()
    }
}
