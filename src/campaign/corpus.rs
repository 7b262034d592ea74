//! The cases that guided campaigns hand on: each has shown something that no other kept one shows.
//!
//! A directory of files, one case each, as `imgduel show` prints them and `imgduel replay` takes them. Read when a campaign begins, written to as
//! things are found, so that a campaign that is killed loses nothing; in the end, those that show only what others show are removed. Files of
//! other generations stay as they are. Used by the guide; it says nothing itself, not of a file that it leaves out either.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::base::error::{Error, Result};
use crate::case::Case;
use crate::case::generation::Generation;
use crate::case::generation::lineage::lineage;

/// The cases of one generation in a directory.
pub struct Corpus {
    directory: PathBuf,
    cases: VecDeque<Case>,
    objections: Vec<Error>,
    kept: Vec<Kept>,
}

/// One that was tried in this campaign.
struct Kept {
    path: PathBuf,
    behaviours: BTreeSet<u32>,
}

impl Corpus {
    /// What is in `directory`, which is made if it is not there.
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

    /// Why files were left out.
    pub fn objections(&self) -> &[Error] {
        &self.objections
    }

    /// The cases, once.
    pub(super) fn take_cases(&mut self) -> VecDeque<Case> {
        std::mem::take(&mut self.cases)
    }

    /// A case has shown these behaviours; one that shows something new is kept.
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

    /// Whole or not at all: a campaign may be killed at any time.
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

    /// Removes what shows only what others show.
    pub(super) fn end(&mut self) -> Result<()> {
        for path in self.superfluous() {
            fs::remove_file(&path).map_err(|error| Error::io("remove", &path, &error))?;
        }
        Ok(())
    }

    /// Those that are not needed to show everything: of the rest, the one that shows most of what is not shown yet is needed next.
    fn superfluous(&mut self) -> Vec<PathBuf> {
        let mut rest = std::mem::take(&mut self.kept);
        let mut unseen: BTreeSet<u32> = rest
            .iter()
            .flat_map(|kept| kept.behaviours.iter().copied())
            .collect();
        while !unseen.is_empty() {
            let shows = |kept: &Kept| kept.behaviours.intersection(&unseen).count();
            // Of equals the one that was there first.
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

/// The case in a file, which is the one that its own name gives: what is made of it can then be made again.
fn read(path: &Path) -> Result<Case> {
    let wrong = |what: String| {
        Error::usage(format!(
            "{} is left out: {what}; remove it from the corpus",
            path.display()
        ))
    };
    let text = fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let case: Case =
        serde_json::from_slice(&text).map_err(|error| wrong(format!("it is no case: {error}")))?;
    let again = Generation::case(&case.id(), case.ops_filter.as_deref());
    match again {
        Ok(again) if again == case => Ok(case),
        Ok(_) => Err(wrong(format!("{} is another case", case.id()))),
        Err(error) => Err(wrong(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cases(count: usize) -> (Vec<Case>, &'static Generation) {
        let generation = Generation::named("native1").unwrap();
        let cases = generation.cases(5, 0, None).unwrap();
        (cases.take(count).collect(), generation)
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn what_shows_something_new_is_there_the_next_time_and_no_more_than_is_needed() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("corpus");
        let (cases, generation) = cases(4);
        let mut corpus = Corpus::open(&directory, generation).unwrap();
        let shown = [&[1, 2][..], &[2], &[3], &[1, 2, 3, 4]];
        for (case, shown) in std::iter::zip(&cases, shown) {
            let behaviours: BTreeSet<u32> = shown.iter().copied().collect();
            corpus.learn(case, &behaviours, shown != [2]).unwrap();
        }
        assert_eq!(names(&directory).len(), 3);
        corpus.end().unwrap();
        assert_eq!(names(&directory), [format!("{}.json", cases[3].id())]);
        let again = Corpus::open(&directory, generation).unwrap().take_cases();
        assert_eq!(again, [cases[3].clone()]);
        let other = Generation::named("native2").unwrap();
        let mut of_other = Corpus::open(&directory, other).unwrap();
        assert!(of_other.take_cases().is_empty() && of_other.objections().is_empty());
    }

    #[test]
    fn a_file_that_is_no_case_or_another_one_is_named_in_a_line_and_left_out() {
        let place = tempfile::tempdir().unwrap();
        let (mut cases, generation) = cases(2);
        cases[1].iteration = Some(7);
        let text = serde_json::to_string(&cases[1]).unwrap();
        fs::write(place.path().join("other.json"), text).unwrap();
        fs::write(place.path().join("torn.json"), "{\"generation\": \"nati").unwrap();
        let mut corpus = Corpus::open(place.path(), generation).unwrap();
        let said: Vec<String> = corpus.objections().iter().map(Error::to_string).collect();
        assert_eq!(said.len(), 2);
        assert!(said[0].contains("other.json is left out: native1_s5_i000007 is another case"));
        assert!(
            said[1].contains("torn.json is left out: it is no case"),
            "{said:?}"
        );
        assert!(corpus.take_cases().is_empty());
    }
}
