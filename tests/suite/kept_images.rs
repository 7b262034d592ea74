//! `imgduel accept-image`: what is kept of an image, what is not, and the trial that it becomes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Output;

use imgduel::run::kept_image::{KeptImage, path};

use crate::ring;

/// The byte that a guest wrote, of which no run may be kept.
const SECRET: u8 = 0xc5;

fn made(directory: &Path, program: &str, words: &[&str]) {
    let mut command = ring::started(program);
    let status = command.args(words).current_dir(directory).status().unwrap();
    assert!(status.success(), "{program} {words:?}");
}

/// An image with data at three places, one of which is set to zero.
fn image(directory: &Path, name: &str, format: &str, size: &str, options: &[&str]) {
    let create = [&["create", "-q", "-f", format][..], options, &[name, size]].concat();
    made(directory, "qemu-img", &create);
    for write in [
        "write -q -P 0xc5 0 70k",
        "write -q -P 0xc5 5M 1",
        "write -q -P 0xc5 6M 128k",
    ] {
        made(directory, "qemu-io", &["-f", format, "-c", write, name]);
    }
}

fn accept(directory: &Path, words: &[&str]) -> Output {
    let mut command = ring::imgduel();
    command.arg("accept-image").args(words);
    let command = command.args(["--seeds", "seeds"]).current_dir(directory);
    command.output().unwrap()
}

/// What is said on standard error, in one line, of what is not kept.
fn refused(directory: &Path, words: &[&str]) -> String {
    let output = accept(directory, words);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        (output.status.code(), said.lines().count()),
        (Some(2), 1),
        "{said}"
    );
    assert!(!directory.join("seeds/images").exists(), "{said}");
    said
}

fn kept(directory: &Path, stem: &str) -> PathBuf {
    path(&directory.join("seeds"), stem)
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn nothing_that_a_guest_wrote_is_kept_and_the_tools_stand_as_before() {
    let scratch = ring::scratch();
    let directory = scratch.path();
    let cases: [(&str, &str, &[&str]); 9] = [
        ("qcow2", "qcow2", &["-o", "cluster_size=4096"]),
        ("raw", "raw", &[]),
        ("sparse", "vmdk", &[]),
        ("flat", "vmdk", &["-o", "subformat=monolithicFlat"]),
        ("split", "vmdk", &["-o", "subformat=twoGbMaxExtentSparse"]),
        ("dynamic", "vpc", &[]),
        ("vhdx", "vhdx", &[]),
        ("vdi", "vdi", &[]),
        ("fixed", "vpc", &["-o", "subformat=fixed"]),
    ];
    for (stem, format, options) in cases {
        let name = format!("{stem}.img");
        image(directory, &name, format, "8M", options);
        let output = accept(
            directory,
            &[&name, "--as", stem, "--tool", "qemu-img,model"],
        );
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{stem}: {complaint}");
        assert!(
            said.contains("all 2 tools that read it see the same"),
            "{said}"
        );
        let (image, bytes) = KeptImage::read(&kept(directory, stem)).unwrap();
        let is_secret = |bytes: &[u8]| bytes.iter().all(|byte| *byte == SECRET);
        assert!(!bytes.windows(8).any(is_secret), "{stem}");
        let replaced = image.files.iter().flat_map(|file| &file.replaced);
        assert!(replaced.count() > 0, "{stem}");
    }
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn an_image_of_ten_gibibytes_takes_a_few_and_shows_the_same_difference() {
    let scratch = ring::scratch();
    let directory = scratch.path();
    image(directory, "a.qcow2", "qcow2", "10G", &[]);
    made(
        directory,
        "qemu-io",
        &["-c", "write -q -P 0xc5 9G 3M", "a.qcow2"],
    );
    let liar = format!("qemu-img:{}", ring::stand_in("reads_wrongly").display());
    let tools = format!("{liar},qemu-img,model");
    let output = accept(directory, &["a.qcow2", "--as", "large", "--tool", &tools]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("0xff, most see"), "{said}");
    assert!(
        said.contains("2 of 3 tools that read it see the same"),
        "{said}"
    );
    let file = kept(directory, "large");
    assert!(std::fs::metadata(&file).unwrap().len() < 64 << 10);
    let mut inspect = ring::imgduel();
    let shown = inspect.arg("inspect").arg(&file).args(["--tool", &tools]);
    let shown = shown.output().unwrap();
    assert_eq!(shown.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&shown.stdout).contains("0xff, most see"));
    let trial = |candidate: &str| {
        let mut command =
            ring::started(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(["test", "--quiet", "--test", "differential"]);
        let own = std::env::current_exe().unwrap();
        let is_release = own.components().any(|part| part.as_os_str() == "release");
        command.args(is_release.then_some("--release"));
        command.args(["--", "--candidate", candidate, "--exact", "image::large"]);
        command.arg("--seeds").arg(directory.join("seeds"));
        let output = command.current_dir(ring::package()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let failed = trial(&liar);
    assert!(failed.contains("does not see what qemu-img"), "{failed}");
    let passed = trial("qemu-img");
    assert!(passed.contains("1 passed"), "{passed}");
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn what_may_not_be_kept_is_refused_in_one_line() {
    let scratch = ring::scratch();
    let directory = scratch.path();
    image(directory, "a.qcow2", "qcow2", "8M", &[]);
    let compress = ["convert", "-c", "-O", "qcow2", "a.qcow2", "c.qcow2"];
    made(directory, "qemu-img", &compress);
    std::fs::write(directory.join("empty"), "").unwrap();
    let dies = format!("qemu-img:{}", ring::stand_in("dies_of_contents").display());
    let cases: [(&[&str], &str); 5] = [
        (&["a.qcow2", "--as", "x", "--tool", &dies], "private report"),
        (
            &["c.qcow2", "--as", "x", "--tool", "qemu-img"],
            "compressed",
        ),
        (&["a.qcow2", "--as", "2x"], "not a valid name"),
        (
            &["a.qcow2", "--as", "x", "--tool", "vdi"],
            "no tool here reads it",
        ),
        (&[".", "--as", "x"], "regular file"),
    ];
    for (words, why) in cases {
        let said = refused(directory, words);
        assert!(said.contains(why), "{words:?}: {said}");
    }
    let keep = ["c.qcow2", "--as", "x", "--tool", "qemu-img", "--keep-data"];
    assert_eq!(accept(directory, &keep).status.code(), Some(0));
    let again = accept(directory, &keep);
    assert!(String::from_utf8_lossy(&again.stderr).contains("there is an image of this name"));
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn structure_above_the_limit_is_not_kept() {
    let scratch = ring::scratch();
    let directory = scratch.path();
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let noise: Vec<u8> = (0..200_000).map(|_| next()).collect();
    std::fs::write(directory.join("noise"), noise).unwrap();
    let words = [
        "noise",
        "--as",
        "x",
        "--tool",
        "qemu-img,model",
        "--keep-data",
    ];
    let said = refused(directory, &words);
    assert!(said.contains("at most 65536 are kept"), "{said}");
}
