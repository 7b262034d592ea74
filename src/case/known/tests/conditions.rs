//! Tests when a condition holds, clause by clause.

use super::*;
use crate::oracle::verdict::{Subject, SubjectKind};

/// Whether the changed condition holds for the divergence.
fn holds(seen: &Seen, change: impl FnOnce(&mut Condition)) -> bool {
    let mut condition = condition();
    change(&mut condition);
    condition.holds(&seen.sighting())
}

fn words(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn the_operation_and_the_kind_are_each_one_of_those_that_are_named() {
    let seen = Seen::new(chain(&[]));
    assert!(holds(&seen, |_| {}));
    assert!(holds(&seen, |when| when.operation = texts(&["map", "chain"])));
    assert!(!holds(&seen, |when| when.operation = texts(&["map"])));
    assert!(holds(&seen, |when| when.kind.insert(0, "other".to_owned())));
    assert!(!holds(&seen, |when| when.kind = texts(&["chain_content"])));
}

#[test]
fn every_feature_must_be_there_and_one_of_those_of_which_any_is_enough() {
    let seen = Seen::new(chain(&["encrypt.format=luks"]));
    assert!(holds(&seen, |when| when.features =
        texts(&["encryption", "qcow2"])));
    assert!(!holds(&seen, |when| when.features =
        texts(&["encryption", "data_file"])));
    assert!(!holds(&seen, |when| when.features =
        texts(&["data_file", "encryption"])));
    assert!(holds(&seen, |when| when.any_feature =
        texts(&["data_file", "encryption"])));
    assert!(!holds(&seen, |when| when.any_feature =
        texts(&["data_file", "vmdk"])));
    assert!(!holds(&seen, |when| {
        when.features = texts(&["vmdk"]);
        when.any_feature = texts(&["encryption"]);
    }));
}

#[test]
fn every_fact_must_be_true_of_the_place_and_none_that_is_excluded() {
    let mut seen = Seen::new(chain(&[]));
    seen.at = texts(&["file=qcow2", "step=read"]);
    assert!(holds(&seen, |when| when.at = texts(&["file=qcow2", "step=read"])));
    assert!(!holds(&seen, |when| when.at = texts(&["file=qcow2", "step=map"])));
    assert!(!holds(&seen, |when| when.at = texts(&["step=map", "file=qcow2"])));
    assert!(holds(&seen, |when| when.any_at =
        texts(&["step=map", "step=read"])));
    assert!(!holds(&seen, |when| when.any_at =
        texts(&["step=map", "step=info"])));
    assert!(holds(&seen, |when| when.not_at = texts(&["step=map"])));
    assert!(!holds(&seen, |when| when.not_at =
        texts(&["step=map", "step=read"])));
}

#[test]
fn what_is_true_of_the_case_is_not_true_of_the_place() {
    let seen = Seen::new(chain(&["encrypt.format=luks"]));
    assert!(!holds(&seen, |when| when.at = texts(&["file=encryption"])));
}

#[test]
fn a_piece_of_damage_is_named_with_its_field_or_by_its_structure() {
    let both = json!([replaced("header", "version"), replaced("l1_table", "entry")]);
    let seen = Seen::new(malformed(both));
    let of = |names: &[&str]| {
        holds(&seen, |when| {
            when.operation = texts(&["malformed"]);
            when.damage = texts(names);
        })
    };
    assert!(of(&[]));
    assert!(of(&["header.version"]) && of(&["l1_table.entry"]) && of(&["header"]));
    assert!(of(&["refcount_table", "header.version"]));
    assert!(!of(&["header.backing_file_offset"]) && !of(&["refcount_table"]));
    assert!(!of(&["head"]) && !of(&["header.version.x"]) && !of(&["version"]));
}

#[test]
fn what_is_not_damaged_at_all_meets_no_condition_of_damage() {
    let seen = Seen::new(chain(&[]));
    assert!(!holds(&seen, |when| when.damage = texts(&["header.version"])));
}

#[test]
fn the_blame_is_one_of_those_that_are_named() {
    let seen = Seen::new(chain(&[]));
    assert!(holds(&seen, |when| when.blame =
        vec![Blame::Unclear, Blame::Candidate]));
    assert!(!holds(&seen, |when| when.blame = vec![Blame::Reference]));
    let mut when = condition();
    let nobody = Sighting {
        blame: None,
        ..seen.sighting()
    };
    assert!(when.holds(&nobody));
    when.blame = vec![Blame::Candidate];
    assert!(!when.holds(&nobody));
}

#[test]
fn every_difference_must_be_one_of_those_that_are_named() {
    let mut seen = Seen::new(chain(&[]));
    seen.differences
        .push(Difference::written("size", "0x00", "0x01"));
    assert!(!holds(&seen, |_| {}));
    assert!(holds(&seen, |when| when
        .differences
        .push("size".to_owned())));
    assert!(!holds(&seen, |when| when
        .differences
        .push("siz".to_owned())));
    assert!(holds(&seen, |when| when
        .differences
        .push("siz*".to_owned())));
    assert!(!holds(&seen, |when| when.differences = texts(&["size"])));
}

#[test]
fn every_difference_must_be_of_a_kind_that_is_named_or_have_a_text_that_is() {
    let mut seen = Seen::new(chain(&[]));
    let text = seen.differences[0].subject.to_string();
    let kind = seen.differences[0].subject.kind();
    let only = |kinds: &[SubjectKind], patterns: &[&str]| {
        let (kinds, patterns) = (kinds.to_vec(), texts(patterns));
        move |when: &mut Condition| (when.subjects, when.differences) = (kinds, patterns)
    };
    assert!(holds(&seen, only(&[kind], &[])));
    assert!(!holds(&seen, only(&[SubjectKind::Exit], &[])));
    seen.differences
        .push(Difference::written("exit of map", "a", "b"));
    assert!(!holds(&seen, only(&[kind], &[])));
    assert!(holds(&seen, only(&[kind, SubjectKind::Exit], &[])));
    assert!(holds(&seen, only(&[SubjectKind::Exit], &[&text])));
}

#[test]
fn words_must_be_in_the_values_of_every_difference() {
    let mut seen = Seen::new(chain(&[]));
    seen.differences = vec![
        Difference::written("contents of a", "no such file: a", "exit 0"),
        Difference::written("contents of b", "no such file: b", "exit 0 too"),
    ];
    assert!(holds(&seen, |when| when.candidate_says = words("no such file")));
    assert!(!holds(&seen, |when| when.candidate_says = words("file: a")));
    assert!(!holds(&seen, |when| when.candidate_says = words("file: b")));
    assert!(!holds(&seen, |when| when.candidate_says = words("exit 0")));
    assert!(holds(&seen, |when| when.reference_says = words("exit 0")));
    assert!(!holds(&seen, |when| when.reference_says = words("too")));
    assert!(!holds(&seen, |when| when.reference_says = words("no such file")));
}

#[test]
fn what_is_shown_must_be_one_of_those_that_are_named_in_every_difference() {
    let mut seen = Seen::new(chain(&[]));
    let shows = |seen: &Seen, shows: &[Shows]| holds(seen, |when| when.shows = shows.to_vec());
    assert!(shows(&seen, &[Shows::OtherData, Shows::ZerosForData]));
    assert!(!shows(&seen, &[Shows::DataForZeros]));
    seen.differences
        .push(Difference::written("contents of b", "0x01", "0x00"));
    assert!(!shows(&seen, &[Shows::ZerosForData]));
    assert!(shows(&seen, &[Shows::ZerosForData, Shows::DataForZeros]));
    seen.differences
        .push(Difference::written("contents of b", "exit 1", "exit 0"));
    assert!(!shows(&seen, &[Shows::ZerosForData, Shows::DataForZeros]));
}

#[test]
fn parameters_of_the_operation_and_of_the_image_are_those_that_are_named() {
    let case = case(json!([{
        "op": "resize", "target": "qcow2", "start": "1M", "end": "2M", "options": ["compat=1.1", "lazy_refcounts=on"],
        "preallocation": null, "shrink": false, "end_bytes": 2 << 20,
    }]));
    let seen = Seen::new(case);
    let of = |name: &str, wanted: Value| {
        holds(&seen, |when| {
            when.operation = texts(&["resize"]);
            when.parameters.insert(name.to_owned(), wanted);
        })
    };
    assert!(of("target", json!("qcow2")) && !of("target", json!("raw")));
    assert!(of("target", json!(["raw", "qcow2"])) && !of("target", json!(["raw", "vpc"])));
    assert!(of("image.format", json!("vmdk")) && !of("image.format", json!("raw")));
    assert!(!of("format", json!("vmdk")) && !of("image.target", json!("qcow2")));
    assert!(!of("no_such", json!("qcow2")));
    assert!(of("options", json!("lazy_refcounts=on")) && !of("options", json!("c")));
    assert!(of("options", json!(["c", "compat=1.1"])) && !of("options", json!(["c", "d"])));
}

#[test]
fn all_parameters_must_be_met() {
    let seen = Seen::new(chain(&[]));
    let of = |second: &str| {
        holds(&seen, |when| {
            when.parameters
                .insert("image.format".to_owned(), json!("vmdk"));
            when.parameters
                .insert("image.pattern".to_owned(), json!(second));
        })
    };
    assert!(of("zeros") && !of("mbr"));
}

#[test]
fn the_condition_of_a_divergence_holds_for_it_and_for_the_same_at_another_place() {
    let mut seen = Seen::new(chain(&["encrypt.format=luks"]));
    seen.at = texts(&["file=encryption", "step=read"]);
    let when = Condition::narrowest(&seen.sighting());
    assert!(when.holds(&seen.sighting()));
    assert_eq!(when.operation, ["chain"]);
    assert_eq!(when.kind, ["chain_content_divergence"]);
    assert_eq!(when.subjects, [SubjectKind::Contents]);
    assert!(when.differences.is_empty());
    assert_eq!(when.blame, [Blame::Candidate]);
    assert_eq!(when.shows, [Shows::ZerosForData]);
    assert_eq!(when.at, seen.at);
    assert!(when.features.is_empty() && when.parameters.is_empty() && when.damage.is_empty());
    seen.differences[0].subject = Subject::parse("contents of 7.qcow2: byte at guest offset 0");
    assert!(when.holds(&seen.sighting()));
}

#[test]
fn what_differs_is_named_by_its_kind_unless_its_text_says_more() {
    let of = |subject: &str, at: &[&str]| {
        let mut seen = Seen::new(chain(&[]));
        seen.at = texts(at);
        seen.differences = vec![Difference::written(subject, "exit 1", "exit 0")];
        let when = Condition::narrowest(&seen.sighting());
        assert!(when.holds(&seen.sighting()), "{when:?}");
        (when.subjects, when.differences)
    };
    let kind = |kind| (vec![kind], Vec::new());
    let text = |text: &str| (Vec::new(), texts(&[text]));
    assert_eq!(of("exit of info", &["step=info"]), kind(SubjectKind::Exit));
    assert_eq!(of("exit of info", &["step=left"]), text("exit of info"));
    let metadata = "metadata of 0-chain-1.qcow2";
    assert_eq!(of(metadata, &[]), kind(SubjectKind::Metadata));
    assert_eq!(
        of("check, midway", &[]),
        kind(SubjectKind::IntermediateCheck)
    );
    let field = "header field nb_snapshots";
    assert_eq!(of(field, &[]), text(field));
    assert_eq!(of("cluster-size", &[]), text("cluster-size"));
}

/// A wrong byte of one kind of image is not every wrong byte: another tool may return zeros everywhere.
#[test]
fn the_condition_of_a_divergence_holds_for_no_other_values_blame_step_or_file() {
    let mut seen = Seen::new(chain(&[]));
    seen.at = texts(&["file=qcow2", "step=read"]);
    seen.differences = vec![Difference::written(
        "contents: byte at guest offset 0",
        "0x1e",
        "0x1f",
    )];
    let when = Condition::narrowest(&seen.sighting());
    assert!(when.holds(&seen.sighting()));
    let mut zeros = Seen::new(chain(&[]));
    zeros.at.clone_from(&seen.at);
    zeros.differences = vec![Difference::written(
        "contents: byte at guest offset 0",
        "0x00",
        "0x1f",
    )];
    assert!(!when.holds(&zeros.sighting()));
    seen.at = texts(&["file=qcow2", "step=map"]);
    assert!(!when.holds(&seen.sighting()));
    seen.at = texts(&["file=raw", "step=read"]);
    assert!(!when.holds(&seen.sighting()));
    seen.at = texts(&["file=qcow2", "step=read"]);
    let other = Sighting {
        blame: Some(Blame::Both),
        ..seen.sighting()
    };
    assert!(!when.holds(&other));
}

#[test]
fn the_condition_of_damage_names_it_and_that_of_a_conversion_the_formats() {
    let mut seen = Seen::new(malformed(json!([replaced("header", "version")])));
    seen.differences = vec![Difference::written(
        "exit of info",
        "exit 1: this is no qcow2 of 3 kinds",
        "exit 0",
    )];
    let when = Condition::narrowest(&seen.sighting());
    assert_eq!(when.damage, ["header.version"]);
    assert_eq!(when.features, ["qcow2", "header", "version"]);
    assert_eq!(when.candidate_says.as_deref(), Some(": this is no qcow"));
    assert_eq!((when.reference_says, when.shows), (None, Vec::new()));
    let converted = case(json!([{"op": "convert", "target": "qcow2"}]));
    let when = Condition::narrowest(&Seen::new(converted).sighting());
    assert_eq!(when.parameters["target"], "qcow2");
    assert_eq!(when.parameters["image.format"], "vmdk");
}

#[test]
fn words_are_told_when_they_are_long_enough_and_in_every_value() {
    let of = |values: &[&str]| {
        let mut seen = Seen::new(chain(&[]));
        let differences = values
            .iter()
            .map(|value| Difference::written("what", value, ""));
        seen.differences = differences.collect();
        Condition::narrowest(&seen.sighting()).candidate_says
    };
    assert_eq!(
        of(&["12345678 letters"]).as_deref(),
        Some("letters").filter(|_| false)
    );
    assert_eq!(of(&["1 abcdefgh 2 abc"]).as_deref(), Some("abcdefgh"));
    assert_eq!(of(&["1 abcdefg 2 abc"]), None);
    assert_eq!(
        of(&["it's 'an absent file' here"]).as_deref(),
        Some("an absent file")
    );
    assert_eq!(
        of(&["abcdefgh 1", "2 abcdefgh"]).as_deref(),
        Some("abcdefgh")
    );
    assert_eq!(of(&["abcdefgh 1", "2 abcdefg"]), None);
    assert_eq!(of(&[]), None);
}

#[test]
fn what_two_of_a_group_have_in_common_is_the_condition_of_both() {
    let mut first = Seen::new(chain(&[]));
    first.at = texts(&["file=qcow2", "step=read", "below=raw"]);
    let mut second = Seen::new(chain(&[]));
    second.at = texts(&["file=qcow2", "step=read", "below=vmdk"]);
    second.differences = vec![Difference::written("size of 3", "0x01", "0x00")];
    let mut when = Condition::narrowest(&first.sighting());
    let other = Sighting {
        blame: Some(Blame::Unclear),
        ..second.sighting()
    };
    when.join(&Condition::narrowest(&other));
    assert!(when.holds(&first.sighting()) && when.holds(&other));
    assert_eq!(when.at, ["file=qcow2", "step=read"]);
    assert_eq!(when.subjects, [SubjectKind::Contents]);
    assert_eq!(when.differences, ["size of *"]);
    assert_eq!(when.blame, [Blame::Candidate, Blame::Unclear]);
    assert_eq!(when.shows, [Shows::ZerosForData, Shows::DataForZeros]);
}

#[test]
fn what_one_of_two_does_not_ask_for_neither_asks_for() {
    let join = |first: fn(&mut Condition), second: fn(&mut Condition)| {
        let (mut one, mut other) = (condition(), condition());
        first(&mut one);
        second(&mut other);
        one.join(&other);
        one
    };
    let none = |_: &mut Condition| {};
    assert!(
        join(|when| when.blame = vec![Blame::Both], none)
            .blame
            .is_empty()
    );
    assert!(
        join(none, |when| when.blame = vec![Blame::Both])
            .blame
            .is_empty()
    );
    let same = join(
        |when| when.blame = vec![Blame::Both],
        |when| when.blame = vec![Blame::Both],
    );
    assert_eq!(same.blame, [Blame::Both]);
    let says = |first, second| join(first, second).candidate_says;
    assert_eq!(
        says(|when| when.candidate_says = words("a file is gone"), none),
        None
    );
    let longer = |when: &mut Condition| when.candidate_says = words("a file is gone");
    let shorter = |when: &mut Condition| when.candidate_says = words("file is");
    assert_eq!(says(longer, shorter), words("file is"));
    assert_eq!(says(shorter, longer), words("file is"));
    assert_eq!(
        says(longer, |when| when.candidate_says = words("quite other")),
        None
    );
    let target = |when: &mut Condition| {
        when.parameters.insert("target".to_owned(), json!("raw"));
    };
    assert!(join(target, none).parameters.is_empty());
    assert_eq!(join(target, target).parameters["target"], "raw");
    let damaged = |when: &mut Condition| when.damage = texts(&["a.b", "c.d"]);
    assert_eq!(
        join(damaged, |when| when.damage = texts(&["c.d", "e.f"])).damage,
        ["c.d"]
    );
    assert_eq!(
        join(damaged, |when| when.damage = texts(&["e.f"])).damage,
        ["a.b", "c.d", "e.f"]
    );
}
