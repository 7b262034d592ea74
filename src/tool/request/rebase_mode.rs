//! How an overlay is put onto another backing file.

use serde::{Deserialize, Serialize};

use crate::image::format::Format;

/// How an overlay is put onto another backing file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebaseMode {
    /// Whether the name alone is changed, and no data is copied.
    #[serde(default, rename = "unsafe")]
    pub is_unsafe: bool,
    /// The format of the new backing file, where it is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backing_format: Option<Format>,
}
