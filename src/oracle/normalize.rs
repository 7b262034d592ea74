//! Differences that mean nothing.
//!
//! Numbered steps, append-only: a step is never changed or taken out, because a difference that it hides would come back
//! under a new face. Each says why what it removes means nothing. Used by the judges on what tools said; never on contents.
//!
//! A step with a release is for what that release of qemu-img changed in its words: it is made only when of the two that spoke just one is
//! older, so that between two tools of the same age nothing is left out.

use serde_json::Value;

use crate::oracle::exchange::Speaker;

/// What a description is compared for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Two tools described equal copies of one image: the `info` operation.
    Description,
    /// The reference described the images that two tools made: is one made like the other?
    Creation,
    /// Two tools mapped equal copies of one image: the `map` operation.
    Mapping,
}

/// One step.
struct Step {
    number: u32,
    purposes: &'static [Purpose],
    action: Action,
    /// The release of qemu-img that began, or ceased, to say it.
    release: Option<&'static [u64]>,
    /// Why they mean nothing.
    #[cfg_attr(
        not(test),
        expect(
            dead_code,
            reason = "read by the test that every step gives its reason"
        )
    )]
    why: &'static str,
}

/// What a step does.
enum Action {
    /// These keys are deleted at every depth.
    Delete(&'static [&'static str]),
    /// This key is deleted at the top only.
    DeleteAtTheTop(&'static str),
    /// The virtual size of the top-level children is deleted.
    DeleteFileLengths,
    /// The entries of the list under this key are brought into the order of their names, at every depth.
    SortByName(&'static str),
}

/// The tool whose releases the steps know.
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
        why: "the name under which the harness put the copy, not a property of the image",
    },
    Step {
        number: 2,
        purposes: BOTH,
        action: Action::Delete(&["actual-size", "disk size"]),
        release: None,
        why: "what the host's file system allocated, which depends on delayed allocation and block size",
    },
    Step {
        number: 3,
        purposes: BOTH,
        action: Action::Delete(&["dirty-flag"]),
        release: None,
        why: "says whether the file was closed cleanly; what an unclean image means is found by check",
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
        why: "statistics of check that some versions of info carry; compared by the check operation",
    },
    Step {
        number: 5,
        purposes: DESCRIPTION,
        action: Action::Delete(&["format-specific"]),
        release: None,
        why: "another tool need not have qemu-img's list of details of a format; where an image is made, it is compared",
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
        why: "settings of the program that opened the image, not stored in it",
    },
    Step {
        number: 7,
        purposes: CREATION,
        action: Action::Delete(&["cid", "parent-cid", "log-size"]),
        release: None,
        why: "vmdk content ids are random, a vhdx log may have any size the writer likes (MS-VHDX 2.3)",
    },
    Step {
        number: 8,
        purposes: CREATION,
        action: Action::DeleteFileLengths,
        release: None,
        why: "the length of the image's own file: where a tool puts its metadata is its own business, leaks are found by check",
    },
    Step {
        number: 9,
        purposes: CREATION,
        action: Action::Delete(&["date-sec", "date-nsec"]),
        release: None,
        why: "when a snapshot was made; the sides do it one after the other",
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
        why: "LUKS counts how often this machine hashes in a second, and its UUID is random (LUKS1 specification, 4.1)",
    },
    Step {
        number: 12,
        purposes: DESCRIPTION,
        action: Action::DeleteAtTheTop("children"),
        release: Some(&[8, 0]),
        why: "since qemu-img 8.0 info also describes the nodes below the image (BlockNodeInfo in QEMU's qapi/block-core.json, 'children': \
              since 8.0); an older one cannot have said it, and what it says of the image is compared",
    },
    Step {
        number: 13,
        purposes: MAPPING,
        action: Action::Delete(&["present"]),
        release: Some(&[6, 1]),
        why: "since qemu-img 6.1 map also says whether any image of the chain has a range (MapEntry in QEMU's qapi/block-core.json, 'present': \
              since 6.1); an older one cannot have said it, and what is zero and what is data is compared",
    },
];

