//! Normalization: removes insignificant parts from descriptions (JSON of `info` and `map`) before they are compared.
//!
//! The steps are numbered and append-only. A step is never changed or removed, because a difference that it hides would return as a new finding.
//! Each step states why the part it removes is insignificant. The judges normalize what tools print, never guest-visible contents.
//!
//! A step with a release covers an addition to qemu-img's output in that release. It applies only if exactly one of the two tools is a qemu-img
//! older than the release, so that two tools of the same age are compared in full.

use serde_json::Value;

use crate::oracle::observations::ToolVersion;

/// Why two descriptions are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Two tools described equal copies of one image: the `info` operation.
    Description,
    /// The reference described the images that two tools created, to find out whether they created them alike.
    Creation,
    /// Two tools mapped equal copies of one image: the `map` operation.
    Mapping,
}

/// A step of the normalization.
struct Step {
    number: u32,
    purposes: &'static [Purpose],
    action: Action,
    /// The release of qemu-img that added the part to its output, or removed it.
    release: Option<&'static [u64]>,
    /// Why the part is insignificant.
    #[cfg_attr(
        not(test),
        expect(
            dead_code,
            reason = "only a test reads it, which checks that every step has a reason"
        )
    )]
    why: &'static str,
}

/// What a step does.
enum Action {
    /// Deletes these keys at every depth.
    Delete(&'static [&'static str]),
    /// Deletes this key at the top level only.
    DeleteAtTheTop(&'static str),
    /// Deletes the virtual size of the top-level children.
    DeleteFileLengths,
    /// Sorts the entries of the list under this key by name, at every depth.
    SortByName(&'static str),
}

/// The tool that the releases of steps refer to.
const QEMU_IMG: &str = "qemu-img";

const BOTH: &[Purpose] = &[Purpose::Description, Purpose::Creation];
const DESCRIPTION: &[Purpose] = &[Purpose::Description];
const CREATION: &[Purpose] = &[Purpose::Creation];
const MAPPING: &[Purpose] = &[Purpose::Mapping];

const STEPS: [Step; 13] = [
    Step {
        number: 1,
        purposes: BOTH,
        action: Action::Delete(&["filename"]),
        release: None,
        why: "the harness chooses the name of the copy; it is not a property of the image",
    },
    Step {
        number: 2,
        purposes: BOTH,
        action: Action::Delete(&["actual-size", "disk size"]),
        release: None,
        why: "the host's file system decides how much it allocates, depending on delayed allocation and block size",
    },
    Step {
        number: 3,
        purposes: BOTH,
        action: Action::Delete(&["dirty-flag"]),
        release: None,
        why: "says whether the file was closed cleanly; check finds what is wrong with an image that was not",
    },
    Step {
        number: 4,
        purposes: DESCRIPTION,
        action: Action::Delete(&[
            "image-clusters",
            "fragmented-clusters",
            "allocated-clusters",
        ]),
        release: None,
        why: "statistics of check that some versions of info print as well; the check operation compares them",
    },
    Step {
        number: 5,
        purposes: DESCRIPTION,
        action: Action::Delete(&["format-specific"]),
        release: None,
        why: "another tool need not print qemu-img's details of a format; they are compared where tools create an image",
    },
    Step {
        number: 6,
        purposes: CREATION,
        action: Action::Delete(&[
            "refcount-block-cache-size",
            "l2-cache-size",
            "l2-cache-entry-size",
            "cache-clean-interval",
        ]),
        release: None,
        why: "settings of the program that opened the image, which the image does not store",
    },
    Step {
        number: 7,
        purposes: CREATION,
        action: Action::Delete(&["cid", "parent-cid", "log-size"]),
        release: None,
        why: "vmdk content ids are random, and the writer may choose the size of a vhdx log (MS-VHDX 2.3)",
    },
    Step {
        number: 8,
        purposes: CREATION,
        action: Action::DeleteFileLengths,
        release: None,
        why: "the length of the image's own file: a tool may place its metadata anywhere, and check finds leaks",
    },
    Step {
        number: 9,
        purposes: CREATION,
        action: Action::Delete(&["date-sec", "date-nsec"]),
        release: None,
        why: "the time at which a snapshot was created, which differs because the sides run one after the other",
    },
    Step {
        number: 10,
        purposes: CREATION,
        action: Action::SortByName("bitmaps"),
        release: None,
        why: "the order of the bitmap directory has no meaning (qcow2 specification, Bitmaps extension)",
    },
    Step {
        number: 11,
        purposes: CREATION,
        action: Action::Delete(&["master-key-iters", "iters", "uuid"]),
        release: None,
        why: "LUKS derives its iteration counts from the speed of the machine, and its UUID is random (LUKS1 specification, 4.1)",
    },
    Step {
        number: 12,
        purposes: DESCRIPTION,
        action: Action::DeleteAtTheTop("children"),
        release: Some(&[8, 0]),
        why: "since qemu-img 8.0 info also describes the image's child nodes (BlockNodeInfo in QEMU's qapi/block-core.json, 'children': \
              since 8.0); an older one does not print them, and its description of the image is still compared",
    },
    Step {
        number: 13,
        purposes: MAPPING,
        action: Action::Delete(&["present"]),
        release: Some(&[6, 1]),
        why: "since qemu-img 6.1 map also says whether any image of the chain has a range (MapEntry in QEMU's qapi/block-core.json, 'present': \
              since 6.1); an older one does not print it, and the flags for zeros and data are still compared",
    },
];

/// Returns `description` without the parts that are insignificant for `purpose` when these two tools are compared.
pub fn normalize(
    mut description: Value,
    purpose: Purpose,
    tool_versions: &[ToolVersion; 2],
) -> Value {
    debug_assert!(STEPS.windows(2).all(|pair| pair[0].number < pair[1].number));
    let steps = STEPS.iter().filter(|step| step.purposes.contains(&purpose));
    for step in steps.filter(|step| step.is_between(tool_versions)) {
        match step.action {
            Action::Delete(keys) => delete(&mut description, keys),
            Action::DeleteAtTheTop(key) => {
                description.as_object_mut().map(|object| object.remove(key));
            }
            Action::DeleteFileLengths => delete_file_lengths(&mut description),
            Action::SortByName(list) => sort_by_name(&mut description, list),
        }
    }
    description
}

impl Step {
    /// Whether the step applies to a comparison of these two tools.
    fn is_between(&self, tool_versions: &[ToolVersion; 2]) -> bool {
        self.release.is_none_or(|release| {
            let [first, second] = tool_versions;
            first.is_before(QEMU_IMG, release) != second.is_before(QEMU_IMG, release)
        })
    }
}

/// Deletes the virtual size of the top-level children: qemu-img describes the image's own file as the child "file", and prints the file's
/// length as its virtual size.
fn delete_file_lengths(description: &mut Value) {
    let children = description
        .get_mut("children")
        .and_then(Value::as_array_mut);
    for child in children.into_iter().flatten() {
        if let Some(info) = child.get_mut("info").and_then(Value::as_object_mut) {
            info.remove("virtual-size");
        }
    }
}

fn sort_by_name(value: &mut Value, list: &str) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                if let (true, Value::Array(entries)) = (key == list, &mut *value) {
                    entries.sort_by_key(|entry| entry["name"].as_str().map(str::to_owned));
                }
                sort_by_name(value, list);
            }
        }
        Value::Array(array) => array.iter_mut().for_each(|value| sort_by_name(value, list)),
        _ => {}
    }
}

fn delete(value: &mut Value, keys: &[&str]) {
    match value {
        Value::Object(object) => {
            object.retain(|key, _| !keys.contains(&key.as_str()));
            object.values_mut().for_each(|value| delete(value, keys));
        }
        Value::Array(array) => array.iter_mut().for_each(|value| delete(value, keys)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
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
        let description =
            json!({"virtual-size": 1, "children": [], "snapshots": [{"children": 1}]});
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
}
