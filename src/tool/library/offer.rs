//! What a library offers: its name, its formats, and what it lacks.
//!
//! The author of a library writes it; [`hosting`](super::hosting) reads it. It says nothing about methods: a probe finds those that are there.

use std::collections::BTreeMap;

use crate::image::format::Format;
use crate::image::options::CreateOption;
use crate::tool::adapter::protocol::{self, Hello, Lack};
use crate::tool::request::{ImageFile, Request, RequestKind};

/// The requests that need an image only to be read.
const READING: [&str; 6] = ["info", "contents", "map", "check", "compare", "session"];

/// The requests that make or change an image.
const WRITING: [&str; 6] = [
    "create",
    "convert",
    "resize",
    "write",
    "write_zeroes",
    "discard",
];

/// A library's name and version, its formats, and what it lacks.
///
/// Images with backing files, with external data files and encrypted ones are not given to a library that does not say that it takes them.
#[derive(Clone, Debug)]
pub struct Offer {
    name: String,
    version: String,
    can: BTreeMap<String, Vec<String>>,
    backing: bool,
    data_files: bool,
    encryption: bool,
    lacks: Vec<Lack>,
    create_options: Vec<String>,
    is_complete: bool,
}

impl Offer {
    /// Returns an offer of nothing yet. Reports name the library so; the name must be that of no other tool, without blanks, commas and colons.
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            can: BTreeMap::new(),
            backing: false,
            data_files: false,
            encryption: false,
            lacks: Vec::new(),
            create_options: Vec::new(),
            is_complete: false,
        }
    }

    /// Says that the library reads these formats, by qemu-img's names: `raw`, `qcow2`, `vmdk`, `vpc`, `vhdx`, `vdi`, `qcow`, `parallels`.
    pub fn reads<'name>(self, formats: impl IntoIterator<Item = &'name str>) -> Self {
        self.adding(&READING, formats)
    }

    /// Says that the library reads and writes these formats.
    pub fn writes<'name>(self, formats: impl IntoIterator<Item = &'name str>) -> Self {
        let formats: Vec<&str> = formats.into_iter().collect();
        self.adding(&READING, formats.clone())
            .adding(&WRITING, formats)
    }

    /// Says that the library takes exactly these requests for these formats, by their names in `docs/adapters.md`. No method is looked for then.
    pub fn takes<'name>(
        self,
        requests: &[&str],
        formats: impl IntoIterator<Item = &'name str>,
    ) -> Self {
        Self {
            is_complete: true,
            ..self.adding(requests, formats)
        }
    }

    /// Says that the library reads through to backing files.
    pub fn with_backing(self) -> Self {
        Self {
            backing: true,
            ..self
        }
    }

    /// Says that the library takes qcow2 with external data files. Their names are relative to the image.
    pub fn with_data_files(self) -> Self {
        Self {
            data_files: true,
            ..self
        }
    }

    /// Says that the library takes encrypted images, whose passphrase is always the word `secret`.
    pub fn with_encryption(self) -> Self {
        Self {
            encryption: true,
            ..self
        }
    }

    /// Says that the library does not take images of `format` made with `option` (`NAME=VALUE`, or `NAME` for any value), because it lacks `feature`.
    pub fn lacks(mut self, format: &str, option: &str, feature: &str) -> Self {
        self.lacks.push(Lack {
            format: format.to_owned(),
            option: option.to_owned(),
            feature: feature.to_owned(),
        });
        self
    }

    /// Says that the library makes images with these options of `qemu-img create -o`, by name; with others, or with a backing file, it is not asked to.
    pub fn create_options<'name>(mut self, names: impl IntoIterator<Item = &'name str>) -> Self {
        self.create_options
            .extend(names.into_iter().map(str::to_owned));
        self
    }

    /// Returns the library's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn adding<'name>(
        mut self,
        requests: &[&str],
        formats: impl IntoIterator<Item = &'name str>,
    ) -> Self {
        let formats: Vec<&str> = formats.into_iter().collect();
        for request in requests {
            let named = self.can.entry((*request).to_owned()).or_default();
            for format in &formats {
                if !named.iter().any(|one| one == format) {
                    named.push((*format).to_owned());
                }
            }
        }
        self
    }

    /// Returns the formats that it writes.
    pub(in super::super) fn written(&self) -> impl Iterator<Item = Format> {
        self.formats("write")
    }

    /// Returns what of the offer is no request or no format, in one line; `None` if all is well.
    pub(in super::super) fn mistake(&self) -> Option<String> {
        let name = &self.name;
        let of_request = |request: &&String| RequestKind::named(request).is_none();
        if let Some(request) = self.can.keys().find(of_request) {
            return Some(format!("{name} offers '{request}', which is no request"));
        }
        let of_lacks = self.lacks.iter().map(|lack| &lack.format);
        let mut named = self.can.values().flatten().chain(of_lacks);
        let is_known = |text: &str| Format::all().any(|format| format.name() == text);
        let unknown = named.find(|text| !is_known(text))?;
        let known: Vec<&str> = Format::all().map(|format| format.name()).collect();
        Some(format!(
            "{name} offers the format '{unknown}': known are {}",
            known.join(", ")
        ))
    }

    /// Returns the formats that are offered for this request.
    pub(super) fn formats(&self, request: &str) -> impl Iterator<Item = Format> {
        let named = self.can.get(request).into_iter().flatten();
        named.filter_map(|name| Format::all().find(|format| format.name() == name))
    }

    /// Returns its hello, if it says itself which requests are taken.
    pub(in super::super) fn whole_hello(&self) -> Option<Hello> {
        self.is_complete.then(|| self.hello(|_| true))
    }

    /// Returns the offer in the words of the adapter protocol, without the requests that `is_had` denies.
    pub(in super::super) fn hello(&self, is_had: impl Fn(&str) -> bool) -> Hello {
        let can = self.can.iter().filter(|(request, _)| is_had(request));
        Hello {
            protocol: protocol::VERSION,
            name: self.name.clone(),
            version: self.version.clone(),
            can: can
                .map(|(request, formats)| (request.clone(), formats.clone()))
                .collect(),
            backing: self.backing,
            data_from_files: true,
            modes: false,
            lacks: self.lacks.clone(),
        }
    }

    /// Returns why the library is not asked this, beyond what its hello says; `None` if it is.
    pub(in super::super) fn objection(&self, request: &Request) -> Option<String> {
        let name = &self.name;
        let mut files = request.images().into_iter().flat_map(with_below);
        let locked = files.find_map(|file| {
            if file.is_encrypted() && !self.encryption {
                return Some(format!("{name} takes no encrypted images"));
            }
            let is_split = file.data_file().is_some() && !self.data_files;
            is_split.then(|| format!("{name} takes no external data files"))
        });
        locked.or_else(|| match request {
            Request::Convert { compress: true, .. } => {
                Some(format!("{name} cannot write compressed clusters"))
            }
            Request::Create { file, .. } | Request::Convert { target: file, .. } => {
                self.cannot_create(file)
            }
            _ => None,
        })
    }

    fn cannot_create(&self, file: &ImageFile) -> Option<String> {
        let is_missing = |name: &&str| !self.create_options.iter().any(|one| one == name);
        let mut names = file.options.iter().map(CreateOption::name);
        let missing = names.find(is_missing);
        let missing = missing.or(file.backing.as_ref().map(|_| "a backing file"));
        missing.map(|what| format!("{} cannot create {} with {what}", self.name, file.format))
    }
}

/// Returns an image and those below it.
fn with_below(file: &ImageFile) -> impl Iterator<Item = &ImageFile> {
    std::iter::successors(Some(file), |file| file.backing.as_deref())
}

#[cfg(test)]
mod tests;
