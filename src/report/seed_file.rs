//! The regression seeds: one case a file in `fuzz-seeds/`, with why it is kept.
//!
//! Read by the test door and by `imgduel replay FILE`. A seed names a case by its id, or writes it out, or both: what
//! is written out is what runs.

mod name;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::error::{Error, Result};
use crate::base::whole_file::write_json;
use crate::case::generation::Generation;
use crate::case::known::{self, Condition, Sighting};
use crate::case::{Case, CaseId};
use crate::operation::Operation;
use crate::oracle::signature::Group;
use crate::oracle::verdict::{Blame, Difference};
use crate::run::record::{Record, ToolName};

/// The version of the file's format that this program writes. Version 2 added [`Seen`], version 3 its blame, version 4 its place: what is true
/// of the step or file that differs, and the case as it was drawn.
const FORMAT_VERSION: u64 = 4;

/// The oldest version of the file's format that this program reads.
const OLDEST_VERSION: u64 = 1;

pub use name::check_stem;

/// One file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedFile {
    format_version: u64,
    /// The case's id.
    id: Option<String>,
    /// The case, written out: it then runs the same when its generation changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    case: Option<Case>,
    /// Why it is kept.
    pub why: String,
    /// What is expected of it, and under which circumstances something else.
    pub expected: String,
    /// What was seen when it was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seen>,
}

/// What was seen when a case was found: of the case as it is written out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// `divergence`, as a rule.
    pub verdict: String,
    /// The kind of divergence.
    pub kind: String,
    /// The operation that diverged.
    pub operation: String,
    /// Who was alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blame: Option<Blame>,
    /// Why, in a line.
    pub reason: String,
    /// The signature of the group for which it was kept.
    pub signature: String,
    /// What differed.
    #[serde(default)]
    pub differences: Vec<Difference>,
    /// The place of the operation in the case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation_index: Option<usize>,
    /// What is true of the step or file that differs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<String>,
    /// The tool under test.
    pub candidate: ToolName,
    /// qemu-img.
    pub reference: ToolName,
    /// The same as it was drawn, before anything was made smaller: what a catalogue's entry is made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drawn: Option<Box<Drawn>>,
}

/// A divergence as it was drawn. Made smaller it has lost what it is about: a wrong byte in one cluster of a certain image is then any
/// wrong byte.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drawn {
    /// The case.
    pub case: Case,
    /// The place of the operation that diverged.
    pub operation_index: usize,
    /// Who was alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blame: Option<Blame>,
    /// What differed.
    pub differences: Vec<Difference>,
    /// What is true of the step or file that differs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<String>,
    /// How many cases of the campaign showed the same.
    pub cases: u64,
    /// What all of them have in common.
    pub when: Condition,
}

/// A seed file that has been found, not yet read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeedPath {
    /// Its name without the ending: an identifier.
    pub stem: String,
    /// The file.
    pub path: PathBuf,
}

impl Seen {
    /// What was seen of the case as it is written out; nothing when it has no such operation.
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

    /// What was seen of the case as it was drawn, where that was kept.
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

    /// The group for which it was kept, by today's rule.
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
    /// What a record shows, alone of its kind so far; nothing for a record of no divergence.
    pub fn of(record: &Record) -> Option<Self> {
        let seen = record.sighting()?;
        Some(Self {
            case: seen.case.clone(),
            operation_index: seen.index,
            blame: seen.blame,
            differences: seen.differences.to_vec(),
            at: seen.at.to_vec(),
            cases: 1,
            when: Condition::of(&seen),
        })
    }

    /// Takes in another record that shows the same.
    pub fn join(&mut self, record: &Record) {
        if let Some(seen) = record.sighting() {
            self.when.join(&Condition::of(&seen));
            self.cases += 1;
        }
    }
}

impl SeedFile {
    /// A record's case, written out, with what was seen of it, and of it as it was drawn; kept for `group`.
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
            reference: record.reference.clone(),
            drawn: drawn.cloned().map(Box::new),
        };
        Self {
            format_version: FORMAT_VERSION,
            id: Some(record.id.clone()),
            case: record.case.clone(),
            why: format!("found with {}: {}", record.candidate.name, group.title()),
            expected: "match".to_owned(),
            seen: Some(seen),
        }
    }

    /// Writes it, whole or not at all, and makes its directory when it is not there.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_json(path, self, "write the seed file")
    }

    /// Whether an argument names a seed file, and not a case's id.
    pub fn is_named_by(name: &str) -> bool {
        let path = Path::new(name);
        path.extension().is_some_and(|ending| ending == "json") || path.is_file()
    }

    /// Whether this is the catalogue, which lies among the seeds.
    pub fn is_catalogue(path: &Path) -> bool {
        path.file_name() == Some(OsStr::new(crate::case::known::FILE_NAME))
    }

    /// A seed, or a case alone, as `show` and `shrink` print it.
    fn parse(text: &str) -> serde_json::Result<Self> {
        let parsed: serde_json::Value = serde_json::from_str(text)?;
        if parsed.get("format_version").is_some() || parsed.get("ops").is_none() {
            // From the text: an error then tells the line.
            return serde_json::from_str(text);
        }
        Ok(Self {
            format_version: FORMAT_VERSION,
            id: None,
            case: Some(serde_json::from_str(text)?),
            why: String::new(),
            expected: "match".to_owned(),
            seen: None,
        })
    }

    /// Reads and checks a file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)
            .map_err(|error| Error::io("read the seed file", path, &error))?;
        Self::of_text(path, &text)
    }

    /// What the file at `path` holds, checked.
    pub fn of_text(path: &Path, text: &str) -> Result<Self> {
        let wrong =
            |what: String| Error::usage(format!("{} is no seed file: {what}", path.display()));
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

    /// The case: the one that is written out, else the one that its id decodes to.
    pub fn case(&self) -> Result<Case> {
        match (&self.case, &self.id) {
            (Some(case), _) => Ok(case.clone()),
            (None, Some(id)) => Generation::case(&id.parse::<CaseId>()?, None),
            (None, None) => Err(Error::usage("a seed file has neither an id nor a case")),
        }
    }
}

