//! Unit tests of `refusal_class.rs`.

use super::*;
use crate::oracle::observations::sample::{output_text, refused};

#[test]
fn plain_words_say_why_however_they_are_written() {
    let classes = [
        ("x: No such file or directory", RefusalClass::NotThere),
        ("snapshot NOT FOUND", RefusalClass::NotThere),
        ("it does not exist", RefusalClass::NotThere),
        ("Can't find snapshot", RefusalClass::NotThere),
        ("No space left on device", RefusalClass::NoSpace),
        ("Permission denied", RefusalClass::NoPermission),
        ("Operation not permitted", RefusalClass::NoPermission),
        ("Read-only file system", RefusalClass::NoPermission),
        ("Invalid argument", RefusalClass::Other),
        ("", RefusalClass::Other),
    ];
    for (words, class) in classes {
        assert_eq!(RefusalClass::from_answer(&refused(words)), class, "{words}");
    }
    // Standard output has results, not messages.
    assert_eq!(
        RefusalClass::from_answer(&output_text("not found")),
        RefusalClass::Other
    );
}

#[test]
fn two_plain_reasons_that_differ_contradict_and_nothing_else_does() {
    use RefusalClass::{NoPermission, NoSpace, NotThere, Other};
    for one in [NotThere, NoSpace, NoPermission, Other] {
        for other in [NotThere, NoSpace, NoPermission, Other] {
            let plain = one != Other && other != Other;
            assert_eq!(one.contradicts(other), plain && one != other);
        }
    }
}
