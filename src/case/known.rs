//! The catalogue of known divergences.
//!
//! A real difference between a tool and qemu-img that has been understood gets an entry: what each side does, who is
//! right by which specification, and a condition narrow enough that nothing new hides behind it. Pure but for reading the file beside the
//! built-in catalogue; asked by the arena.

mod condition;
mod shown;
pub mod versions;

pub use condition::{Condition, Sighting};
pub use shown::Shows;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::error::{Error, Result};
use crate::case::Case;
use crate::operation::{OPERATION_NAMES, facts};
use crate::oracle::verdict::DivergenceKind;

/// The version of the catalogue's format that this program writes. Version 2 added ranges of versions, the facts `at`, `any_at` and
/// `not_at`, `shows`, and `rate`.
const FORMAT_VERSION: u64 = 2;

/// The oldest version of the format that this program reads.
const OLDEST_VERSION: u64 = 1;

/// The catalogue that is built in: `fuzz-seeds/known-divergences.json`.
const BUILT_IN: &str = include_str!("../../fuzz-seeds/known-divergences.json");

/// The catalogue's file, in the directory of the seeds.
pub const FILE_NAME: &str = "known-divergences.json";

/// The catalogue that is read when none is named, in the current directory.
pub const USUAL_FILE: &str = "fuzz-seeds/known-divergences.json";

/// Who may be right.
pub const RIGHT: [&str; 5] = ["candidate", "reference", "both", "neither", "unclear"];

/// How often an entry fires, of the cases that have what it is about, where it does not say so.
const USUAL_RATE: f64 = 0.05;

/// So many times the number of cases in which an entry fires once on the average must pass before its silence says something: it is silent by
/// chance in one of twenty runs then.
const SILENT_TIMES: f64 = 3.0;

/// All entries.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    format_version: u64,
    /// In their order: the first that fits a divergence names it.
    pub entries: Vec<Entry>,
}

