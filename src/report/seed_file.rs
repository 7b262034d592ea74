//! The regression seeds: one case per file in `fuzz-seeds/`, with the reason why it is kept.
//!
//! The test target and `imgduel replay FILE` read them. A seed has a case id, a whole case, or both; if it has a case,
//! that is what runs.

mod embedded_image;
mod fields;
mod name;

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::error::{Error, Result};
use crate::base::whole_file::write_json;
use crate::case::generation::{Generation, Selection};
use crate::case::known::{self, Condition, Sighting};
use crate::case::{Case, CaseId};
use crate::operation::Operation;
use crate::oracle::signature::Group;
use crate::oracle::verdict::{Blame, Difference};
use crate::run::record::{Record, ToolName};

/// The version of the file format that this program writes. Version 2 added [`Seen`], version 3 its blame, version 4
/// the properties of the step or file that differs and the case as it was drawn, version 5 the candidate's spec.
const FORMAT_VERSION: u64 = 5;

/// The oldest version of the file format that this program reads.
const OLDEST_VERSION: u64 = 1;

pub use name::check_stem;

/// A seed file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedFile {
    format_version: u64,
    /// The case's id.
    id: Option<String>,
    /// The whole case, so that it stays the same when its generation changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    case: Option<Case>,
    /// Why the seed is kept.
    pub why: String,
    /// The expected result, and under which circumstances another result is expected.
    pub expected: String,
    /// A candidate that carries it out in addition to those of the run, because the usual one lacks what the seed is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<String>,
    /// The result when the case was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seen>,
}

/// The result when a case was found: that of the case in the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// The verdict, normally `divergence`.
    pub verdict: String,
    /// The kind of divergence.
    pub kind: String,
    /// The operation that diverged.
    pub operation: String,
    /// Which side contradicted the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blame: Option<Blame>,
    /// The reason for the verdict, in one line.
    pub reason: String,
    /// The signature of the group for which the seed was kept.
    pub signature: String,
    /// The values that differed.
    #[serde(default)]
    pub differences: Vec<Difference>,
    /// The index of the operation in the case, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation_index: Option<usize>,
    /// Properties of the step or file that differs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<String>,
    /// The tool under test.
    pub candidate: ToolName,
    /// The tool under test as given on the command line, e.g. `qemu-img:/usr/bin/qemu-img`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<String>,
    /// The reference.
    pub reference: ToolName,
    /// The result of the case as it was drawn, before shrinking; entries of the catalogue are made from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drawn: Option<Box<Drawn>>,
}

/// A divergence as it was drawn. Shrinking loses the condition of a divergence: a wrong byte in one cluster of a
/// certain image may become any wrong byte.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drawn {
    /// The case as it was drawn.
    pub case: Case,
    /// The index of the operation that diverged, from 0.
    pub operation_index: usize,
    /// Which side contradicted the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blame: Option<Blame>,
    /// The values that differed.
    pub differences: Vec<Difference>,
    /// Properties of the step or file that differs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<String>,
    /// Number of the campaign's cases that showed the same group.
    pub cases: u64,
    /// The condition that all of them meet.
    pub when: Condition,
}

/// A seed file that has been found but not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeedPath {
    /// The file's name without its ending: an identifier.
    pub stem: String,
    /// The path of the file.
    pub path: PathBuf,
}

impl Seen {
    /// The result of the case in the file, in the form that the catalogue matches; `None` if the case lacks the
    /// operation.
    pub fn sighting<'seen>(&'seen self, case: &'seen Case) -> Option<Sighting<'seen>> {
        let own =
            |index: &usize| case.ops.get(*index).map(Operation::name) == Some(&*self.operation);
        let first = || (0..case.ops.len()).find(own);
        Some(Sighting {
            case,
            index: self.operation_index.filter(own).or_else(first)?,
            kind: &self.kind,
            blame: self.blame,
            differences: &self.differences,
            at: &self.at,
        })
    }

