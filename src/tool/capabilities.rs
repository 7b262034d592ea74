//! What a tool can be asked, as a table: for `imgduel tools`.
//!
//! Made by asking the tool's own [`support`](super::Tool::support) about one plain request for every operation and
//! format; create options that it lacks show only in the reasons of a run.

use super::{Support, Tool};
use crate::base::size::Size;
use crate::image::format::Format;
use crate::image::options::CreateOptions;
use crate::tool::request::{
    BenchPlan, ImageFile, NewSize, RebaseMode, Request, SnapshotAction, SnapshotKey, Window,
};

/// One row: what is asked, and the formats for which it can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capability {
    /// The request's name.
    pub request: &'static str,
    /// The formats of the image that is read or, where one is made or changed, of that one.
    pub formats: Vec<Format>,
}

/// The whole table of a tool. A request that it cannot be asked at all has a row without formats.
pub fn capabilities(tool: &dyn Tool) -> Vec<Capability> {
    let mut table: Vec<Capability> = Vec::new();
    for format in Format::all() {
        for request in plain_requests(format) {
            let name = request.name();
            if table.iter().all(|row| row.request != name) {
                table.push(Capability {
                    request: name,
                    formats: Vec::new(),
                });
            }
            let row = table.iter_mut().find(|row| row.request == name);
            if let (Some(row), Support::Yes) = (row, tool.support(&request)) {
                row.formats.push(format);
            }
        }
    }
    table
}

/// Whether a tool can be asked a plain request of this name about any format.
pub fn can(tool: &dyn Tool, request: &str) -> bool {
    let asked = Format::all().flat_map(plain_requests);
    let mut asked = asked.filter(|plain| plain.name() == request);
    asked.any(|plain| tool.support(&plain) == Support::Yes)
}

/// One plain request of every kind about an image of this format.
fn plain_requests(format: Format) -> Vec<Request> {
    let file = || ImageFile::new("image", format);
    let raw = || ImageFile::new("raw", Format::Raw);
    vec![
        Request::Info { file: file() },
        Request::Check { file: file() },
        Request::Contents { file: file() },
        Request::Map {
            file: file(),
            window: Window::WHOLE,
        },
        Request::Measure {
            source: raw(),
            target: format,
        },
        Request::Convert {
            source: raw(),
            target: file(),
            compress: false,
        },
        Request::Dd {
            source: raw(),
            target: file(),
            block_size: 512,
            count: None,
            skip: 0,
        },
        Request::Create {
            file: file(),
            size: Size::literal("1M"),
        },
        Request::Resize {
            file: file(),
            size: NewSize::of_bytes(2 << 20),
            end_bytes: 2 << 20,
            shrink: false,
            preallocation: None,
        },
        Request::Write {
            file: file(),
            writes: Vec::new(),
        },
        Request::WriteZeroes {
            file: file(),
            offset: 0,
            length: 512,
            unmap: false,
        },
        Request::Discard {
            file: file(),
            offset: 0,
            length: 512,
        },
        Request::Amend {
            file: file(),
            options: CreateOptions::new(),
        },
        Request::Rebase {
            file: file(),
            new_backing: None,
            mode: RebaseMode::default(),
        },
        Request::Commit {
            file: file(),
            base: None,
        },
        Request::Bitmap {
            file: file(),
            actions: Vec::new(),
            name: String::new(),
        },
        Request::Snapshot {
            file: file(),
            action: SnapshotAction::Create,
            snapshot: SnapshotKey::Name(String::new()),
        },
        Request::Bench {
            file: file(),
            plan: BenchPlan::default(),
        },
        Request::Compare {
            first: file(),
            second: file(),
        },
    ]
}
