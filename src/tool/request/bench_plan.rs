//! The plan of a benchmark that reads or writes an image.

use serde::{Deserialize, Serialize};

use crate::image::content::{Fill, Write};

/// The default length of a request: qemu-img(1), bench.
const DEFAULT_LENGTH_BYTES: u64 = 4096;

/// The plan of a benchmark. The defaults are the tool's (qemu-img(1)): requests of 4096 bytes, one after the other from
/// the start, 64 in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BenchPlan {
    /// The number of requests.
    pub count: u64,
    /// The number of requests in flight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depth: Option<u64>,
    /// The number of bytes of each request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// The distance between the starts of two requests in bytes; `None` or 0 for the length of a request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stride: Option<u64>,
    /// The offset of the first request, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// The byte to write; `None` for zeros.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub byte: Option<u8>,
    /// Whether it writes.
    pub writes: bool,
    /// The number of requests between two flushes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flush_interval: Option<u64>,
    /// Whether requests continue during a flush.
    pub no_drain: bool,
}

impl BenchPlan {
    /// Returns all requests in order, as if they were writes.
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
            fill: Fill::Byte(self.byte.unwrap_or(0)),
        })
    }

    /// Returns the writes, in order; nothing for a read benchmark.
    pub fn written(self) -> Vec<Write> {
        match self.writes {
            true => self.requests().collect(),
            false => Vec::new(),
        }
    }

    /// Counts the parameters beyond the number of requests.
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
