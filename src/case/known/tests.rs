//! Tests of the catalogue on plain data: what it accepts and refuses, which entry it names, and when a condition holds.

use serde_json::{Value, json};

use super::*;
use crate::oracle::verdict::{Blame, Difference, SubjectKind};

mod conditions;
mod covering;
mod narrow;
mod reading;
mod writing;

/// Returns a case with these operations in JSON.
fn case(ops: Value) -> Case {
    let case = json!({
        "generation": "g", "seed": 1, "iteration": 0, "iter_seed": 1, "words_used": 0, "ops": ops,
        "image": {"format": "vmdk", "virtual_size": "1M", "pattern": "zeros"},
    });
    serde_json::from_value(case).unwrap()
}

/// Returns a case that reads a qcow2: encrypted, or with these options.
fn chain(options: &[&str]) -> Case {
    let layer = json!({"format": "qcow2", "size": 1 << 20, "options": options});
    case(json!([{"op": "chain", "layers": [layer], "steps": [{"step": "read"}]}]))
}

/// Returns a case with a damaged qcow2; the mutations are in JSON.
fn malformed(damages: Value) -> Case {
    let base_image = json!({"format": "qcow2", "size": 65536, "snapshots": 0, "bitmaps": 0});
    case(
        json!([{"op": "malformed", "specimen": base_image, "damages": damages, "looks": ["info"]}]),
    )
}

fn replaced(structure: &str, field: &str) -> Value {
    json!({"replace": {"structure": structure, "index": 0, "field": field, "value": {"number": 1}}})
}

fn difference() -> Difference {
    Difference::written(
        "contents of 0.qcow2: byte at guest offset 512",
        "0x00",
        "0x1f",
    )
}

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

/// Returns a condition with only the operation, the kind and the subject.
fn condition() -> Condition {
    let plain = json!({
        "operation": ["chain"], "kind": ["chain_content_divergence"], "differences": ["contents of*"],
    });
    serde_json::from_value(plain).unwrap()
}

fn entry(id: &str, versions: &[&str]) -> Entry {
    Entry {
        id: id.to_owned(),
        tool: "t".to_owned(),
        versions: versions.iter().map(|one| one.parse().unwrap()).collect(),
        of_reference: false,
        rate: None,
        when: condition(),
        candidate: "does this".to_owned(),
        reference: "does that".to_owned(),
        right: Right::Reference,
        specification: "a section".to_owned(),
        why: "it is so".to_owned(),
        examples: Vec::new(),
        example_with: None,
        no_example: Some("none".to_owned()),
    }
}

fn catalogue(entries: Vec<Entry>) -> Catalogue {
    Catalogue {
        entries,
        ..Catalogue::empty()
    }
}

/// A divergence, owned by the test.
struct Seen {
    case: Case,
    differences: Vec<Difference>,
    at: Vec<String>,
}

impl Seen {
    fn new(case: Case) -> Self {
        Self {
            case,
            differences: vec![difference()],
            at: Vec::new(),
        }
    }

    fn sighting(&self) -> Sighting<'_> {
        Sighting {
            case: &self.case,
            index: 0,
            kind: "chain_content_divergence",
            blame: Some(Blame::Candidate),
            differences: &self.differences,
            at: &self.at,
        }
    }
}

fn id<'catalogue>(said: Option<Said<'catalogue>>) -> Option<(&'static str, &'catalogue str)> {
    said.map(|said| match said {
        Said::Known(entry) => ("known", entry.id.as_str()),
        Said::Elsewhere(entry) => ("elsewhere", entry.id.as_str()),
    })
}

#[test]
fn the_built_in_catalogue_explains_itself() {
    let catalogue = Catalogue::built_in().unwrap();
    assert!(catalogue.entries.len() > 300);
    for entry in &catalogue.entries {
        let id = &entry.id;
        let texts = [
            &entry.candidate,
            &entry.reference,
            &entry.specification,
            &entry.why,
        ];
        assert!(
            texts.iter().all(|text| text.len() > 10),
            "{id} explains too little"
        );
        let ends = entry.versions.iter().all(Range::ends);
        assert!(ends, "{id} speaks of versions that nobody has tried");
    }
}

