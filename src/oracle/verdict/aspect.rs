//! In which aspect of an image two tools disagree.
//!
//! The order is that of causes: what differs in one aspect mostly differs in the later ones as well, so the first one is told.
//! Which kind belongs to which aspect stands in the table of kinds. Records call it `layer`.

use serde::{Deserialize, Serialize};

/// An aspect, in the order in which they are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Aspect {
    /// How the tool came out: done, refused, dead, out of time.
    Exit,
    /// What a guest sees.
    Contents,
    /// Size and format facts.
    Facts,
    /// What is allocated.
    Allocation,
    /// Reference counts and tables: what a check finds.
    Metadata,
    /// What is left on the host: an input that was written to.
    Host,
    /// What one tool sees in the other's image.
    CrossReading,
    /// What the tool says in words or figures of its own.
    Saying,
}

impl Aspect {
    /// Its name in records.
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
