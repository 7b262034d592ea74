//! What is done with a persistent dirty bitmap of a qcow2.
//!
//! Asked of tools in requests, followed by the model. How a tool is told of it is for its own file.

use serde::{Deserialize, Serialize};

use crate::image::validity::{self, Validity};

/// What is done with a bitmap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum BitmapAction {
    /// It is made, clean.
    Add {
        /// Guest bytes a bit stands for; none: the tool's choice.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        granularity: Option<u64>,
    },
    /// It is removed.
    Remove,
    /// Nothing is dirty in it any more.
    Clear,
    /// It records from now on.
    Enable,
    /// It does not record any more.
    Disable,
    /// What is dirty in another one is dirty in it as well.
    Merge {
        /// The name of the other one.
        source: String,
    },
}

impl BitmapAction {
    /// What is wrong with it, if it came out of a file.
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

    /// The same without what it can do without.
    pub fn plain(&self) -> Self {
        match self {
            Self::Add { .. } => Self::Add { granularity: None },
            other => other.clone(),
        }
    }

    /// How much is said of it beyond that.
    pub fn details(&self) -> usize {
        usize::from(*self != self.plain())
    }
}
