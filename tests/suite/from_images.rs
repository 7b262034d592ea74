//! `--from`: campaigns whose cases begin with images from outside, and what becomes of such cases.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Output;
use std::time::SystemTime;

use serde_json::Value;

use crate::ring;

/// A stand-in that misreads images of VirtualBox, which no tool of these tests makes.
const MISREADS: &str = "misreads_box_images";

fn made(directory: &Path, program: &str, words: &[&str]) {
    let mut command = ring::started(program);
    let status = command.args(words).current_dir(directory).status().unwrap();
    assert!(status.success(), "{program} {words:?}");
}

/// A qcow2 with data, a snapshot and a bitmap.
fn qcow2(directory: &Path, name: &str) {
    let create = [
        "create",
        "-q",
        "-f",
        "qcow2",
        "-o",
        "cluster_size=4096",
        name,
        "2M",
    ];
    made(directory, "qemu-img", &create);
    let write = |words: &str| made(directory, "qemu-io", &["-f", "qcow2", "-c", words, name]);
    write("write -q -P 7 0 70k");
    made(directory, "qemu-img", &["snapshot", "-c", "first", name]);
    write("write -q -P 9 1M 5k");
    made(directory, "qemu-img", &["bitmap", "--add", name, "dirty"]);
}

/// A dynamic VHD of 4 MiB as VirtualBox writes them: its creator is `vbox`.
fn box_vhd(directory: &Path, name: &str) {
    let create = [
        "create",
        "-q",
        "-f",
        "vpc",
        "-o",
        "force_size=on",
        name,
        "4M",
    ];
    made(directory, "qemu-img", &create);
    let write = "write -q -P 5 1M 64k";
    made(directory, "qemu-io", &["-f", "vpc", "-c", write, name]);
    let path = directory.join(name);
    let mut bytes = fs::read(&path).unwrap();
    let footers = [0, bytes.len() - 512];
    for start in footers {
        let footer = &mut bytes[start..start + 512];
        footer[28..32].copy_from_slice(b"vbox");
        footer[64..68].fill(0);
        let sum: u32 = footer.iter().map(|byte| u32::from(*byte)).sum();
        footer[64..68].copy_from_slice(&(!sum).to_be_bytes());
    }
    fs::write(&path, bytes).unwrap();
}

/// Each entry of a directory: its bytes and when it was written.
fn listing(directory: &Path) -> BTreeMap<String, (Vec<u8>, SystemTime)> {
    let entries = fs::read_dir(directory).unwrap().flatten();
    let state = |path: &Path| {
        let written = fs::metadata(path).unwrap().modified().unwrap();
        (fs::read(path).unwrap_or_default(), written)
    };
    let named = entries.map(|entry| {
        let name = entry.file_name().into_string().unwrap();
        (name, state(&entry.path()))
    });
    named.collect()
}

fn run(directory: &Path, words: &[&str]) -> Output {
    let mut command = ring::imgduel();
    command.args(words).current_dir(directory).output().unwrap()
}

