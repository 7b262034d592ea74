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
mod tests;
