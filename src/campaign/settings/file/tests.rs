//! Unit tests of `file.rs`.

use super::*;

fn file(text: &str) -> Result<ConfigFile> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join(NAME), text).unwrap();
    let found = ConfigFile::find(directory.path())?;
    Ok(found.expect("it is there"))
}

fn values(text: &str, profile: Option<&str>) -> Vec<(String, String)> {
    let entries = file(text).unwrap().entries(profile).unwrap();
    let entries = entries.into_iter();
    entries
        .map(|entry| (entry.key, entry.values.join(",")))
        .collect()
}

fn refusal(text: &str, profile: Option<&str>) -> String {
    let entries = file(text).and_then(|file| {
        file.every_entry()?;
        file.entries(profile)
    });
    entries.expect_err(text).to_string()
}

#[test]
fn a_profile_is_put_over_the_rest() {
    let text = "timeout = 2.5\njobs = 3\ncandidate = [\"a\", \"b\"]\n[profile.ci]\njobs = 1\nwide = true\n";
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let plain = [
        pair("timeout", "2.5"),
        pair("jobs", "3"),
        pair("candidate", "a,b"),
    ];
    assert_eq!(values(text, None), plain);
    let ci = [
        pair("timeout", "2.5"),
        pair("candidate", "a,b"),
        pair("jobs", "1"),
        pair("wide", "true"),
    ];
    assert_eq!(values(text, Some("ci")), ci);
}

#[test]
fn what_is_wrong_is_said_with_file_and_line() {
    for (text, profile, said) in [
        ("jobs = 1\njobs = 2\n", None, "imgduel.toml:2: duplicate"),
        ("jobs = \n", None, "imgduel.toml:1: "),
        (
            "\n[seed]\na = 1\n",
            None,
            "imgduel.toml:2: seed: write a text",
        ),
        (
            "seed = 1979-05-27\n",
            None,
            "imgduel.toml:1: seed: write a text",
        ),
        (
            "profile = 3\n",
            None,
            "imgduel.toml:1: a profile is a table",
        ),
        (
            "[profile]\nci = 3\n",
            None,
            "imgduel.toml:2: a profile is a table",
        ),
        (
            "[profile.ci]\njobs = 1\n",
            Some("x"),
            "has no profile 'x': it has ci",
        ),
        ("", Some("x"), "has no profile 'x': it has none"),
    ] {
        let error = refusal(text, profile);
        assert!(error.contains(said), "{text:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn paths_are_relative_to_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    std::fs::create_dir(root.join("src")).unwrap();
    std::fs::write(root.join("Cargo.toml"), "").unwrap();
    std::fs::write(root.join(NAME), "findings = \"found\"\nseed = 3\n").unwrap();
    let file = ConfigFile::find(&root.join("src")).unwrap().unwrap();
    let entries = file.entries(None).unwrap();
    assert_eq!(
        entries[0].values,
        [root.join("found").display().to_string()]
    );
    assert_eq!(entries[1].values, ["3"]);
}
