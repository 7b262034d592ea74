//! What tools are asked about an image of our own. Nothing of it changes the image.

use serde::{Deserialize, Serialize};

use crate::disk_format::writer::WrittenFiles;
use crate::image::format::Format;
use crate::oracle::observations::{Executor, ExitExpectation, Step};
use crate::tool::request::{ImageFile, Request, Window};

/// A question about the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Look {
    /// Describes it.
    Info,
    /// Checks it.
    Check,
    /// Maps it.
    Map,
    /// Reads all of it.
    Contents,
    /// Predicts the size of a conversion to qcow2.
    Measure,
    /// Copies it into a new raw image.
    Convert,
    /// Copies it into a new qcow2.
    ConvertQcow2,
    /// Compares it with a raw image of the same contents.
    Compare,
    /// Compares it with a raw image in which one byte differs.
    CompareOther,
    /// Reads its internal snapshot.
    Snapshot,
}

impl Look {
    /// All questions, in the order in which a case has them.
    pub const ALL: [Self; 10] = [
        Self::Info,
        Self::Check,
        Self::Map,
        Self::Contents,
        Self::Measure,
        Self::Convert,
        Self::ConvertQcow2,
        Self::Compare,
        Self::CompareOther,
        Self::Snapshot,
    ];

    /// Returns the name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Check => "check",
            Self::Map => "map",
            Self::Contents => "contents",
            Self::Measure => "measure",
            Self::Convert => "convert",
            Self::ConvertQcow2 => "convert_qcow2",
            Self::Compare => "compare",
            Self::CompareOther => "compare_other",
            Self::Snapshot => "snapshot",
        }
    }

    /// Whether it needs a raw image to compare with.
    pub(super) fn compares(self) -> bool {
        matches!(self, Self::Compare | Self::CompareOther)
    }

    /// Returns the steps: the request, and where it makes an image, one that reads that. Empty where nobody could answer.
    pub(super) fn steps(self, file: &ImageFile, stem: &str, has_snapshot: bool) -> Vec<Step> {
        let file = file.clone();
        let request = match self {
            Self::Info => Request::Info { file },
            Self::Check if !file.format.is_checked() => return Vec::new(),
            Self::Check => Request::Check { file },
            Self::Map => Request::Map {
                file,
                window: Window::WHOLE,
            },
            Self::Contents => Request::Contents { file },
            Self::Measure => Request::Measure {
                options: Default::default(),
                snapshot: None,
                source: file,
                target: Format::Qcow2,
            },
            Self::Convert => {
                return copy(file, ImageFile::new(&format!("{stem}-copy"), Format::Raw));
            }
            Self::ConvertQcow2 => {
                return copy(file, ImageFile::new(&format!("{stem}-copy"), Format::Qcow2));
            }
            Self::Compare => compare(file, WrittenFiles::flat_name(stem)),
            Self::CompareOther => compare(file, WrittenFiles::other_name(stem)),
            Self::Snapshot if !has_snapshot => return Vec::new(),
            Self::Snapshot => Request::SnapshotContents {
                file,
                id: "1".to_owned(),
            },
        };
        vec![asked(Executor::SideIfAble, request)]
    }
}

fn asked(executor: Executor, request: Request) -> Step {
    Step {
        executor,
        expected_exit: ExitExpectation::Free,
        ..Step::own(request)
    }
}

fn copy(source: ImageFile, target: ImageFile) -> Vec<Step> {
    let file = target.clone();
    let convert = Request::Convert {
        source,
        target,
        compress: false,
        mode: Default::default(),
    };
    vec![
        asked(Executor::SideIfAble, convert),
        asked(Executor::Reference, Request::Contents { file }),
    ]
}

fn compare(first: ImageFile, other: String) -> Request {
    let second = ImageFile {
        path: other,
        format_is_told: true,
        ..ImageFile::new("", Format::Raw)
    };
    Request::Compare { first, second }
}