/// One understood difference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its name, never used again for another.
    pub id: String,
    /// The candidate it is about.
    pub tool: String,
    /// The versions it was seen in: ranges that end ([`versions`]).
    pub versions: Vec<String>,
    /// Whether it is about the reference, so that it shows whatever the candidate is; `tool` and `versions` are then the reference's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub of_reference: bool,
    /// Of the cases that have what it is about, the share in which it shows, for one that is rare.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// When it shows.
    pub when: Condition,
    /// What the candidate does.
    pub candidate: String,
    /// What qemu-img does.
    pub reference: String,
    /// Who is right: `candidate`, `reference`, `both`, `neither` or `unclear`.
    pub right: String,
    /// By which section of which specification or documentation.
    pub specification: String,
    /// Why it is so and why it is left so.
    pub why: String,
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
    pub fn built_in() -> Result<Self> {
        Self::parse(BUILT_IN).map_err(|error| Error::usage(format!("{USUAL_FILE}: {error}")))
    }

    /// The built-in catalogue, and before it what a file says: the one that is named, or else the one of the current directory if there
    /// is one. Where both have an entry of the same id, the file's counts.
    pub fn open(named: Option<&Path>) -> Result<Self> {
        let built_in = Self::built_in()?;
        let usual = Path::new(USUAL_FILE);
        let path = named.or_else(|| usual.is_file().then_some(usual));
        match path {
            Some(path) => Ok(Self::read(path)?.before(built_in)),
            None => Ok(built_in),
        }
    }

    /// One without entries.
    pub fn empty() -> Self {
        Self {
            format_version: FORMAT_VERSION,
            entries: Vec::new(),
        }
    }

    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)
            .map_err(|error| Error::io("read the catalogue", path, &error))?;
        Self::parse(&text).map_err(|error| Error::usage(format!("{}: {error}", path.display())))
    }

    /// Reads a catalogue.
    pub fn parse(text: &str) -> Result<Self> {
        let catalogue: Self =
            serde_json::from_str(text).map_err(|error| Error::usage(error.to_string()))?;
        if !(OLDEST_VERSION..=FORMAT_VERSION).contains(&catalogue.format_version) {
            let version = catalogue.format_version;
            return Err(Error::usage(format!(
                "format version {version} is not known, only {OLDEST_VERSION} to {FORMAT_VERSION}"
            )));
        }
        let kinds: BTreeSet<String> = DivergenceKind::all().map(|kind| kind.to_string()).collect();
        let mut ids = BTreeSet::new();
        for entry in &catalogue.entries {
            let twice = (!ids.insert(&entry.id)).then(|| "its id is used twice".to_owned());
            if let Some(objection) = twice.or_else(|| entry.objection(&kinds)) {
                // As serde tells of what it cannot read.
                let line = line_of(text, &entry.id).map(|line| format!(" at line {line}"));
                let line = line.unwrap_or_default();
                return Err(Error::usage(format!(
                    "entry {}{line}: {objection}",
                    entry.id
                )));
            }
        }
        Ok(catalogue)
    }

    /// The same in the form in which it is kept.
    pub fn text(&self) -> Result<String> {
        let catalogue = Self {
            format_version: FORMAT_VERSION,
            entries: self.entries.clone(),
        };
        let text = serde_json::to_string_pretty(&catalogue)
            .map_err(|error| Error::system(error.to_string()))?;
        Ok(format!("{text}\n"))
    }

    /// These entries, and then those of another catalogue whose ids are not among them.
    fn before(mut self, other: Self) -> Self {
        let others = other.entries.into_iter();
        let more: Vec<Entry> = others
            .filter(|entry| self.named(&entry.id).is_none())
            .collect();
        self.entries.extend(more);
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
        self.tool == tool && known.any(|known| versions::covers(known, version))
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
        let ranges = self.versions.iter().map(|known| versions::in_words(known));
        ranges.collect::<Vec<String>>().join(", ")
    }

    /// In how many cases that have what it is about it must have been silent before that says something.
    pub fn silent_cases_min(&self) -> u64 {
        (SILENT_TIMES / self.rate.unwrap_or(USUAL_RATE)).ceil() as u64
    }

    /// Whether it explains all that `other` explains.
    pub fn covers(&self, other: &Self) -> bool {
        let of_versions = |known: &String| {
            let mut wide = self.versions.iter();
            wide.any(|wide| versions::contains(wide, known))
        };
        // What is about the reference shows whatever the candidate is, and the other way round nothing can be told.
        self.tool == other.tool
            && self.of_reference == other.of_reference
            && other.versions.iter().all(of_versions)
            && self.when.covers(&other.when)
    }

    /// What is wrong with it, if anything is: words that nothing ever says, so that it could never fire, or fires for all.
    fn objection(&self, kinds: &BTreeSet<String>) -> Option<String> {
        let unknown = |what: &str, name: &str, known: &[&str]| {
            (!known.contains(&name)).then(|| format!("there is no {what} '{name}'"))
        };
        let mut operations = self.when.operation.iter();
        let mut facts = [&self.when.at, &self.when.any_at, &self.when.not_at]
            .into_iter()
            .flatten();
        let fact = |fact: &String| {
            let key = fact.split_once('=').map(|(key, _)| key);
            let is_fact = key.is_some_and(|key| facts::KEYS.contains(&key));
            (!is_fact).then(|| {
                format!(
                    "'{fact}' is no fact: write KEY=VALUE, KEY one of {}",
                    facts::KEYS.join(", ")
                )
            })
        };
        let lists = [
            (&self.versions, "versions"),
            (&self.when.operation, "operation"),
            (&self.when.kind, "kind"),
            (&self.when.differences, "differences"),
        ];
        let empty = lists.iter().find(|(list, _)| list.is_empty());
        empty
            .map(|(_, name)| format!("its list of {name} is empty"))
            .or_else(|| {
                self.versions
                    .iter()
                    .find_map(|known| versions::objection(known))
            })
            .or_else(|| unknown("word for who is right", &self.right, &RIGHT))
            .or_else(|| operations.find_map(|name| unknown("operation", name, OPERATION_NAMES)))
            .or_else(|| {
                let unknown = self.when.kind.iter().find(|kind| !kinds.contains(*kind));
                unknown.map(|kind| format!("there is no kind '{kind}'"))
            })
            .or_else(|| facts.find_map(fact))
            .or_else(|| {
                let is_share = |rate: f64| rate > 0.0 && rate <= 1.0;
                let wrong = self.rate.filter(|rate| !is_share(*rate));
                wrong.map(|rate| format!("a rate is above 0 and at most 1, not {rate}"))
            })
    }
}

/// The line of a catalogue's text on which an entry's last id of this name stands.
fn line_of(text: &str, id: &str) -> Option<usize> {
    let wanted = format!("\"id\": {}", serde_json::Value::from(id));
    let lines: Vec<&str> = text.lines().collect();
    let place = lines.iter().rposition(|line| line.contains(&wanted))?;
    Some(place + 1)
}

/// Where the catalogue of a directory of seeds lies.
pub fn file_in(seeds: &Path) -> PathBuf {
    seeds.join(FILE_NAME)
}

#[cfg(test)]
mod tests;
