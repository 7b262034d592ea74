//! The catalogue of known divergences.
//!
//! An understood difference between a tool and qemu-img gets an entry: what each side does, which side is right by
//! which specification, and a condition that is narrow enough to hide nothing new. The entries are in a directory of
//! files that people edit, with a built-in copy. The session queries it. Nothing here prints or writes a file.

mod condition;
mod contents_difference;
mod edit;
mod files;
mod json;
mod range;
mod right_side;
mod written;

pub use condition::{Condition, Sighting};
pub use contents_difference::Shows;
pub use range::Range;
pub use right_side::Right;

use std::path::{Path, PathBuf};

use crate::base::error::{Error, Result};
use crate::case::Case;
use crate::disk_format::damage;
use crate::operation::{OPERATION_NAMES, facts};
use crate::oracle::verdict::DivergenceKind;
use crate::tool::known_as;
use files::Shared;

/// The default directory of the catalogue, in the current directory.
pub const USUAL_DIRECTORY: &str = "known";

/// The JSON file of an earlier form of the catalogue, in a directory of seeds.
pub const JSON_NAME: &str = "known-divergences.json";

/// The default path of that file.
const USUAL_JSON: &str = "fuzz-seeds/known-divergences.json";

/// The default rate at which an entry fires in the cases that it concerns.
const USUAL_RATE: f64 = 0.05;

/// The multiple of the mean number of cases between two firings of an entry after which its silence is significant:
/// with this factor, an entry is silent by chance in one of twenty runs.
const SILENT_TIMES: f64 = 3.0;

/// Mutations that concern no structure: truncation, and bytes overwritten at an offset.
const NOT_OF_A_STRUCTURE: [&str; 2] = ["truncated", "overwritten"];

/// All entries.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    /// The entries in order: the first that matches a divergence names it.
    pub entries: Vec<Entry>,
    /// The JSON files that it was read from: `imgduel convert-catalogue` converts them into a directory.
    pub of_json: Vec<PathBuf>,
}

/// An understood difference.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The name, which is never reused.
    pub id: String,
    /// The candidate that it concerns.
    pub tool: String,
    /// The versions in which it was seen: any of these.
    pub versions: Vec<Range>,
    /// Whether it concerns the reference, so that it shows whatever the candidate is; `tool` and `versions` are then
    /// the reference's.
    pub of_reference: bool,
    /// The share of the concerned cases in which it shows, if it is rare.
    pub rate: Option<f64>,
    /// The condition.
    pub when: Condition,
    /// What the candidate does.
    pub candidate: String,
    /// What qemu-img does.
    pub reference: String,
    /// Which side is right.
    pub right: Right,
    /// The section of the specification or documentation.
    pub specification: String,
    /// The cause, and why it stays so.
    pub why: String,
    /// Cases that show it: ids, or files in the catalogue's directory.
    pub examples: Vec<String>,
    /// The candidate with which an example shows it, if it concerns the reference.
    pub example_with: Option<String>,
    /// Why it has no example.
    pub no_example: Option<String>,
}

