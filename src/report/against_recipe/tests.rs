//! Unit tests of `against_recipe.rs`.

use super::*;

const RECIPE: &str = "convert_recipe_divergence";

fn of_both_sides() -> Difference {
    let what = "contents of 0-convert.raw, on both sides,: byte at guest offset 0";
    Difference::written(what, "0x00", "0x41")
}

#[test]
fn the_value_of_the_recipe_is_shown_as_expected_and_not_as_the_reference_s() {
    let shown = shown(Some(RECIPE), &of_both_sides()).into_owned();
    let subject = shown.subject.to_string();
    assert_eq!(subject, "contents of 0-convert.raw: byte at guest offset 0");
    assert_eq!([shown.candidate, shown.reference], ["0x00", "0x00"]);
    assert_eq!(shown.expected.as_deref(), Some("0x41"));
}

#[test]
fn a_value_that_the_judge_already_called_expected_stays_so() {
    let difference = of_both_sides().with_expected("0x42");
    assert_eq!(
        shown(Some(RECIPE), &difference).expected.as_deref(),
        Some("0x42")
    );
}

#[test]
fn a_reason_names_the_recipe() {
    let named = "contents of 0-convert.raw: byte at guest offset 0: both sides 0x00, recipe 0x41";
    for difference in [of_both_sides(), of_both_sides().with_expected("0x41")] {
        let stored = difference.summary();
        assert!(
            stored.contains("candidate 0x00, reference 0x41"),
            "{stored}"
        );
        assert_eq!(shown_reason(Some(RECIPE), &stored), named);
    }
    let midway = "contents of a, read midway: byte at guest offset 0";
    let stored = format!("{midway}: candidate 0x00, reference 0x00, expected 0x41");
    let named = format!("{midway}: both sides 0x00, recipe 0x41");
    assert_eq!(
        shown_reason(Some("chain_recipe_divergence"), &stored),
        named
    );
}

#[test]
fn a_difference_of_the_sides_is_shown_as_it_is() {
    let difference = Difference::written("virtual-size", "1", "2");
    let kind = Some("info_divergence");
    assert_eq!(*shown(kind, &difference), difference);
    let reason = difference.summary();
    assert_eq!(shown_reason(kind, &reason), reason);
}

#[test]
fn the_title_of_a_group_names_the_recipe() {
    let group = Group::new(RECIPE, "convert", &[of_both_sides()], "");
    assert!(group.title().contains(ON_BOTH_SIDES), "{}", group.title());
    assert!(
        title(&group).contains("on both sides, against the recipe: "),
        "{}",
        title(&group)
    );
}
