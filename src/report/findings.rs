//! What a campaign has found: divergences by group, and the pending findings that are kept of them.
//!
//! A pending finding is a seed file with the case written out, in a directory of its own until somebody accepts it among
//! the seeds or into the catalogue. One file a group: what is there already is not new. Called by the command.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use crate::base::error::{Error, Result};
use crate::oracle::signature::Group;
use crate::report::seed_file::{Drawn, SeedFile};
use crate::run::record::{Class, Record, ToolName};

/// The divergences of one campaign that nobody has explained, by group.
#[derive(Default)]
pub struct Findings {
    groups: BTreeMap<Group, Found>,
}

/// One group.
pub struct Found {
    /// What its divergences have in common.
    pub group: Group,
    /// How many cases showed it.
    pub count: u64,
    /// The case with the lowest iteration.
    pub first: Record,
    /// The same as it was drawn, and what all cases of the group have in common.
    pub drawn: Option<Drawn>,
    /// Some of its cases, for whoever asks what an entry of the catalogue explains.
    pub some: Vec<Record>,
}

/// How many cases of a group are kept.
const CASES_KEPT_MAX: usize = 50;

/// The file of the cases that the last campaign kept, in the directory of the findings.
pub const LAST_FILE: &str = "last-divergences.jsonl";

impl Findings {
    /// Takes in a record that is a divergence which nobody has explained; others are passed over. Says whether it is the first
    /// of its group.
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
            None => found.drawn = Drawn::of(record),
        }
        if found.some.len() < CASES_KEPT_MAX {
            found.some.push(record.without_calls());
        }
        if record.iteration < found.first.iteration {
            found.first = record.clone();
            // Who is first does not depend on who was done first.
            let common = found.drawn.take();
            found.drawn = Drawn::of(record).zip(common).map(|(own, common)| Drawn {
                cases: common.cases,
                when: common.when,
                ..own
            });
        }
        found.count == 1
    }

    /// Every group, the one that was drawn first at the beginning.
    pub fn in_order(&self) -> Vec<&Found> {
        let mut groups: Vec<&Found> = self.groups.values().collect();
        groups.sort_by_key(|found| found.first.iteration);
        groups
    }
}

/// Whether findings can be kept in a directory, which need not be there yet: at the end of a night it is too late to name another.
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

/// Where the pending finding of a group lies, or would lie.
pub fn path(directory: &Path, candidate: &ToolName, group: &Group) -> PathBuf {
    directory.join(format!("{}.json", stem(candidate, group)))
}

/// Where the pending finding of a group lies, if there is one: under its own name, or under that which an earlier version gave to
/// the same group.
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
        // One that cannot be read is not taken for anything.
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

/// Where the shrinker keeps how far it has come with that finding; what one version of the candidate showed says nothing of
/// another.
pub fn progress_path(directory: &Path, candidate: &ToolName, group: &Group) -> PathBuf {
    let version = xxh3_64(candidate.version.as_bytes()) as u16;
    directory.join(format!("{}_{version:04x}.progress", stem(candidate, group)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = include_str!("../../tests/golden/frozen-seed.json");

    #[test]
    fn a_finding_that_an_earlier_version_kept_is_that_of_its_group() {
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
