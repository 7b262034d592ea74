//! Tests of what the files of a catalogue may contain, and how they are combined.

use super::super::files::{BUILT_IN, Shared, Source, assembled};
use super::*;
use std::fs;

/// A file with one entry of the tool `t`, in which lines are put for others.
fn file(replaced: &[(&str, &str)]) -> String {
    let mut text = r#"# The first line.
tool = "t"
versions = ">=1, <2"

[[known]]
id = "one"
operation = "chain"
kind = "chain_content_divergence"
differs = "contents of*"
blame = ["candidate"]
shows = "other_data"
at = ["step=read"]
candidate = "does this"
reference = "does that"
right = "both"
specification = "a section"
why = "it is so"
no_example = "none"
"#
    .to_owned();
    for (from, to) in replaced {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    text
}

fn parse(text: &str) -> Result<Catalogue> {
    Catalogue::parse("known/t.toml", text)
}

#[test]
fn a_file_says_of_which_tool_and_versions_its_entries_are() {
    let catalogue = parse(&file(&[])).unwrap();
    let [entry] = &catalogue.entries[..] else {
        panic!("{catalogue:?}");
    };
    assert_eq!((&*entry.id, &*entry.tool), ("one", "t"));
    assert!(entry.is_about(("t", "1.5"), ("r", "1")) && !entry.is_about(("t", "2"), ("r", "1")));
    assert_eq!(entry.when.operation, ["chain"]);
    assert_eq!(entry.when.at, ["step=read"]);
    assert_eq!(entry.when.shows, [Shows::OtherData]);
    assert_eq!(entry.right, Right::Both);
    let other = file(&[("id =", "tool = \"u\"\nversions = [\"=3\", \"=5\"]\nid =")]);
    let entry = parse(&other).unwrap().entries.remove(0);
    assert_eq!(entry.tool, "u");
    assert!(entry.is_about(("u", "5"), ("r", "1")) && !entry.is_about(("u", "1.5"), ("r", "1")));
}

#[test]
fn what_differs_is_said_by_kind_or_by_text_and_never_by_the_class_as_well() {
    let class =
        "[[class]]\nid = \"c\"\nsubject = [\"exit\", \"metadata\"]\n\n[[known]]\nclass = \"c\"\n";
    let of_class = file(&[("[[known]]\n", class), ("differs = \"contents of*\"\n", "")]);
    let when = parse(&of_class).unwrap().entries.remove(0).when;
    assert_eq!(when.subjects, [SubjectKind::Exit, SubjectKind::Metadata]);
    assert!(when.differences.is_empty());
    let own = parse(&file(&[("[[known]]\n", class)])).unwrap();
    let when = &own.entries[0].when;
    assert!(when.subjects.is_empty());
    assert_eq!(when.differences, ["contents of*"]);
    let both = file(&[("differs =", "subject = \"exit\"\ndiffers =")]);
    let when = parse(&both).unwrap().entries.remove(0).when;
    assert_eq!((when.subjects.len(), when.differences.len()), (1, 1));
}

#[test]
fn what_no_file_may_say_is_one_line_with_the_place() {
    for (change, line, words) in [
        (
            ("right = \"both\"", "right = \"nobody\""),
            15,
            "unknown variant `nobody`",
        ),
        (("kind = ", "knid = "), 8, "unknown field `knid`"),
        (
            ("blame = [\"candidate\"]", "blame = [\"me\"]"),
            10,
            "unknown variant `me`",
        ),
        (("other_data", "nothing"), 11, "unknown variant `nothing`"),
        ((">=1, <2", ">=2, <1"), 3, "there is none in it"),
        ((">=1, <2", "1.0"), 3, "is no range of versions"),
        (
            ("versions = \">=1, <2\"\n", ""),
            4,
            "its list of versions is empty",
        ),
        (
            ("\"chain\"", "\"chian\""),
            5,
            "there is no operation 'chian'",
        ),
        (
            ("chain_content", "chain_contnt"),
            5,
            "there is no kind 'chain_contnt_divergence'",
        ),
        (("step=read", "step:read"), 5, "'step:read' is no fact"),
        (("at = ", "not_at = \"a=b\"\nat = "), 5, "'a=b' is no fact"),
        (
            ("at = ", "any_at = [\"file\"]\nat = "),
            5,
            "'file' is no fact",
        ),
        (
            ("at = ", "damage = \"heder.size\"\nat = "),
            5,
            "no structure or field 'heder.size'",
        ),
        (
            ("at = ", "format = \"qcow3\"\nat = "),
            12,
            "unknown variant `qcow3`",
        ),
        (("at = ", "rate = 0.0\nat = "), 5, "a rate is above 0"),
        (("at = ", "rate = 1.5\nat = "), 5, "a rate is above 0"),
        (
            ("at = ", "class = \"none\"\nat = "),
            5,
            "there is no class none",
        ),
        (
            ("differs = \"contents of*\"", "differs = []"),
            5,
            "its list of differs is empty",
        ),
        (
            ("differs = \"contents of*\"\n", ""),
            5,
            "has the key 'differs'",
        ),
        (
            ("differs = \"contents of*\"", "subject = \"content\""),
            9,
            "no subject is called 'content'",
        ),
        (("id = \"one\"\n", ""), 5, "an entry has no id"),
        (("tool = \"t\"\n", ""), 1, "for files that name a tool"),
        (
            ("at = ", "tools = [\"t\"]\ntool = \"u\"\nat = "),
            5,
            "either tool or tools",
        ),
        (
            ("at = ", "tools = [\"t\"]\nexample = { u = \"x\" }\nat = "),
            5,
            "u is none of its tools",
        ),
        (
            ("at = ", "tools = [\"t\"]\ndamage = {}\nat = "),
            5,
            "its damage says nothing of t",
        ),
        (("\"a section\"", "\"a section"), 16, "invalid"),
        (("why = ", "why = 1 #"), 17, "invalid type"),
    ] {
        let error = parse(&file(&[change])).map(|_| ()).unwrap_err().to_string();
        let place = format!("known/t.toml line {line}: ");
        assert!(
            error.starts_with(&place) && error.contains(words),
            "{change:?}: {error}"
        );
        assert!(!error.trim_end().contains('\n'), "{error}");
    }
}

#[test]
fn an_id_is_used_once_in_all_files() {
    let second = file(&[]).split_once("[[known]]").unwrap().1.to_owned();
    let twice = format!("{}[[known]]{second}", file(&[]));
    let error = parse(&twice).unwrap_err().to_string();
    assert!(
        error.starts_with("known/t.toml line 19: the id one is used twice"),
        "{error}"
    );
    let source = |name: &str| Source {
        name: name.to_owned(),
        text: file(&[]),
    };
    let error = assembled(&[source("a.toml"), source("b.toml")], Shared::default());
    let error = error.map(|_| ()).unwrap_err().to_string();
    assert!(error.starts_with("b.toml line 5: the id one"), "{error}");
}

#[test]
fn an_entry_takes_from_its_class_what_it_does_not_say() {
    let class = "[[class]]\nid = \"c\"\nwhy = \"of the class\"\nspecification = \"of the class\"\n[[known]]";
    let text = file(&[
        ("[[known]]", class),
        ("why = \"it is so\"\n", "class = \"c\"\n"),
    ]);
    let entry = parse(&text).unwrap().entries.remove(0);
    assert_eq!(
        (&*entry.why, &*entry.specification),
        ("of the class", "a section")
    );
}

#[test]
fn a_class_has_an_id_of_its_own_and_nothing_that_is_an_entrys() {
    let with = |lines: &str| {
        let class = format!("[[class]]\n{lines}\n[[class]]\nid = \"c\"\n[[known]]");
        parse(&file(&[("[[known]]", &class)])).map(|_| ())
    };
    assert!(with("id = \"d\"").is_ok());
    assert!(with("id = \"d\"\n[[class]]\nid = \"e\"\nclass = \"d\"").is_ok());
    for (lines, words) in [
        ("id = \"c\"", "there is a class c already"),
        ("why = \"x\"", "a class has no id"),
        (
            "id = \"d\"\nclass = \"c\"",
            "d: there is no class c before it",
        ),
        (
            "id = \"d\"\ntools = [\"t\"]",
            "has keys that only entries have",
        ),
        (
            "id = \"d\"\nexample = \"x\"",
            "has keys that only entries have",
        ),
    ] {
        let error = with(lines).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn an_entry_of_several_tools_is_one_for_each_under_its_own_name_and_versions() {
    let tools = "id = \"one\"\ntools = [\"t\", \"u\"]\nversions = { u = \"=7\" }\ndamage = { t = \"header\", u = [\"header.size\"] }\nexample = { t = \"a\", u = [\"b\", \"c\"] }";
    let text = file(&[
        ("tool = \"t\"", "tool = \"t\"\nprefix = \"p\""),
        ("id = \"one\"", tools),
    ]);
    let entries = parse(&text).unwrap().entries;
    let ids: Vec<&str> = entries.iter().map(|entry| &*entry.id).collect();
    assert_eq!(ids, ["p-one", "u-one"]);
    assert!(entries[0].is_about(("t", "1.5"), ("r", "1")));
    assert!(entries[1].is_about(("u", "7"), ("r", "1")));
    assert_eq!(entries[0].when.damage, ["header"]);
    assert_eq!(entries[1].when.damage, ["header.size"]);
    assert_eq!(entries[0].examples, ["a"]);
    assert_eq!(entries[1].examples, ["b", "c"]);
}

#[test]
fn a_directory_is_read_beside_the_built_in_catalogue_and_its_entries_come_first() {
    let directory = tempfile::tempdir().unwrap();
    let built_in = Catalogue::built_in().unwrap();
    let first = &built_in.entries[0].id;
    fs::write(directory.path().join("a.toml"), file(&[])).unwrap();
    let same = file(&[("\"one\"", &format!("\"{first}\""))]);
    fs::write(directory.path().join("b.toml"), same).unwrap();
    fs::write(directory.path().join("README.md"), "no catalogue").unwrap();
    let opened = Catalogue::open(Some(directory.path())).unwrap();
    assert_eq!(opened.entries.len(), built_in.entries.len() + 1);
    assert_eq!(opened.entries[0].id, "one");
    assert_eq!(opened.named(first).unwrap().tool, "t");
    assert_eq!(opened.entries[2].id, built_in.entries[1].id);
    assert!(opened.named("nobody").is_none());
    let one = Catalogue::read(&directory.path().join("a.toml")).unwrap();
    assert_eq!(one.entries.len(), 1);
    let missing = Catalogue::open(Some(&directory.path().join("none.toml")));
    assert!(missing.unwrap_err().to_string().contains("none.toml"));
}

#[test]
fn an_own_entry_may_rest_on_a_class_that_is_built_in() {
    let directory = tempfile::tempdir().unwrap();
    let text = file(&[("why = \"it is so\"\n", "class = \"lenient\"\n")]);
    let path = directory.path().join("t.toml");
    fs::write(&path, text).unwrap();
    assert!(Catalogue::read(&path).unwrap().entries[0].why.len() > 10);
}

#[test]
fn every_file_of_the_catalogue_is_built_in() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(USUAL_DIRECTORY);
    let there = Catalogue::files(&directory).unwrap();
    let there: Vec<&str> = there
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(there, BUILT_IN.map(|(name, _)| name));
}

#[test]
fn a_run_of_some_tools_reads_all_entries_about_them() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(USUAL_DIRECTORY);
    let whole = Catalogue::built_in().unwrap();
    let mut tools: Vec<&str> = whole.entries.iter().map(|entry| &*entry.tool).collect();
    tools.sort_unstable();
    tools.dedup();
    for tool in tools {
        let is_about = |entry: &&Entry| [tool, "qemu-img"].contains(&&*entry.tool);
        let about = |catalogue: &Catalogue| -> Vec<Entry> {
            catalogue.entries.iter().filter(is_about).cloned().collect()
        };
        let some = Catalogue::open_for(Some(&directory), &[tool, "qemu-img"]).unwrap();
        assert_eq!(about(&some), about(&whole), "{tool}");
        assert!(some.entries.len() < whole.entries.len(), "{tool}");
    }
    let other_way = Catalogue::open_for(Some(&directory), &["imago-async"]).unwrap();
    let of_imago = |entry: &Entry| entry.tool == "imago";
    assert!(other_way.entries.iter().any(of_imago));
    for (name, text) in BUILT_IN {
        let has_tool = text.contains("\ntool = \"");
        assert!(
            !has_tool || !text.contains("[[class]]"),
            "{name}: a class of a file that is not always read"
        );
    }
}

#[test]
fn a_directory_that_is_not_the_built_in_one_to_the_byte_is_read() {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in BUILT_IN {
        fs::write(directory.path().join(name), text).unwrap();
    }
    let path = directory.path().join("vdi.toml");
    let added = format!(
        "{}\n{}",
        fs::read_to_string(&path).unwrap(),
        "[[known]]\nid = 1\n"
    );
    fs::write(&path, added).unwrap();
    let error = Catalogue::open_for(Some(directory.path()), &["imago", "qemu-img"]).unwrap_err();
    assert!(error.to_string().contains("vdi.toml line"), "{error}");
}

#[test]
fn a_catalogue_of_json_is_still_read() {
    let text = r#"{"format_version": 2, "entries": [{
        "id": "old", "tool": "t", "versions": ["1.0..=1.2", "2"],
        "when": {"operation": ["chain"], "kind": ["chain_content_divergence"], "features": ["qcow2"], "differences": ["contents of*"]},
        "candidate": "c", "reference": "r", "right": "both", "specification": "s", "why": "w"
    }]}"#;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(JSON_NAME);
    let read = |text: &str| {
        fs::write(&path, text).unwrap();
        Catalogue::read(&path)
    };
    let catalogue = read(text).unwrap();
    assert_eq!(catalogue.of_json, std::slice::from_ref(&path));
    assert_eq!(catalogue.entries[0].versions_in_words(), "1.0 to 1.2, 2");
    assert!(read(&text.replace("version\": 2", "version\": 1")).is_ok());
    for (from, to, words) in [
        (
            "version\": 2",
            "version\": 3",
            "format version 3 is not known",
        ),
        (
            "version\": 2",
            "version\": 0",
            "format version 0 is not known",
        ),
        (
            "1.0..=1.2",
            "1.2..=1.0",
            "entry old at line 2: '1.2..=1.0' is no range",
        ),
        (
            "\"chain\"",
            "\"chian\"",
            "at line 2: there is no operation 'chian'",
        ),
        ("\"both\"", "\"nobody\"", "unknown variant `nobody`"),
        ("\"why\"", "\"wyh\"", "unknown field `wyh`"),
    ] {
        let error = read(&text.replace(from, to)).unwrap_err().to_string();
        assert!(
            error.contains(words) && error.contains(JSON_NAME),
            "{error}"
        );
    }
}
