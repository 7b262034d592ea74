//! Unit tests of `picture.rs`.

use super::*;
use serde_json::json;

fn strip(extents: &[(u64, u64, bool)]) -> Strip {
    let items = extents.iter().map(
        |(start, length, data)| json!({"start": start, "length": length, "data": data, "zero": !data}),
    );
    Strip::of_json(Side::Candidate, Side::Reference, &items.collect())
}

#[test]
fn adjacent_equal_extents_are_joined() {
    let strip = strip(&[(0, 5, true), (5, 5, true), (10, 2, false)]);
    assert_eq!(strip.extents.len(), 2);
    assert_eq!(strip.end(), 12);
}

#[test]
fn maps_differ_where_only_one_has_data_and_where_one_ends() {
    let first = strip(&[(0, 10, true), (10, 10, false)]);
    let second = strip(&[(0, 4, true), (4, 6, false), (10, 5, false)]);
    assert_eq!(first.differing(&second), [(4, 6), (15, 5)]);
    assert_eq!(first.differing(&first), []);
}

#[test]
fn an_image_that_could_not_be_mapped_has_no_differences() {
    let first = strip(&[(0, 10, true)]);
    let none = Strip::without_map(Side::Reference, Side::Reference, "refused");
    assert_eq!(first.differing(&none), []);
}

#[test]
fn a_map_of_many_extents_is_cut_and_says_so() {
    let many: Vec<_> = (0..1000).map(|index| (index * 2, 1, true)).collect();
    let strip = strip(&many);
    assert_eq!(strip.extents.len(), EXTENTS_MAX);
    assert_eq!(
        strip.remark.as_deref(),
        Some("600 more ranges are not drawn")
    );
}

#[test]
fn extents_beyond_the_largest_offset_end_there() {
    let map = serde_json::json!([
        {"start": 0, "length": u64::MAX, "data": true},
        {"start": u64::MAX, "length": u64::MAX, "data": true},
    ]);
    let strip = Strip::of_json(Side::Candidate, Side::Candidate, &map);
    assert_eq!(strip.end(), u64::MAX);
}