/// `description` with everything taken out that means nothing for `purpose` between these two.
pub fn normalize(mut description: Value, purpose: Purpose, speakers: &[Speaker; 2]) -> Value {
    debug_assert!(STEPS.windows(2).all(|pair| pair[0].number < pair[1].number));
    let steps = STEPS.iter().filter(|step| step.purposes.contains(&purpose));
    for step in steps.filter(|step| step.is_between(speakers)) {
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
    /// Whether it is made between these two.
    fn is_between(&self, speakers: &[Speaker; 2]) -> bool {
        self.release.is_none_or(|release| {
            let [first, second] = speakers;
            first.is_before(QEMU_IMG, release) != second.is_before(QEMU_IMG, release)
        })
    }
}

/// qemu-img describes the image's own file as the top-level child "file", and calls its length a virtual size.
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

    fn speakers(candidate: (&str, &str), reference: (&str, &str)) -> [Speaker; 2] {
        [candidate, reference].map(|(name, version)| Speaker {
            name: name.to_owned(),
            version: version.to_owned(),
        })
    }

    #[test]
    fn steps_are_numbered_from_one_and_each_says_why() {
        for (index, step) in STEPS.iter().enumerate() {
            assert_eq!(step.number as usize, index + 1);
            assert!(step.why.len() > 20, "step {} gives no reason", step.number);
        }
    }

    #[test]
    fn a_description_keeps_what_a_guest_sees_and_loses_what_the_host_adds() {
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

    /// What is left of a value under this key, at the top and deeper, for a purpose.
    fn left(key: &str, purpose: Purpose) -> Value {
        let description = json!({key: 1, "snapshots": [{"id": "1", key: 2}], "virtual-size": 3});
        normalize(description, purpose, &Default::default())
    }

    #[test]
    fn each_step_takes_out_its_keys_at_every_depth_for_its_purposes_alone() {
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
                let stays = others.contains(key);
                assert_eq!(left(key, purpose) != gone, stays, "{key} {purpose:?}");
                assert!(stays || both.contains(key) || mine.contains(key));
            }
        }
        for key in [
            "cluster-size",
            "backing-filename",
            "refcount-bits",
            "compat",
        ] {
            for purpose in [Purpose::Description, Purpose::Creation] {
                assert_ne!(left(key, purpose), gone, "{key}");
            }
        }
    }

    #[test]
    fn the_order_of_bitmaps_means_nothing_where_an_image_is_made() {
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
    fn only_the_length_of_the_files_right_below_means_nothing() {
        let description = json!({"children": [{"info": {"virtual-size": 1, "children": [{"info": {"virtual-size": 2}}]}}], "virtual-size": 3});
        let kept = normalize(description, Purpose::Creation, &Default::default());
        assert_eq!(
            kept,
            json!({"children": [{"info": {"children": [{"info": {"virtual-size": 2}}]}}], "virtual-size": 3})
        );
    }

    #[test]
    fn what_a_release_began_to_say_is_left_out_between_it_and_an_older_one_alone() {
        let description =
            json!({"virtual-size": 1, "children": [], "snapshots": [{"children": 1}]});
        let alone = json!({"virtual-size": 1, "snapshots": [{"children": 1}]});
        let old = ("qemu-img", "7.2.22");
        let new = ("qemu-img", "10.0.2");
        for pair in [(old, new), (new, old), (old, ("imago", "0.2.6"))] {
            let speakers = speakers(pair.0, pair.1);
            let kept = normalize(description.clone(), Purpose::Description, &speakers);
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
            let speakers = speakers(pair.0, pair.1);
            let kept = normalize(description.clone(), Purpose::Description, &speakers);
            assert_eq!(kept, description, "{pair:?}");
        }
    }

    #[test]
    fn a_map_loses_what_a_release_before_6_1_cannot_have_said_and_nothing_else() {
        let map = json!([{"start": 0, "length": 512, "depth": 0, "present": true, "zero": false, "data": true}]);
        let without = json!([{"start": 0, "length": 512, "depth": 0, "zero": false, "data": true}]);
        let old = ("qemu-img", "5.2.0");
        let new = ("qemu-img", "7.2.22");
        let newest = ("qemu-img", "10.0.2");
        let mapped =
            |pair: (_, _)| normalize(map.clone(), Purpose::Mapping, &speakers(pair.0, pair.1));
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
