//! What is changed in a file, and that the rest stays as it was.

use super::*;

const FILE: &str = r#"# Of the tool t.
tool = "t"
versions = "=1" # as tried

[[known]] # the first
id = "one"
operation = "chain"
kind = "chain_content_divergence"
differs = "contents of*"
candidate = "c" # a remark
reference = "r"
right = "both"
specification = "s"
why = "w"

[[known]]
id = "two"
tools = ["t", "u"]
versions = "=1"
operation = "chain"
kind = "chain_info_divergence"
differs = "size"
candidate = "c"
reference = "r"
right = "both"
specification = "s"
why = "w"
"#;

fn parse(text: &str) -> Catalogue {
    Catalogue::parse("t.toml", text).unwrap()
}

/// An entry that says everything that one can say.
fn whole() -> Entry {
    let mut whole = entry("whole", &[">=1, <2", "=7"]);
    whole.of_reference = true;
    whole.rate = Some(0.25);
    whole.when = Condition {
        operation: texts(&["chain", "malformed"]),
        kind: texts(&["chain_content_divergence"]),
        parameters:
            json!({"target": ["raw", "qcow2"], "image.cluster_size": 512, "a": {"b": [true, 0.5]}})
                .as_object()
                .unwrap()
                .clone(),
        features: texts(&["qcow2", "snapshot"]),
        any_feature: texts(&["resize"]),
        damage: texts(&["header.size", "truncated"]),
        at: texts(&["step=read"]),
        any_at: texts(&["file=qcow2"]),
        not_at: texts(&["by=reference"]),
        blame: vec![Blame::Both, Blame::Unclear],
        subjects: vec![SubjectKind::Exit, SubjectKind::Metadata],
        differences: texts(&["contents of*"]),
        shows: vec![Shows::ZerosForData],
        candidate_says: Some("it's \"so\"\\".to_owned()),
        reference_says: Some("exit 0".to_owned()),
    };
    whole.examples = texts(&["native1_s1_i000001"]);
    whole.example_with = Some("imago".to_owned());
    whole.no_example = None;
    whole
}

#[test]
fn an_entry_reads_back_as_it_was_written() {
    let text = Catalogue::with_entry(None, &whole()).unwrap();
    assert_eq!(parse(&text).entries, [whole()], "{text}");
    assert!(text.starts_with("# Known divergences of t"), "{text}");
    let more = Catalogue::with_entry(Some(&text), &entry("plain", &["=3"])).unwrap();
    assert!(more.starts_with(&text), "{more}");
    assert_eq!(parse(&more).entries, [whole(), entry("plain", &["=3"])]);
}

#[test]
fn an_entry_that_is_added_leaves_comments_and_other_entries_as_they_were() {
    let text = Catalogue::with_entry(Some(FILE), &entry("three", &["=3"])).unwrap();
    assert!(text.starts_with(FILE), "{text}");
    assert_eq!(parse(&text).entries.last(), Some(&entry("three", &["=3"])));
    let mut other = entry("four", &["=3"]);
    other.tool = "v".to_owned();
    let text = Catalogue::with_entry(Some(FILE), &other).unwrap();
    assert_eq!(parse(&text).entries.last(), Some(&other));
}

#[test]
fn versions_are_changed_of_one_entry_and_one_of_its_tools_alone() {
    let ranges: Vec<Range> = ["=1", ">=3, <4"].map(|one| one.parse().unwrap()).to_vec();
    let with = |id: &str, tool: &str| Catalogue::with_versions(FILE, id, tool, &ranges).unwrap();
    let text = with("one", "t").unwrap();
    for comment in [
        "# Of the tool t.",
        "# as tried",
        "# the first",
        "# a remark",
    ] {
        assert!(text.contains(comment), "{text}");
    }
    let words = |catalogue: &Catalogue| -> Vec<String> {
        let entries = catalogue.entries.iter();
        entries.map(Entry::versions_in_words).collect()
    };
    assert_eq!(words(&parse(&text)), ["1, >=3, <4", "1", "1"]);
    let text = with("u-two", "u").unwrap();
    assert_eq!(words(&parse(&text)), ["1", "1", "1, >=3, <4"]);
    let ranges = [Range::only("9")];
    let text = Catalogue::with_versions(&text, "t-two", "t", &ranges).unwrap();
    assert_eq!(words(&parse(&text.unwrap())), ["1", "9", "1, >=3, <4"]);
    assert_eq!(with("three", "t"), None);
    assert_eq!(with("two", "t"), None);
}

#[test]
fn a_file_is_named_after_its_tool_without_what_no_name_should_have() {
    assert_eq!(
        Catalogue::file_name("dissect.hypervisor"),
        "dissect.hypervisor.toml"
    );
    assert_eq!(Catalogue::file_name("../a tool"), "..-a-tool.toml");
}
