//! Reads the catalogue's files, combines them, and has the built-in copy.
//!
//! [`Catalogue`] calls it. A file concerns one tool (`tool`), or each of its entries names its tools (`tools`); classes
//! may be in any file. An error is one line that begins with the name of the file and the line number. This module does
//! not evaluate conditions.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_spanned::Spanned;

use super::written::{ByTool, Several, WrittenEntry};
use super::{Catalogue, Entry, Range};
use crate::base::error::{Error, Result};

/// The extension of a catalogue's file.
const ENDING: &str = "toml";

/// Includes a file of `known/`.
macro_rules! built_in {
    ($($name:literal)*) => {
        [$(($name, include_str!(concat!("../../../known/", $name)))),*]
    };
}

/// The built-in files by name; a test compares them with the directory.
pub(super) const BUILT_IN: [(&str, &str); 20] = built_in! {
    "7zz.toml"
    "bximage.toml"
    "classes.toml"
    "dissect.hypervisor.toml"
    "fs-explorer.toml"
    "imago.toml"
    "instar.toml"
    "libqcow.toml"
    "libvhdi.toml"
    "libvmdk.toml"
    "nbdkit.toml"
    "qcow2-core.toml"
    "qemu-img.toml"
    "rqcow2.toml"
    "shared.toml"
    "vbox-img.toml"
    "vdi.toml"
    "vhd-core.toml"
    "vhdx-core.toml"
    "vmdk-core.toml"
};

/// One file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CatalogueFile {
    /// The tool of its entries, unless they name others.
    tool: Option<String>,
    /// The prefix of the ids of shared entries for this tool, if that is not its name.
    prefix: Option<String>,
    /// The versions of entries without their own.
    versions: Option<Several<Range>>,
    #[serde(default)]
    class: Vec<Spanned<WrittenEntry>>,
    #[serde(default)]
    known: Vec<Spanned<WrittenEntry>>,
}

/// What all files together say about one tool.
#[derive(Clone, Debug, Default)]
struct ToolDefaults {
    prefix: Option<String>,
    versions: Vec<Range>,
}

/// What entries of any file may refer to.
#[derive(Clone, Debug, Default)]
pub(super) struct Shared {
    tools: BTreeMap<String, ToolDefaults>,
    classes: BTreeMap<String, WrittenEntry>,
}

/// The text of a file.
pub(super) struct Source {
    /// The name in messages.
    pub name: String,
    /// The text.
    pub text: String,
}

impl Source {
    fn error(&self, offset: usize, message: &str) -> Error {
        let line = self.text[..offset.min(self.text.len())]
            .matches('\n')
            .count()
            + 1;
        let message = message.trim_end().replace('\n', "; ");
        Error::usage(format!("{} line {line}: {message}", self.name))
    }
}

/// Returns the built-in files.
pub(super) fn built_in() -> Vec<Source> {
    let source = |(name, text): (&str, &str)| Source {
        name: format!("known/{name}"),
        text: text.to_owned(),
    };
    BUILT_IN.into_iter().map(source).collect()
}

/// Returns the built-in files as far as these tools need them: of another tool's file, only what stands before its
/// entries, because an entry of several tools may rest on its versions. To parse all entries takes longer than a short
/// case.
pub(super) fn built_in_for(tools: &[&str]) -> Vec<Source> {
    let mut sources = built_in();
    for source in &mut sources {
        let (head, of_another) = {
            let head = head(&source.text);
            let is_its = |tool: &&str| head.contains(&format!("\ntool = \"{tool}\"\n"));
            let has_tool = head.contains("\ntool = ");
            (head.len(), has_tool && !tools.iter().any(is_its))
        };
        if of_another {
            source.text.truncate(head);
        }
    }
    sources
}

/// Returns what stands before the first entry or class.
fn head(text: &str) -> &str {
    text.find("\n[[").map_or(text, |end| &text[..=end])
}

/// Whether these are the built-in files, byte for byte.
pub(super) fn are_built_in(sources: &[Source]) -> bool {
    let is_same = |(source, (name, text)): (&Source, (&str, &str))| {
        Path::new(&source.name).ends_with(name) && source.text == text
    };
    sources.len() == BUILT_IN.len() && sources.iter().zip(BUILT_IN).all(is_same)
}

/// Returns the files of a directory, sorted by name, or the given file.
pub(super) fn paths(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let files =
        fs::read_dir(path).map_err(|error| Error::io("read the catalogue", path, &error))?;
    let files = files.flatten().map(|file| file.path());
    let mut paths: Vec<PathBuf> = files.filter(|file| is_of_catalogue(file)).collect();
    paths.sort();
    Ok(paths)
}

/// Reads those files.
pub(super) fn read(path: &Path) -> Result<Vec<Source>> {
    let source = |path: PathBuf| {
        let text = fs::read_to_string(&path)
            .map_err(|error| Error::io("read the catalogue", &path, &error))?;
        Ok(Source {
            name: path.display().to_string(),
            text,
        })
    };
    paths(path)?.into_iter().map(source).collect()
}

