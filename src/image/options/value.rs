//! The values of options: what they may be, and how they are spelled.

use std::fmt::Display;

use serde::{Deserialize, Serialize};

use crate::base::size::Size;
use crate::image::format::Format;
use crate::image::validity;

/// A value of an option.
pub trait OptionValue: Sized + Display {
    /// Reads it; the error says what may be written.
    fn read(text: &str) -> Result<Self, String>;
}

/// A value out of a list.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$what:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$what])* #[serde(rename = $text)] $variant,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Its spelling.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        impl Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(self.name())
            }
        }

        impl OptionValue for $name {
            fn read(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok(Self::$variant),)*
                    _ => {
                        let known: Vec<&str> = Self::ALL.iter().map(|word| word.name()).collect();
                        Err(format!("one of {}", known.join(", ")))
                    }
                }
            }
        }
    };
}

words! {
    /// Which QEMU must be able to read a qcow2: its version, by the first release that had it.
    Compat {
        /// Version 2, of QEMU 0.10.
        Version2 = "0.10",
        /// Version 3, of QEMU 1.1.
        Version3 = "1.1",
    }
}

words! {
    /// How the clusters of a qcow2 are compressed.
    Compression {
        /// Deflate.
        Zlib = "zlib",
        /// Zstandard.
        Zstd = "zstd",
    }
}

words! {
    /// How an image is encrypted.
    Encryption {
        /// QEMU's first way: AES-CBC with the secret as key.
        Aes = "aes",
        /// A LUKS header in the image.
        Luks = "luks",
    }
}

words! {
    /// What is allocated before anything is written.
    Preallocation {
        /// Nothing.
        Off = "off",
        /// The tables that say where data lies.
        Metadata = "metadata",
        /// The data's space too, by fallocate(2).
        Falloc = "falloc",
        /// The data's space too, by writing zeros.
        Full = "full",
    }
}

impl Preallocation {
    /// Whether space is taken for the data itself.
    pub fn takes_space(self) -> bool {
        matches!(self, Self::Falloc | Self::Full)
    }
}

words! {
    /// The kind of a vmdk, a vpc or a vhdx.
    Subformat {
        /// A vmdk in one file, whose grains are allocated as they are written.
        MonolithicSparse = "monolithicSparse",
        /// A vmdk whose data is one raw file.
        MonolithicFlat = "monolithicFlat",
        /// A vmdk in files of 2 GiB, whose grains are allocated as they are written.
        TwoGbMaxExtentSparse = "twoGbMaxExtentSparse",
        /// A vmdk whose data is in raw files of 2 GiB.
        TwoGbMaxExtentFlat = "twoGbMaxExtentFlat",
        /// A vmdk whose grains are compressed and written once, in order.
        StreamOptimized = "streamOptimized",
        /// A vpc or vhdx whose blocks are allocated as they are written.
        Dynamic = "dynamic",
        /// A vpc or vhdx that has its whole length.
        Fixed = "fixed",
    }
}

impl Subformat {
    /// Whether the image takes its whole length at once.
    pub fn is_full(self) -> bool {
        matches!(self, Self::Fixed) || self.is_flat()
    }

    /// Whether a vmdk's data lies in raw files.
    pub fn is_flat(self) -> bool {
        matches!(self, Self::MonolithicFlat | Self::TwoGbMaxExtentFlat)
    }

    /// Whether a vmdk lies in several files.
    pub fn is_split(self) -> bool {
        self.is_flat() || self == Self::TwoGbMaxExtentSparse
    }
}

impl OptionValue for u64 {
    fn read(text: &str) -> Result<Self, String> {
        validity::plain_number(text).ok_or_else(|| "a number in decimal digits".to_owned())
    }
}

impl OptionValue for Size {
    fn read(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|_| "a size: bytes, or a number with K, M, G or T".to_owned())
    }
}

impl OptionValue for Format {
    fn read(text: &str) -> Result<Self, String> {
        Self::all()
            .find(|format| format.name() == text)
            .ok_or_else(|| {
                let known: Vec<&str> = Self::all().map(Self::name).collect();
                format!("one of {}", known.join(", "))
            })
    }
}

/// What no other part of imgduel looks at: any text.
impl OptionValue for String {
    fn read(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}
