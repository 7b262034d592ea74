//! The catalogue of known divergences.
//!
//! A real difference between a tool and qemu-img that has been understood gets an entry: what each side does, who is
//! right by which specification, and a condition narrow enough that nothing new hides behind it. Entries are kept in a directory of files
//! that people edit, of which a copy is built in; asked by the arena. Nothing here prints or writes a file.

mod condition;
mod edit;
mod files;
mod json;
mod range;
mod right;
mod shown;
mod written;

pub use condition::{Condition, Sighting};
pub use range::Range;
pub use right::Right;
pub use shown::Shows;

use std::path::{Path, PathBuf};

use crate::base::error::{Error, Result};
use crate::case::Case;
use crate::disk_format::damage;
use crate::operation::{OPERATION_NAMES, facts};
use crate::oracle::verdict::DivergenceKind;
use files::Shared;

/// The directory of the catalogue that is read when none is named, in the current directory.
pub const USUAL_DIRECTORY: &str = "known";

/// The file of JSON in which a catalogue was kept before, in a directory of seeds.
pub const JSON_NAME: &str = "known-divergences.json";

/// The same where it is read when no catalogue is named.
const USUAL_JSON: &str = "fuzz-seeds/known-divergences.json";

/// How often an entry fires, of the cases that have what it is about, where it does not say so.
const USUAL_RATE: f64 = 0.05;

/// So many times the number of cases in which an entry fires once on the average must pass before its silence says something: it is silent by
/// chance in one of twenty runs then.
const SILENT_TIMES: f64 = 3.0;

/// Damage that is of no structure: a file that is cut off, and bytes that are overwritten at a place.
const NOT_OF_A_STRUCTURE: [&str; 2] = ["truncated", "overwritten"];

/// All entries.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    /// In their order: the first that fits a divergence names it.
    pub entries: Vec<Entry>,
    /// Files of JSON that it was read from: `imgduel convert-catalogue` makes a directory of them.
    pub of_json: Vec<PathBuf>,
}

/// One understood difference.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its name, never used again for another.
    pub id: String,
    /// The candidate it is about.
    pub tool: String,
    /// The versions it was seen in: any of these.
    pub versions: Vec<Range>,
    /// Whether it is about the reference, so that it shows whatever the candidate is; `tool` and `versions` are then the reference's.
    pub of_reference: bool,
    /// Of the cases that have what it is about, the share in which it shows, for one that is rare.
    pub rate: Option<f64>,
    /// When it shows.
    pub when: Condition,
    /// What the candidate does.
    pub candidate: String,
    /// What qemu-img does.
    pub reference: String,
    /// Who is right.
    pub right: Right,
    /// By which section of which specification or documentation.
    pub specification: String,
    /// Why it is so and why it is left so.
    pub why: String,
    /// Cases that show it, by their ids, or files of cases, in the catalogue's directory.
    pub examples: Vec<String>,
    /// The candidate with which an example shows it, where it is about the reference.
    pub example_with: Option<String>,
    /// Why it has no example.
    pub no_example: Option<String>,
}

