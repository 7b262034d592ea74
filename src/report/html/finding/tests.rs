//! Unit tests of `finding.rs`.

use super::*;
use crate::oracle::verdict::Subject;

fn both(first: &str, second: &str) -> (String, String) {
    let (first, second) = marked(first, second);
    (first.into_string(), second.into_string())
}

#[test]
fn only_what_lies_between_common_beginning_and_end_is_marked() {
    let expected = (
        "10<mark>2</mark>4".to_owned(),
        "10<mark>33</mark>4".to_owned(),
    );
    assert_eq!(both("1024", "10334"), expected);
    assert_eq!(both("same", "same").0, "same");
    assert_eq!(
        both("aa", "aaa"),
        ("aa".to_owned(), "aa<mark>a</mark>".to_owned())
    );
    assert_eq!(both("ä…", "ö…").0, "<mark>ä</mark>…");
}

#[test]
fn what_was_not_compared_is_not_marked() {
    let difference = Difference {
        subject: Subject::json_key("virtual-size"),
        candidate: "512".to_owned(),
        reference: "1024".to_owned(),
        expected: None,
    };
    let ours = "\"virtual-size\": 512,\n\"actual-size\": 4096,\n\"date\": 5127,";
    let theirs = "\"virtual-size\": 1024,\n\"actual-size\": 8192,\n\"date\": 1,";
    let shown = output(ours, Some(theirs), &[difference]).into_string();
    assert!(
        shown.contains("<mark>&quot;virtual-size&quot;: 512,</mark>"),
        "{shown}"
    );
    assert_eq!(shown.matches("<mark>").count(), 1, "{shown}");
}

#[test]
fn what_a_tool_wrote_is_text_and_never_markup() {
    let text = output("<script>alert(1)</script>", None, &[]).into_string();
    assert!(
        !text.contains("<script>") && text.contains("&lt;script&gt;"),
        "{text}"
    );
}
