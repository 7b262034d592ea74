//! Unit tests of `normalize.rs`.

use super::*;
use serde_json::json;

fn tool_versions(candidate: (&str, &str), reference: (&str, &str)) -> [ToolVersion; 2] {
    [candidate, reference].map(|(name, version)| ToolVersion {
        name: name.to_owned(),
        version: version.to_owned(),
    })
}

#[test]
fn steps_are_numbered_from_one_and_each_has_a_reason() {
    for (index, step) in STEPS.iter().enumerate() {
        assert_eq!(step.number as usize, index + 1);
        assert!(step.why.len() > 20, "step {} gives no reason", step.number);
    }
}

#[test]
fn a_description_keeps_guest_visible_properties_and_loses_those_of_the_host() {
    let description = json!({"virtual-size": 1, "filename": "a", "format-specific": {"x": 1}, "children": [{"info": {"virtual-size": 9}}]});
    let same = Default::default();
    let kept = normalize(description.clone(), Purpose::Description, &same);
    assert_eq!(
        kept,
        json!({"virtual-size": 1, "children": [{"info": {"virtual-size": 9}}]})
    );
    let kept = normalize(description, Purpose::Creation, &same);
    assert_eq!(
        kept,
        json!({"virtual-size": 1, "format-specific": {"x": 1}, "children": [{"info": {}}]})
    );
}

/// Normalizes a description that has this key at the top level and in a list.
fn normalized_with(key: &str, purpose: Purpose) -> Value {
    let description = json!({key: 1, "snapshots": [{"id": "1", key: 2}], "virtual-size": 3});
    normalize(description, purpose, &Default::default())
}

#[test]
fn each_step_deletes_its_keys_at_every_depth_for_its_own_purposes_only() {
    let both = ["filename", "actual-size", "disk size", "dirty-flag"];
    let description = [
        "image-clusters",
        "fragmented-clusters",
        "allocated-clusters",
        "format-specific",
    ];
    let creation = [
        "refcount-block-cache-size",
        "l2-cache-size",
        "l2-cache-entry-size",
        "cache-clean-interval",
        "cid",
        "parent-cid",
        "log-size",
        "date-sec",
        "date-nsec",
        "master-key-iters",
        "iters",
        "uuid",
    ];
    let gone = json!({"snapshots": [{"id": "1"}], "virtual-size": 3});
    for key in both.iter().chain(&description).chain(&creation) {
        for (purpose, mine, others) in [
            (Purpose::Description, &description[..], &creation[..]),
            (Purpose::Creation, &creation[..], &description[..]),
        ] {
            let is_kept = others.contains(key);
            let normalized = normalized_with(key, purpose);
            assert_eq!(normalized != gone, is_kept, "{key} {purpose:?}");
            assert!(is_kept || both.contains(key) || mine.contains(key));
        }
    }
    for key in [
        "cluster-size",
        "backing-filename",
        "refcount-bits",
        "compat",
    ] {
        for purpose in [Purpose::Description, Purpose::Creation] {
            assert_ne!(normalized_with(key, purpose), gone, "{key}");
        }
    }
}

#[test]
fn bitmaps_are_sorted_by_name_for_creation_only() {
    let with = |names: [&str; 2]| {
        let list = names.map(|name| json!({"name": name}));
        json!({"deep": [{"bitmaps": list, "others": list}]})
    };
    let same = Default::default();
    let sorted = normalize(with(["b", "a"]), Purpose::Creation, &same);
    let (a, b) = (json!({"name": "a"}), json!({"name": "b"}));
    assert_eq!(
        sorted,
        json!({"deep": [{"bitmaps": [a, b], "others": [b, a]}]})
    );
    let described = normalize(with(["b", "a"]), Purpose::Description, &same);
    assert_eq!(described, with(["b", "a"]));
}

#[test]
fn only_the_file_length_of_top_level_children_is_deleted() {
    let description = json!({"children": [{"info": {"virtual-size": 1, "children": [{"info": {"virtual-size": 2}}]}}], "virtual-size": 3});
    let kept = normalize(description, Purpose::Creation, &Default::default());
    assert_eq!(
        kept,
        json!({"children": [{"info": {"children": [{"info": {"virtual-size": 2}}]}}], "virtual-size": 3})
    );
}

#[test]
fn an_addition_of_a_release_is_deleted_only_when_exactly_one_tool_is_an_older_qemu_img() {
    let description = json!({"virtual-size": 1, "children": [], "snapshots": [{"children": 1}]});
    let alone = json!({"virtual-size": 1, "snapshots": [{"children": 1}]});
    let old = ("qemu-img", "7.2.22");
    let new = ("qemu-img", "10.0.2");
    for pair in [(old, new), (new, old), (old, ("imago", "0.2.6"))] {
        let tool_versions = tool_versions(pair.0, pair.1);
        let kept = normalize(description.clone(), Purpose::Description, &tool_versions);
        assert_eq!(kept, alone, "{pair:?}");
    }
    let strangers = [
        (new, new),
        (old, ("qemu-img", "5.2.0")),
        (("qemu-img", "8.0.0-rc1"), new),
        (("imago", "0.2.6"), new),
        (("qemu-img", "unknown"), new),
    ];
    for pair in strangers {
        let tool_versions = tool_versions(pair.0, pair.1);
        let kept = normalize(description.clone(), Purpose::Description, &tool_versions);
        assert_eq!(kept, description, "{pair:?}");
    }
}

#[test]
fn a_map_loses_the_key_present_only_against_a_release_before_6_1() {
    let map = json!([{"start": 0, "length": 512, "depth": 0, "present": true, "zero": false, "data": true}]);
    let without = json!([{"start": 0, "length": 512, "depth": 0, "zero": false, "data": true}]);
    let old = ("qemu-img", "5.2.0");
    let new = ("qemu-img", "7.2.22");
    let newest = ("qemu-img", "10.0.2");
    let mapped = |pair: (_, _)| {
        normalize(
            map.clone(),
            Purpose::Mapping,
            &tool_versions(pair.0, pair.1),
        )
    };
    assert_eq!(mapped((old, newest)), without);
    assert_eq!(mapped((newest, old)), without);
    for pair in [
        (new, newest),
        (old, ("qemu-img", "6.0.1")),
        (("imago", "0.2.6"), newest),
    ] {
        assert_eq!(mapped(pair), map, "{pair:?}");
    }
}
