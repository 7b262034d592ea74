//! What a guest write puts into its range: one byte repeated, or data of a recipe.
//!
//! Recipes make data that real disks hold and a repeated byte does not: sectors that tell their own place, text, noise that no compressor
//! shrinks, and mixtures. Every byte follows from the recipe and its place alone, so that a write can be cut and moved without its bytes
//! being kept. [`in_awk`](Recipe::in_awk) says the same in POSIX awk, for scripts that run without imgduel.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::image::format::SECTOR_BYTES;

/// What a write puts into each byte of its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fill {
    /// This byte, repeated.
    Byte(u8),
    /// Data of a recipe.
    Data(Recipe),
}

/// Data that follows from a place. No whole sector of it is zero, but for what is registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Recipe {
    /// The kind of data.
    pub texture: Texture,
    /// Tells recipes of one texture apart.
    pub seed: u32,
    /// The place of the data at guest offset 0, in bytes; places wrap around. It is not 0 after data has been moved.
    pub shift: u64,
}

/// A kind of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Texture {
    /// Each sector repeats a line with its seed and its own place in hexadecimal: data that is read from elsewhere names where it comes from.
    Sectors,
    /// Words, which deflate to about a third.
    Text,
    /// Bytes without a pattern, which do not deflate.
    Noise,
    /// Blocks of 4096 bytes, each of another of the three.
    Mixed,
    /// What a guest sees in an image from outside, registered under the seed as its key. No case has it: only the model does.
    #[doc(hidden)]
    #[serde(skip)]
    Outside,
}

impl Texture {
    /// All textures, the simplest first.
    pub const ALL: [Self; 4] = [Self::Sectors, Self::Text, Self::Noise, Self::Mixed];

    /// Returns its name, as JSON has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sectors => "sectors",
            Self::Text => "text",
            Self::Noise => "noise",
            Self::Mixed => "mixed",
            Self::Outside => "outside",
        }
    }
}

/// The size of a sector as an index.
const SECTOR: usize = SECTOR_BYTES as usize;

/// The minimal standard generator of Park and Miller (Communications of the ACM 31, 1988): its products are below 2^53, so that awk, which
/// counts in double precision, computes the same.
const MODULUS: u64 = (1 << 31) - 1;
const MULTIPLIER: u64 = 16807;
/// How the seed and the sector are mixed into the generator's first state, and how often it runs before its first use.
const OF_SEED: u64 = 7919;
const OF_SECTOR: u64 = 104_729;
const WARM_UP: usize = 3;
/// Sectors repeat after so many, so that awk's numbers stay exact.
const SECTOR_CYCLE: u64 = 1 << 34;
/// The sectors of a block of [`Texture::Mixed`].
const BLOCK_SECTORS: u64 = 8;

const WORDS: [&str; 32] = [
    "block ",
    "cluster ",
    "the ",
    "image ",
    "of ",
    "backing ",
    "file ",
    "offset ",
    "and ",
    "table ",
    "guest ",
    "data ",
    "to ",
    "sector ",
    "snapshot ",
    "a ",
    "header ",
    "refcount ",
    "in ",
    "extent ",
    "bitmap ",
    "is ",
    "grain ",
    "footer ",
    "for ",
    "log ",
    "entry ",
    "on ",
    "parent ",
    "region ",
    "with ",
    "map\n",
];

fn next(state: u64) -> u64 {
    state * MULTIPLIER % MODULUS
}

impl From<u8> for Fill {
    fn from(byte: u8) -> Self {
        Self::Byte(byte)
    }
}

impl Fill {
    /// Whether it is the byte 0.
    pub fn is_zero(self) -> bool {
        self == Self::Byte(0)
    }

    /// Writes the bytes at guest offset `offset` into `bytes`.
    pub fn put(self, offset: u64, bytes: &mut [u8]) {
        match self {
            Self::Byte(byte) => bytes.fill(byte),
            Self::Data(recipe) => recipe.put(offset, bytes),
        }
    }

    /// Returns `length` bytes at guest offset `offset`.
    pub fn bytes(self, offset: u64, length: u64) -> Vec<u8> {
        let mut bytes = vec![0; length as usize];
        if !self.is_zero() {
            self.put(offset, &mut bytes);
        }
        bytes
    }

    /// The same data `by` bytes nearer to the start of the image: what a window that begins at `by` shows.
    pub fn moved_down(self, by: u64) -> Self {
        match self {
            Self::Byte(_) => self,
            Self::Data(recipe) => Self::Data(Recipe {
                shift: recipe.shift.wrapping_add(by),
                ..recipe
            }),
        }
    }

