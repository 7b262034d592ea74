//! The recipe of a dmg, Apple's disk image: which chunks it has, where its block tables lie, and where its data come from.
//!
//! The generations that follow the Python harness draw it. No tool here writes the format: the harness does, in `disk_format::dmg`. The data of
//! the chunks are random words, far too many for a file that holds a case, so that a recipe says only from which generator they are drawn.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::base::rng::PythonRandom;
use crate::base::variants;
use crate::image::content::{BLOCK_BYTES, Contents, ContentsBuilder};
use crate::image::format::SECTOR_BYTES;
use crate::image::validity::{self, Validity};

/// The number of random words in one sector.
pub const SECTOR_WORDS: u64 = SECTOR_BYTES / 4;

/// The longest chunk, in sectors: 2 MiB, the most that one of the tools reads.
const CHUNK_SECTORS_MAX: u64 = 4096;

/// The most chunks of one image.
const CHUNKS_MAX: u64 = 64;

/// How many bytes the contents are made of at a time: a multiple of [`BLOCK_BYTES`].
const PIECE_BYTES: usize = 1 << 20;

/// How many bytes of each chunk a case shows.
const HEAD_BYTES: usize = 8;

/// How a chunk is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChunkKind {
    /// Not at all: it reads as zeros.
    Zero,
    /// As it is.
    Raw,
    /// Deflated.
    Zlib,
}

impl ChunkKind {
    /// All kinds, in the order in which they are drawn.
    pub const ALL: [Self; 3] = [Self::Zero, Self::Raw, Self::Zlib];
}

/// A chunk. In JSON: `[KIND, SECTORS]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk(pub ChunkKind, pub u64);

impl Chunk {
    /// The number of bytes that a guest sees of it.
    pub fn bytes(self) -> u64 {
        self.1 * SECTOR_BYTES
    }

    /// Whether it holds data.
    pub fn has_data(self) -> bool {
        self.0 != ChunkKind::Zero
    }
}

/// Where the data come from: a generator of Python's, after this many words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Payload {
    /// The generator's seed.
    pub seed: u64,
    /// How many words come before.
    pub words_before: u64,
}

/// A dmg, as a generation drew it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DmgRecipe {
    /// The chunks, in the order of the guest's sectors.
    pub chunks: Vec<Chunk>,
    /// How many of them are in the first of two block tables; `None` for a single table.
    pub split: Option<u64>,
    /// Whether the tables are in a resource fork instead of the property list.
    pub resource_fork: bool,
    /// The guest-visible sectors.
    pub sectors: u64,
    /// The first bytes of each chunk with data, in hexadecimal digits.
    #[serde(default)]
    pub payload_head: Vec<String>,
    /// The SHA-256 of all that a guest sees, in hexadecimal digits.
    #[serde(default)]
    pub guest_sha256: String,
    /// Where the data come from. A case's own seed determines it.
    #[serde(skip)]
    pub payload: Payload,
}

impl DmgRecipe {
    /// A recipe with the values that follow from these.
    pub fn new(
        chunks: Vec<Chunk>,
        split: Option<u64>,
        resource_fork: bool,
        payload: Payload,
    ) -> Self {
        let mut recipe = Self {
            sectors: chunks.iter().map(|chunk| chunk.1).sum(),
            chunks,
            split,
            resource_fork,
            payload_head: Vec::new(),
            guest_sha256: String::new(),
            payload,
        };
        recipe.complete();
        recipe
    }

    /// Sets what is said of the data, which follows from the rest.
    pub fn complete(&mut self) {
        let mut guest = Sha256::new();
        let mut heads = Vec::new();
        self.each_chunk(|chunk, data| {
            guest.update(data);
            if chunk.has_data() {
                heads.push(in_hex(&data[..HEAD_BYTES]));
            }
        });
        self.payload_head = heads;
        self.guest_sha256 = in_hex(&guest.finalize());
    }

    /// The number of bytes that a guest sees.
    pub fn bytes(&self) -> u64 {
        self.sectors * SECTOR_BYTES
    }

    /// Calls `each` with every chunk and the bytes that a guest sees of it, in order.
    pub fn each_chunk(&self, mut each: impl FnMut(Chunk, &[u8])) {
        let mut random = PythonRandom::new(self.payload.seed);
        random.skip(self.payload.words_before);
        let mut data = Vec::new();
        for chunk in &self.chunks {
            data.clear();
            data.resize(chunk.bytes() as usize, 0);
            if chunk.has_data() {
                random.fill(&mut data);
            }
            each(*chunk, &data);
        }
    }

    /// What a guest sees of the `length` bytes from `start` on, as an image of that many bytes.
    pub fn contents_within(&self, start: u64, length: u64) -> Contents {
        let end = start.saturating_add(length);
        let mut builder = ContentsBuilder::new(length);
        let (mut at, mut made) = (0, 0);
        let mut pending: Vec<u8> = Vec::new();
        self.each_chunk(|_, data| {
            let cut = |place: u64| place.clamp(at, at + data.len() as u64) - at;
            pending.extend_from_slice(&data[cut(start) as usize..cut(end) as usize]);
            at += data.len() as u64;
            while pending.len() >= PIECE_BYTES {
                builder.add(made, &pending[..PIECE_BYTES]);
                pending.drain(..PIECE_BYTES);
                made += PIECE_BYTES as u64;
            }
        });
        debug_assert_eq!(made % BLOCK_BYTES, 0, "pieces are whole blocks");
        builder.add(made, &pending);
        builder.finish()
    }

    /// Checks a recipe that was read from a file, once its payload is known.
    pub fn validity(&self) -> Validity {
        self.validity_of_chunks()?;
        let count = self.chunks.len();
        if let Some(split) = self.split {
            let most = (count as u64).saturating_sub(1).max(1);
            validity::number("split", split, 1..=most)?;
        }
        let Self {
            split,
            resource_fork,
            payload,
            ..
        } = *self;
        let follows = Self::new(self.chunks.clone(), split, resource_fork, payload);
        if follows != *self {
            return Err(format!(
                " says of its chunks what does not follow from them and the case's seed: write sectors {}, payload_head {:?}, guest_sha256 \"{}\"",
                follows.sectors, follows.payload_head, follows.guest_sha256
            ));
        }
        Ok(())
    }

    /// Checks the number and lengths of the chunks.
    pub fn validity_of_chunks(&self) -> Validity {
        validity::number("number of chunks", self.chunks.len() as u64, 1..=CHUNKS_MAX)?;
        validity::each("chunks", &self.chunks, |chunk| {
            validity::number("sectors", chunk.1, 1..=CHUNK_SECTORS_MAX)
        })
    }

    /// Shrink candidates: one table, no resource fork, fewer and shorter chunks.
    pub fn simpler(&self) -> Vec<Self> {
        let Self { split, payload, .. } = *self;
        let fork = self.resource_fork;
        let with = |chunks: Vec<Chunk>, split, fork| Self::new(chunks, split, fork, payload);
        let fewer = variants::shorter_not_empty(&self.chunks).into_iter();
        let shorter = variants::elementwise(&self.chunks, |chunk| {
            let sectors = variants::numbers(chunk.1, &[1, 8]).into_iter();
            sectors.map(|sectors| Chunk(chunk.0, sectors)).collect()
        });
        let one_table = (split.is_some() || fork).then(|| with(self.chunks.clone(), None, false));
        let fewer = fewer.map(|chunks| with(chunks, None, fork));
        let shorter = shorter.into_iter().map(|chunks| with(chunks, split, fork));
        one_table.into_iter().chain(fewer).chain(shorter).collect()
    }
}

fn in_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
