//! Tests when one entry explains everything that another explains.

use super::*;

/// Whether a condition that is changed by `wide` covers one that is changed by `narrow`.
fn covers(wide: impl FnOnce(&mut Condition), narrow: impl FnOnce(&mut Condition)) -> bool {
    let (mut one, mut other) = (condition(), condition());
    wide(&mut one);
    narrow(&mut other);
    one.covers(&other)
}

fn nothing(_: &mut Condition) {}

/// A list of a condition.
type List = fn(&mut Condition) -> &mut Vec<String>;

fn set(list: List, values: &'static [&'static str]) -> impl FnOnce(&mut Condition) {
    move |when| *list(when) = texts(values)
}

#[test]
fn a_condition_covers_itself_and_what_asks_for_more() {
    assert!(covers(nothing, nothing));
    let lists: [List; 6] = [
        |when| &mut when.features,
        |when| &mut when.any_feature,
        |when| &mut when.damage,
        |when| &mut when.at,
        |when| &mut when.any_at,
        |when| &mut when.not_at,
    ];
    for list in lists {
        assert!(covers(nothing, set(list, &["step=a"])));
        assert!(!covers(set(list, &["step=a"]), nothing));
        assert!(covers(set(list, &["step=a"]), set(list, &["step=a"])));
        assert!(!covers(set(list, &["step=a"]), set(list, &["step=b"])));
    }
    for list in [
        |when: &mut Condition| &mut when.operation,
        |when: &mut Condition| &mut when.kind,
    ] as [List; 2]
    {
        assert!(covers(set(list, &["a", "b"]), set(list, &["a"])));
        assert!(!covers(set(list, &["a"]), set(list, &["a", "b"])));
    }
}

#[test]
fn all_of_a_list_is_more_than_one_and_any_of_a_list_is_less() {
    let all: [List; 3] = [
        |when| &mut when.features,
        |when| &mut when.at,
        |when| &mut when.not_at,
    ];
    for list in all {
        assert!(covers(
            set(list, &["step=a"]),
            set(list, &["step=a", "step=b"])
        ));
        assert!(!covers(
            set(list, &["step=a", "step=b"]),
            set(list, &["step=a"])
        ));
    }
    let any: [List; 3] = [
        |when| &mut when.any_feature,
        |when| &mut when.any_at,
        |when| &mut when.damage,
    ];
    for list in any {
        assert!(!covers(
            set(list, &["step=a"]),
            set(list, &["step=a", "step=b"])
        ));
        assert!(covers(
            set(list, &["step=a", "step=b"]),
            set(list, &["step=a"])
        ));
    }
}

#[test]
fn one_that_must_be_there_meets_any_of_several() {
    assert!(covers(
        set(|when| &mut when.any_at, &["step=a", "step=b"]),
        set(|when| &mut when.at, &["step=b"])
    ));
    assert!(!covers(
        set(|when| &mut when.any_at, &["step=a", "step=b"]),
        set(|when| &mut when.at, &["step=c"])
    ));
    assert!(covers(
        set(|when| &mut when.any_feature, &["a", "b"]),
        set(|when| &mut when.features, &["b"])
    ));
    assert!(!covers(
        set(|when| &mut when.any_feature, &["a", "b"]),
        set(|when| &mut when.features, &["c"])
    ));
}

#[test]
fn a_structure_covers_its_fields() {
    let damage: List = |when| &mut when.damage;
    assert!(covers(
        set(damage, &["header"]),
        set(damage, &["header.version", "header.size"])
    ));
    assert!(!covers(
        set(damage, &["header.version"]),
        set(damage, &["header"])
    ));
}

#[test]
fn a_kind_of_subject_covers_itself_and_its_whole_texts() {
    let of = |kinds: &[SubjectKind], patterns: &[&str]| {
        let mut when = condition();
        (when.subjects, when.differences) = (kinds.to_vec(), texts(patterns));
        when
    };
    let exit = of(&[SubjectKind::Exit], &[]);
    assert!(exit.covers(&exit));
    assert!(exit.covers(&of(&[], &["exit of map"])));
    assert!(!exit.covers(&of(&[], &["exit of m*"])));
    assert!(!exit.covers(&of(&[], &["metadata of 1.qcow2"])));
    assert!(!exit.covers(&of(&[SubjectKind::Exit, SubjectKind::Metadata], &[])));
    assert!(!of(&[], &["exit of map"]).covers(&exit));
}