    /// Simpler fills, the simplest first.
    pub fn simpler(self) -> Vec<Self> {
        match self {
            Self::Byte(0 | 1) => Vec::new(),
            Self::Byte(_) => vec![Self::Byte(1)],
            Self::Data(recipe) => {
                let simpler = Texture::ALL
                    .into_iter()
                    .take_while(|texture| *texture != recipe.texture);
                let simpler = simpler.map(|texture| Self::Data(Recipe { texture, ..recipe }));
                let plain = (recipe.seed != 1).then_some(Self::Data(Recipe { seed: 1, ..recipe }));
                std::iter::once(Self::Byte(1))
                    .chain(simpler)
                    .chain(plain)
                    .collect()
            }
        }
    }
}

impl fmt::Display for Fill {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Byte(byte) => write!(formatter, "{byte:#04x}"),
            Self::Data(Recipe { texture, seed, .. }) => {
                write!(formatter, "{} {seed}", texture.name())
            }
        }
    }
}

impl Recipe {
    fn put(self, offset: u64, bytes: &mut [u8]) {
        let mut place = offset.wrapping_add(self.shift);
        if self.texture == Texture::Outside {
            return super::outside::put(self.seed, place, bytes);
        }
        let mut rest = bytes;
        let mut sector = [0; SECTOR];
        while !rest.is_empty() {
            let within = (place % SECTOR_BYTES) as usize;
            let length = rest.len().min(SECTOR - within);
            let (part, behind) = rest.split_at_mut(length);
            self.sector(place / SECTOR_BYTES % SECTOR_CYCLE, &mut sector);
            part.copy_from_slice(&sector[within..within + length]);
            place = place.wrapping_add(length as u64);
            rest = behind;
        }
    }

    fn state(self, index: u64) -> u64 {
        let mixed = (u64::from(self.seed) * OF_SEED + index * OF_SECTOR + 1) % MODULUS;
        (0..WARM_UP).fold(mixed.max(1), |state, _| next(state))
    }

    fn sector(self, index: u64, sector: &mut [u8; SECTOR]) {
        let mut state = self.state(index);
        let texture = match self.texture {
            Texture::Mixed => match self.state(index / BLOCK_SECTORS + 1) % 3 {
                0 => Texture::Sectors,
                1 => Texture::Text,
                _ => Texture::Noise,
            },
            other => other,
        };
        match texture {
            Texture::Sectors => {
                let line = format!("imgduel {:08x} {:010x}\n", self.seed, index);
                repeat(sector, line.as_bytes());
            }
            Texture::Text => {
                let mut length = 0;
                while length < SECTOR {
                    state = next(state);
                    let word = WORDS[(state / 64 % WORDS.len() as u64) as usize].as_bytes();
                    let part = word.len().min(SECTOR - length);
                    sector[length..length + part].copy_from_slice(&word[..part]);
                    length += part;
                }
            }
            Texture::Noise | Texture::Mixed | Texture::Outside => {
                for three in sector.chunks_mut(3) {
                    state = next(state);
                    for (byte, divisor) in three.iter_mut().zip([1 << 23, 1 << 15, 1 << 7]) {
                        *byte = match (state / divisor % 256) as u8 {
                            0 => 0xa5,
                            byte => byte,
                        };
                    }
                }
            }
        }
    }

    /// Returns a shell command that writes the `length` bytes at guest offset `offset` to its standard output.
    pub fn in_awk(self, offset: u64, length: u64) -> String {
        let place = offset.wrapping_add(self.shift);
        let (first, within) = (place / SECTOR_BYTES % SECTOR_CYCLE, place % SECTOR_BYTES);
        let sectors = (within + length).div_ceil(SECTOR_BYTES);
        let Self { texture, seed, .. } = self;
        let text = texture.name();
        let program = include_str!("fill.awk");
        let program = program
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(str::trim);
        let program = program.collect::<Vec<_>>().join(" ");
        let cut = match (within, sectors * SECTOR_BYTES == length) {
            (0, true) => String::new(),
            _ => format!(" | tail -c +{} | head -c {length}", within + 1),
        };
        format!(
            "LC_ALL=C awk -v kind={text} -v seed={seed} -v first={first} -v count={sectors} '{program}'{cut}"
        )
    }
}

fn repeat(bytes: &mut [u8], pattern: &[u8]) {
    for (byte, of_pattern) in bytes.iter_mut().zip(pattern.iter().cycle()) {
        *byte = *of_pattern;
    }
}

#[cfg(test)]
mod tests;
