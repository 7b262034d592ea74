//! The aspects of an image in which two tools may disagree.
//!
//! The order is that of causes: a difference in one aspect usually causes differences in later ones, so the first one
//! is reported. The table of kinds assigns each kind to an aspect. Records call it `layer`.

use serde::{Deserialize, Serialize};

/// An aspect, in the order in which differences are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Aspect {
    /// The exit of a tool: success, refusal, crash, timeout.
    Exit,
    /// The guest-visible contents.
    Contents,
    /// Size and format facts.
    Facts,
    /// The allocation.
    Allocation,
    /// Refcounts and tables: what a check finds.
    Metadata,
    /// The files on the host: their space, or a write to an input.
    Host,
    /// One tool's reading of the other's image.
    CrossReading,
    /// Messages and figures of a tool.
    Saying,
}

impl Aspect {
    /// Returns its name in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exit => "exit",
            Self::Contents => "contents",
            Self::Facts => "facts",
            Self::Allocation => "allocation",
            Self::Metadata => "metadata",
            Self::Host => "host",
            Self::CrossReading => "cross_reading",
            Self::Saying => "saying",
        }
    }
}
