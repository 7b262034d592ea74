//! The mode of a rebase.

use serde::{Deserialize, Serialize};

use crate::image::format::Format;

/// The mode of a rebase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebaseMode {
    /// Whether only the name changes, without copying data.
    #[serde(default, rename = "unsafe")]
    pub is_unsafe: bool,
    /// The format of the new backing file, if it is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backing_format: Option<Format>,
    /// Whether data that is copied into the overlay is compressed, for `-c`.
    #[serde(
        default,
        rename = "compress",
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub compresses: bool,
}
