//! Tests of the JUnit report.

use super::*;
use serde_json::json;

fn record(id: &str, verdict: &str, reason: &str) -> Record {
    let tool = json!({"name": "t", "version": "1"});
    let record = json!({
        "format_version": 2, "id": id, "generation": "g", "seed": 1, "iteration": 0, "iter_seed": 0, "verdict": verdict,
        "kind": "k", "operation": "info", "operation_index": 0, "reason": reason, "known": null, "candidate": tool,
        "reference": tool, "operations": [], "evidence": null, "duration_ms": 5.0, "tool_calls": 0, "tool_cpu_ms": 0.0,
    });
    serde_json::from_value(record).unwrap()
}

fn begun() -> JunitFile<Vec<u8>> {
    JunitFile::begin(Vec::new(), Path::new("memory"), false).unwrap()
}

fn text(file: JunitFile<Vec<u8>>) -> String {
    String::from_utf8(file.into_output().unwrap()).unwrap()
}

#[test]
fn characters_that_xml_forbids_are_escaped() {
    let mut file = begun();
    let reason = "bell \u{7}, escape \u{1b}[31m, not \u{fffe}, <&>\"\nsecond line";
    file.append(&record("a", "inconclusive", reason)).unwrap();
    let text = text(file);
    assert!(
        text.contains(r"bell \u{7}, escape \u{1b}[31m, not \u{fffe}, &lt;&amp;&gt;"),
        "{text}"
    );
    assert!(!text.contains('\u{7}') && !text.contains('\u{fffe}'));
}

#[test]
fn the_document_is_valid_after_every_case() {
    let mut file = begun();
    for place in 0..20 {
        let verdict = ["match", "divergence", "inconclusive", "unsupported"][place % 4];
        file.append(&record(&format!("c{place}"), verdict, "why"))
            .unwrap();
        assert!(file.output.ends_with(TAIL.as_bytes()));
        file.finish().unwrap();
        let so_far = String::from_utf8(file.output.clone()).unwrap();
        let counts = format!(
            "tests=\"{}\" skipped=\"{}\" failures=\"{}\"",
            place + 1,
            place / 4 * 2 + [0, 0, 1, 2][place % 4],
            place / 4 + usize::from(place % 4 > 0),
        );
        assert!(so_far.contains(&counts), "{counts}: {so_far}");
        assert_eq!(so_far.matches("<testcase ").count(), place + 1);
        assert!(so_far.trim_end().ends_with("</testsuites>"));
    }
}

#[test]
fn what_is_too_large_is_left_out_and_counted_failures_last() {
    let mut file = begun();
    file.limit = Limit::new(5000);
    for place in 0..30 {
        let verdict = ["match", "divergence"][place % 2];
        file.append(&record(&format!("c{place}"), verdict, "why"))
            .unwrap();
        let so_far = String::from_utf8(file.output.clone()).unwrap();
        assert!(so_far.ends_with(TAIL) && so_far.len() < 5800, "{so_far}");
    }
    let text = text(file);
    let elements = text.matches("<testcase ").count();
    let failures = text.matches("<failure ").count();
    let counts = format!("tests=\"{elements}\" skipped=\"0\" failures=\"{failures}\"");
    assert!(text.contains(&counts), "{counts}: {text}");
    let (matches, left_out) = (elements - failures, 31 - elements);
    assert!(failures - 1 > matches, "{text}");
    let said = format!(
        "{left_out} cases not in this file, which would be too large for GitLab, {} failures among them",
        15 - (failures - 1)
    );
    assert!(text.contains(&said), "{said}: {text}");
}

#[test]
fn two_cases_of_one_name_get_two_names() {
    let mut file = begun();
    for _ in 0..3 {
        file.append(&record("same", "match", "")).unwrap();
    }
    let text = text(file);
    for name in ["\"same\"", "\"same#2\"", "\"same#3\""] {
        assert_eq!(text.matches(&format!("name={name}")).count(), 1, "{text}");
    }
}

#[test]
fn a_fault_of_the_harness_is_an_error_and_a_missing_tool_skipped() {
    let mut file = begun();
    for (name, is_missing_tool) in [("regression::a", false), ("regression::b", true)] {
        file.append_fault(&Fault {
            name,
            message: "why",
            is_missing_tool,
        })
        .unwrap();
    }
    let text = text(file);
    assert!(
        text.contains(r#"<error message="why" type="harness">why</error>"#),
        "{text}"
    );
    assert!(
        text.contains(r#"<skipped message="why">why</skipped>"#),
        "{text}"
    );
    assert!(
        text.contains(r#"tests="2" skipped="1" failures="0" errors="1""#),
        "{text}"
    );
}
