//! The types of options' values, with their text forms.

use std::fmt::Display;

use serde::{Deserialize, Serialize};

use crate::base::size::Size;
use crate::image::format::Format;
use crate::image::validity;

/// The value of an option.
pub trait OptionValue: Sized + Display {
    /// Parses the value. The error says which values are allowed.
    fn read(text: &str) -> Result<Self, String>;
}

/// Defines a value type with a fixed list of words.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$what:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$what])* #[serde(rename = $text)] $variant,)*
        }

        impl $name {
            /// All values.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The value as text.
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
    /// The version of a qcow2 image, written as the first release of QEMU that supports it.
    Compat {
        /// Version 2, since QEMU 0.10.
        Version2 = "0.10",
        /// Version 3, since QEMU 1.1.
        Version3 = "1.1",
    }
}

words! {
    /// The compression of a qcow2 image's clusters.
    Compression {
        /// Deflate.
        Zlib = "zlib",
        /// Zstandard.
        Zstd = "zstd",
    }
}

words! {
    /// The format of an image's encryption.
    Encryption {
        /// QEMU's legacy encryption: AES-CBC with the secret as the key.
        Aes = "aes",
        /// A LUKS header in the image.
        Luks = "luks",
    }
}

words! {
    /// What is allocated when an image is created.
    Preallocation {
        /// Nothing.
        Off = "off",
        /// The tables that map guest data.
        Metadata = "metadata",
        /// The tables, and space for the data with fallocate(2).
        Falloc = "falloc",
        /// The tables, and space for the data by writing zeros.
        Full = "full",
    }
}

impl Preallocation {
    /// Whether space for the data itself is allocated.
    pub fn takes_space(self) -> bool {
        matches!(self, Self::Falloc | Self::Full)
    }
}

words! {
    /// The kind of a vmdk, vpc or vhdx image.
    Subformat {
        /// A vmdk in one file whose grains are allocated on write.
        MonolithicSparse = "monolithicSparse",
        /// A vmdk with its data in one raw file.
        MonolithicFlat = "monolithicFlat",
        /// A vmdk in files of up to 2 GiB whose grains are allocated on write.
        TwoGbMaxExtentSparse = "twoGbMaxExtentSparse",
        /// A vmdk with its data in raw files of up to 2 GiB.
        TwoGbMaxExtentFlat = "twoGbMaxExtentFlat",
        /// A vmdk whose grains are compressed, and written only once and in order.
        StreamOptimized = "streamOptimized",
        /// A vpc or vhdx whose blocks are allocated on write.
        Dynamic = "dynamic",
        /// A vpc or vhdx that has its full length from the start.
        Fixed = "fixed",
    }
}

impl Subformat {
    /// Whether the image has its full length from the start.
    pub fn is_full(self) -> bool {
        matches!(self, Self::Fixed) || self.is_flat()
    }

    /// Whether this is a vmdk with its data in raw files.
    pub fn is_flat(self) -> bool {
        matches!(self, Self::MonolithicFlat | Self::TwoGbMaxExtentFlat)
    }

    /// Whether this is a vmdk of several files.
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

/// Any text, for options whose values imgduel only passes on.
impl OptionValue for String {
    fn read(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}
