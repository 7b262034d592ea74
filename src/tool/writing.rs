//! Tools as writers: each makes images of its formats from a raw file.
//!
//! The grid of writers and readers and cases with a writer call it. A tool that converts as a request is a writer by that; of others, which would be asked by every
//! campaign then, the file implements [`ImageWriter`].

use std::sync::LazyLock;

use super::{CallContext, Support, Tool};
use crate::base::error::Result;
use crate::image::format::Format;
use crate::image::options::{CreateOption, CreateOptions, Subformat};
use crate::tool::request::{Answer, ImageFile, Request};

/// A form of a format: what a writer is asked to make.
#[derive(Clone, Debug, PartialEq)]
pub struct Form {
    /// The format.
    pub format: Format,
    /// What tells it from other forms of the format.
    pub name: &'static str,
    /// The options by which a tool makes it.
    pub options: CreateOptions,
}

/// A tool that makes images from raw files, and is asked for it as a writer alone.
pub trait ImageWriter {
    /// Whether it makes this form.
    fn makes(&self, form: &Form) -> bool;

    /// Makes `target` with the contents of the raw file `source`.
    fn make(
        &self,
        source: &ImageFile,
        target: &ImageFile,
        call_context: &CallContext<'_>,
    ) -> Result<Answer>;
}

/// All forms, by format.
static FORMS: LazyLock<Vec<Form>> = LazyLock::new(|| {
    let form = |format, name, options: &[CreateOption]| Form {
        format,
        name,
        options: options.to_vec().into(),
    };
    let subformat = |format, subformat: Subformat| {
        form(
            format,
            subformat.name(),
            &[CreateOption::Subformat(subformat)],
        )
    };
    vec![
        form(Format::Qcow2, "", &[]),
        subformat(Format::Vmdk, Subformat::MonolithicSparse),
        subformat(Format::Vmdk, Subformat::MonolithicFlat),
        subformat(Format::Vmdk, Subformat::TwoGbMaxExtentSparse),
        subformat(Format::Vmdk, Subformat::StreamOptimized),
        subformat(Format::Vpc, Subformat::Dynamic),
        subformat(Format::Vpc, Subformat::Fixed),
        form(Format::Vpc, "force_size", &[CreateOption::ForceSize(true)]),
        subformat(Format::Vhdx, Subformat::Dynamic),
        subformat(Format::Vhdx, Subformat::Fixed),
        form(Format::Vdi, "dynamic", &[]),
        form(Format::Vdi, "static", &[CreateOption::Static(true)]),
        form(Format::Qcow, "", &[]),
        form(Format::Parallels, "", &[]),
    ]
});

impl Form {
    /// All forms, by format.
    pub fn all() -> &'static [Self] {
        &FORMS
    }

    /// Returns the file `STEM.FORMAT` of this form.
    pub fn file(&self, stem: &str) -> ImageFile {
        ImageFile::new(stem, self.format).with_options(self.options.clone())
    }
}

/// A raw file as a writer is given it.
pub fn source(name: &str) -> ImageFile {
    ImageFile {
        path: name.to_owned(),
        format_is_told: true,
        ..ImageFile::new("", Format::Raw)
    }
}

/// Whether a tool makes a form. Runs nothing.
pub fn makes(tool: &dyn Tool, form: &Form) -> bool {
    if let Some(writer) = tool.writer() {
        return writer.makes(form);
    }
    let request = convert(&source("raw"), &form.file("written"));
    tool.support(&request) == Support::Yes
}

/// Has a tool make `target` from a raw file.
pub fn make(
    tool: &dyn Tool,
    source: &ImageFile,
    target: &ImageFile,
    call_context: &CallContext<'_>,
) -> Result<Answer> {
    match tool.writer() {
        Some(writer) => writer.make(source, target, call_context),
        None => tool.ask(&convert(source, target), call_context),
    }
}

fn convert(source: &ImageFile, target: &ImageFile) -> Request {
    Request::Convert {
        source: source.clone(),
        target: target.clone(),
        compress: false,
        mode: Default::default(),
    }
}