fn is_of_catalogue(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == ENDING)
}

/// Whether it is a directory with files of a catalogue.
pub(super) fn is_directory(path: &Path) -> bool {
    let mut files = fs::read_dir(path).into_iter().flatten().flatten();
    files.any(|file| is_of_catalogue(&file.path()))
}

/// Returns the catalogue of these files, which may refer to `shared`.
pub(super) fn assembled(sources: &[Source], mut shared: Shared) -> Result<(Catalogue, Shared)> {
    let mut files = Vec::new();
    for source in sources {
        let file: CatalogueFile = toml_edit::de::from_str(&source.text).map_err(|error| {
            source.error(error.span().unwrap_or_default().start, error.message())
        })?;
        files.push((source, file));
    }
    let mut classes = BTreeSet::new();
    for (source, file) in &files {
        shared.add(source, file, &mut classes)?;
    }
    let mut catalogue = Catalogue::empty();
    let mut ids = BTreeSet::new();
    for (source, file) in &files {
        for written in &file.known {
            let at = written.span().start;
            let entries = shared.entries(written.as_ref(), file.tool.as_deref());
            for entry in entries.map_err(|message| source.error(at, &message))? {
                let twice = !ids.insert(entry.id.clone());
                let twice = twice.then(|| format!("the id {} is used twice", entry.id));
                let objection = || Some(format!("{}: {}", entry.id, entry.objection()?));
                if let Some(message) = twice.or_else(objection) {
                    return Err(source.error(at, &message));
                }
                catalogue.entries.push(entry);
            }
        }
    }
    // A defect of the reference shows whatever the candidate is, so it comes first.
    catalogue.entries.sort_by_key(|entry| !entry.of_reference);
    Ok((catalogue, shared))
}

impl Shared {
    fn add(
        &mut self,
        source: &Source,
        file: &CatalogueFile,
        named: &mut BTreeSet<String>,
    ) -> Result<()> {
        if let Some(tool) = &file.tool {
            let known = self.tools.entry(tool.clone()).or_default();
            known.prefix = file.prefix.clone().or(known.prefix.take());
            if let Some(versions) = &file.versions {
                known.versions.clone_from(&versions.0);
            }
        } else if file.prefix.is_some() || file.versions.is_some() {
            return Err(source.error(0, "prefix and versions are for files that name a tool"));
        }
        for class in &file.class {
            let error = |message: &str| Err(source.error(class.span().start, message));
            let written = class.as_ref();
            let Some(id) = &written.id else {
                return error("a class has no id");
            };
            if !named.insert(id.clone()) {
                return error(&format!("there is a class {id} already"));
            }
            if written.tool.is_some() || written.tools.is_some() || written.example.is_some() {
                return error(&format!("the class {id} has keys that only entries have"));
            }
            let full = match &written.class {
                None => written.clone(),
                Some(other) => match self.classes.get(other) {
                    Some(class) => written.with_class(class),
                    None => return error(&format!("{id}: there is no class {other} before it")),
                },
            };
            self.classes.insert(id.clone(), full);
        }
        Ok(())
    }

    /// Returns the entries of one written entry: one for each of its tools.
    fn entries(
        &self,
        written: &WrittenEntry,
        tool: Option<&str>,
    ) -> std::result::Result<Vec<Entry>, String> {
        let id = written.id.as_ref().ok_or("an entry has no id")?;
        let full = match &written.class {
            None => written.clone(),
            Some(name) => {
                let class = self.classes.get(name);
                written.with_class(class.ok_or(format!("{id}: there is no class {name}"))?)
            }
        };
        let none = ToolDefaults::default();
        let entry = |tool: &String, is_shared: bool| {
            let usual = self.tools.get(tool).unwrap_or(&none);
            let prefix = usual.prefix.as_ref().unwrap_or(tool);
            let own = match is_shared {
                true => format!("{prefix}-{id}"),
                false => id.clone(),
            };
            full.entry(own, tool, &usual.versions)
                .map_err(|message| format!("{id}: {message}"))
        };
        let Some(tools) = &full.tools else {
            let tool = full.tool.as_deref().or(tool);
            let tool = tool.ok_or(format!("{id}: neither the file nor the entry names a tool"))?;
            return Ok(vec![entry(&tool.to_owned(), false)?]);
        };
        if full.tool.is_some() {
            return Err(format!("{id}: say either tool or tools"));
        }
        let versions = full.versions.iter().flat_map(ByTool::tools);
        let texts = full.damage.iter().chain(&full.example);
        let texts = texts.chain(&full.no_example).flat_map(ByTool::tools);
        let mut named = versions.chain(texts);
        if let Some(other) = named.find(|tool| !tools.contains(tool)) {
            return Err(format!("{id}: {other} is none of its tools"));
        }
        tools.iter().map(|tool| entry(tool, true)).collect()
    }
}
