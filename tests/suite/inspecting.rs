//! `imgduel inspect FILE...`: images from outside, shown to every tool.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::ring;

fn made(directory: &Path, program: &str, words: &[&str]) {
    let mut command = ring::started(program);
    let output = command.args(words).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{program} {words:?}");
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

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn what_is_empty_cut_or_huge_has_a_row_for_each_tool_and_nothing_is_written() {
    let scratch = tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| ring::scratch());
    let directory = scratch.path();
    std::fs::write(directory.join("empty"), "").unwrap();
    std::fs::write(directory.join("cut.qcow2"), b"QFI\xfb\0\0\0\x03").unwrap();
    let huge = std::fs::File::create(directory.join("huge")).unwrap();
    // As long as a file can be, where the file system has such files.
    let has_huge = huge.set_len((8 << 60) - (1 << 20)).is_ok();
    let before: Vec<_> = std::fs::read_dir(directory).unwrap().collect();
    let tools = ["--tool", "qemu-img,model"];
    let (empty, code) = said(directory, &[&["empty"][..], &tools].concat());
    assert_eq!(
        (code, &empty["tools"][0]["outcome"]["read"]["size"]),
        (Some(0), &0.into())
    );
    let (cut, code) = said(directory, &[&["cut.qcow2"][..], &tools].concat());
    assert_eq!(code, Some(3));
    for tool in cut["tools"].as_array().unwrap() {
        assert!(tool["outcome"]["refuses"].is_string(), "{tool}");
    }
    if has_huge {
        let output = inspect(directory, &[&["huge"][..], &tools].concat());
        let words =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        let is_row = words.contains("qemu-img 1") || words.contains("qemu-img 7");
        assert!(
            is_row || (output.status.code() == Some(2) && words.lines().count() == 1),
            "{words}"
        );
    }
    let after = std::fs::read_dir(directory).unwrap().count();
    assert_eq!(before.len(), after);
}

#[test]
fn an_image_that_changes_while_it_is_copied_is_refused_in_one_line() {
    use std::io::Write as _;
    let scratch = ring::scratch();
    let path = scratch.path().join("busy");
    std::fs::write(&path, vec![1; 64 << 20]).unwrap();
    let is_over = std::sync::atomic::AtomicBool::new(false);
    let output = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                let mut file = std::fs::File::options().append(true).open(&path).unwrap();
                file.write_all(b"x").unwrap();
            }
        });
        let output = inspect(scratch.path(), &["busy", "--tool", "model"]);
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        output
    });
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        (output.status.code(), words.lines().count()),
        (Some(2), 1),
        "{words}"
    );
    assert!(words.contains("it changed while it was copied"), "{words}");
}

/// Images of other writers, each with the outcome of qemu-img, vbox-img and bximage, verified by hand once: `A` reads as the most, `B` otherwise.
const FOREIGN: [(&str, [&str; 3]); 13] = [
    ("v.vdi", ["A", "A", "B"]),
    ("v.vmdk", ["A", "A", "A"]),
    ("stream.vmdk", ["A", "A", "B"]),
    ("flat.vmdk", ["A", "A", "skips"]),
    ("v.vhd", ["A", "A", "B"]),
    ("fixed.vhd", ["A", "A", "B"]),
    ("v.qed", ["-", "-", "-"]),
    ("v.qcow", ["A", "A", "-"]),
    ("v.hdd", ["A", "A", "-"]),
    ("b.vpc", ["A", "A", "B"]),
    ("b.vhdx", ["A", "refuses", "A"]),
    ("b.vmdk", ["A", "A", "A"]),
    ("b.growing", ["-", "-", "-"]),
];

#[test]
#[cfg_attr(
    any(missing_qemu_img, missing_vbox_img, missing_bximage),
    ignore = "qemu-img, vbox-img or bximage is not here (imgduel tools says what to install)"
)]
fn thirteen_images_of_other_writers_are_read_as_they_were_seen_by_hand() {
    let scratch = ring::scratch();
    let directory = scratch.path();
    let mut raw = vec![0; 8 << 20];
    raw[1 << 20..(1 << 20) + 70_000].fill(7);
    raw[5 << 20] = 9;
    std::fs::write(directory.join("src.raw"), raw).unwrap();
    let by_virtualbox = [
        ("v.vdi", "VDI", "Standard"),
        ("v.vmdk", "VMDK", "Standard"),
        ("stream.vmdk", "VMDK", "Stream"),
        ("flat.vmdk", "VMDK", "Fixed"),
        ("v.vhd", "VHD", "Standard"),
        ("fixed.vhd", "VHD", "Fixed"),
        ("v.qed", "QED", "Standard"),
        ("v.qcow", "QCOW", "Standard"),
        ("v.hdd", "Parallels", "Standard"),
    ];
    for (name, format, variant) in by_virtualbox {
        let source = ["convert", "--srcfilename", "src.raw", "--srcformat", "RAW"];
        let target = [
            "--dstfilename",
            name,
            "--dstformat",
            format,
            "--variant",
            variant,
        ];
        made(directory, "vbox-img", &[&source[..], &target].concat());
    }
    for (name, mode) in [
        ("b.vpc", "vpc"),
        ("b.vhdx", "vhdx"),
        ("b.vmdk", "vmware4"),
        ("b.growing", "growing"),
    ] {
        let mode = format!("-imgmode={mode}");
        made(
            directory,
            "bximage",
            &["-func=convert", &mode, "-q", "src.raw", name],
        );
    }
    for (name, expected) in FOREIGN {
        let (seen, _) = said(
            directory,
            &[name, "--tool", "qemu-img,vbox-img,bximage,model"],
        );
        let tools = seen["tools"].as_array().unwrap().iter().take(3);
        let outcomes: Vec<&str> = tools
            .map(|tool| {
                let outcome = &tool["outcome"];
                match (outcome["read"]["group"].as_u64(), outcome) {
                    (Some(0), _) => "A",
                    (Some(_), _) => "B",
                    (None, outcome) if outcome["refuses"].is_string() => "refuses",
                    (None, outcome) if outcome["unsupported"].is_string() => "skips",
                    (None, _) => "-",
                }
            })
            .collect();
        assert_eq!(outcomes, expected, "{name}: {seen:#}");
    }
}
