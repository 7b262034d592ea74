//! Allocation maps of an image over the guest address space, and where the two sides' maps differ.
//!
//! The runner makes them from `map` answers when an operation diverged; the page draws them. Plain data.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::oracle::observations::Side;

/// How many extents of one map are kept. The remark counts those that are left out.
const EXTENTS_MAX: usize = 400;

/// The maps of one image on both sides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Picture {
    /// The image's file name, which is the same on both sides.
    pub file: String,
    /// The size of the drawn guest address space in bytes: the larger one of the two sides.
    pub guest_bytes: u64,
    /// What the recipe wrote: guest offset and length, in bytes.
    pub written: Vec<(u64, u64)>,
    /// The maps, one for each side and tool.
    pub strips: Vec<Strip>,
    /// Where the maps of the two sides differ: guest offset and length, in bytes.
    pub differing: Vec<(u64, u64)>,
    /// Where the contents of the two sides differ: guest offset and length, in bytes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contents: Vec<(u64, u64)>,
}

/// One side's image, as one tool maps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Strip {
    /// The side whose file it is.
    pub side: Side,
    /// The side whose tool mapped it.
    pub by: Side,
    /// Adjacent ranges in ascending order; empty if the image could not be mapped.
    pub extents: Vec<Extent>,
    /// Why there is no map, or how much of it was left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
}

/// One range of the guest address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// Guest offset in bytes.
    pub start: u64,
    /// Length in bytes.
    pub length: u64,
    /// Whether the range is mapped to data; otherwise it reads as zeros.
    pub data: bool,
}

impl Extent {
    fn end(self) -> u64 {
        self.start.saturating_add(self.length)
    }
}

impl Strip {
    /// Parses the output of `qemu-img map --output=json`; adjacent equal ranges are joined.
    pub fn of_json(side: Side, by: Side, json: &Value) -> Self {
        let mut extents: Vec<Extent> = Vec::new();
        let mut left_out = 0;
        let mut kept = 0;
        for item in json.as_array().into_iter().flatten() {
            let number = |name: &str| item[name].as_u64().unwrap_or_default();
            let extent = Extent {
                start: number("start"),
                length: number("length"),
                data: item["data"].as_bool().unwrap_or_default(),
            };
            match extents.last_mut() {
                Some(last) if last.data == extent.data && last.end() == extent.start => {
                    last.length = last.length.saturating_add(extent.length);
                }
                _ if kept == EXTENTS_MAX => left_out += 1,
                _ => {
                    extents.push(extent);
                    kept += 1;
                }
            }
        }
        let remark = (left_out > 0).then(|| format!("{left_out} more ranges are not drawn"));
        Self {
            side,
            by,
            extents,
            remark,
        }
    }

    /// Returns a strip without extents that says why there is no map.
    pub fn without_map(side: Side, by: Side, why: impl Into<String>) -> Self {
        Self {
            side,
            by,
            extents: Vec::new(),
            remark: Some(why.into()),
        }
    }

    /// The guest offset at which the map ends, in bytes.
    pub fn end(&self) -> u64 {
        self.extents.last().map_or(0, |extent| extent.end())
    }

    /// Whether `offset` is mapped to data; `None` outside the map.
    fn at(&self, offset: u64) -> Option<bool> {
        let after = self
            .extents
            .partition_point(|extent| extent.start <= offset);
        let extent = self.extents.get(after.checked_sub(1)?)?;
        (offset < extent.end()).then_some(extent.data)
    }

    /// The ranges (offset, length in bytes) in which two maps differ, as far as both are known.
    pub fn differing(&self, other: &Self) -> Vec<(u64, u64)> {
        if self.extents.is_empty() || other.extents.is_empty() {
            return Vec::new();
        }
        let both = self.extents.iter().chain(&other.extents);
        let mut edges: Vec<u64> = both
            .flat_map(|extent| [extent.start, extent.end()])
            .collect();
        edges.sort_unstable();
        edges.dedup();
        // Nothing is known beyond the last extent of a map that was cut.
        let is_cut = |strip: &Self| strip.remark.is_some();
        let known = [self, other]
            .into_iter()
            .filter(|strip| is_cut(strip))
            .map(Self::end)
            .min();
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for pair in edges.windows(2) {
            let (start, end) = (pair[0], pair[1]);
            if known.is_some_and(|known| start >= known) || self.at(start) == other.at(start) {
                continue;
            }
            match ranges.last_mut() {
                Some(last) if last.0 + last.1 == start => last.1 += end - start,
                _ => ranges.push((start, end - start)),
            }
        }
        ranges
    }
}

#[cfg(test)]
mod tests;
