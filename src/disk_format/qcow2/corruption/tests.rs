//! Unit tests of `corruption.rs`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::super::fixture::Scratch;
use super::*;

#[test]
fn every_class_is_called_what_serde_calls_it() {
    for class in FieldMutation::ALL {
        assert_eq!(serde_json::to_value(class).unwrap(), class.name());
    }
}

/// The numbers (corruptions, leaks) that `qemu-img check` prints.
fn check(scratch: &Scratch) -> (u64, u64) {
    let (_, output) = scratch.run("qemu-img", &["check", "--output=json", "image"]);
    let start = output.find('{').unwrap();
    let end = output.rfind('}').unwrap();
    let json: serde_json::Value = serde_json::from_str(&output[start..=end]).unwrap();
    let count = |name: &str| json[name].as_u64().unwrap_or(0);
    (count("corruptions"), count("leaks"))
}

#[test]
#[cfg_attr(missing_qemu_img, ignore = "qemu-img is not here")]
fn qemu_img_finds_and_repairs_each_class_as_release_10_0_2_does() {
    let baselines = [(2, 0), (0, 1), (0, 1), (1, 1), (1, 1)];
    let after_leaks = [
        ((2, 0), 1),
        ((0, 0), 0),
        ((0, 0), 0),
        ((0, 0), 0),
        ((1, 0), 2),
    ];
    let scratch = Scratch::new();
    for cluster_size in [512, 4096, 65536] {
        let options = format!("cluster_size={cluster_size}");
        for (index, class) in FieldMutation::ALL.into_iter().enumerate() {
            let damaged = || {
                let path = scratch.image("image", &options);
                class.inflict(&ImageBytes::open(&path).unwrap()).unwrap();
            };
            damaged();
            let here = format!("{class:?} at {cluster_size}");
            assert_eq!(check(&scratch), baselines[index], "{here}");
            let (code, _) = scratch.run("qemu-img", &["check", "-r", "leaks", "image"]);
            assert_eq!((check(&scratch), code), after_leaks[index], "{here}");
            damaged();
            let (code, _) = scratch.run("qemu-img", &["check", "-r", "all", "image"]);
            assert_eq!((check(&scratch), code), ((0, 0), 0), "{here}");
        }
    }
}