/// The seed file of this name, without looking at the others.
pub fn find(directory: &Path, stem: &str) -> Option<SeedPath> {
    let name = format!("{stem}.json");
    let path = directory.join(&name);
    let is_plain = stem.bytes().all(|byte| byte != b'/');
    let is_seed = is_plain && self::stem(OsStr::new(&name)).is_some();
    (is_seed && path.is_file()).then(|| SeedPath {
        stem: stem.to_owned(),
        path,
    })
}

/// How many seed files a directory has.
pub fn count(directory: &Path) -> Result<u64> {
    let entries = fs::read_dir(directory)
        .map_err(|error| Error::io("list the seeds in", directory, &error))?;
    let names = entries.flatten().map(|entry| entry.file_name());
    Ok(names.filter(|name| stem(name).is_some()).count() as u64)
}

/// The stem of a seed file's name; nothing of any other's.
fn stem(name: &OsStr) -> Option<&str> {
    let name = name.to_str().filter(|name| *name != known::FILE_NAME)?;
    name.strip_suffix(".json").filter(|stem| !stem.is_empty())
}

/// The seed files of a directory, by name. None at all is an error: a run of nothing must not pass.
pub fn list(directory: &Path) -> Result<Vec<SeedPath>> {
    let entries = fs::read_dir(directory)
        .map_err(|error| Error::io("list the seeds in", directory, &error))?;
    let mut seeds: Vec<SeedPath> = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| Error::io("list the seeds in", directory, &error))?;
        // By its name alone: taking ten thousand paths apart takes longer than reading the directory.
        let name = entry.file_name();
        if let Some(stem) = stem(&name) {
            seeds.push(SeedPath {
                stem: stem.to_owned(),
                path: entry.path(),
            });
        }
    }
    if seeds.is_empty() {
        return Err(Error::usage(format!(
            "there is no seed in {}: a run of nothing proves nothing",
            directory.display()
        )));
    }
    seeds.sort_by(|first, second| first.stem.cmp(&second.stem));
    Ok(seeds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("seed.json");
        fs::write(&path, text).unwrap();
        (directory, path)
    }

    #[test]
    fn a_seed_with_an_id_decodes_to_its_case() {
        let text = r#"{"format_version": 1, "id": "ops7_s1_i3", "why": "w", "expected": "match"}"#;
        let (_directory, path) = written(text);
        let case = SeedFile::read(&path).unwrap().case().unwrap();
        assert_eq!(case.id().to_string(), "ops7_s1_i000003");
    }

    #[test]
    fn a_written_out_case_is_what_runs_whatever_the_id_says() {
        let case = Generation::case(&"ops7_s1_i3".parse().unwrap(), None).unwrap();
        let seed = SeedFile {
            format_version: 1,
            id: Some("ops7_s1_i9".to_owned()),
            case: Some(case.clone()),
            why: String::new(),
            expected: String::new(),
            seen: None,
        };
        let (_directory, path) = written(&serde_json::to_string(&seed).unwrap());
        assert_eq!(SeedFile::read(&path).unwrap().case().unwrap(), case);
    }

    #[test]
    fn a_case_alone_is_a_seed() {
        let case = Generation::case(&"ops7_s1_i3".parse().unwrap(), None).unwrap();
        let (_directory, path) = written(&serde_json::to_string(&case).unwrap());
        assert_eq!(SeedFile::read(&path).unwrap().case().unwrap(), case);
    }

    #[test]
    fn a_broken_seed_is_refused_in_one_line_that_names_the_file() {
        for text in [
            "",
            "{",
            "[]",
            r#"{"format_version": 5, "id": "ops7_s1_i1", "why": "", "expected": ""}"#,
            r#"{"format_version": 1, "why": "", "expected": ""}"#,
        ] {
            let (_directory, path) = written(text);
            let error = SeedFile::read(&path).expect_err(text).to_string();
            assert!(
                error.contains("seed.json") && !error.contains('\n'),
                "{error}"
            );
        }
    }

    #[test]
    fn a_directory_without_seeds_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(known::FILE_NAME), "{}").unwrap();
        assert!(list(directory.path()).is_err());
        assert!(list(&directory.path().join("missing")).is_err());
    }
}
