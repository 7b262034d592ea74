//! The task of a step: a request to a tool, or an action of the harness.
//!
//! No tool gets an action of the harness.

use crate::disk_format::damage::Damage;
use crate::disk_format::qcow2::corruption::FieldMutation;
use crate::disk_format::writer::{Guest, WrittenFiles};
use crate::image::model::View;
use crate::tool::request::Fault;
use crate::tool::request::{ImageFile, Request, RequestKind};

/// The task of a step or of an inspection.
#[derive(Clone, Debug, PartialEq)]
pub enum Task {
    /// A request to a tool.
    Tool(Request),
    /// An action of the harness.
    Harness(HarnessAction),
}

/// An action of the harness.
#[derive(Clone, Debug, PartialEq)]
pub enum HarnessAction {
    /// Have a tool carry out a request while one of its calls fails, on a copy of the side's files.
    Fault {
        /// The request.
        request: Box<Request>,
        /// The image that is looked at afterwards.
        file: ImageFile,
        /// The call that fails.
        fault: Fault,
        /// What a guest may see afterwards: each byte as in one of these.
        allowed: Vec<View>,
    },
    /// Give a side its copy of files of an image from outside.
    Place {
        /// The image.
        file: ImageFile,
        /// The digest of the whole image from outside.
        digest: String,
        /// The names of the files: the image, its extents, its data file.
        names: Vec<String>,
    },
    /// Damage a qcow2.
    Corrupt {
        /// The image.
        file: ImageFile,
        /// The mutation.
        corruption: FieldMutation,
    },
    /// Damage the reference's image, and give the candidate a copy.
    Damage {
        /// The image; every file whose name starts with its stem belongs to it.
        file: ImageFile,
        /// The mutations.
        damages: Vec<Damage>,
    },
    /// Check that the damaged image, and every file that belongs to it, is unchanged.
    Untouched {
        /// The image.
        file: ImageFile,
    },
    /// Write an image of our own.
    WriteImage {
        /// The image; every file whose name starts with its stem belongs to it.
        file: ImageFile,
        /// All files.
        files: WrittenFiles,
    },
    /// Have a tool write an image from a raw file.
    WriteByTool {
        /// The tool's name.
        writer: String,
        /// The image.
        file: ImageFile,
        /// The raw files to compare it with.
        files: WrittenFiles,
        /// What a guest is to see.
        guest: Guest,
    },
    /// Check that all files of an image of our own are as they were written.
    Unchanged {
        /// The image.
        file: ImageFile,
        /// All files.
        files: WrittenFiles,
    },
    /// Normalize the dates in a qcow2's snapshot table, and read its host clusters.
    HostClusters {
        /// The image.
        file: ImageFile,
    },
    /// Measure the host space of an image and, for a qcow2, check the consistency of its metadata; the answer is the
    /// JSON of an [`Audit`](crate::disk_format::qcow2::audit::Audit).
    Audit {
        /// The image.
        file: ImageFile,
    },
}

impl HarnessAction {
    /// Returns the kind of the action.
    pub fn kind(&self) -> RequestKind {
        match self {
            Self::Fault { .. } => RequestKind::Fault,
            Self::Place { .. } => RequestKind::Place,
            Self::Corrupt { .. } => RequestKind::Corrupt,
            Self::Damage { .. } => RequestKind::Damage,
            Self::Untouched { .. } => RequestKind::Untouched,
            Self::WriteImage { .. } | Self::WriteByTool { .. } => RequestKind::WriteImage,
            Self::Unchanged { .. } => RequestKind::Unchanged,
            Self::HostClusters { .. } => RequestKind::HostClusters,
            Self::Audit { .. } => RequestKind::Audit,
        }
    }

    /// Returns the name of the kind.
    pub fn name(&self) -> &'static str {
        self.kind().name()
    }

    /// Returns the image.
    pub fn file(&self) -> &ImageFile {
        match self {
            Self::Fault { file, .. }
            | Self::Place { file, .. }
            | Self::Corrupt { file, .. }
            | Self::Damage { file, .. }
            | Self::Untouched { file }
            | Self::WriteImage { file, .. }
            | Self::WriteByTool { file, .. }
            | Self::Unchanged { file, .. }
            | Self::HostClusters { file }
            | Self::Audit { file } => file,
        }
    }
}

impl Task {
    /// Returns the kind of the task.
    pub fn kind(&self) -> RequestKind {
        match self {
            Self::Tool(request) => request.kind(),
            Self::Harness(action) => action.kind(),
        }
    }

    /// Returns the name of the kind.
    pub fn name(&self) -> &'static str {
        self.kind().name()
    }

    /// Returns the image that the task concerns: the one that is created or changed, otherwise the one that is read.
    pub fn file(&self) -> &ImageFile {
        match self {
            Self::Tool(request) => request.file(),
            Self::Harness(action) => action.file(),
        }
    }

    /// Whether it must not write to any file.
    pub fn is_reading(&self) -> bool {
        match self {
            Self::Tool(request) => request.is_reading(),
            Self::Harness(action) => {
                matches!(
                    action,
                    HarnessAction::Audit { .. } | HarnessAction::Fault { .. }
                )
            }
        }
    }

    /// Returns the request to a tool, if it is one.
    pub fn request(&self) -> Option<&Request> {
        match self {
            Self::Tool(request) => Some(request),
            Self::Harness(_) => None,
        }
    }

    /// Returns the action of the harness, if it is one.
    pub fn action(&self) -> Option<&HarnessAction> {
        match self {
            Self::Tool(_) => None,
            Self::Harness(action) => Some(action),
        }
    }
}
