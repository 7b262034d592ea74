//! Tests of the catalogue: what it reads and refuses, which entry it names, and when a condition holds; all from plain data.

use serde_json::{Value, json};

use super::*;
use crate::disk_format::damage;
use crate::oracle::verdict::{Blame, Difference};

mod conditions;
mod covering;
mod narrow;

/// A case with these operations, as its JSON has them.
fn case(ops: Value) -> Case {
    let case = json!({
        "generation": "g", "seed": 1, "iteration": 0, "iter_seed": 1, "words_used": 0, "ops": ops,
        "image": {"format": "vmdk", "virtual_size": "1M", "pattern": "zeros"},
    });
    serde_json::from_value(case).unwrap()
}

/// A qcow2 that is read: encrypted, or with these options.
fn chain(options: &[&str]) -> Case {
    let layer = json!({"format": "qcow2", "size": 1 << 20, "options": options});
    case(json!([{"op": "chain", "layers": [layer], "steps": [{"step": "read"}]}]))
}

/// A damaged qcow2; each piece of damage as its JSON has it.
fn malformed(damages: Value) -> Case {
    let specimen = json!({"format": "qcow2", "size": 65536, "snapshots": 0, "bitmaps": 0});
    case(json!([{"op": "malformed", "specimen": specimen, "damages": damages, "looks": ["info"]}]))
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

/// A condition that asks for the operation, the kind and what differs alone.
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
        versions: texts(versions),
        of_reference: false,
        rate: None,
        when: condition(),
        candidate: "does this".to_owned(),
        reference: "does that".to_owned(),
        right: "reference".to_owned(),
        specification: "a section".to_owned(),
        why: "it is so".to_owned(),
    }
}

fn catalogue(entries: Vec<Entry>) -> Catalogue {
    Catalogue {
        entries,
        ..Catalogue::empty()
    }
}

/// The same divergence for whoever asks.
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
        let is_known = |name: &String| name == "truncated" || damage::is_known(name);
        assert!(entry.when.damage.iter().all(is_known), "{id}");
        let ends = entry.versions.iter().all(|known| known.contains("..="));
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
fn the_built_in_catalogue_is_kept_in_the_form_in_which_accept_writes_it() {
    let text = Catalogue::built_in().unwrap().text().unwrap();
    let differs = text
        .lines()
        .zip(BUILT_IN.lines())
        .find(|(one, other)| one != other);
    assert_eq!(differs, None, "imgduel accept would rewrite the file");
    assert_eq!(text.len(), BUILT_IN.len());
}

#[test]
fn the_first_entry_that_fits_names_a_divergence() {
    let seen = Seen::new(chain(&[]));
    let mut narrow = entry("narrow", &["1.0..=1.9"]);
    narrow.when.kind = texts(&["another_divergence"]);
    let both = catalogue(vec![
        narrow,
        entry("first", &["1.0..=1.9"]),
        entry("second", &["1.0..=1.9"]),
    ]);
    let said = both.says(("t", "1.5"), ("qemu-img", "10"), &seen.sighting());
    assert_eq!(id(said), Some(("known", "first")));
    let said = both.says(("other", "1.5"), ("t", "1.5"), &seen.sighting());
    assert_eq!(id(said), None);
}

#[test]
fn an_entry_about_the_reference_asks_for_the_references_name_and_version() {
    let seen = Seen::new(chain(&[]));
    let mut about = entry("of-reference", &["10..=10"]);
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
    let older = || entry("older", &["1.0..=1.9"]);
    let said = |entries: Vec<Entry>, version: &str| {
        let catalogue = catalogue(entries);
        let said = catalogue.says(("t", version), ("qemu-img", "10"), &seen.sighting());
        id(said).map(|(how, id)| (how, id.to_owned()))
    };
    let elsewhere = Some(("elsewhere", "older".to_owned()));
    assert_eq!(said(vec![older()], "2.0"), elsewhere);
    assert_eq!(
        said(vec![older(), entry("second", &["1.0..=1.9"])], "2.0"),
        elsewhere
    );
    let both = vec![older(), entry("newer", &["2.0..=2.0"])];
    assert_eq!(said(both, "2.0"), Some(("known", "newer".to_owned())));
}

#[test]
fn an_entry_is_reached_where_its_operation_is_made_with_a_version_that_it_speaks_of() {
    let case = chain(&[]);
    let mut other = entry("other", &["1..=1"]);
    other.when.operation = texts(&["malformed"]);
    let catalogue = catalogue(vec![
        entry("own", &["1..=1"]),
        entry("newer", &["2..=2"]),
        other,
    ]);
    let reached = |indices: &[usize]| {
        let found = catalogue.reached(("t", "1"), ("r", "1"), &case, indices);
        found.map(|entry| entry.id.clone()).collect::<Vec<_>>()
    };
    assert_eq!(reached(&[0]), ["own"]);
    assert!(reached(&[]).is_empty());
}

