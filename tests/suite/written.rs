//! Images of our own writers: what is written is what the recipe tells, by our own audit and plain readers, and by qemu-img.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

use imgduel::case::generation::{Generation, Selection};
use imgduel::disk_format::plain::Volume;
use imgduel::disk_format::qcow2::ImageBytes;
use imgduel::disk_format::qcow2::audit::Audit;
use imgduel::disk_format::writer::{WrittenFiles, WrittenImage};
use imgduel::image::content::Contents;
use imgduel::image::format::Format;
use imgduel::image::unusual_feature::Unusual;
use imgduel::operation::Operation;

use crate::ring;

/// The images of the first `count` cases of a seed.
fn drawn(seed: u64, count: usize) -> Vec<WrittenImage> {
    let generation = Generation::named("readers3").unwrap();
    let cases = generation.cases(seed, 0, &Selection::ALL).unwrap();
    let images = cases.take(count).map(|case| match &case.ops[0] {
        Operation::Written(written) => written.image.clone(),
        other => panic!("{} in readers3", other.name()),
    });
    images.collect()
}

fn write(image: &WrittenImage, directory: &Path) -> String {
    let files = WrittenFiles::new(image.clone(), "image", false);
    files.write_into(directory).unwrap();
    image.name(image.layers.len() - 1, "image")
}

#[test]
fn a_seed_of_readers3_is_the_same_case_for_ever() {
    let golden = include_str!("../golden/readers3.jsonl");
    let output = ring::imgduel()
        .args(["show", "readers3_s1_i0..23"])
        .output();
    assert_eq!(String::from_utf8(output.unwrap().stdout).unwrap(), golden);
}

#[test]
fn every_drawn_image_can_be_written_and_read_back_as_the_recipe_tells() {
    let (mut audited, mut read) = (0, 0);
    for image in drawn(5, 120) {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join(write(&image, scratch.path()));
        let shown = serde_json::to_string(&image).unwrap();
        let format = image.top().format;
        if format == Format::Qcow2 {
            let audit = Audit::of_qcow2(&ImageBytes::open(&path).unwrap()).unwrap();
            assert_eq!(audit.problems, Vec::<String>::new(), "{shown}");
            audited += 1;
        }
        // What the plain readers do not know they refuse by name, but for the bitmaps of a vpc and the parents of all but qcow2, which the model
        // does not ask them for.
        let is_known = format == Format::Qcow2 || image.layers.len() == 1;
        if is_known
            && !image.top().unusual.contains(&Unusual::StaleBits)
            && let Ok(volume) = Volume::open(&path, format)
            && let Ok(contents) = volume.contents()
        {
            let expected = image.guest().contents();
            assert_eq!(contents.difference(&expected), None, "{shown}");
            read += 1;
        }
    }
    assert!(audited > 30 && read > 40, "{audited} audited, {read} read");
}

#[test]
fn every_unusual_feature_is_drawn_within_some_hundred_cases() {
    let images = drawn(1, 900);
    let layers = images.iter().flat_map(|image| {
        let count = image.layers.len();
        (0..count).map(|index| image.placed(index, "image"))
    });
    let found: Vec<Unusual> = layers.flat_map(|layer| layer.unusual).collect();
    for feature in Unusual::ALL {
        let times = found.iter().filter(|found| *found == feature).count();
        assert!(times >= 3, "{}: {times}", feature.name());
    }
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn qemu_img_reads_what_our_writers_wrote_and_finds_no_error_in_it() {
    let scratch = tempfile::tempdir().unwrap();
    let arguments = [
        "fuzz",
        "--generation",
        "readers3",
        "--candidate",
        "qemu-img",
    ];
    let output = ring::imgduel()
        .args(arguments)
        .args(["--seed", "11", "--iterations", "40", "--findings"])
        .arg(scratch.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn qemu_img_replays_a_pending_log_to_what_the_recipe_tells() {
    let log = [
        Unusual::PendingLog,
        Unusual::LogOfSeveral,
        Unusual::WrappedLog,
    ];
    let is_pending = |image: &WrittenImage| {
        let has = |feature: &Unusual| log.contains(feature);
        let known = |feature: &Unusual| *feature != Unusual::LargeSectors;
        let features = &image.top().unusual;
        let is_alone = image.layers.len() == 1;
        is_alone && features.iter().any(has) && features.iter().all(known)
    };
    let mut replayed = 0;
    for image in drawn(7, 100).into_iter().filter(is_pending) {
        let scratch = tempfile::tempdir().unwrap();
        let name = write(&image, scratch.path());
        let run = |arguments: &[&str]| {
            let mut command = Command::new("qemu-img");
            let output = command.args(arguments).current_dir(scratch.path()).output();
            let output = output.unwrap();
            assert!(output.status.success(), "{image:?}: {output:?}");
        };
        run(&["check", "-r", "all", &name]);
        run(&["convert", "-O", "raw", &name, "flat"]);
        let seen = Contents::of_raw_file(&scratch.path().join("flat")).unwrap();
        let expected = image.guest().contents();
        assert_eq!(seen.difference(&expected), None, "{image:?}");
        replayed += 1;
    }
    assert!(replayed > 4, "{replayed}");
}
