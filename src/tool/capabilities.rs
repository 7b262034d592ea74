//! What a tool can be asked, as data: for each kind of request the formats for which it can.
//!
//! Told by the tool itself, read by whoever decides what to do with it: the table of `imgduel tools`, the arena, the contest. Create options
//! that a tool lacks are no part of it: they show in what [`support`](super::Tool::support) says of a request. A test holds both against each
//! other.

use crate::image::format::Format;

/// The names of all requests that tools are asked about plain images, in the order of the table.
const NAMES: [&str; 19] = [
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
];

/// One row: what is asked, and the formats for which it can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capability {
    /// The request's name.
    pub request: &'static str,
    /// The formats of the image that is read or, where one is made or changed, of that one.
    pub formats: Vec<Format>,
}

/// What a tool can be asked.
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
    /// Nothing at all.
    pub fn none() -> Self {
        Self::of_formats(|_| Vec::new())
    }

    /// Everything about every format.
    pub fn everything() -> Self {
        Self::of_formats(|_| Format::all().collect())
    }

    /// Each request for the formats that `formats` gives for its name.
    pub fn of_formats(formats: impl Fn(&str) -> Vec<Format>) -> Self {
        let row = |request| Capability {
            request,
            formats: formats(request),
        };
        Self {
            rows: NAMES.map(row).into(),
        }
    }

    /// The same, with these requests for these formats only.
    pub fn with(mut self, requests: &[&str], formats: &[Format]) -> Self {
        let rows = self.rows.iter_mut();
        for row in rows.filter(|row| requests.contains(&row.request)) {
            row.formats = formats.to_vec();
        }
        self
    }

    /// The same, without what `is_had` denies of a request's name and a format.
    pub fn only(mut self, is_had: impl Fn(&str, Format) -> bool) -> Self {
        for row in &mut self.rows {
            row.formats.retain(|format| is_had(row.request, *format));
        }
        self
    }

    /// The whole table. A request that the tool cannot be asked at all has a row without formats.
    pub fn rows(&self) -> &[Capability] {
        &self.rows
    }

    /// The formats for which it can be asked this, by the request's name.
    pub fn formats(&self, request: &str) -> &[Format] {
        let row = self.rows.iter().find(|row| row.request == request);
        row.map_or(&[], |row| &row.formats)
    }

    /// Whether it can be asked this about any format.
    pub fn can(&self, request: &str) -> bool {
        !self.formats(request).is_empty()
    }
}
