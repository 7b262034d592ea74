//! Where two contents differ: in their size, or at an offset.
//!
//! Found where contents are compared; said of findings, in their words.

use std::fmt;

/// A place in what a guest sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContentPlace {
    /// How much there is to be seen.
    Size,
    /// The byte at this guest offset.
    Byte(u64),
    /// Something within the so many bytes at this guest offset: what was read is not kept to the byte.
    Block {
        /// How many bytes.
        bytes: u64,
        /// The guest offset of the first one.
        offset: u64,
    },
}

const SIZE: &str = "guest-visible size";
const BYTE_AT: &str = "byte at guest offset ";
const BYTES_AT: &str = " bytes at guest offset ";

impl ContentPlace {
    /// The place in an image of a place in what was read at this guest offset.
    pub fn behind(self, start: u64) -> Self {
        match self {
            Self::Size => Self::Size,
            Self::Byte(offset) => Self::Byte(start.saturating_add(offset)),
            Self::Block { bytes, offset } => Self::Block {
                bytes,
                offset: start.saturating_add(offset),
            },
        }
    }

    /// What [`fmt::Display`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        if text == SIZE {
            return Some(Self::Size);
        }
        if let Some(offset) = text.strip_prefix(BYTE_AT) {
            return Some(Self::Byte(offset.parse().ok()?));
        }
        let (bytes, offset) = text.split_once(BYTES_AT)?;
        Some(Self::Block {
            bytes: bytes.parse().ok()?,
            offset: offset.parse().ok()?,
        })
    }
}

impl fmt::Display for ContentPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size => formatter.write_str(SIZE),
            Self::Byte(offset) => write!(formatter, "{BYTE_AT}{offset}"),
            Self::Block { bytes, offset } => write!(formatter, "{bytes}{BYTES_AT}{offset}"),
        }
    }
}
