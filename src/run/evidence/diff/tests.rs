//! Unit tests of `diff.rs`.

use super::*;

fn size() -> Difference {
    Difference {
        subject: Subject::json_key("virtual-size"),
        candidate: "512".to_owned(),
        reference: "1024".to_owned(),
        expected: None,
    }
}

#[test]
fn a_diff_has_the_lines_that_differ_and_two_around_them() {
    let ours = "{\n  \"a\": 1,\n  \"b\": 2,\n  \"c\": 3,\n  \"virtual-size\": 512\n}";
    let theirs = ours.replace("512", "1024");
    assert_eq!(
        diff(ours, &theirs, &[size()]).as_deref(),
        Some(
            "@@ -3,4 +3,4 @@\n   \"b\": 2,\n   \"c\": 3,\n-  \"virtual-size\": 512\n+  \"virtual-size\": 1024\n }\n"
        )
    );
}

#[test]
fn outputs_without_a_compared_difference_have_no_diff() {
    assert_eq!(
        diff("{\n\"date\": 1\n}", "{\n\"date\": 2\n}", &[size()]),
        None
    );
    assert_eq!(
        diff("512", "1024", &[size()]),
        None,
        "an output of one line needs no diff"
    );
}

#[test]
fn a_long_diff_is_cut_and_says_so() {
    let lines = |first: u32| {
        (first..first + 2000)
            .map(|n| format!("{n}\n"))
            .collect::<String>()
    };
    let text = diff(
        &format!("512\n{}", lines(10_000)),
        &lines(50_000),
        &[size()],
    );
    let text = text.expect("a diff");
    assert!(
        text.len() < DIFF_BYTES_MAX + 50 && text.contains("more lines"),
        "{text}"
    );
}
