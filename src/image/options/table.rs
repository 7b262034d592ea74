//! The table of options, one row each: the option's name in Rust, the type of its value, and its name in cases and on command lines.

use serde::{Deserialize, Serialize};

use super::value::{Compat, Compression, Encryption, OptionValue, Preallocation, Subformat};
use crate::base::size::Size;
use crate::image::format::Format;

/// The options to create or amend an image with, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreateOptions(pub(super) Vec<CreateOption>);

/// `on` or `off`.
const fn switch(is_on: bool) -> &'static str {
    match is_on {
        true => "on",
        false => "off",
    }
}

macro_rules! options {
    (
        switches { $($switch:ident $switch_getter:ident = $switch_name:literal: $switch_about:literal;)* }
        plain { $($plain:ident($plain_type:ty) $plain_getter:ident = $plain_name:literal: $plain_about:literal;)* }
        texts { $($text:ident($text_type:ty) $text_getter:ident = $text_name:literal: $text_about:literal;)* }
    ) => {
        /// An option with its value. In JSON: `NAME=VALUE`.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub enum CreateOption {
            $(#[doc = $switch_about] $switch(bool),)*
            $(#[doc = $plain_about] $plain($plain_type),)*
            $(#[doc = $text_about] $text($text_type),)*
        }

        impl CreateOption {
            /// The option's name in cases and on command lines.
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$switch(_) => $switch_name,)*
                    $(Self::$plain(_) => $plain_name,)*
                    $(Self::$text(_) => $text_name,)*
                }
            }

            /// Whether a switch is on; `None` for any other option.
            pub(super) const fn switched(&self) -> Option<bool> {
                match self {
                    $(Self::$switch(is_on) => Some(*is_on),)*
                    _ => None,
                }
            }

            /// The option's value as text.
            pub fn value(&self) -> String {
                match self {
                    $(Self::$switch(is_on) => switch(*is_on).to_owned(),)*
                    $(Self::$plain(value) => value.to_string(),)*
                    $(Self::$text(value) => value.to_string(),)*
                }
            }

            /// Parses an option. Returns `None` for an unknown name, and an error that says which values are allowed for an invalid value.
            pub(super) fn read(name: &str, value: &str) -> Option<Result<Self, String>> {
                match name {
                    $($switch_name => Some(match value {
                        "on" => Ok(Self::$switch(true)),
                        "off" => Ok(Self::$switch(false)),
                        _ => Err("on or off".to_owned()),
                    }),)*
                    $($plain_name => Some(<$plain_type>::read(value).map(Self::$plain)),)*
                    $($text_name => Some(<$text_type>::read(value).map(Self::$text)),)*
                    _ => None,
                }
            }
        }

        impl CreateOptions {
            $(
                #[doc = $switch_about]
                pub fn $switch_getter(&self) -> Option<bool> {
                    self.0.iter().find_map(|option| match option {
                        CreateOption::$switch(is_on) => Some(*is_on),
                        _ => None,
                    })
                }
            )*
            $(
                #[doc = $plain_about]
                pub fn $plain_getter(&self) -> Option<$plain_type> {
                    self.0.iter().find_map(|option| match option {
                        CreateOption::$plain(value) => Some(*value),
                        _ => None,
                    })
                }
            )*
            $(
                #[doc = $text_about]
                pub fn $text_getter(&self) -> Option<&$text_type> {
                    self.0.iter().find_map(|option| match option {
                        CreateOption::$text(value) => Some(value),
                        _ => None,
                    })
                }
            )*
        }
    };
}

options! {
    switches {
        BlockStateZero block_state_zero = "block_state_zero": "vhdx: whether new blocks are marked as zero.";
        Compat6 compat6 = "compat6": "vmdk: whether VMware 6 must be able to read the image.";
        DataFileRaw data_file_raw = "data_file_raw": "qcow2: whether the data file must remain a valid raw image.";
        ExtendedL2 extended_l2 = "extended_l2": "qcow2: whether clusters have subclusters.";
        ForceSize force_size = "force_size": "vpc: whether the exact size is used instead of one rounded to a CHS geometry.";
        LazyRefcounts lazy_refcounts = "lazy_refcounts": "qcow2: whether updates of refcounts may be postponed.";
        Static r#static = "static": "vdi: whether the image has its full length from the start.";
        ZeroedGrain zeroed_grain = "zeroed_grain": "vmdk: whether grains can be marked as zero.";
    }
    plain {
        BackingFormat(Format) backing_format = "backing_fmt": "The format of the backing file.";
        ClusterSize(u64) cluster_size = "cluster_size": "qcow2, parallels: the cluster size in bytes.";
        Compat(Compat) compat = "compat": "qcow2: the version of the format.";
        CompressionType(Compression) compression_type = "compression_type": "qcow2: how clusters are compressed.";
        EncryptFormat(Encryption) encrypt_format = "encrypt.format": "The format of the encryption.";
        EncryptIterTime(u64) encrypt_iter_time = "encrypt.iter-time": "LUKS: how long deriving a key should take, in milliseconds.";
        Preallocation(Preallocation) preallocation = "preallocation": "What is allocated when the image is created.";
        RefcountBits(u64) refcount_bits = "refcount_bits": "qcow2: the width of a refcount in bits.";
        Subformat(Subformat) subformat = "subformat": "vmdk, vpc, vhdx: the kind of image.";
    }
    texts {
        AdapterType(String) adapter_type = "adapter_type": "vmdk: the virtual adapter.";
        BackingFile(String) backing_file = "backing_file": "The name of the backing file.";
        BlockSize(Size) block_size = "block_size": "vhdx: the block size in bytes.";
        DataFile(String) data_file = "data_file": "qcow2: the name of the external data file.";
        EncryptCipherAlgorithm(String) encrypt_cipher_algorithm = "encrypt.cipher-alg": "LUKS: the cipher.";
        EncryptCipherMode(String) encrypt_cipher_mode = "encrypt.cipher-mode": "LUKS: the mode of the cipher.";
        EncryptHashAlgorithm(String) encrypt_hash_algorithm = "encrypt.hash-alg": "LUKS: the hash.";
        EncryptIvAlgorithm(String) encrypt_iv_algorithm = "encrypt.ivgen-alg": "LUKS: the generator of initialization vectors.";
        EncryptIvHashAlgorithm(String) encrypt_iv_hash_algorithm = "encrypt.ivgen-hash-alg": "LUKS: the hash that the generator of initialization vectors uses.";
        HardwareVersion(String) hardware_version = "hwversion": "vmdk: the version of the virtual hardware.";
        LogSize(Size) log_size = "log_size": "vhdx: the size of the log in bytes.";
        ToolsVersion(String) tools_version = "toolsversion": "vmdk: the version of VMware's tools.";
    }
}
