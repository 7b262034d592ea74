//! Builds of a tool with different features: the harness detects what a build declares unsupported, and rejects programs that are not the tool.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::ring;

use std::time::Duration;

use imgduel::base::error::Cause;
use imgduel::base::size::Size;
use imgduel::case::Case;
use imgduel::case::generation::{Generation, Selection};
use imgduel::image::bitmap_action::BitmapAction;
use imgduel::image::format::Format;
use imgduel::image::options::CreateOptions;
use imgduel::oracle::verdict::VerdictName;
use imgduel::run::record::Record;
use imgduel::tool::request::{ImageFile, Request};
use imgduel::tool::{self, Support};

fn stand_in(name: &str) -> String {
    format!("qemu-img:{}", ring::stand_in(name).display())
}

fn image(format: Format, options: &[&str]) -> ImageFile {
    let options = CreateOptions::parse(options).unwrap();
    ImageFile::new("image", format).with_options(options)
}

fn create(format: Format, options: &[&str]) -> Request {
    Request::Create {
        file: image(format, options),
        size: Size::parse("1M").unwrap(),
    }
}

fn info(file: ImageFile) -> Request {
    Request::Info { file }
}

fn bitmap() -> Request {
    Request::Bitmap {
        merged_from: None,
        file: image(Format::Qcow2, &[]),
        actions: vec![BitmapAction::Add { granularity: None }],
        name: "b".to_owned(),
    }
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here: apt-get install qemu-utils"
)]
fn requests_that_a_build_declares_unsupported_are_skipped_with_a_named_reason() {
    let tool = ring::open(&stand_in("lacks_what_others_have"));
    let zstd = || image(Format::Qcow2, &["compression_type=zstd"]);
    let lacking = [
        (create(Format::Parallels, &[]), "the format parallels"),
        (info(image(Format::Parallels, &[])), "the format parallels"),
        (
            info(image(Format::Qcow2, &[]).over(&image(Format::Parallels, &[]))),
            "the format parallels",
        ),
        (
            Request::Measure {
                options: Default::default(),
                snapshot: None,
                source: image(Format::Parallels, &[]),
                target: Format::Raw,
            },
            "the format parallels",
        ),
        (
            create(Format::Vmdk, &["hwversion=4", "toolsversion=3"]),
            "the option toolsversion of vmdk",
        ),
        (
            create(Format::Qcow2, &["compression_type=zstd"]),
            "compression_type=zstd",
        ),
        (
            info(image(Format::Raw, &[]).over(&zstd())),
            "compression_type=zstd",
        ),
        (bitmap(), "the command bitmap"),
    ];
    for (request, what) in lacking {
        let named = format!("qemu-img {} lacks {what}", tool.version());
        assert_eq!(tool.support(&request), Support::No(named), "{request:?}");
    }
    let supported = [
        create(Format::Vmdk, &["hwversion=4"]),
        create(Format::Qcow2, &["compression_type=zlib", "extended_l2=on"]),
        create(Format::Raw, &["preallocation=full"]),
        info(image(Format::Vmdk, &["toolsversion=3"])),
    ];
    for request in supported {
        assert_eq!(tool.support(&request), Support::Yes, "{request:?}");
    }
    let lacks = [
        "the command bitmap",
        "the format parallels",
        "the option toolsversion of vmdk",
        "compression_type=zstd",
    ];
    assert_eq!(tool.lacks(), lacks);
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here: apt-get install qemu-utils"
)]
fn a_build_that_refuses_a_request_without_declaring_it_unsupported_still_gets_it() {
    let tool = ring::open(&stand_in("refuses_create"));
    assert_eq!(tool.lacks(), [""; 0]);
    let requests = [
        create(Format::Qcow2, &["compression_type=zstd"]),
        create(Format::Vmdk, &["toolsversion=3"]),
        create(Format::Parallels, &[]),
        bitmap(),
    ];
    for request in requests {
        assert_eq!(tool.support(&request), Support::Yes, "{request:?}");
    }
}

/// Returns the first drawn cases that contain a parallels image.
fn cases_with_parallels(count: usize) -> Vec<Case> {
    let generation = Generation::named("native1").unwrap();
    let drawn = generation.cases(16, 0, &Selection::ALL).unwrap();
    let has_it = |case: &Case| serde_json::to_string(case).unwrap().contains("parallels");
    drawn.filter(has_it).take(count).collect()
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here: apt-get install qemu-utils"
)]
fn features_missing_in_the_reference_are_unsupported_and_in_the_candidate_skipped() {
    let poor = stand_in("lacks_what_others_have");
    let scratch = ring::scratch();
    let tried = |candidate: &str, reference: &str| -> Vec<Record> {
        let session = ring::session(
            candidate,
            reference,
            Duration::from_secs(30),
            scratch.path(),
        );
        let cases = cases_with_parallels(2).into_iter();
        cases.map(|case| session.try_case(case).unwrap()).collect()
    };
    for record in tried("qemu-img", &poor) {
        let reason = record.reason.as_deref().unwrap_or_default();
        assert_eq!(
            record.verdict,
            VerdictName::Unsupported,
            "{}: {reason}",
            record.id
        );
        assert!(reason.ends_with("lacks the format parallels"), "{reason}");
    }
    for record in tried(&poor, "qemu-img") {
        let (verdict, reason) = (record.verdict, record.reason.as_deref());
        assert!(
            [VerdictName::Match, VerdictName::Unsupported].contains(&verdict),
            "{}: {reason:?}",
            record.id
        );
    }
}

#[test]
fn a_program_that_is_not_the_named_tool_is_reported_in_one_line_with_its_output() {
    let directory = ring::package().display().to_string();
    let file = ring::package().join("Cargo.toml").display().to_string();
    let complaint = |spec: String| {
        let spec = spec.parse().unwrap();
        match tool::open(&spec, &ring::tool_env()) {
            Ok(_) => panic!("{spec} was opened"),
            Err(error) => (error.cause(), error.to_string()),
        }
    };
    let programs = [
        "qemu-img", "instar", "7zz", "rqcow2", "libqcow", "vbox-img", "bximage", "nbdkit", "pyvhd",
        "xo-qcow2", "vhdx-rs", "qcow2-rs", "adapter",
    ];
    for name in programs {
        let named = [
            (
                directory.as_str(),
                "is a directory: name the program that lies in it",
            ),
            (
                &file,
                "is not executable: name a program, or make it one (chmod +x)",
            ),
            ("/no/such/program", "is not there"),
            ("no-such-program", "is not on PATH"),
        ];
        for (path, what) in named {
            let (cause, said) = complaint(format!("{name}:{path}"));
            assert_eq!((cause, said), (Cause::Usage, format!("{path} {what}")));
        }
    }
    // GNU or BusyBox: it prints a version, but not qemu-img's.
    for name in ["qemu-img", "instar", "rqcow2"] {
        let (_, said) = complaint(format!("{name}:/bin/ls"));
        let is_told = said.contains("it says '") || said.contains("it says nothing");
        assert!(said.starts_with("/bin/ls ") && is_told, "{said}");
    }
    let (_, said) = complaint("qemu-img:/bin/echo".to_owned());
    assert!(
        said.contains("/bin/echo is not qemu-img: asked --version, it says "),
        "{said}"
    );
}
