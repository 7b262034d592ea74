//! Guest-visible contents of an image: its size and its bytes, in a sparse form.
//!
//! What different tools read and what a recipe wrote are brought into one form that does not depend on how the bytes lie in a file: runs of
//! equal 4 KiB blocks, without all-zero blocks. Holes are never read. Two contents are equal exactly when these forms are equal.

use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use xxhash_rust::xxh3::xxh3_128;

mod digest;
mod fill;
pub mod outside;
mod parts;
mod place;
mod ranges;
mod sample;
mod sparse;
mod write;
mod writes;
mod zeros;

pub use fill::{Fill, Recipe, Texture};
pub use parts::parts_to_read;
pub use place::ContentPlace;
pub use sparse::{
    copy_sparse, copy_sparse_to_each, create_in_place, data_segments, data_within, each_piece,
    open_regular, open_regular_to_change, open_regular_to_write, same_bytes, write_at,
};
pub use write::Write;
use zeros::ZEROS;
pub use zeros::is_zero;

/// The block size of the sparse form: 4096 bytes.
pub const BLOCK_BYTES: u64 = 4096;

/// How many runs keep the bytes of one block, so that a difference can be reported to the byte.
const SAMPLED_RUNS_MAX: usize = 64;

/// Guest-visible contents. Deserialization checks the runs, because a persistent tool process may send any JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Contents {
    /// The guest-visible size in bytes.
    pub size: u64,
    runs: Vec<Run>,
    /// The writes that make these contents, where they are known: they say shorter what the runs hold. Equality ignores them.
    #[serde(skip)]
    made_by: Option<Arc<[Write]>>,
}

impl PartialEq for Contents {
    fn eq(&self, other: &Self) -> bool {
        (self.size, &self.runs) == (other.size, &other.runs)
    }
}

/// Adjacent blocks with the same bytes, which are not all zero.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Run {
    /// Index of the first block.
    first: u64,
    /// Number of blocks.
    count: u64,
    /// xxh3-128 of one block, high and low half.
    fingerprint: [u64; 2],
    /// The bytes of one block. Only the first [`SAMPLED_RUNS_MAX`] runs have a sample, and equality ignores it.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "sample")]
    sample: Option<Vec<u8>>,
}

impl PartialEq for Run {
    fn eq(&self, other: &Self) -> bool {
        (self.first, self.count, self.fingerprint) == (other.first, other.count, other.fingerprint)
    }
}

/// The first place where two contents differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentDifference {
    /// Where and what.
    pub place: ContentPlace,
    /// What the first holds there.
    pub first: String,
    /// What the second contents hold there.
    pub second: String,
}

impl Serialize for Contents {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // With `remote`, serde derives an inherent method of the same name.
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Contents {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let contents = Self::deserialize(deserializer)?;
        match contents.is_sound() {
            true => Ok(contents),
            false => Err(D::Error::custom(
                "the runs of the contents are out of order, exceed the size, or have an incomplete block as their sample",
            )),
        }
    }
}

impl Contents {
    /// Whether the runs are ascending, do not overlap and lie within the size, and every sample is a whole block.
    fn is_sound(&self) -> bool {
        let blocks = self.size.div_ceil(BLOCK_BYTES);
        let ends = self.runs.iter().try_fold(0, |end, run| {
            let is_whole = |sample: &Vec<u8>| sample.len() as u64 == BLOCK_BYTES;
            let next = run.first.checked_add(run.count)?;
            let is_in_order = run.first >= end && run.count > 0 && next <= blocks;
            (is_in_order && run.sample.as_ref().is_none_or(is_whole)).then_some(next)
        });
        ends.is_some()
    }

    /// Contents of `size` zero bytes.
    pub fn zeros(size: u64) -> Self {
        Self {
            size,
            runs: Vec::new(),
            made_by: None,
        }
    }

    /// The number of bytes in blocks that are not all zero.
    pub fn non_zero_bytes(&self) -> u64 {
        let bytes = self
            .runs
            .iter()
            .map(|run| run.count.saturating_mul(BLOCK_BYTES));
        bytes.fold(0, u64::saturating_add)
    }

    /// The guest ranges (offset, length) in bytes that are not all zero, rounded to blocks.
    pub fn non_zero_ranges(&self) -> Vec<(u64, u64)> {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for run in &self.runs {
            let offset = run.first.saturating_mul(BLOCK_BYTES);
            let length = run.count.saturating_mul(BLOCK_BYTES);
            match ranges.last_mut() {
                Some(last) if last.0.checked_add(last.1) == Some(offset) => {
                    last.1 = last.1.saturating_add(length);
                }
                _ => ranges.push((offset, length)),
            }
        }
        ranges
    }

