//! The findings of a campaign: divergences by group, and the pending findings that are kept on disk.
//!
//! A pending finding is a seed file with the whole case, in its own directory, until somebody accepts it as a seed or
//! into the catalogue. There is one file per group; a group that has a file is not new. The command calls this module.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use crate::base::error::{Error, Result};
use crate::oracle::signature::Group;
use crate::report::seed_file::{Drawn, SeedFile};
use crate::run::record::{Class, Record, ToolName};

/// The divergences of one campaign that the catalogue does not explain, by group.
#[derive(Default)]
pub struct Findings {
    groups: BTreeMap<Group, Found>,
}

/// The cases of one group.
pub struct Found {
    /// The group.
    pub group: Group,
    /// Number of cases.
    pub count: u64,
    /// The record of the case with the lowest iteration.
    pub first: Record,
    /// That case as it was drawn, and what all cases of the group have in common.
    pub drawn: Option<Drawn>,
    /// Some cases of the group, on which new entries of the catalogue are tested.
    pub some: Vec<Record>,
}

/// How many cases of a group are kept.
const CASES_KEPT_MAX: usize = 50;

/// The file with the cases of the last campaign, in the directory of the findings.
pub const LAST_FILE: &str = "last-divergences.jsonl";

impl Findings {
    /// Adds a record if it is a divergence that the catalogue does not explain. Returns whether it is the first of its
    /// group.
    pub fn add(&mut self, record: &Record) -> bool {
        let Some(group) = record
            .group()
            .filter(|_| record.class() == Class::Divergence)
        else {
            return false;
        };
        let found = self.groups.entry(group.clone()).or_insert_with(|| Found {
            group,
            count: 0,
            first: record.clone(),
            drawn: None,
            some: Vec::new(),
        });
        found.count += 1;
        match &mut found.drawn {
            Some(drawn) => drawn.join(record),
            None => found.drawn = Drawn::from_record(record),
        }
        if found.some.len() < CASES_KEPT_MAX {
            found.some.push(record.without_calls());
        }
        if record.iteration < found.first.iteration {
            found.first = record.clone();
            // The first case must not depend on the order in which cases end.
            let common = found.drawn.take();
            found.drawn = Drawn::from_record(record)
                .zip(common)
                .map(|(own, common)| Drawn {
                    cases: common.cases,
                    when: common.when,
                    ..own
                });
        }
        found.count == 1
    }

    /// The groups in the order of their first cases.
    pub fn in_order(&self) -> Vec<&Found> {
        let mut groups: Vec<&Found> = self.groups.values().collect();
        groups.sort_by_key(|found| found.first.iteration);
        groups
    }
}

/// Checks early that findings can be kept in a directory, which need not exist yet.
pub fn try_to_keep(directory: &Path) -> Result<()> {
    let mut there = directory;
    while !there.as_os_str().is_empty() && fs::symlink_metadata(there).is_err() {
        there = there.parent().unwrap_or(Path::new(""));
    }
    let there = match there.as_os_str().is_empty() {
        true => Path::new("."),
        false => there,
    };
    let tried = tempfile::tempfile_in(there);
    tried.map(drop).map_err(|error| {
        let error = Error::io("keep findings in", directory, &error);
        Error::system(format!("{error}: name another directory with --findings"))
    })
}

/// The name of a group's file without its ending: an identifier that depends on the candidate and the group alone.
pub fn stem(candidate: &ToolName, group: &Group) -> String {
    let name = format!("{} {}", candidate.name, group.title());
    let hash = xxh3_64(name.as_bytes()) as u32;
    format!("{}_{}_{hash:08x}", group.operation, group.kind)
}

/// The path that the pending finding of a group has or would get.
pub fn path(directory: &Path, candidate: &ToolName, group: &Group) -> PathBuf {
    directory.join(format!("{}.json", stem(candidate, group)))
}

/// The path of a group's pending finding, if there is one: under its current name, or under the name that an earlier
/// version gave to the same group.
pub fn kept(directory: &Path, candidate: &ToolName, group: &Group) -> Option<PathBuf> {
    let path = path(directory, candidate, group);
    if path.exists() {
        return Some(path);
    }
    let begins = format!("{}_{}_", group.operation, group.kind);
    let is_named = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with(&begins) && name.ends_with(".json"))
    };
    let is_of_group = |path: &PathBuf| {
        // A file that cannot be read is ignored.
        let seed = SeedFile::read(path).ok();
        let seen = seed.and_then(|seed| seed.seen);
        seen.is_some_and(|seen| seen.candidate.name == candidate.name && seen.group() == *group)
    };
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut named: Vec<PathBuf> = paths.filter(is_named).collect();
    named.sort();
    named.into_iter().find(is_of_group)
}

/// The file in which the shrinker keeps its progress with a finding. It depends on the candidate's version, because
/// another version may behave differently.
pub fn progress_path(directory: &Path, candidate: &ToolName, group: &Group) -> PathBuf {
    let version = xxh3_64(candidate.version.as_bytes()) as u16;
    directory.join(format!("{}_{version:04x}.progress", stem(candidate, group)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = include_str!("../../tests/golden/frozen-seed.json");

    #[test]
    fn a_finding_that_an_earlier_version_kept_is_found_by_its_group() {
        let directory = tempfile::tempdir().unwrap();
        let old = directory
            .path()
            .join("resize_resize_content_divergence_0badf00d.json");
        std::fs::write(&old, OLD).unwrap();
        let kept = |name: &str, signature: &str| {
            let tool = ToolName {
                name: name.to_owned(),
                version: "11.1.3".to_owned(),
                build: None,
            };
            let group = Group {
                kind: "resize_content_divergence".to_owned(),
                operation: "resize".to_owned(),
                signature: signature.to_owned(),
            };
            super::kept(directory.path(), &tool, &group)
        };
        let today = "contents of resize.qcow2: byte at guest offset N";
        assert_eq!(kept("qemu-img", today), Some(old));
        assert_eq!(kept("imago", today), None);
        assert_eq!(kept("qemu-img", "contents of resize.raw"), None);
    }
}
