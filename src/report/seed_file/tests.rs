//! What is read of a seed file, what is refused, and how.

use super::*;

fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("seed.json");
    fs::write(&path, text).unwrap();
    (directory, path)
}

#[test]
fn a_seed_with_an_id_decodes_to_its_case() {
    let text = r#"{"format_version": 1, "id": "ops7_s1_i3", "why": "w", "expected": "match"}"#;
    let (_directory, path) = written(text);
    let case = SeedFile::read(&path).unwrap().case().unwrap();
    assert_eq!(case.id().to_string(), "ops7_s1_i000003");
}

#[test]
fn a_written_out_case_is_what_runs_whatever_the_id_says() {
    let case = Generation::case(&"ops7_s1_i3".parse().unwrap(), &Selection::ALL).unwrap();
    let seed = SeedFile {
        format_version: 1,
        id: Some("ops7_s1_i9".to_owned()),
        case: Some(case.clone()),
        why: String::new(),
        expected: String::new(),
        candidate: None,
        seen: None,
    };
    let (_directory, path) = written(&serde_json::to_string(&seed).unwrap());
    assert_eq!(SeedFile::read(&path).unwrap().case().unwrap(), case);
}

#[test]
fn a_case_alone_is_a_seed() {
    let case = Generation::case(&"ops7_s1_i3".parse().unwrap(), &Selection::ALL).unwrap();
    let (_directory, path) = written(&serde_json::to_string(&case).unwrap());
    assert_eq!(SeedFile::read(&path).unwrap().case().unwrap(), case);
}

#[test]
fn a_broken_seed_is_refused_in_one_line_that_names_the_file() {
    for text in [
        "",
        "{",
        "[]",
        r#"{"format_version": 6, "id": "ops7_s1_i1", "why": "", "expected": ""}"#,
        r#"{"format_version": 1, "why": "", "expected": ""}"#,
    ] {
        let (_directory, path) = written(text);
        let error = SeedFile::read(&path).expect_err(text).to_string();
        assert!(
            error.contains("seed.json") && !error.contains('\n'),
            "{error}"
        );
    }
}

#[test]
fn all_missing_fields_of_a_hand_written_seed_are_named_in_one_message() {
    let message = |text: &str| {
        let (_directory, path) = written(text);
        SeedFile::read(&path).expect_err(text).to_string()
    };
    let none = message("{}");
    for name in ["format_version", "why", "expected", "case", "id"] {
        assert!(none.contains(&format!("\"{name}\"")), "{name}: {none}");
    }
    let some = message(r#"{"id": "ops7_s1_i3", "why": "w"}"#);
    assert!(
        some.ends_with(
            "it lacks \"format_version\" (the number 5), \"expected\" (the expected verdict, usually \"match\")"
        ),
        "{some}"
    );
    let version = format!("the number {FORMAT_VERSION}");
    assert_eq!(fields::REQUIRED[0].1, version);
}

#[test]
fn a_directory_without_seeds_and_a_missing_one_have_none() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(known::JSON_NAME), "{}").unwrap();
    assert_eq!(list(directory.path()).unwrap(), []);
    assert_eq!(list(&directory.path().join("missing")).unwrap(), []);
    assert_eq!(count(&directory.path().join("missing")).unwrap(), 0);
}
