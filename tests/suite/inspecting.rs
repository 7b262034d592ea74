//! `imgduel inspect FILE...`: images from outside, shown to every tool.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::ring;

fn made(directory: &Path, program: &str, words: &[&str]) {
    let mut command = ring::started(program);
    let status = command.args(words).current_dir(directory).status().unwrap();
    assert!(status.success(), "{program} {words:?}");
}

/// An image in `directory` with data at two places.
fn image(directory: &Path, name: &str, format: &str, options: &[&str]) {
    let create = [&["create", "-q", "-f", format][..], options, &[name, "8M"]].concat();
    made(directory, "qemu-img", &create);
    for write in ["write -q -P 7 1M 70k", "write -q -P 9 5M 1"] {
        made(directory, "qemu-io", &["-f", format, "-c", write, name]);
    }
}

fn inspect(directory: &Path, words: &[&str]) -> Output {
    let mut command = ring::imgduel();
    command.arg("inspect").args(words).current_dir(directory);
    command.output().unwrap()
}

/// What inspect says in JSON of one image, and its exit code.
fn said(directory: &Path, words: &[&str]) -> (Value, Option<i32>) {
    let output = inspect(directory, &[words, &["--json"]].concat());
    let images: Value = serde_json::from_slice(&output.stdout).unwrap();
    (images[0].clone(), output.status.code())
}