    /// The result of the case as it was drawn, if it was kept.
    pub fn drawn_sighting(&self) -> Option<Sighting<'_>> {
        let drawn = self.drawn.as_deref()?;
        let is_there = drawn.operation_index < drawn.case.ops.len();
        is_there.then_some(Sighting {
            case: &drawn.case,
            index: drawn.operation_index,
            kind: &self.kind,
            blame: drawn.blame,
            differences: &drawn.differences,
            at: &drawn.at,
        })
    }

    /// The group for which the seed was kept, by the current grouping rule.
    pub fn group(&self) -> Group {
        let group = Group {
            kind: self.kind.clone(),
            operation: self.operation.clone(),
            signature: self.signature.clone(),
        };
        group.of_today()
    }
}

impl Drawn {
    /// The divergence of a record, as the first case of its group; `None` if the record has no divergence.
    pub fn from_record(record: &Record) -> Option<Self> {
        let seen = record.sighting()?;
        Some(Self {
            case: seen.case.clone(),
            operation_index: seen.index,
            blame: seen.blame,
            differences: seen.differences.to_vec(),
            at: seen.at.to_vec(),
            cases: 1,
            when: Condition::narrowest(&seen),
        })
    }

    /// Adds another record of the same group.
    pub fn join(&mut self, record: &Record) {
        if let Some(seen) = record.sighting() {
            self.when.join(&Condition::narrowest(&seen));
            self.cases += 1;
        }
    }
}

impl SeedFile {
    /// Returns the seed file of a record's case, with its result and that of the drawn case, kept for `group`.
    pub fn resolved(record: &Record, group: &Group, drawn: Option<&Drawn>) -> Self {
        let differences = record.evidence.as_ref();
        let seen = Seen {
            verdict: record.verdict.to_string(),
            kind: record.kind.clone().unwrap_or_default(),
            operation: record.operation.clone().unwrap_or_default(),
            blame: record.blame,
            reason: record.reason.clone().unwrap_or_default(),
            signature: group.signature.clone(),
            differences: differences
                .map(|evidence| evidence.differences.clone())
                .unwrap_or_default(),
            operation_index: record.operation_index,
            at: record.at.clone(),
            candidate: record.candidate.clone(),
            spec: record.candidate_spec.clone(),
            reference: record.reference.clone(),
            drawn: drawn.cloned().map(Box::new),
        };
        Self {
            format_version: FORMAT_VERSION,
            id: Some(record.id.clone()),
            case: record.case.clone(),
            why: format!("found with {}: {}", record.candidate.name, group.title()),
            expected: "match".to_owned(),
            candidate: None,
            seen: Some(seen),
        }
    }

    /// The candidate that the file is about: the one that it names, or else the one with which it was found.
    pub fn spec(&self) -> Option<&str> {
        let seen = self.seen.as_ref();
        let found_with = || seen.and_then(|seen| seen.spec.as_deref());
        let name = || seen.map(|seen| &*seen.candidate.name);
        self.candidate.as_deref().or_else(found_with).or_else(name)
    }

