//! How a conversion copies. None of it changes what a guest sees in the new image.

use serde::{Deserialize, Serialize};

/// The mode of a conversion (qemu-img(1), convert); the default is that of the tool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyMode {
    /// The number of bytes of zeros that make a hole, for `-S`; 0 allocates everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sparse_bytes: Option<u64>,
    /// The number of parallel copies, for `-m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copies: Option<u64>,
    /// Whether the clusters of the new image may come in any order, for `-W`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub out_of_order: bool,
    /// Whether persistent dirty bitmaps are copied too, for `--bitmaps`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bitmaps: bool,
    /// Whether it is copied into an image that exists, for `-n`; that keeps what lies behind the end of the source.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub existing: bool,
    /// Whether the tool may take the existing image for one that reads as zeros, for `--target-is-zero`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub target_is_zero: bool,
}

impl CopyMode {
    /// Whether it is the tool's own.
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// Returns how many parts differ from the tool's own.
    pub fn details(&self) -> usize {
        usize::from(self.sparse_bytes.is_some())
            + usize::from(self.copies.is_some())
            + usize::from(self.out_of_order)
            + usize::from(self.bitmaps)
            + usize::from(self.target_is_zero)
    }

    /// Returns the arguments of qemu-img.
    pub fn words(&self) -> Vec<String> {
        let pair = |flag: &str, value: u64| [flag.to_owned(), value.to_string()];
        let sparse = self.sparse_bytes.map(|bytes| pair("-S", bytes));
        let copies = self.copies.map(|copies| pair("-m", copies));
        let order = self.out_of_order.then(|| "-W".to_owned());
        let bitmaps = self.bitmaps.then(|| "--bitmaps".to_owned());
        let existing = self.existing.then(|| "-n".to_owned());
        let zero = self.target_is_zero.then(|| "--target-is-zero".to_owned());
        let numbers = sparse.into_iter().chain(copies).flatten();
        let flags = order.into_iter().chain(bitmaps).chain(existing).chain(zero);
        numbers.chain(flags).collect()
    }

    /// Returns modes with one part less.
    pub fn simpler(&self) -> Vec<Self> {
        let without = [
            Self {
                sparse_bytes: None,
                ..self.clone()
            },
            Self {
                copies: None,
                ..self.clone()
            },
            Self {
                out_of_order: false,
                ..self.clone()
            },
            Self {
                bitmaps: false,
                ..self.clone()
            },
            Self {
                target_is_zero: false,
                ..self.clone()
            },
        ];
        without
            .into_iter()
            .filter(|simpler| simpler != self)
            .collect()
    }
}