fn fuzz(directory: &Path, words: &[&str]) -> Output {
    let usual = [
        "fuzz",
        "--candidate",
        "qemu-img",
        "--seed",
        "3",
        "--allow-vacuous",
    ];
    run(directory, &[&usual[..], words].concat())
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn records(directory: &Path) -> Vec<Value> {
    let text = fs::read_to_string(directory.join("records.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn campaigns_of_both_kinds_begin_with_the_images_of_a_directory_and_write_nothing_there() {
    let scratch = ring::scratch();
    let directory = scratch.path();
    let images = directory.join("images");
    fs::create_dir(&images).unwrap();
    qcow2(&images, "base.qcow2");
    let over = [
        "create",
        "-q",
        "-f",
        "qcow2",
        "-b",
        "base.qcow2",
        "-F",
        "qcow2",
        "over.qcow2",
    ];
    made(&images, "qemu-img", &over);
    box_vhd(&images, "box.vhd");
    fs::write(images.join("notes.txt"), "no image").unwrap();
    let before = listing(&images);
    let written = fs::metadata(&images).unwrap().modified().unwrap();
    for (generation, count) in [("native3", "10"), ("malformed1", "10")] {
        let words = [
            "--from",
            "images",
            "--generation",
            generation,
            "--iterations",
            count,
            "--json",
            "records.jsonl",
            "--catalogue",
            "none",
        ];
        fs::create_dir_all(directory.join("none")).unwrap();
        let output = fuzz(directory, &words);
        let said = said(&output);
        assert!(
            said.contains("images: left out: notes.txt (no image)"),
            "{said}"
        );
        let ids: Vec<String> = records(directory)
            .iter()
            .map(|record| record["id"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(ids.len(), 10, "{said}");
        let digests = ids
            .iter()
            .map(|id| id.split('_').nth(1).unwrap().to_owned());
        // The image below another one is none of its own.
        assert_eq!(
            digests.collect::<std::collections::BTreeSet<_>>().len(),
            2,
            "{ids:?}"
        );
        if generation == "native3" {
            assert_eq!(output.status.code(), Some(0), "{said}");
        }
        fs::remove_file(directory.join("records.jsonl")).unwrap();
    }
    assert_eq!(listing(&images), before);
    assert_eq!(fs::metadata(&images).unwrap().modified().unwrap(), written);
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn seed_iteration_and_the_bytes_of_the_image_determine_a_case_whatever_the_file_is_called() {
    let scratch = ring::scratch();
    let directory = scratch.path();
    qcow2(directory, "one.qcow2");
    fs::copy(directory.join("one.qcow2"), directory.join("other.qcow2")).unwrap();
    let words = [
        "--from",
        "one.qcow2",
        "--iterations",
        "1",
        "--json",
        "records.jsonl",
    ];
    fuzz(directory, &words);
    let id = records(directory)[0]["id"].as_str().unwrap().to_owned();
    assert!(
        id.starts_with("native3_f") && id.ends_with("_s3_i000000"),
        "{id}"
    );
    let shown = |file: &str| {
        let output = run(directory, &["show", &id, "--from", file]);
        let mut case: Value = serde_json::from_slice(&output.stdout).unwrap();
        case["from"]["path"] = Value::Null;
        let layers = case["ops"][0]["layers"].as_array_mut().unwrap();
        layers[0]["outside"]["name"] = Value::Null;
        case
    };
    assert_eq!(shown("one.qcow2"), shown("other.qcow2"));
    let outside = &shown("one.qcow2")["ops"][0]["layers"][0]["outside"];
    assert_eq!(outside["snapshots"][0]["name"], "first");
    assert_eq!(outside["bitmaps"][0]["name"], "dirty");
    let output = run(directory, &["replay", &id, "--candidate", "qemu-img"]);
    let said = said(&output);
    assert_eq!(
        (output.status.code(), said.lines().count()),
        (Some(2), 1),
        "{said}"
    );
    assert!(said.contains("name it with --from FILE"), "{said}");
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_tool_that_misreads_what_only_others_write_is_caught_and_its_case_goes_where_the_image_is_not()
{
    let scratch = ring::scratch();
    let directory = scratch.path();
    box_vhd(directory, "disk.vhd");
    let candidate = format!("qemu-img:{}", ring::stand_in(MISREADS).display());
    let words = [
        "fuzz",
        "--candidate",
        &candidate,
        "--seed",
        "3",
        "--from",
        "disk.vhd",
        "--iterations",
        "2",
        "--json",
        "records.jsonl",
    ];
    let output = run(directory, &words);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let record = &records(directory)[0];
    assert_eq!(record["kind"], "chain_content_divergence", "{record}");
    assert_eq!(record["blame"], "candidate", "{record}");
    let findings = fs::read_dir(directory.join("fuzz-findings"))
        .unwrap()
        .flatten();
    let mut findings = findings.map(|entry| entry.path());
    let finding = findings
        .find(|path| path.extension().is_some_and(|ending| ending == "json"))
        .unwrap();
    let finding = finding.to_str().unwrap();
    let replay = |file: &str, from: &[&str]| {
        let words = ["replay", file, "--candidate", &candidate];
        run(directory, &[&words[..], from].concat())
    };
    fs::rename(directory.join("disk.vhd"), directory.join("moved.vhd")).unwrap();
    let gone = replay(finding, &[]);
    assert_eq!(gone.status.code(), Some(2));
    assert!(said(&gone).contains("which is not there any more: name it with --from FILE"));
    assert_eq!(
        replay(finding, &["--from", "moved.vhd"]).status.code(),
        Some(1)
    );
    fs::rename(directory.join("moved.vhd"), directory.join("disk.vhd")).unwrap();
    let mut script = ring::imgduel();
    script.args(["script", finding, "--candidate", &candidate]);
    let script = script.current_dir(directory).output().unwrap();
    fs::write(directory.join("script.sh"), &script.stdout).unwrap();
    let shows = |program: &str| {
        let mut command = ring::started("sh");
        command
            .arg("script.sh")
            .env("FROM", ".")
            .env("CANDIDATE", program);
        command.current_dir(directory).status().unwrap().code()
    };
    assert_eq!(shows(&candidate["qemu-img:".len()..]), Some(0));
    assert_eq!(shows("qemu-img"), Some(1));
    fs::create_dir(directory.join("fuzz-seeds")).unwrap();
    let accept = ["accept", finding, "--as", "misread", "--candidate"];
    let kept = fs::read(finding).unwrap();
    // A tool that is right shows no difference, whatever the data are.
    let gone = run(directory, &[&accept[..], &["qemu-img"]].concat());
    assert!(
        said(&gone).contains("the difference is gone"),
        "{}",
        said(&gone)
    );
    fs::remove_file(directory.join("fuzz-seeds/misread.json")).unwrap();
    fs::write(finding, kept).unwrap();
    let accepted = run(directory, &[&accept[..], &[&candidate]].concat());
    assert_eq!(accepted.status.code(), Some(0), "{}", said(&accepted));
    assert!(
        said(&accepted).contains("it still shows the difference"),
        "{}",
        said(&accepted)
    );
    fs::remove_file(directory.join("disk.vhd")).unwrap();
    let seed = fs::read_to_string(directory.join("fuzz-seeds/misread.json")).unwrap();
    assert!(!seed.contains(directory.to_str().unwrap()), "{seed}");
    assert_eq!(
        replay("fuzz-seeds/misread.json", &[]).status.code(),
        Some(1)
    );
    let sound = [
        "replay",
        "fuzz-seeds/misread.json",
        "--candidate",
        "qemu-img",
    ];
    assert_eq!(run(directory, &sound).status.code(), Some(0));
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn what_no_case_can_begin_with_is_refused_in_one_line() {
    let scratch = ring::scratch();
    let directory = scratch.path();
    fs::create_dir(directory.join("empty")).unwrap();
    fs::create_dir(directory.join("notes")).unwrap();
    fs::write(directory.join("notes/a.txt"), "no image").unwrap();
    fs::write(directory.join("zero.img"), "").unwrap();
    fs::write(directory.join("a.qed"), b"QED\0").unwrap();
    made(directory, "mkfifo", &["pipe"]);
    let dangling = [
        "create",
        "-q",
        "-u",
        "-f",
        "qcow2",
        "-b",
        "gone",
        "-F",
        "raw",
        "over.qcow2",
        "1M",
    ];
    made(directory, "qemu-img", &dangling);
    let secret = "secret,id=s,data=abc";
    let options = "encrypt.format=aes,encrypt.key-secret=s";
    let encrypted = [
        "create", "-q", "-f", "qcow2", "--object", secret, "-o", options, "a.qcow2", "1M",
    ];
    made(directory, "qemu-img", &encrypted);
    let far = fs::File::create(directory.join("far.raw")).unwrap();
    // Not every file system has files so long.
    let is_far = far.set_len(i64::MAX as u64).is_ok() || far.set_len(9 << 40).is_ok();
    let cases = [
        ("gone.img", "No such file"),
        ("empty", "no file is in it"),
        ("notes", "no image is in it"),
        ("zero.img", "it has 0 bytes"),
        ("a.qed", "it is a qed"),
        ("pipe", "it is no regular file"),
        ("/dev/null", "it is no regular file"),
        ("over.qcow2", "it needs gone"),
        (
            "a.qcow2",
            "it is encrypted, and imgduel has no secret for it",
        ),
        ("far.raw", if is_far { "far.raw" } else { "0 bytes" }),
    ];
    for (file, wanted) in cases {
        let output = fuzz(directory, &["--from", file, "--iterations", "1"]);
        let said = said(&output);
        assert_eq!(
            (output.status.code(), said.lines().count()),
            (Some(2), 1),
            "{said}"
        );
        assert!(said.contains(wanted), "{said}");
    }
    let guided = fuzz(directory, &["--from", "notes", "--guided"]);
    assert_eq!(guided.status.code(), Some(2));
    let readers = fuzz(directory, &["--from", "a.qed", "--generation", "readers3"]);
    assert_eq!(readers.status.code(), Some(2));
}

/// An image of 1 GiB with data at `count` places, one of which has the word that a stand-in minds.
fn scattered(directory: &Path, name: &str, format: &str, options: &[&str], count: usize) {
    let create = ["create", "-q", "-f", format];
    let create = [&create[..], options, &[name, "1G"]].concat();
    made(directory, "qemu-img", &create);
    let word = directory.join("word");
    fs::write(&word, "TROUBLE ".repeat(64)).unwrap();
    let writes = (0..count).map(|index| match index {
        3 => format!("write -q -s word {} 512", (index + 1) << 24),
        _ => format!("write -q -P {} {} 4k", index + 1, (index + 1) << 24),
    });
    let writes: Vec<String> = writes.collect();
    let words = writes.iter().flat_map(|write| ["-c", write]);
    let words: Vec<&str> = ["-f", format].into_iter().chain(words).collect();
    made(directory, "qemu-io", &[&words[..], &[name]].concat());
}

/// A qcow2 with everything that can go: two snapshots, a table of the names of features, space at the end. One block has the word that a stand-in minds.
fn cluttered(directory: &Path) {
    scattered(directory, "full.qcow2", "qcow2", &[], 8);
    for snapshot in ["one", "two"] {
        made(
            directory,
            "qemu-img",
            &["snapshot", "-c", snapshot, "full.qcow2"],
        );
        made(
            directory,
            "qemu-io",
            &["-c", "write -q -P 77 900M 1M", "full.qcow2"],
        );
    }
    let file = fs::OpenOptions::new()
        .write(true)
        .open(directory.join("full.qcow2"));
    let file = file.unwrap();
    file.set_len(file.metadata().unwrap().len() + (1 << 20))
        .unwrap();
}

/// A vmdk of three flat extents, the word in the name of the second: without that, a stand-in tells another lie.
fn in_parts(directory: &Path) {
    let mut text = "# Disk DescriptorFile\nversion=1\nCID=1f2e3d4c\nparentCID=ffffffff\ncreateType=\"twoGbMaxExtentFlat\"\n\n# Extent description\n".to_owned();
    for index in 1..=3 {
        let stem = if index == 2 { "TROUBLE" } else { "parts" };
        let name = format!("{stem}-f00{index}.vmdk");
        text += &format!("RW 4096 FLAT \"{name}\" 0\n");
        fs::write(directory.join(name), vec![index; 2 << 20]).unwrap();
    }
    text += "\n# The Disk Data Base\n#DDB\n\nddb.virtualHWVersion = \"4\"\nddb.geometry.cylinders = \"12\"\nddb.geometry.heads = \"16\"\nddb.geometry.sectors = \"63\"\nddb.adapterType = \"ide\"\n";
    fs::write(directory.join("parts.vmdk"), text).unwrap();
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn an_image_loses_the_structure_that_the_difference_can_spare_and_is_told_as_a_recipe() {
    let scratch = ring::scratch();
    let directory = scratch.path();
    let candidate = format!("qemu-img:{}", ring::stand_in("lies_twice").display());
    cluttered(directory);
    in_parts(directory);
    let cases: [(&str, &[&str]); 2] = [
        (
            "full.qcow2",
            &[
                "without snapshot 1",
                "without snapshot 2",
                "without header extension 0x6803f857",
                "a disk of 67174400 bytes",
                "cut from the end of the file",
            ],
        ),
        ("parts.vmdk", &["without extent 2", "without extent 0"]),
    ];
    for (name, steps) in cases {
        let words = ["shrink", "--image", name, "--candidate", &candidate];
        let output = run(directory, &words);
        let told = said(&output);
        assert_eq!(output.status.code(), Some(0), "{told}");
        for step in steps {
            assert!(told.contains(step), "{name}: no '{step}' in {told}");
        }
        let is_retold = told.contains("our own writer makes an image that shows the same");
        assert!(!told.contains("without extent 1"), "{told}");
        // No writer of ours puts the word into a descriptor.
        assert_eq!(is_retold, name.ends_with("qcow2"), "{told}");
        let findings = directory.join("fuzz-findings");
        let paths = fs::read_dir(&findings)
            .unwrap()
            .flatten()
            .map(|entry| entry.path());
        let paths: Vec<_> = paths.collect();
        let image = paths.iter().find(|path| path.is_dir()).unwrap();
        if name.ends_with("qcow2") {
            let image = image.join(name);
            made(
                directory,
                "qemu-img",
                &["check", "-q", image.to_str().unwrap()],
            );
        }
        let finding = paths.iter().find(|path| path.is_file()).unwrap();
        let recipe = is_retold.then(|| image.join("recipe.json"));
        for again in recipe.iter().chain([finding]) {
            let again = ["replay", again.to_str().unwrap(), "--candidate", &candidate];
            let output = run(directory, &again);
            assert_eq!(output.status.code(), Some(1), "{name}: {}", said(&output));
        }
        fs::remove_dir_all(&findings).unwrap();
    }
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn an_image_loses_all_blocks_but_the_one_that_shows_the_difference_and_shows_no_other_one() {
    let scratch = ring::scratch();
    let directory = scratch.path();
    // Without the word it tells a wrong size, which is another kind of difference.
    let candidate = format!("qemu-img:{}", ring::stand_in("lies_twice").display());
    let cases: [(&str, &str, &[&str]); 4] = [
        ("disk.qcow2", "qcow2", &[]),
        ("disk.vmdk", "vmdk", &[]),
        ("disk.vhd", "vpc", &["-o", "force_size=on"]),
        ("disk.vhdx", "vhdx", &[]),
    ];
    for (name, format, options) in cases {
        scattered(directory, name, format, options, 12);
        let before = fs::read(directory.join(name)).unwrap();
        let output = run(
            directory,
            &["shrink", "--image", name, "--candidate", &candidate],
        );
        let told = said(&output);
        assert_eq!(output.status.code(), Some(0), "{told}");
        assert!(told.contains("the image: 1 of "), "{told}");
        assert!(told.contains(", a disk of "), "{told}");
        assert!(fs::read(directory.join(name)).unwrap() == before, "{name}");
        let findings = directory.join("fuzz-findings");
        let entries = fs::read_dir(&findings).unwrap().flatten();
        let paths: Vec<_> = entries.map(|entry| entry.path()).collect();
        let finding = paths.iter().find(|path| path.is_file()).unwrap();
        let finding = finding.to_str().unwrap();
        assert!(finding.contains("chain_content_divergence"), "{finding}");
        let image = paths.iter().find(|path| path.is_dir()).unwrap().join(name);
        assert!(image.is_file(), "{paths:?}");
        if format == "qcow2" {
            made(
                directory,
                "qemu-img",
                &["check", "-q", image.to_str().unwrap()],
            );
        }
        let again = run(directory, &["replay", finding, "--candidate", &candidate]);
        assert_eq!(again.status.code(), Some(1), "{}", said(&again));
        let sound = run(
            directory,
            &["shrink", "--image", name, "--candidate", "qemu-img"],
        );
        assert_eq!(sound.status.code(), Some(2), "{}", said(&sound));
        fs::remove_dir_all(&findings).unwrap();
    }
}