/// What the catalogue knows about a divergence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Said<'catalogue> {
    /// It is known.
    Known(&'catalogue Entry),
    /// It is known in other versions of the same tool.
    Elsewhere(&'catalogue Entry),
}

impl Catalogue {
    /// Returns the built-in catalogue.
    ///
    /// # Errors
    ///
    /// None, because a test parses it.
    pub fn built_in() -> Result<Self> {
        Ok(files::assembled(&files::built_in(), Shared::default())?.0)
    }

    /// Returns the entries of the given directory or file, or of the defaults in the current directory if there are
    /// any, followed by the built-in catalogue. If both have an entry with the same id, the first one counts.
    ///
    /// # Errors
    ///
    /// Names what cannot be parsed, by file and line.
    pub fn open(named: Option<&Path>) -> Result<Self> {
        Self::over(&files::built_in(), named)
    }

    /// Like [`Catalogue::open`], with the built-in entries of these tools alone: what a run of them can ask for.
    ///
    /// # Errors
    ///
    /// Names what cannot be parsed, by file and line.
    pub fn open_for(named: Option<&Path>, tools: &[&str]) -> Result<Self> {
        let mut names = tools.to_vec();
        names.extend(tools.iter().map(|tool| known_as(tool)));
        Self::over(&files::built_in_for(&names), named)
    }

    fn over(built_in: &[files::Source], named: Option<&Path>) -> Result<Self> {
        let usual = || {
            let directory = Path::new(USUAL_DIRECTORY);
            let directory = files::is_directory(directory).then_some(directory);
            let json = Path::new(USUAL_JSON);
            let json = json.is_file().then_some(json);
            directory.into_iter().chain(json).collect()
        };
        let paths: Vec<&Path> = named.map_or_else(usual, |named| vec![named]);
        let (built_in, shared) = files::assembled(built_in, Shared::default())?;
        let mut own = Self::empty();
        for path in paths {
            own = own.before(Self::resting_on(path, &built_in, &shared)?);
        }
        Ok(own.before(built_in))
    }

    /// Returns a catalogue without entries.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Reads only a directory or a file; its entries may use built-in classes.
    ///
    /// # Errors
    ///
    /// Names what cannot be parsed, by file and line.
    pub fn read(path: &Path) -> Result<Self> {
        let (built_in, shared) = files::assembled(&files::built_in(), Shared::default())?;
        Self::resting_on(path, &built_in, &shared)
    }

    fn resting_on(path: &Path, built_in: &Self, shared: &Shared) -> Result<Self> {
        if !is_json(path) {
            let sources = files::read(path)?;
            // imgduel's own directory is not parsed again.
            return match files::are_built_in(&sources) {
                true => Ok(built_in.clone()),
                false => Ok(files::assembled(&sources, shared.clone())?.0),
            };
        }
        let text = std::fs::read_to_string(path)
            .map_err(|error| Error::io("read the catalogue", path, &error))?;
        let read = json::parsed(&text)
            .map_err(|error| Error::usage(format!("{}: {error}", path.display())))?;
        Ok(Self {
            of_json: vec![path.to_owned()],
            ..read
        })
    }

    /// Returns the files of a directory, sorted by name, or the given file.
    ///
    /// # Errors
    ///
    /// If the directory cannot be read.
    pub fn files(path: &Path) -> Result<Vec<PathBuf>> {
        files::paths(path)
    }

    /// Parses one file of a catalogue; `name` is its name in messages.
    ///
    /// # Errors
    ///
    /// Names what cannot be parsed, by line.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let source = files::Source {
            name: name.to_owned(),
            text: text.to_owned(),
        };
        Ok(files::assembled(&[source], Shared::default())?.0)
    }

    /// Returns these entries, followed by those of another catalogue whose ids are not among them.
    fn before(mut self, other: Self) -> Self {
        let others = other.entries.into_iter();
        let more: Vec<Entry> = others
            .filter(|entry| self.named(&entry.id).is_none())
            .collect();
        self.entries.extend(more);
        self.of_json.extend(other.of_json);
        self
    }

    /// Returns the entry with this id.
    pub fn named(&self, id: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.id == id)
    }

    /// Returns what the catalogue knows about a divergence; candidate and reference are given by name and version.
    pub fn says(
        &self,
        candidate: (&str, &str),
        reference: (&str, &str),
        seen: &Sighting<'_>,
    ) -> Option<Said<'_>> {
        let mut elsewhere = None;
        for entry in &self.entries {
            if !entry.is_about_tool(candidate, reference) || !entry.when.holds(seen) {
                continue;
            }
            if entry.is_about(candidate, reference) {
                return Some(Said::Known(entry));
            }
            elsewhere = elsewhere.or(Some(Said::Elsewhere(entry)));
        }
        elsewhere
    }

    /// Returns the entries that could have fired in an operation of a case.
    pub fn reached<'catalogue>(
        &'catalogue self,
        candidate: (&'catalogue str, &'catalogue str),
        reference: (&'catalogue str, &'catalogue str),
        case: &'catalogue Case,
        indices: &'catalogue [usize],
    ) -> impl Iterator<Item = &'catalogue Entry> {
        self.entries.iter().filter(move |entry| {
            let mut indices = indices.iter();
            entry.is_about(candidate, reference)
                && indices.any(|index| entry.when.could_hold(case, *index))
        })
    }

    /// Returns the entries that never fire because an earlier one explains all that they explain, each with that one.
    pub fn shadowed(&self) -> Vec<(&Entry, &Entry)> {
        let mut found = Vec::new();
        for (index, entry) in self.entries.iter().enumerate() {
            let mut earlier = self.entries[..index].iter();
            let above = earlier.find(|above| above.covers(entry));
            found.extend(above.map(|above| (entry, above)));
        }
        found
    }
}

impl Entry {
    /// Whether it concerns one of these tools, in any version.
    fn is_about_tool(&self, candidate: (&str, &str), reference: (&str, &str)) -> bool {
        self.is_of(self.subject(candidate, reference).0)
    }