#[test]
fn no_entry_of_the_built_in_catalogue_is_shadowed_by_an_earlier_one() {
    let catalogue = Catalogue::built_in().unwrap();
    let shadowed = catalogue.shadowed();
    let names: Vec<(&str, &str)> = shadowed
        .iter()
        .map(|(entry, above)| (entry.id.as_str(), above.id.as_str()))
        .collect();
    assert!(names.is_empty(), "{names:?}");
}

#[test]
fn the_first_entry_that_fits_names_a_divergence() {
    let seen = Seen::new(chain(&[]));
    let mut narrow = entry("narrow", &[">=1.0, <=1.9"]);
    narrow.when.kind = texts(&["another_divergence"]);
    let both = catalogue(vec![
        narrow,
        entry("first", &[">=1.0, <=1.9"]),
        entry("second", &[">=1.0, <=1.9"]),
    ]);
    let said = both.says(("t", "1.5"), ("qemu-img", "10"), &seen.sighting());
    assert_eq!(id(said), Some(("known", "first")));
    let said = both.says(("other", "1.5"), ("t", "1.5"), &seen.sighting());
    assert_eq!(id(said), None);
}

#[test]
fn an_entry_about_the_reference_asks_for_the_references_name_and_version() {
    let seen = Seen::new(chain(&[]));
    let mut about = entry("of-reference", &["=10"]);
    about.of_reference = true;
    let catalogue = catalogue(vec![about]);
    let said = |candidate, reference| id(catalogue.says(candidate, reference, &seen.sighting()));
    assert_eq!(
        said(("x", "1"), ("t", "10")),
        Some(("known", "of-reference"))
    );
    assert_eq!(said(("t", "10"), ("x", "1")), None);
    assert_eq!(
        said(("t", "10"), ("t", "11")),
        Some(("elsewhere", "of-reference"))
    );
}

#[test]
fn what_is_known_of_another_version_is_told_as_such_and_gives_way_to_what_is_known_of_this_one() {
    let seen = Seen::new(chain(&[]));
    let older = || entry("older", &[">=1.0, <=1.9"]);
    let said = |entries: Vec<Entry>, version: &str| {
        let catalogue = catalogue(entries);
        let said = catalogue.says(("t", version), ("qemu-img", "10"), &seen.sighting());
        id(said).map(|(how, id)| (how, id.to_owned()))
    };
    let elsewhere = Some(("elsewhere", "older".to_owned()));
    assert_eq!(said(vec![older()], "2.0"), elsewhere);
    assert_eq!(
        said(vec![older(), entry("second", &[">=1.0, <=1.9"])], "2.0"),
        elsewhere
    );
    let both = vec![older(), entry("newer", &["=2.0"])];
    assert_eq!(said(both, "2.0"), Some(("known", "newer".to_owned())));
}

#[test]
fn an_entry_is_reached_where_its_operation_is_made_with_a_version_that_it_speaks_of() {
    let case = chain(&[]);
    let mut other = entry("other", &["=1"]);
    other.when.operation = texts(&["malformed"]);
    let catalogue = catalogue(vec![entry("own", &["=1"]), entry("newer", &["=2"]), other]);
    let reached = |indices: &[usize]| {
        let found = catalogue.reached(("t", "1"), ("r", "1"), &case, indices);
        found.map(|entry| entry.id.clone()).collect::<Vec<_>>()
    };
    assert_eq!(reached(&[0]), ["own"]);
    assert!(reached(&[]).is_empty());
}

#[test]
fn silence_says_something_after_three_times_the_cases_of_one_showing() {
    let mut entry = entry("rare", &["=1"]);
    assert_eq!(entry.silent_cases_min(), 60);
    entry.rate = Some(0.001);
    assert_eq!(entry.silent_cases_min(), 3000);
}

#[test]
fn versions_are_told_in_words() {
    let entry = entry("e", &[">=1.0, <=1.2", "=2.0"]);
    assert_eq!(entry.versions_in_words(), "1.0 to 1.2, 2.0");
}
