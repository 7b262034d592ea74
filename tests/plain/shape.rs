//! A plain libtest binary, compiled by `tests/libtest.rs`, which has trials of the same names that end in the same ways.

#[test]
fn a_passes() {}

#[test]
fn b_fails() {
    panic!("told");
}

#[test]
#[ignore = "the \"reason\""]
fn c_is_ignored() {}

#[test]
#[ignore]
fn d_is_ignored_without_a_reason() {}

mod inner {
    #[test]
    fn e_passes() {}

    #[test]
    fn f_passes() {}
}