    /// Writes the file atomically, and makes its directory if needed.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_json(path, self, "write the seed file")
    }

    /// Whether an argument names a seed file rather than a case id.
    pub fn is_named_by(name: &str) -> bool {
        let path = Path::new(name);
        path.extension().is_some_and(|ending| ending == "json") || path.is_file()
    }

    /// Whether the path is the catalogue, which lies among the seeds.
    pub fn is_catalogue(path: &Path) -> bool {
        path.file_name() == Some(OsStr::new(known::JSON_NAME))
    }

    /// Parses a seed, or a bare case as `show` and `shrink` print it.
    fn parse(text: &str) -> serde_json::Result<Self> {
        let parsed: serde_json::Value = serde_json::from_str(text)?;
        if parsed.get("format_version").is_some() || parsed.get("ops").is_none() {
            // Parsed from the text again, so that an error names the line.
            return serde_json::from_str(text);
        }
        Ok(Self {
            format_version: FORMAT_VERSION,
            id: None,
            case: Some(serde_json::from_str(text)?),
            why: String::new(),
            expected: "match".to_owned(),
            candidate: None,
            seen: None,
        })
    }

    /// Reads and checks a file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)
            .map_err(|error| Error::io("read the seed file", path, &error))?;
        Self::of_text(path, &text)
    }

    /// Parses and checks the text of the file at `path`.
    pub fn of_text(path: &Path, text: &str) -> Result<Self> {
        let wrong =
            |what: String| Error::usage(format!("{} is not a seed file: {what}", path.display()));
        if text.trim().is_empty() {
            return Err(wrong("it is empty".to_owned()));
        }
        let parsed: serde_json::Result<serde_json::Value> = serde_json::from_str(text);
        if parsed.as_ref().is_ok_and(|value| !value.is_object()) {
            return Err(wrong("it holds no JSON object".to_owned()));
        }
        if let Some(missing) = parsed.ok().as_ref().and_then(fields::missing) {
            return Err(wrong(format!("it lacks {missing}")));
        }
        let seed = Self::parse(text).map_err(|error| wrong(error.to_string()))?;
        if !(OLDEST_VERSION..=FORMAT_VERSION).contains(&seed.format_version) {
            return Err(wrong(format!(
                "format version {} is not known, only {OLDEST_VERSION} to {FORMAT_VERSION}",
                seed.format_version
            )));
        }
        if seed.id.is_none() && seed.case.is_none() {
            return Err(wrong("it has neither an id nor a case".to_owned()));
        }
        Ok(seed)
    }

    /// The case in the file, or else the case that its id decodes to.
    pub fn case(&self) -> Result<Case> {
        match (&self.case, &self.id) {
            (Some(case), _) => Ok(case.clone()),
            (None, Some(id)) => Generation::case(&id.parse::<CaseId>()?, &Selection::ALL),
            (None, None) => Err(Error::usage("a seed file has neither an id nor a case")),
        }
    }
}

/// The path of the seed file with this stem, which need not be there.
pub fn path(directory: &Path, stem: &str) -> PathBuf {
    directory.join(format!("{stem}.json"))
}

/// The seed file with this stem, found without listing the directory.
pub fn find(directory: &Path, stem: &str) -> Option<SeedPath> {
    let path = path(directory, stem);
    let is_plain = stem.bytes().all(|byte| byte != b'/');
    let is_seed = is_plain
        && path
            .file_name()
            .is_some_and(|name| self::stem(name).is_some());
    (is_seed && path.is_file()).then(|| SeedPath {
        stem: stem.to_owned(),
        path,
    })
}

/// The number of seed files in a directory. A directory that is not there has none.
pub fn count(directory: &Path) -> Result<u64> {
    let names = entries(directory)?
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name());
    Ok(names.filter(|name| stem(name).is_some()).count() as u64)
}

/// The stem of a seed file's name; `None` for any other name.
fn stem(name: &OsStr) -> Option<&str> {
    let name = name.to_str().filter(|name| *name != known::JSON_NAME)?;
    name.strip_suffix(".json").filter(|stem| !stem.is_empty())
}

/// The entries of a directory; `None` if it is not there.
fn entries(directory: &Path) -> Result<Option<fs::ReadDir>> {
    match fs::read_dir(directory) {
        Ok(entries) => Ok(Some(entries)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("list the seeds in", directory, &error)),
    }
}

/// The seed files of a directory, sorted by name. A directory that is not there has none.
pub fn list(directory: &Path) -> Result<Vec<SeedPath>> {
    let mut seeds: Vec<SeedPath> = Vec::new();
    for entry in entries(directory)?.into_iter().flatten() {
        let entry = entry.map_err(|error| Error::io("list the seeds in", directory, &error))?;
        // Only the name is examined: splitting ten thousand paths takes longer than reading the directory.
        let name = entry.file_name();
        if let Some(stem) = stem(&name) {
            seeds.push(SeedPath {
                stem: stem.to_owned(),
                path: entry.path(),
            });
        }
    }
    seeds.sort_by(|first, second| first.stem.cmp(&second.stem));
    Ok(seeds)
}

#[cfg(test)]
mod tests;