fn bytes(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(directory).unwrap().map(Result::unwrap);
    let named = entries.map(|entry| {
        let name = entry.file_name().into_string().unwrap();
        (name, std::fs::read(entry.path()).unwrap())
    });
    named.collect()
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn tools_that_read_an_image_see_the_same_and_nothing_is_written_beside_it() {
    let scratch = ring::scratch();
    let directory = scratch.path();
    image(directory, "below.qcow2", "qcow2", &[]);
    let over = ["-b", "below.qcow2", "-F", "qcow2"];
    image(directory, "over.qcow2", "qcow2", &over);
    image(
        directory,
        "split.vmdk",
        "vmdk",
        &["-o", "subformat=twoGbMaxExtentSparse"],
    );
    image(
        directory,
        "outside.qcow2",
        "qcow2",
        &["-o", "data_file=guest.data"],
    );
    image(directory, "a.vhd", "vpc", &[]);
    image(directory, "a.vhdx", "vhdx", &[]);
    image(directory, "a.vdi", "vdi", &[]);
    let before = bytes(directory);
    let expected = [
        ("over.qcow2", "qcow2", &["below.qcow2"][..]),
        ("split.vmdk", "vmdk", &["split-s001.vmdk"]),
        ("outside.qcow2", "qcow2", &["guest.data"]),
        ("a.vhd", "vpc", &[]),
        ("a.vhdx", "vhdx", &[]),
        ("a.vdi", "vdi", &[]),
    ];
    for (name, format, companions) in expected {
        let (seen, code) = said(directory, &[name, "--tool", "qemu-img,model"]);
        assert_eq!((seen["format"].as_str(), code), (Some(format), Some(0)));
        assert_eq!(seen["companions"], serde_json::json!(companions), "{name}");
        for tool in seen["tools"].as_array().unwrap() {
            let read = &tool["outcome"]["read"];
            assert_eq!(read["group"], 0, "{name}: {tool}");
            assert_eq!(read["non_zero_bytes"], 77824, "{name}: {tool}");
        }
    }
    let all = inspect(directory, &[".", "--tool", "qemu-img,model"]);
    assert_eq!(
        all.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&all.stdout)
    );
    assert!(bytes(directory) == before);
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_tool_that_reads_wrongly_stands_apart_with_the_first_byte() {
    let scratch = ring::scratch();
    image(scratch.path(), "a.qcow2", "qcow2", &[]);
    let liar = format!("qemu-img:{}", ring::stand_in("reads_wrongly").display());
    let tools = format!("{liar},qemu-img,model");
    let (seen, code) = said(scratch.path(), &["a.qcow2", "--tool", &tools]);
    assert_eq!(code, Some(1));
    let groups = seen["tools"].as_array().unwrap().iter();
    let groups: Vec<_> = groups
        .map(|tool| tool["outcome"]["read"]["group"].as_u64())
        .collect();
    assert_eq!(groups, [Some(1), Some(0), Some(0)]);
    let lied = &seen["tools"][0]["outcome"]["read"];
    let differs = lied["differs"].as_str().unwrap();
    assert!(differs.starts_with("byte at guest offset 0: "), "{differs}");
    assert_eq!(lied["ranges"], serde_json::json!([[0, 4096]]));
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn what_an_image_names_and_is_not_there_is_told() {
    let scratch = ring::scratch();
    image(scratch.path(), "below.qcow2", "qcow2", &[]);
    let over = ["-b", "below.qcow2", "-F", "qcow2"];
    image(scratch.path(), "over.qcow2", "qcow2", &over);
    std::fs::remove_file(scratch.path().join("below.qcow2")).unwrap();
    let (seen, code) = said(scratch.path(), &["over.qcow2", "--tool", "qemu-img,model"]);
    let left = seen["left_out"][0].as_str().unwrap();
    assert!(left.starts_with("below.qcow2: No such file"), "{left}");
    assert!(seen["tools"][0]["outcome"]["refuses"].is_string(), "{seen}");
    assert_eq!(code, Some(3), "nothing was compared");
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn an_image_that_lies_on_itself_is_taken_once() {
    let scratch = ring::scratch();
    image(scratch.path(), "own.qcow2", "qcow2", &[]);
    let rebase = [
        "rebase",
        "-u",
        "-b",
        "own.qcow2",
        "-F",
        "qcow2",
        "own.qcow2",
    ];
    made(scratch.path(), "qemu-img", &rebase);
    let (seen, _) = said(scratch.path(), &["own.qcow2", "--tool", "model"]);
    let left = seen["left_out"][0].as_str().unwrap();
    assert!(
        left.starts_with("own.qcow2: it lies below itself"),
        "{left}"
    );
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn our_own_parsers_say_what_is_in_a_file_and_what_is_unusual_about_it() {
    let scratch = ring::scratch();
    let directory = scratch.path();
    let expected = [
        ("a.vpc", "vpc", "type dynamic", None),
        (
            "a.vhdx",
            "vhdx",
            "creator QEMU v10",
            Some("not marked as required"),
        ),
        ("a.vdi", "vdi", "blocks 2 of 8", None),
        ("a.vmdk", "vmdk", "type monolithicSparse", None),
        ("a.qcow2", "qcow2", "cluster size 65536", None),
    ];
    for (name, format, fact, unusual) in expected {
        image(directory, name, format, &[]);
        let (seen, _) = said(directory, &[name, "--tool", "model"]);
        let facts = seen["description"]["facts"].as_array().unwrap().iter();
        let facts: Vec<String> = facts
            .map(|fact| format!("{} {}", fact["what"], fact["value"]).replace('"', ""))
            .collect();
        let is_told = facts.iter().any(|told| told.starts_with(fact));
        // Another release of qemu-img names another version of itself.
        assert!(is_told || format == "vhdx", "{name}: {facts:?}");
        let told = seen["description"]["unusual"].to_string();
        match unusual {
            Some(words) => assert!(told.contains(words), "{name}: {told}"),
            None => assert_eq!(told, "[]", "{name}"),
        }
    }
    // A vhd of VirtualBox: exact in size, which its geometry is not. The checksum is then wrong as well.
    let path = directory.join("a.vpc");
    let mut bytes = std::fs::read(&path).unwrap();
    let footer = bytes.len() - 512;
    bytes[footer + 28..][..4].copy_from_slice(b"vbox");
    bytes[footer + 48..][..8].copy_from_slice(&(8_u64 << 20).to_be_bytes());
    std::fs::write(&path, bytes).unwrap();
    let (seen, _) = said(directory, &["a.vpc", "--tool", "model"]);
    let told = seen["description"]["unusual"].to_string();
    for words in [
        "the geometry has 8390656 bytes",
        "checksum is wrong",
        "its copy differ",
    ] {
        assert!(told.contains(words), "{told}");
    }
    assert_eq!(seen["tools"][0]["outcome"]["read"]["size"], 8 << 20);
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_page_has_a_strip_for_each_tool_and_each_map() {
    let scratch = ring::scratch();
    image(scratch.path(), "a.qcow2", "qcow2", &[]);
    let liar = format!("qemu-img:{}", ring::stand_in("reads_wrongly").display());
    let tools = format!("{liar},qemu-img,model");
    let words = ["a.qcow2", "--tool", &tools, "--page", "page.html"];
    assert_eq!(inspect(scratch.path(), &words).status.code(), Some(1));
    let page = std::fs::read_to_string(scratch.path().join("page.html")).unwrap();
    assert_eq!(
        page.matches("<svg").count(),
        6,
        "three that read, three that map"
    );
    assert_eq!(page.matches("<rect class=\"over\"").count(), 1);
    assert!(page.contains("2 of 3 tools that read it see the same"));
    assert!(!page.contains("<script") && page.contains("default-src 'none'"));
}

#[test]
fn an_image_of_another_format_is_named_and_not_read_as_raw() {
    let scratch = ring::scratch();
    std::fs::write(scratch.path().join("a.qed"), b"QED\0 and more").unwrap();
    let output = inspect(scratch.path(), &["a.qed", "--tool", "model"]);
    let words = String::from_utf8(output.stdout).unwrap();
    assert!(words.contains("it is a qed"), "{words}");
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn what_is_no_image_is_refused_in_one_line() {
    let scratch = ring::scratch();
    let directory = scratch.path();
    std::fs::create_dir(directory.join("empty")).unwrap();
    made(directory, "mkfifo", &["pipe"]);
    let wrong = [
        ("pipe", "it is no regular file"),
        ("/dev/null", "it is no regular file"),
        ("empty", "no file is in it"),
        ("missing", "No such file"),
    ];
    for (name, why) in wrong {
        let output = inspect(directory, &[name]);
        let words = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), words.lines().count()), (Some(2), 1));
        assert!(words.contains(why), "{name}: {words}");
    }
    let two = inspect(directory, &["pipe", "empty", "--metadata"]);
    assert_eq!(two.status.code(), Some(2));
}
