//! Unit tests of `cause.rs`.

use super::*;

fn cause(what: &str, candidate: &str, reference: &str) -> Cause {
    Cause::from_differences(&[Difference::written(what, candidate, reference)]).unwrap()
}

#[test]
fn who_refused_what_in_which_words_is_the_cause_of_an_exit() {
    let found = cause("exit of resize", "exit 1: no room at 4096", "exit 0");
    assert_eq!(found.asked.as_deref(), Some("resize"));
    let said = Told::Said(Ended::Refused, "no room at N".to_owned());
    assert_eq!((&found.candidate, &found.reference), (&said, &Told::Done));
    let elsewhere = cause("exit of resize", "exit 2: no room at 8192", "exit 0: done");
    assert_eq!(elsewhere, found);
    for other in [
        cause("exit of resize", "exit 0", "exit 1: no room at 4096"),
        cause("exit of resize", "exit 1: Invalid argument", "exit 0"),
        cause("exit of resize", "crashed: no room at 4096", "exit 0"),
        cause("exit of commit", "exit 1: no room at 4096", "exit 0"),
    ] {
        assert_ne!(other, found);
    }
}

#[test]
fn a_refusal_where_a_value_differed_is_another_cause() {
    let what = "snapshot 1 in 0-chain-0.qcow2";
    let stale = cause(what, "0x00", "0x1a");
    assert_eq!(stale, cause("contents of another", "0x01", "0xff"));
    assert_ne!(
        stale,
        cause(what, "exit 1: Invalid argument", "can be read")
    );
}

#[test]
fn a_check_without_a_result_tells_its_words() {
    let found = cause("check", "no result (exit 1: broken 3)", "clean");
    let said = Told::Said(Ended::Refused, "broken N".to_owned());
    assert_eq!((found.candidate, found.reference), (said, Told::Value));
    assert_ne!(found.asked, Some(String::new()));
}

#[test]
fn names_of_files_are_no_part_of_the_words() {
    let words = |file: &str| {
        let said = format!("exit 1: Could not open '/tmp/x/candidate/{file}': Invalid argument");
        cause("exit of info", &said, "exit 0")
    };
    assert_eq!(words("0-chain-0.qcow2"), words("4-chain-c1.qcow2"));
}

#[test]
fn nothing_that_differs_has_no_cause() {
    assert_eq!(Cause::from_differences(&[]), None);
}
