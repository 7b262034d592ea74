//! What a step is: something that a tool is asked, or something that the harness does itself.
//!
//! No tool is ever handed what is the harness's own.

use crate::disk_format::damage::Damage;
use crate::disk_format::qcow2::corruption::FieldMutation;
use crate::tool::request::{ImageFile, Request, RequestKind};

/// What a step, or a look at what is left, is.
#[derive(Clone, Debug, PartialEq)]
pub enum Task {
    /// A tool is asked this.
    Tool(Request),
    /// The harness does this.
    Harness(HarnessAction),
}

/// What only the harness does.
#[derive(Clone, Debug, PartialEq)]
pub enum HarnessAction {
    /// A qcow2 is damaged.
    Corrupt {
        /// The image.
        file: ImageFile,
        /// How.
        corruption: FieldMutation,
    },
    /// The reference's image is damaged, and the candidate given the same.
    Damage {
        /// The image; every file whose name begins with its stem belongs to it.
        file: ImageFile,
        /// How.
        damages: Vec<Damage>,
    },
    /// Whether the damaged image, and every file that belongs to it, is what it was.
    Untouched {
        /// The image.
        file: ImageFile,
    },
    /// A qcow2's snapshot table is settled, and its host clusters are told.
    HostClusters {
        /// The image.
        file: ImageFile,
    },
    /// What an image takes on the host and, of a qcow2, whether its metadata holds together; the answer is the JSON of an
    /// [`Audit`](crate::disk_format::qcow2::audit::Audit).
    Audit {
        /// The image.
        file: ImageFile,
    },
}

impl HarnessAction {
    /// What is done.
    pub fn kind(&self) -> RequestKind {
        match self {
            Self::Corrupt { .. } => RequestKind::Corrupt,
            Self::Damage { .. } => RequestKind::Damage,
            Self::Untouched { .. } => RequestKind::Untouched,
            Self::HostClusters { .. } => RequestKind::HostClusters,
            Self::Audit { .. } => RequestKind::Audit,
        }
    }

    /// What is done, in one word.
    pub fn name(&self) -> &'static str {
        self.kind().name()
    }

    /// The image.
    pub fn file(&self) -> &ImageFile {
        match self {
            Self::Corrupt { file, .. }
            | Self::Damage { file, .. }
            | Self::Untouched { file }
            | Self::HostClusters { file }
            | Self::Audit { file } => file,
        }
    }
}

impl Task {
    /// What it is.
    pub fn kind(&self) -> RequestKind {
        match self {
            Self::Tool(request) => request.kind(),
            Self::Harness(action) => action.kind(),
        }
    }

    /// What it is, in one word.
    pub fn name(&self) -> &'static str {
        self.kind().name()
    }

    /// The image that it is about: the one that is made, changed or, where none is, read.
    pub fn file(&self) -> &ImageFile {
        match self {
            Self::Tool(request) => request.file(),
            Self::Harness(action) => action.file(),
        }
    }

    /// Whether it may write to no file at all.
    pub fn is_reading(&self) -> bool {
        match self {
            Self::Tool(request) => request.is_reading(),
            Self::Harness(action) => matches!(action, HarnessAction::Audit { .. }),
        }
    }

    /// What a tool is asked, if one is.
    pub fn request(&self) -> Option<&Request> {
        match self {
            Self::Tool(request) => Some(request),
            Self::Harness(_) => None,
        }
    }

    /// What the harness does, if it does.
    pub fn action(&self) -> Option<&HarnessAction> {
        match self {
            Self::Tool(_) => None,
            Self::Harness(action) => Some(action),
        }
    }
}