/// What the catalogue says of a divergence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Said<'catalogue> {
    /// It is known.
    Known(&'catalogue Entry),
    /// It is known of other versions of the same tool.
    Elsewhere(&'catalogue Entry),
}

impl Catalogue {
    /// The catalogue that is built in.
    ///
    /// # Errors
    ///
    /// None that a test has not seen.
    pub fn built_in() -> Result<Self> {
        Ok(files::assembled(&files::built_in(), Shared::default())?.0)
    }

    /// The built-in catalogue, and before it what a directory or file says: the one that is named, or else those of the current directory
    /// if there are any. Where both have an entry of the same id, that of the directory counts.
    ///
    /// # Errors
    ///
    /// What cannot be read, by file and line.
    pub fn open(named: Option<&Path>) -> Result<Self> {
        let usual = || {
            let directory = Path::new(USUAL_DIRECTORY);
            let directory = files::is_directory(directory).then_some(directory);
            let json = Path::new(USUAL_JSON);
            let json = json.is_file().then_some(json);
            directory.into_iter().chain(json).collect()
        };
        let paths: Vec<&Path> = named.map_or_else(usual, |named| vec![named]);
        let (built_in, shared) = files::assembled(&files::built_in(), Shared::default())?;
        let mut own = Self::empty();
        for path in paths {
            own = own.before(Self::resting_on(path, &shared)?);
        }
        Ok(own.before(built_in))
    }

    /// One without entries.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Reads a directory or a file, alone: its entries may rest on classes that are built in.
    ///
    /// # Errors
    ///
    /// What cannot be read, by file and line.
    pub fn read(path: &Path) -> Result<Self> {
        let (_, shared) = files::assembled(&files::built_in(), Shared::default())?;
        Self::resting_on(path, &shared)
    }

    fn resting_on(path: &Path, shared: &Shared) -> Result<Self> {
        if !is_json(path) {
            return Ok(files::assembled(&files::read(path)?, shared.clone())?.0);
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

    /// The files of a directory by name, or the one that is named.
    ///
    /// # Errors
    ///
    /// Where the directory cannot be read.
    pub fn files(path: &Path) -> Result<Vec<PathBuf>> {
        files::paths(path)
    }

    /// Reads the text of one file of a catalogue, by the name that it has in messages.
    ///
    /// # Errors
    ///
    /// What cannot be read, by line.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let source = files::Source {
            name: name.to_owned(),
            text: text.to_owned(),
        };
        Ok(files::assembled(&[source], Shared::default())?.0)
    }

    /// These entries, and then those of another catalogue whose ids are not among them.
    fn before(mut self, other: Self) -> Self {
        let others = other.entries.into_iter();
        let more: Vec<Entry> = others
            .filter(|entry| self.named(&entry.id).is_none())
            .collect();
        self.entries.extend(more);
        self.of_json.extend(other.of_json);
        self
    }

    /// The entry of this id.
    pub fn named(&self, id: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.id == id)
    }

    /// What it says of a divergence; candidate and reference by name and version.
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

    /// The entries that might have fired in an operation of a case.
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

    /// The entries that never name a divergence, because an earlier one explains all that they do: each with that one.
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
    /// Whether it is about one of these tools, whatever its version.
    fn is_about_tool(&self, candidate: (&str, &str), reference: (&str, &str)) -> bool {
        self.tool == self.subject(candidate, reference).0
    }

    /// Whether it is about this version of one of these tools.
    pub fn is_about(&self, candidate: (&str, &str), reference: (&str, &str)) -> bool {
        let (tool, version) = self.subject(candidate, reference);
        let mut known = self.versions.iter();
        self.tool == tool && known.any(|known| known.covers(version))
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

    /// The versions in words.
    pub fn versions_in_words(&self) -> String {
        let ranges = self.versions.iter().map(Range::in_words);
        ranges.collect::<Vec<String>>().join(", ")
    }

    /// In how many cases that have what it is about it must have been silent before that says something.
    pub fn silent_cases_min(&self) -> u64 {
        (SILENT_TIMES / self.rate.unwrap_or(USUAL_RATE)).ceil() as u64
    }

    /// Whether it explains all that `other` explains.
    pub fn covers(&self, other: &Self) -> bool {
        let of_versions = |known: &Range| {
            let mut wide = self.versions.iter();
            wide.any(|wide| wide.contains(known))
        };
        // What is about the reference shows whatever the candidate is, and the other way round nothing can be told.
        self.tool == other.tool
            && self.of_reference == other.of_reference
            && other.versions.iter().all(of_versions)
            && self.when.covers(&other.when)
    }

    /// Whether it is about a tool that dies, hangs or takes too much. An exception that a Python module raises is an error told
    /// properly, though the oracle counts it as a crash; that it runs out of memory is none.
    pub fn is_about_exhaustion(&self) -> bool {
        let kinds = self.when.kind.iter();
        let is_deadly = kinds
            .filter_map(|kind| DivergenceKind::named(kind))
            .any(DivergenceKind::is_of_failing_tool);
        let said = self.when.candidate_says.as_deref().unwrap_or_default();
        let is_exception = said.contains("Error") && !said.contains("MemoryError");
        is_deadly && !is_exception
    }

    /// What is wrong with it, if anything is: words that nothing ever says, so that it could never fire, or fires for all.
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

/// Whether it is a catalogue of JSON.
pub fn is_json(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "json")
}

#[cfg(test)]
mod tests;
