//! How a tool is told the images that it only reads. The answers are the same in every way.
//!
//! Steps and requests have it; the dialects of tools turn it into words. It names no file.

use serde::{Deserialize, Serialize};

/// What names an image on a command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OpenedBy {
    /// Its name.
    #[default]
    Name,
    /// Options of its driver (`--image-opts`).
    Options,
    /// Options of its driver in JSON, in place of the name (`json:`).
    Json,
}

impl OpenedBy {
    /// All ways, the simplest first.
    pub const ALL: [Self; 3] = [Self::Name, Self::Options, Self::Json];

    fn is_name(&self) -> bool {
        *self == Self::Name
    }
}

/// How the images that a request reads are opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// What names them.
    #[serde(default, skip_serializing_if = "OpenedBy::is_name")]
    pub by: OpenedBy,
    /// Whether others may have them open, also for writing (`-U`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared: bool,
}

impl Opening {
    /// Whether they are opened by their names, and not shared.
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// Returns how many parts of it are not the usual ones.
    pub fn details(self) -> usize {
        usize::from(self.shared) + usize::from(!self.by.is_name())
    }

    /// Returns simpler ones, the usual one left out.
    pub fn simpler(self) -> Vec<Self> {
        let ways = OpenedBy::ALL.into_iter().take_while(|by| *by != self.by);
        let ways = ways.map(|by| Self { by, ..self });
        let alone = self.shared.then_some(Self {
            shared: false,
            ..self
        });
        let simpler = ways.chain(alone);
        simpler.filter(|opening| !opening.is_usual()).collect()
    }
}
