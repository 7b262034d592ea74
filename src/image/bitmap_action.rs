//! Actions on the persistent dirty bitmaps of a qcow2 image.
//!
//! Requests carry them to the tools, and the model applies them. Each tool's own module translates them into command lines or calls.

use serde::{Deserialize, Serialize};

use crate::image::validity::{self, Validity};

/// An action on a bitmap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum BitmapAction {
    /// Creates the bitmap, clean.
    Add {
        /// The number of guest bytes that one bit covers; `None` leaves the choice to the tool.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        granularity: Option<u64>,
    },
    /// Removes the bitmap.
    Remove,
    /// Clears all its bits.
    Clear,
    /// Lets it record writes.
    Enable,
    /// Stops it from recording writes.
    Disable,
    /// Sets all bits that are set in another bitmap.
    Merge {
        /// The name of the other bitmap.
        source: String,
    },
}

impl BitmapAction {
    /// Checks an action that was read from a file.
    pub fn validity(&self) -> Validity {
        match self {
            Self::Add {
                granularity: Some(bytes),
            } => validity::granularity("", *bytes),
            Self::Merge { source } => validity::name(" merges a bitmap whose name", source),
            Self::Add { granularity: None }
            | Self::Remove
            | Self::Clear
            | Self::Enable
            | Self::Disable => Ok(()),
        }
    }

    /// This action without its optional details, for the shrinker.
    pub fn plain(&self) -> Self {
        match self {
            Self::Add { .. } => Self::Add { granularity: None },
            other => other.clone(),
        }
    }

    /// The number of optional details, for the size of a case.
    pub fn details(&self) -> usize {
        usize::from(*self != self.plain())
    }
}