#[test]
fn silence_says_something_after_three_times_the_cases_of_one_showing() {
    let mut entry = entry("rare", &["1..=1"]);
    assert_eq!(entry.silent_cases_min(), 60);
    entry.rate = Some(0.001);
    assert_eq!(entry.silent_cases_min(), 3000);
}

#[test]
fn versions_are_told_in_words() {
    let entry = entry("e", &["1.0..=1.2", "2.0..=2.0"]);
    assert_eq!(entry.versions_in_words(), "1.0 to 1.2, 2.0");
}

/// A catalogue's text with one field of its entry replaced, on a line of its own.
fn broken(what: impl FnOnce(&mut Value)) -> String {
    let mut value = serde_json::to_value(catalogue(vec![
        entry("a", &["1..=1"]),
        entry("b", &["1..=1"]),
    ]));
    let value = value.as_mut().unwrap();
    what(value);
    serde_json::to_string_pretty(value).unwrap()
}

#[test]
fn what_no_entry_may_say_is_refused_with_its_line() {
    let second =
        |name: &'static str, wrong: Value| broken(move |value| value["entries"][1][name] = wrong);
    let when = |name: &'static str, wrong: Value| {
        broken(move |value| value["entries"][1]["when"][name] = wrong)
    };
    for (text, words) in [
        (second("id", json!("a")), "its id is used twice"),
        (
            second("right", json!("nobody")),
            "no word for who is right 'nobody'",
        ),
        (second("versions", json!(["2..=1"])), "no range of versions"),
        (second("versions", json!([])), "list of versions is empty"),
        (second("rate", json!(0.0)), "a rate is above 0"),
        (second("rate", json!(1.5)), "a rate is above 0"),
        (
            when("operation", json!(["chian"])),
            "there is no operation 'chian'",
        ),
        (when("operation", json!([])), "list of operation is empty"),
        (
            when("kind", json!(["chain_contnt_divergence"])),
            "there is no kind 'chain_contnt_divergence'",
        ),
        (when("kind", json!([])), "list of kind is empty"),
        (
            when("differences", json!([])),
            "list of differences is empty",
        ),
        (when("at", json!(["step:read"])), "'step:read' is no fact"),
        (
            when("any_at", json!(["read=step"])),
            "'read=step' is no fact",
        ),
        (when("not_at", json!(["file"])), "'file' is no fact"),
    ] {
        let error = Catalogue::parse(&text).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        let line = error.split("at line ").nth(1).unwrap();
        let line: usize = line.split(':').next().unwrap().parse().unwrap();
        let is_named = text.lines().nth(line - 1).unwrap().contains("\"id\":");
        assert!(is_named && line > 20, "{error}");
    }
    for (name, wrong) in [
        ("blame", json!(["nobody"])),
        ("shows", json!(["nothing"])),
        ("differnces", json!([])),
    ] {
        let error = Catalogue::parse(&when(name, wrong))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("at line ") && error.contains("column"),
            "{error}"
        );
    }
}

#[test]
fn a_rate_of_one_and_one_entry_of_each_id_are_taken() {
    let text = broken(|value| value["entries"][1]["rate"] = json!(1.0));
    assert_eq!(Catalogue::parse(&text).unwrap().entries.len(), 2);
}

#[test]
fn versions_one_and_two_of_the_format_are_read_and_version_two_is_written() {
    for (version, is_read) in [(0, false), (1, true), (2, true), (3, false)] {
        let text = broken(|value| value["format_version"] = json!(version));
        let parsed = Catalogue::parse(&text);
        assert_eq!(parsed.is_ok(), is_read, "{version}");
        if let Ok(parsed) = parsed {
            let written = Catalogue::parse(&parsed.text().unwrap()).unwrap();
            assert_eq!(
                (written.format_version, written.entries),
                (2, parsed.entries)
            );
        }
    }
}

#[test]
fn a_file_is_read_beside_the_built_in_catalogue_and_its_entries_come_first() {
    let directory = tempfile::tempdir().unwrap();
    let path = file_in(directory.path());
    assert_eq!(path.file_name().unwrap(), FILE_NAME);
    let built_in = Catalogue::built_in().unwrap();
    let first = &built_in.entries[0].id;
    let own = catalogue(vec![entry("mine", &["1..=1"]), entry(first, &["1..=1"])]);
    fs::write(&path, own.text().unwrap()).unwrap();
    let opened = Catalogue::open(Some(&path)).unwrap();
    assert_eq!(opened.entries.len(), built_in.entries.len() + 1);
    assert_eq!(opened.entries[0].id, "mine");
    assert_eq!(opened.named(first).unwrap().tool, "t");
    assert_eq!(opened.entries[2].id, built_in.entries[1].id);
    assert!(opened.named("nobody").is_none());
    let missing = Catalogue::open(Some(&directory.path().join("none.json")));
    assert!(missing.unwrap_err().to_string().contains("none.json"));
    fs::write(&path, "{}").unwrap();
    let error = Catalogue::open(Some(&path)).unwrap_err().to_string();
    assert!(error.contains(FILE_NAME), "{error}");
}