#[test]
fn a_beginning_covers_what_begins_with_it() {
    let list: List = |when| &mut when.differences;
    assert!(covers(
        set(list, &["exit of *"]),
        set(list, &["exit of map", "exit of m*"])
    ));
    assert!(!covers(
        set(list, &["exit of map"]),
        set(list, &["exit of m*"])
    ));
    assert!(!covers(
        set(list, &["exit of map"]),
        set(list, &["exit of map*"])
    ));
    assert!(!covers(
        set(list, &["exit of map"]),
        set(list, &["exit of map", "size"])
    ));
    assert!(covers(
        set(list, &["exit of map"]),
        set(list, &["exit of map"])
    ));
}

#[test]
fn blame_what_is_shown_words_and_parameters_count() {
    let blame = |list: &'static [Blame]| move |when: &mut Condition| when.blame = list.to_vec();
    assert!(covers(
        blame(&[Blame::Both, Blame::Unclear]),
        blame(&[Blame::Both])
    ));
    assert!(!covers(
        blame(&[Blame::Both]),
        blame(&[Blame::Both, Blame::Unclear])
    ));
    assert!(!covers(blame(&[Blame::Both]), nothing) && covers(nothing, blame(&[Blame::Both])));
    let shows = |list: &'static [Shows]| move |when: &mut Condition| when.shows = list.to_vec();
    assert!(covers(
        shows(&[Shows::OtherData, Shows::AnotherSize]),
        shows(&[Shows::OtherData])
    ));
    assert!(!covers(
        shows(&[Shows::OtherData]),
        shows(&[Shows::OtherData, Shows::AnotherSize])
    ));
    assert!(!covers(shows(&[Shows::OtherData]), nothing));
    assert!(covers(nothing, shows(&[Shows::OtherData])));
    let ours = |words: &'static str| {
        move |when: &mut Condition| when.candidate_says = Some(words.to_owned())
    };
    let theirs = |words: &'static str| {
        move |when: &mut Condition| when.reference_says = Some(words.to_owned())
    };
    assert!(
        covers(ours("file"), ours("no such file")) && !covers(ours("no such file"), ours("file"))
    );
    assert!(covers(theirs("file"), theirs("no such file")) && !covers(theirs("file"), nothing));
    assert!(!covers(theirs("file"), ours("no such file")));
    let target = |value: &'static str| {
        move |when: &mut Condition| {
            when.parameters.insert("target".to_owned(), json!(value));
        }
    };
    assert!(covers(target("raw"), target("raw")) && covers(nothing, target("raw")));
    assert!(!covers(target("raw"), target("vpc")) && !covers(target("raw"), nothing));
}

#[test]
fn an_entry_is_shadowed_by_an_earlier_one_of_the_same_tool_and_versions() {
    let shadowed = |first: Entry, second: Entry| {
        let catalogue = catalogue(vec![first, second]);
        let found = catalogue.shadowed();
        found
            .iter()
            .map(|(entry, above)| (entry.id.clone(), above.id.clone()))
            .next()
    };
    let wide = || entry("wide", &[">=1.0, <=1.9"]);
    let narrow = || {
        let mut narrow = entry("narrow", &[">=1.2, <=1.3"]);
        narrow.when.at = texts(&["step=read"]);
        narrow
    };
    let found = Some(("narrow".to_owned(), "wide".to_owned()));
    assert_eq!(shadowed(wide(), narrow()), found);
    assert_eq!(shadowed(narrow(), wide()), None);
    let mut later = narrow();
    later.versions.push(Range::only("2.0"));
    assert_eq!(shadowed(wide(), later), None);
    let mut other = narrow();
    other.tool = "other".to_owned();
    assert_eq!(shadowed(wide(), other), None);
    let mut other = narrow();
    other.of_reference = true;
    assert_eq!(shadowed(wide(), other), None);
    let mut other = narrow();
    other.when.kind = texts(&["another"]);
    assert_eq!(shadowed(wide(), other), None);
}
