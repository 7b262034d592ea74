//! Readers that are programs or modules of others: each reads what qemu-img wrote, and says what it does not know.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::time::Duration;

use crate::ring;

use imgduel::image::format::Format;
use imgduel::image::options::{CreateOption, Subformat};
use imgduel::process::SandboxPolicy;
use imgduel::tool::request::{Answer, Exit, ImageFile, Report, Request};
use imgduel::tool::{CallContext, Support, Tool};

fn ask(tool: &dyn Tool, request: &Request, directory: &Path) -> Answer {
    assert_eq!(tool.support(request), Support::Yes, "{request:?}");
    let call_context = CallContext {
        directory,
        limit: Duration::from_secs(30),
        memory_bytes_max: None,
        grace: Duration::ZERO,
        sandbox: &SandboxPolicy::default(),
    };
    tool.ask(request, &call_context).unwrap()
}

/// An image of qemu-img with data at two places.
fn made(directory: &Path, file: &ImageFile) {
    let format = file.format.name();
    let options = file.options.iter();
    let options = options.flat_map(|option| ["-o".to_owned(), option.to_string()]);
    let mut create = ring::started("qemu-img");
    create.args(["create", "-q", "-f", format]).args(options);
    let size = [&file.path, "8M"];
    assert!(
        create
            .args(size)
            .current_dir(directory)
            .status()
            .unwrap()
            .success()
    );
    let mut write = ring::started("qemu-io");
    write.args([
        "-f",
        format,
        "-c",
        "write -q -P 7 1M 70k",
        "-c",
        "write -q -P 9 5M 1",
    ]);
    assert!(
        write
            .arg(&file.path)
            .current_dir(directory)
            .status()
            .unwrap()
            .success()
    );
}

/// The tool reads what the reference reads, in each of these formats.
fn reads_alike(spec: &str, formats: &[Format]) {
    let scratch = ring::scratch();
    let (tool, reference) = (ring::open(spec), ring::open("qemu-img"));
    assert!(tool.version().contains('.'), "{}", tool.version());
    for format in formats {
        let file = ImageFile::new("disk", *format);
        made(scratch.path(), &file);
        let contents = Request::Contents { file: file.clone() };
        let [ours, theirs] = [&tool, &reference].map(|tool| {
            let answer = ask(&**tool, &contents, scratch.path());
            assert!(answer.succeeded(), "{format}: {}", answer.describe());
            match answer.report {
                Report::Contents(contents) => contents,
                other => panic!("{format}: {other:?}"),
            }
        });
        assert!(
            ours == theirs,
            "{spec} {format}: {:?}",
            ours.difference(&theirs)
        );
        let info = Request::Info { file };
        if tool.support(&info) == Support::Yes {
            let answer = ask(&*tool, &info, scratch.path());
            let size = answer.transcript.stdout.text();
            assert!(
                size.contains(&theirs.size.to_string()),
                "{spec} {format}: {size}"
            );
        }
    }
}

#[test]
#[cfg_attr(
    any(missing_qemu_img, missing_vbox_img),
    ignore = "qemu-img or vbox-img is not here (contrib/unpack-debian.sh virtualbox sid DIR, with COMPONENTS='main contrib')"
)]
fn vbox_img_reads_what_qemu_img_wrote_but_for_vhdx_and_parallels() {
    let read = [
        Format::Qcow2,
        Format::Qcow,
        Format::Vmdk,
        Format::Vpc,
        Format::Vdi,
    ];
    reads_alike("vbox-img", &read);
    let scratch = ring::scratch();
    let tool = ring::open("vbox-img");
    for (format, why) in [
        (Format::Vhdx, "BAT region not marked as required"),
        (Format::Parallels, "VERR_VD_PARALLELS_INVALID_HEADER"),
    ] {
        let file = ImageFile::new("disk", format);
        made(scratch.path(), &file);
        let answer = ask(&*tool, &Request::Contents { file }, scratch.path());
        assert!(matches!(answer.exit, Exit::Refused(1)), "{:?}", answer.exit);
        assert!(answer.describe().contains(why), "{}", answer.describe());
    }
}

#[test]
#[cfg_attr(
    any(missing_qemu_img, missing_vbox_img),
    ignore = "qemu-img or vbox-img is not here (contrib/unpack-debian.sh virtualbox sid DIR, with COMPONENTS='main contrib')"
)]
fn vbox_img_names_a_feature_that_it_does_not_know() {
    let scratch = ring::scratch();
    let tool = ring::open("vbox-img");
    let file = ImageFile::new("disk", Format::Qcow2).with_options([CreateOption::ExtendedL2(true)]);
    made(scratch.path(), &file);
    let answer = ask(&*tool, &Request::Contents { file }, scratch.path());
    let Exit::Unsupported(feature) = &answer.exit else {
        panic!("{:?}", answer.exit);
    };
    assert!(
        feature.contains("unsupported incompatible features"),
        "{feature}"
    );
}

#[test]
#[cfg_attr(
    any(missing_qemu_img, missing_bximage),
    ignore = "qemu-img or bximage is not here (contrib/unpack-debian.sh bximage sid DIR)"
)]
fn bximage_reads_what_qemu_img_wrote_and_no_flat_vmdk() {
    let tool = ring::open("bximage");
    let read: Vec<Format> = tool.capabilities().formats("contents").to_vec();
    assert!(read.len() >= 3, "{read:?}");
    reads_alike("bximage", &read);
    let scratch = ring::scratch();
    let flat = CreateOption::Subformat(Subformat::TwoGbMaxExtentFlat);
    let file = ImageFile::new("disk", Format::Vmdk).with_options([flat]);
    made(scratch.path(), &file);
    let answer = ask(&*tool, &Request::Contents { file }, scratch.path());
    // A descriptor of whole sectors it takes for a flat disk.
    let shown = match (&answer.exit, &answer.report) {
        (Exit::Success, Report::Contents(contents)) => contents.size,
        _ => 0,
    };
    let is_named = matches!(answer.exit, Exit::Unsupported(_));
    assert!(is_named || (1..4096).contains(&shown), "{:?}", answer.exit);
}

#[test]
#[cfg_attr(
    any(missing_qemu_img, missing_fs_explorer),
    ignore = "qemu-img or fs-explorer is not here (pip install fs-explorer)"
)]
fn fs_explorer_reads_what_qemu_img_wrote() {
    let read = [
        Format::Qcow2,
        Format::Vmdk,
        Format::Vpc,
        Format::Vhdx,
        Format::Vdi,
    ];
    reads_alike("fs-explorer", &read);
}

#[test]
#[cfg_attr(
    any(missing_qemu_img, missing_nbdkit, missing_python),
    ignore = "qemu-img, nbdkit or python3 is not here (contrib/unpack-debian.sh nbdkit sid DIR)"
)]
fn nbdkit_reads_what_qemu_img_wrote_and_names_a_feature_that_it_does_not_know() {
    let Ok(tool) = imgduel::tool::open(&"nbdkit".parse().unwrap(), &ring::tool_env()) else {
        // An older one has no such filter.
        return;
    };
    reads_alike("nbdkit", &[Format::Qcow2]);
    let scratch = ring::scratch();
    let file = ImageFile::new("disk", Format::Qcow2).with_options([CreateOption::ExtendedL2(true)]);
    made(scratch.path(), &file);
    let answer = ask(&*tool, &Request::Contents { file }, scratch.path());
    let Exit::Unsupported(feature) = &answer.exit else {
        panic!("{:?}", answer.exit);
    };
    assert!(
        feature.contains("unsupported extended features"),
        "{feature}"
    );
}
