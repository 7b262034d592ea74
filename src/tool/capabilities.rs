//! The capabilities of a tool as data: the formats for each kind of request.
//!
//! The tool declares them; `imgduel tools`, the session and campaigns with several candidates read them. Missing
//! creation options are not part of them: [`support`](super::Tool::support) reports those for each request. A test
//! compares the two.

use crate::image::format::Format;

/// The names of all requests about plain images, in the order of the table.
const NAMES: [&str; 20] = [
    "info",
    "check",
    "contents",
    "map",
    "measure",
    "convert",
    "dd",
    "create",
    "resize",
    "write",
    "write_zeroes",
    "discard",
    "amend",
    "rebase",
    "commit",
    "bitmap",
    "snapshot",
    "bench",
    "compare",
    "session",
];

/// Those that create or change an image.
const WRITING: [&str; 12] = [
    "convert",
    "dd",
    "create",
    "resize",
    "write",
    "write_zeroes",
    "discard",
    "amend",
    "rebase",
    "commit",
    "bitmap",
    "snapshot",
];

/// One row: a request, and the formats that it is supported for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capability {
    /// The name of the request.
    pub request: &'static str,
    /// The formats of the image that is read or, if an image is created or changed, of that image.
    pub formats: Vec<Format>,
}

/// The capabilities of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    rows: Vec<Capability>,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self::none()
    }
}

impl Capabilities {
    /// Returns no capabilities.
    pub fn none() -> Self {
        Self::of_formats(|_| Vec::new())
    }

    /// Returns all requests for all formats, except that no tool writes some of them.
    pub fn everything() -> Self {
        Self::of_formats(|request| {
            let is_possible = |format: &Format| format.is_written() || !WRITING.contains(&request);
            Format::all().filter(is_possible).collect()
        })
    }

    /// Returns each request with the formats that `formats` returns for its name.
    pub fn of_formats(formats: impl Fn(&str) -> Vec<Format>) -> Self {
        let row = |request| Capability {
            request,
            formats: formats(request),
        };
        Self {
            rows: NAMES.map(row).into(),
        }
    }

    /// Limits these requests to these formats.
    pub fn with(mut self, requests: &[&str], formats: &[Format]) -> Self {
        let rows = self.rows.iter_mut();
        for row in rows.filter(|row| requests.contains(&row.request)) {
            row.formats = formats.to_vec();
        }
        self
    }

    /// Removes the combinations of a request's name and a format that `is_had` denies.
    pub fn only(mut self, is_had: impl Fn(&str, Format) -> bool) -> Self {
        for row in &mut self.rows {
            row.formats.retain(|format| is_had(row.request, *format));
        }
        self
    }

    /// Returns the whole table. A request without any support has a row without formats.
    pub fn rows(&self) -> &[Capability] {
        &self.rows
    }

    /// Returns the formats for the request of this name.
    pub fn formats(&self, request: &str) -> &[Format] {
        let row = self.rows.iter().find(|row| row.request == request);
        row.map_or(&[], |row| &row.formats)
    }

    /// Whether the request of this name is supported for any format.
    pub fn can(&self, request: &str) -> bool {
        !self.formats(request).is_empty()
    }
}
