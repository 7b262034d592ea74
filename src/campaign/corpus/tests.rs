//! Unit tests of `corpus.rs`.

use super::*;
use crate::case::generation::Selection;

fn cases(count: usize) -> (Vec<Case>, &'static Generation) {
    let generation = Generation::named("native1").unwrap();
    let cases = generation.cases(5, 0, &Selection::ALL).unwrap();
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
fn cases_with_new_coverage_are_stored_and_redundant_ones_removed_at_the_end() {
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
fn an_invalid_file_or_one_with_another_case_is_reported_and_ignored() {
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
        said[1].contains("torn.json is left out: it is not a case"),
        "{said:?}"
    );
    assert!(corpus.take_cases().is_empty());
}