    /// Whether it concerns this version of one of these tools.
    pub fn is_about(&self, candidate: (&str, &str), reference: (&str, &str)) -> bool {
        let (tool, version) = self.subject(candidate, reference);
        let mut known = self.versions.iter();
        self.is_of(tool) && known.any(|known| known.covers(version))
    }

    /// Whether it is of this tool, or of another interface of the same crate.
    fn is_of(&self, tool: &str) -> bool {
        self.tool == tool || self.tool == known_as(tool)
    }

    fn subject<'tool>(
        &self,
        candidate: (&'tool str, &'tool str),
        reference: (&'tool str, &'tool str),
    ) -> (&'tool str, &'tool str) {
        if self.of_reference {
            reference
        } else {
            candidate
        }
    }

    /// Returns the versions in words.
    pub fn versions_in_words(&self) -> String {
        let ranges = self.versions.iter().map(Range::in_words);
        ranges.collect::<Vec<String>>().join(", ")
    }

    /// Returns the number of concerned cases after which its silence is significant.
    pub fn silent_cases_min(&self) -> u64 {
        (SILENT_TIMES / self.rate.unwrap_or(USUAL_RATE)).ceil() as u64
    }

    /// Whether it explains everything that `other` explains.
    pub fn covers(&self, other: &Self) -> bool {
        let of_versions = |known: &Range| {
            let mut wide = self.versions.iter();
            wide.any(|wide| wide.contains(known))
        };
        // An entry on the reference shows whatever the candidate is; for the converse nothing can be concluded.
        self.tool == other.tool
            && self.of_reference == other.of_reference
            && other.versions.iter().all(of_versions)
            && self.when.covers(&other.when)
    }

    /// Whether it concerns a tool that crashes, hangs or exhausts resources. An exception of a Python module is a
    /// proper error report, although the oracle counts it as a crash; running out of memory is not.
    pub fn is_about_exhaustion(&self) -> bool {
        let kinds = self.when.kind.iter();
        let is_deadly = kinds
            .filter_map(|kind| DivergenceKind::named(kind))
            .any(DivergenceKind::is_of_failing_tool);
        let said = self.when.candidate_says.as_deref().unwrap_or_default();
        let is_exception = said.contains("Error") && !said.contains("MemoryError");
        is_deadly && !is_exception
    }

    /// Returns what is wrong with the entry, if anything: texts that never occur, so that it could never fire, or that
    /// it would always fire.
    fn objection(&self) -> Option<String> {
        let when = &self.when;
        let lists = [
            (self.versions.len(), "versions"),
            (when.operation.len(), "operation"),
            (when.kind.len(), "kind"),
            (when.subjects.len() + when.differences.len(), "differs"),
        ];
        let empty = lists.iter().find(|(length, _)| *length == 0);
        let operation = |name: &String| {
            (!OPERATION_NAMES.contains(&name.as_str()))
                .then(|| format!("there is no operation '{name}'"))
        };
        let kind = |name: &String| {
            let is_known = DivergenceKind::named(name).is_some();
            (!is_known).then(|| format!("there is no kind '{name}'"))
        };
        let damage = |name: &String| {
            let is_known = NOT_OF_A_STRUCTURE.contains(&&**name) || damage::is_known(name);
            (!is_known).then(|| format!("there is no structure or field '{name}' to damage"))
        };
        let rate = self.rate.filter(|rate| *rate <= 0.0 || *rate > 1.0);
        empty
            .map(|(_, name)| format!("its list of {name} is empty"))
            .or_else(|| when.operation.iter().find_map(operation))
            .or_else(|| when.kind.iter().find_map(kind))
            .or_else(|| when.damage.iter().find_map(damage))
            .or_else(|| {
                let facts = [&when.at, &when.any_at, &when.not_at];
                facts.into_iter().flatten().find_map(fact_objection)
            })
            .or_else(|| rate.map(|rate| format!("a rate is above 0 and at most 1, not {rate}")))
    }
}

fn fact_objection(fact: &String) -> Option<String> {
    let key = fact.split_once('=').map(|(key, _)| key);
    let is_fact = key.is_some_and(|key| facts::KEYS.contains(&key));
    (!is_fact).then(|| {
        let keys = facts::KEYS.join(", ");
        format!("'{fact}' is no fact: write KEY=VALUE, KEY one of {keys}")
    })
}

/// Whether the path is a catalogue in JSON.
pub fn is_json(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "json")
}

#[cfg(test)]
mod tests;