    /// The first place where `self` and `other` differ; `None` if they are equal. The place is a byte where samples exist, otherwise a block.
    pub fn difference(&self, other: &Self) -> Option<ContentDifference> {
        if self.size != other.size {
            return Some(ContentDifference {
                place: ContentPlace::Size,
                first: format!("{} bytes", self.size),
                second: format!("{} bytes", other.size),
            });
        }
        let block = self.first_different_block(other)?;
        let (mine, theirs) = (self.run_at(block), other.run_at(block));
        let zeros = vec![0; BLOCK_BYTES as usize];
        let bytes = |run: Option<&Run>| match run {
            None => Some(zeros.clone()),
            Some(run) => run.sample.clone(),
        };
        let offset = block * BLOCK_BYTES;
        if let (Some(mine), Some(theirs)) = (bytes(mine), bytes(theirs)) {
            let within = mine
                .iter()
                .zip(&theirs)
                .position(|(mine, theirs)| mine != theirs)
                .unwrap_or_default();
            return Some(ContentDifference {
                place: ContentPlace::Byte(offset + within as u64),
                first: format!("{:#04x}", mine[within]),
                second: format!("{:#04x}", theirs[within]),
            });
        }
        Some(ContentDifference {
            place: ContentPlace::Block {
                bytes: BLOCK_BYTES,
                offset,
            },
            first: Run::in_words(mine),
            second: Run::in_words(theirs),
        })
    }

    /// What it has at the place of a difference between two others, in the words of [`Self::difference`].
    pub fn shown_at(&self, place: ContentPlace) -> String {
        match place {
            ContentPlace::Size => format!("{} bytes", self.size),
            ContentPlace::Block { offset, .. } => Run::in_words(self.run_at(offset / BLOCK_BYTES)),
            ContentPlace::Byte(offset) => match self.run_at(offset / BLOCK_BYTES) {
                None => format!("{:#04x}", 0),
                Some(Run {
                    sample: Some(sample),
                    ..
                }) => {
                    format!("{:#04x}", sample[(offset % BLOCK_BYTES) as usize])
                }
                run => Run::in_words(run),
            },
        }
    }

    fn run_at(&self, block: u64) -> Option<&Run> {
        let index = self
            .runs
            .partition_point(|run| run.first + run.count <= block);
        self.runs.get(index).filter(|run| run.first <= block)
    }

    fn first_different_block(&self, other: &Self) -> Option<u64> {
        let index = self
            .runs
            .iter()
            .zip(&other.runs)
            .take_while(|(mine, theirs)| mine == theirs)
            .count();
        match (self.runs.get(index), other.runs.get(index)) {
            (None, None) => None,
            (Some(run), None) | (None, Some(run)) => Some(run.first),
            (Some(mine), Some(theirs)) if mine.first != theirs.first => {
                Some(mine.first.min(theirs.first))
            }
            (Some(mine), Some(theirs)) if mine.fingerprint != theirs.fingerprint => {
                Some(mine.first)
            }
            (Some(mine), Some(theirs)) => Some(mine.first + mine.count.min(theirs.count)),
        }
    }
}

impl Run {
    /// A block of a run, or one that no run has.
    fn in_words(run: Option<&Self>) -> String {
        match run {
            None => "zeros".to_owned(),
            Some(run) => format!(
                "data {:016x}{:016x}",
                run.fingerprint[0], run.fingerprint[1]
            ),
        }
    }
}

/// Builds [`Contents`] from pieces in ascending order.
pub struct ContentsBuilder {
    contents: Contents,
}

impl ContentsBuilder {
    /// Starts with `size` zero bytes.
    pub fn new(size: u64) -> Self {
        Self {
            contents: Contents::zeros(size),
        }
    }

    /// Adds `bytes` at guest offset `offset`, which must be a multiple of [`BLOCK_BYTES`]. Only the last piece of an image may end inside a
    /// block. Ranges that are never added are zero.
    pub fn add(&mut self, offset: u64, bytes: &[u8]) {
        debug_assert_eq!(
            offset % BLOCK_BYTES,
            0,
            "each piece of contents must start at a block"
        );
        for (index, block) in bytes.chunks(BLOCK_BYTES as usize).enumerate() {
            if !is_zero(block) {
                self.add_block(offset / BLOCK_BYTES + index as u64, block);
            }
        }
    }

    /// Adds `count` equal blocks from block `index` on; zeros are left out.
    fn add_whole(&mut self, index: u64, count: u64, block: &[u8]) {
        if is_zero(block) {
            return;
        }
        self.add_block(index, block);
        if let Some(last) = self.contents.runs.last_mut() {
            last.count += count - 1;
        }
    }

    /// Returns the contents.
    pub fn finish(self) -> Contents {
        self.contents
    }

    fn add_block(&mut self, index: u64, bytes: &[u8]) {
        let mut padded = ZEROS;
        let block = match bytes.len() == padded.len() {
            true => bytes,
            false => {
                padded[..bytes.len()].copy_from_slice(bytes);
                &padded
            }
        };
        let hash = xxh3_128(block);
        let fingerprint = [(hash >> 64) as u64, hash as u64];
        let runs = &mut self.contents.runs;
        match runs.last_mut() {
            Some(last) if last.first + last.count == index && last.fingerprint == fingerprint => {
                last.count += 1
            }
            _ => {
                let sample = (runs.len() < SAMPLED_RUNS_MAX).then(|| block.to_vec());
                runs.push(Run {
                    first: index,
                    count: 1,
                    fingerprint,
                    sample,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests;
