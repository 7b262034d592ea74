//! The corpus of guided campaigns: cases of which each has coverage that no other kept case has.
//!
//! A corpus is a directory with one JSON file per case, in the format that `imgduel show` prints and `imgduel replay` reads. A campaign reads
//! it at its start and adds each new case at once, so that a killed campaign loses nothing. At the end it removes redundant cases.
//! Files of other generations are not touched. The guide uses this module; the entry points print its objections.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::base::error::{Error, Result};
use crate::case::Case;
use crate::case::generation::Generation;
use crate::case::generation::ancestry::lineage;

/// The cases of one generation in a directory.
pub struct Corpus {
    directory: PathBuf,
    cases: VecDeque<Case>,
    objections: Vec<Error>,
    kept: Vec<Kept>,
}

/// A stored case that ran in this campaign, with its coverage.
struct Kept {
    path: PathBuf,
    behaviours: BTreeSet<u32>,
}

impl Corpus {
    /// Reads the cases of `generation` in `directory`, which is created if it is missing. Unusable files become objections.
    pub fn open(directory: &Path, generation: &Generation) -> Result<Self> {
        let unusable = |error| Error::io("use the corpus in", directory, &error);
        fs::create_dir_all(directory).map_err(unusable)?;
        let mut paths = Vec::new();
        for entry in fs::read_dir(directory).map_err(unusable)? {
            let path = entry.map_err(unusable)?.path();
            let is_case = path.extension().is_some_and(|ending| ending == "json");
            paths.extend(is_case.then_some(path));
        }
        paths.sort();
        let mut corpus = Self {
            directory: directory.to_owned(),
            cases: VecDeque::new(),
            objections: Vec::new(),
            kept: Vec::new(),
        };
        for path in paths {
            match read(&path) {
                Ok(case) if lineage(&case.generation).0 == generation.name => {
                    corpus.cases.push_back(case);
                }
                Ok(_) => {}
                Err(error) => corpus.objections.push(error),
            }
        }
        Ok(corpus)
    }

    /// Returns why files were ignored.
    pub fn objections(&self) -> &[Error] {
        &self.objections
    }

    /// Takes the cases that were read; later calls return none.
    pub(super) fn take_cases(&mut self) -> VecDeque<Case> {
        std::mem::take(&mut self.cases)
    }

    /// Records the coverage of a case, and stores the case if it has new coverage.
    pub(super) fn learn(
        &mut self,
        case: &Case,
        behaviours: &BTreeSet<u32>,
        is_new: bool,
    ) -> Result<()> {
        let path = self.directory.join(format!("{}.json", case.id()));
        if let Some(kept) = self.kept.iter_mut().find(|kept| kept.path == path) {
            kept.behaviours.extend(behaviours);
            return Ok(());
        }
        if !path.exists() {
            if !is_new {
                return Ok(());
            }
            self.write(case, &path)?;
        }
        let behaviours = behaviours.clone();
        self.kept.push(Kept { path, behaviours });
        Ok(())
    }

    /// Writes the file of a case atomically, because a campaign may be killed at any time.
    fn write(&self, case: &Case, path: &Path) -> Result<()> {
        let text = serde_json::to_string(case).map_err(|error| Error::system(error.to_string()))?;
        let written = tempfile::NamedTempFile::new_in(&self.directory).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.write_all(b"\n")?;
            file.persist(path).map_err(|error| error.error)
        });
        written.map_err(|error| Error::io("keep a case in", path, &error))?;
        Ok(())
    }

    /// Removes cases whose coverage the others have as well.
    pub(super) fn end(&mut self) -> Result<()> {
        for path in self.superfluous() {
            fs::remove_file(&path).map_err(|error| Error::io("remove", &path, &error))?;
        }
        Ok(())
    }

    /// Returns the files of redundant cases. It selects the needed cases greedily: next the one with most coverage that is still missing.
    fn superfluous(&mut self) -> Vec<PathBuf> {
        let mut rest = std::mem::take(&mut self.kept);
        let mut unseen: BTreeSet<u32> = rest
            .iter()
            .flat_map(|kept| kept.behaviours.iter().copied())
            .collect();
        while !unseen.is_empty() {
            let shows = |kept: &Kept| kept.behaviours.intersection(&unseen).count();
            // Among equals, prefer the oldest.
            let most = (0..rest.len())
                .rev()
                .max_by_key(|place| shows(&rest[*place]));
            let Some(most) = most else { break };
            let needed = rest.remove(most);
            unseen.retain(|behaviour| !needed.behaviours.contains(behaviour));
        }
        rest.into_iter().map(|kept| kept.path).collect()
    }
}

/// Reads a case from a file. Fails unless its id decodes to the same case, because the ids of its children depend on that.
fn read(path: &Path) -> Result<Case> {
    let wrong = |what: String| {
        Error::usage(format!(
            "{} is left out: {what}; remove it from the corpus",
            path.display()
        ))
    };
    let text = fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let case: Case = serde_json::from_slice(&text)
        .map_err(|error| wrong(format!("it is not a case: {error}")))?;
    let again = Generation::case(&case.id(), &case.selection());
    match again {
        Ok(again) if again == case => Ok(case),
        Ok(_) => Err(wrong(format!("{} is another case", case.id()))),
        Err(error) => Err(wrong(error.to_string())),
    }
}

#[cfg(test)]
mod tests;
