//! A smoke test of every tool, the support of each, and imago's worker process.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::ring;

use std::path::Path;
use std::time::Duration;

use imgduel::base::size::Size;
use imgduel::image::content::{Contents, Fill, Write};
use imgduel::image::format::Format;
use imgduel::image::options::{CreateOption, CreateOptions};
use imgduel::process::SandboxPolicy;
use imgduel::tool::adapter::protocol::{self, Message};
use imgduel::tool::request::{
    Answer, BenchPlan, Exit, ImageFile, NewSize, RebaseMode, Request, SnapshotAction, SnapshotKey,
    Window,
};
use imgduel::tool::{self, CallContext, Reproducer, Support, Tool};

const LIMIT: Duration = Duration::from_secs(30);

fn ask(tool: &dyn Tool, request: &Request, directory: &Path) -> Answer {
    assert_eq!(
        tool.support(request),
        Support::Yes,
        "{} {request:?}",
        tool.name()
    );
    tool.ask(
        request,
        &CallContext {
            directory,
            limit: LIMIT,
            memory_bytes_max: None,
            grace: Duration::ZERO,
            sandbox: &SandboxPolicy::default(),
        },
    )
    .unwrap()
}

fn done(tool: &dyn Tool, request: &Request, directory: &Path) -> Answer {
    let answer = ask(tool, request, directory);
    assert!(
        answer.succeeded(),
        "{}: {} {:?}",
        tool.name(),
        answer.describe(),
        answer.transcript.command
    );
    answer
}

fn image(stem: &str, format: Format) -> ImageFile {
    ImageFile::new(stem, format)
}

/// Creates, describes, resizes, converts and reads an image that the reference writes to: every candidate supports this.
fn smoke(spec: &str) {
    let scratch = ring::scratch();
    let directory = scratch.path();
    let (tool, reference) = (ring::open(spec), ring::open("qemu-img"));
    let (tool, reference) = (&*tool, &*reference);
    assert!(!tool.version().is_empty());

    let file = || image("smoke", Format::Qcow2).with_options([CreateOption::ClusterSize(4096)]);
    done(
        tool,
        &Request::Create {
            file: file(),
            size: Size::parse("1M").unwrap(),
        },
        directory,
    );
    let writes = [Write {
        offset: 65536,
        length: 5000,
        fill: Fill::Byte(0xa5),
    }];
    done(
        reference,
        &Request::Write {
            file: file(),
            writes: writes.to_vec(),
        },
        directory,
    );

    let info = done(tool, &Request::Info { file: file() }, directory).report;
    assert_eq!(info.tree().unwrap()["virtual-size"], 1 << 20);
    let resize = Request::Resize {
        file: file(),
        size: NewSize::of_bytes(2 << 20),
        end_bytes: 2 << 20,
        shrink: false,
        preallocation: None,
    };
    done(tool, &resize, directory);

    let map = done(
        tool,
        &Request::Map {
            file: file(),
            window: Window::WHOLE,
        },
        directory,
    )
    .report;
    let extents = map.tree().unwrap().as_array().unwrap();
    let covered: u64 = extents
        .iter()
        .map(|extent| extent["length"].as_u64().unwrap())
        .sum();
    assert_eq!(covered, 2 << 20);
    assert!(extents.iter().any(|extent| extent["data"] == true));

    let expected = Contents::of_writes(2 << 20, &writes);
    for target in [Format::Raw, Format::Qcow2] {
        let copy = image("copy", target);
        let convert = Request::Convert {
            source: file(),
            target: copy.clone(),
            compress: false,
            mode: Default::default(),
        };
        done(tool, &convert, directory);
        for reader in [tool, reference] {
            let read = done(reader, &Request::Contents { file: copy.clone() }, directory);
            assert_eq!(
                read.report.contents(),
                Some(&expected),
                "{target} read by {}",
                reader.name()
            );
        }
    }
    let refused = ask(
        tool,
        &Request::Info {
            file: image("missing", Format::Qcow2),
        },
        directory,
    );
    assert!(
        matches!(refused.exit, Exit::Refused(_)),
        "{:?}",
        refused.exit
    );
}

#[test]
fn embedded_crates_are_built_with_overflow_checks_in_every_profile() {
    let manifest = std::fs::read_to_string(ring::package().join("Cargo.toml")).unwrap();
    assert!(!manifest.contains("overflow-checks = false"));
    for profile in ["[profile.dev]", "[profile.release]"] {
        let (_, rest) = manifest.split_once(profile).unwrap();
        let section = rest.split("\n[").next().unwrap();
        assert!(section.contains("overflow-checks = true"), "{profile}");
    }
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn every_tool_passes_the_same_smoke_case() {
    smoke("qemu-img");
    smoke("imago");
    smoke(&format!("instar:{}", ring::stand_in("instar").display()));
}

#[test]
fn imago_never_needs_qemu_img() {
    // The process that starts the worker has an empty PATH.
    let scratch = ring::scratch();
    let create = Request::Create {
        file: image("alone", Format::Qcow2),
        size: Size::parse("1M").unwrap(),
    };
    let request = Message::line(&create, scratch.path(), protocol::VERSION).unwrap();
    let mut worker = ring::imgduel()
        .args([imgduel::tool::worker::ARGUMENT, "imago"])
        .env_clear()
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(
        &mut worker.stdin.take().unwrap(),
        format!("{request}\n").as_bytes(),
    )
    .unwrap();
    let output = worker.wait_with_output().unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(answer["refused"].is_null(), "{answer}");
    assert!(scratch.path().join("alone.qcow2").exists());
}

#[test]
fn imago_declares_unsupported_requests_in_advance() {
    let imago = ring::open("imago");
    let qcow2 = || image("x", Format::Qcow2);
    let refused = [
        Request::Check { file: qcow2() },
        Request::Measure {
            options: Default::default(),
            snapshot: None,
            source: qcow2(),
            target: Format::Raw,
        },
        Request::Convert {
            source: qcow2(),
            target: image("y", Format::Qcow2),
            compress: true,
            mode: Default::default(),
        },
        Request::Convert {
            source: image("x", Format::Vpc),
            target: qcow2(),
            compress: false,
            mode: Default::default(),
        },
        Request::Info {
            file: image("x", Format::Vmdk),
        },
        Request::Create {
            file: image("x", Format::Vhdx),
            size: Size::parse("1M").unwrap(),
        },
        Request::Info {
            file: qcow2().with_options([CreateOption::ExtendedL2(true)]),
        },
    ];
    for request in refused {
        assert!(
            matches!(imago.support(&request), Support::No(_)),
            "{request:?}"
        );
    }
}

#[test]
fn a_worker_that_is_killed_is_a_crash_and_the_next_request_gets_a_new_one() {
    let scratch = ring::scratch();
    let imago = ring::open("imago");
    // Opening a named pipe without a writer blocks forever, so the worker is killed at the limit.
    let pipe = scratch.path().join("stuck.raw");
    let made = std::process::Command::new("mkfifo")
        .arg(&pipe)
        .status()
        .unwrap();
    assert!(made.success());
    let call_context = CallContext {
        directory: scratch.path(),
        limit: Duration::from_millis(300),
        memory_bytes_max: None,
        grace: Duration::ZERO,
        sandbox: &SandboxPolicy::default(),
    };
    let stuck = imago
        .ask(
            &Request::Info {
                file: image("stuck", Format::Raw),
            },
            &call_context,
        )
        .unwrap();
    assert!(matches!(stuck.exit, Exit::TimedOut(_)), "{:?}", stuck.exit);
    let create = Request::Create {
        file: image("fine", Format::Raw),
        size: Size::parse("1M").unwrap(),
    };
    done(&*imago, &create, scratch.path());
}

#[test]
fn the_worker_turns_a_panic_into_a_crash() {
    let scratch = ring::scratch();
    let imago = ring::open("imago");
    // The library does not check the length: allocating a buffer larger than the address space panics.
    let file = image("panics", Format::Raw);
    done(
        &*imago,
        &Request::Create {
            file: file.clone(),
            size: Size::parse("1M").unwrap(),
        },
        scratch.path(),
    );
    let write = Write {
        offset: 0,
        length: u64::MAX,
        fill: Fill::Byte(1),
    };
    let answer = ask(
        &*imago,
        &Request::Write {
            file,
            writes: vec![write],
        },
        scratch.path(),
    );
    let Exit::Crashed(how) = &answer.exit else {
        panic!("{:?}", answer.exit)
    };
    assert!(how.starts_with("panic: capacity overflow"), "{how}");
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn changes_of_guest_data_are_reproduced_with_qemu_io_and_not_with_qemu_img() {
    let qemu_img = ring::open("qemu-img");
    let file = || image("x", Format::Qcow2);
    let changing = [
        Request::Write {
            file: file(),
            writes: Vec::new(),
        },
        Request::WriteZeroes {
            file: file(),
            offset: 0,
            length: 512,
            unmap: false,
        },
        Request::Discard {
            file: file(),
            offset: 0,
            length: 512,
        },
    ];
    for request in changing {
        let Some(Reproducer::CommandLine(words)) = qemu_img.reproducer(&request) else {
            panic!("{request:?} has no command line");
        };
        assert!(words[0].ends_with("qemu-io"), "{words:?}");
    }
}

/// One plain request of every kind about an image of this format.
fn plain_requests(format: Format) -> Vec<Request> {
    let file = || image("image", format);
    let raw = || image("raw", Format::Raw);
    let (offset, length) = (0, 512);
    vec![
        Request::Info { file: file() },
        Request::Check { file: file() },
        Request::Contents { file: file() },
        Request::Map {
            file: file(),
            window: Window::WHOLE,
        },
        Request::Measure {
            options: Default::default(),
            snapshot: None,
            source: raw(),
            target: format,
        },
        Request::Convert {
            source: raw(),
            target: file(),
            compress: false,
            mode: Default::default(),
        },
        Request::Dd {
            source: raw(),
            target: file(),
            block_size: 512,
            count: None,
            skip: 0,
        },
        Request::Create {
            file: file(),
            size: Size::parse("1M").unwrap(),
        },
        Request::Resize {
            file: file(),
            size: NewSize::of_bytes(2 << 20),
            end_bytes: 2 << 20,
            shrink: false,
            preallocation: None,
        },
        Request::Write {
            file: file(),
            writes: Vec::new(),
        },
        Request::WriteZeroes {
            file: file(),
            offset,
            length,
            unmap: false,
        },
        Request::Discard {
            file: file(),
            offset,
            length,
        },
        Request::Amend {
            file: file(),
            options: CreateOptions::new(),
        },
        Request::Rebase {
            file: file(),
            new_backing: None,
            mode: RebaseMode::default(),
        },
        Request::Commit {
            keeps: false,
            file: file(),
            base: None,
        },
        Request::Bitmap {
            merged_from: None,
            file: file(),
            actions: Vec::new(),
            name: String::new(),
        },
        Request::Snapshot {
            file: file(),
            action: SnapshotAction::Create,
            snapshot: SnapshotKey::Name(String::new()),
        },
        Request::Bench {
            file: file(),
            plan: BenchPlan::default(),
        },
        Request::Compare {
            first: file(),
            second: file(),
        },
    ]
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn the_capabilities_of_a_tool_are_what_it_supports_of_plain_images() {
    let instar = format!("instar:{}", ring::stand_in("instar").display());
    let specs = [
        "qemu-img",
        "imago",
        "qcow2-core",
        "vdi",
        &instar,
        "7zz",
        "rqcow2",
        "libqcow",
        "fs-explorer",
        "vbox-img",
        "bximage",
        "nbdkit",
        "vmdkstream",
        "pyvhd",
        "xo-qcow2",
        "vhdx-rs",
        "qcow2-rs",
    ];
    let opened = specs.map(|spec| tool::open(&spec.parse().unwrap(), &ring::tool_env()));
    assert!(
        opened[..5].iter().all(Result::is_ok),
        "what is built in is here"
    );
    for tool in opened.into_iter().flatten() {
        let capabilities = tool.capabilities();
        for request in Format::all().flat_map(plain_requests) {
            let format = match &request {
                Request::Measure { target, .. } => *target,
                other => other.file().format,
            };
            let is_told = capabilities.formats(request.name()).contains(&format);
            let is_supported = tool.support(&request) == Support::Yes;
            assert_eq!(
                is_told,
                is_supported,
                "{} {} {format}",
                tool.name(),
                request.name()
            );
        }
    }
}

#[test]
#[cfg_attr(
    any(missing_qemu_img, missing_7zz),
    ignore = "qemu-img or 7zz is not here (on Debian and Ubuntu: apt-get install qemu-utils 7zip)"
)]
fn a_dmg_is_read_by_each_tool_that_can() {
    let workdir = ring::scratch();
    for tool in ["qemu-img", "7zz"] {
        let session = ring::session(tool, "qemu-img", Duration::from_secs(30), workdir.path());
        let mut forms = std::collections::BTreeSet::new();
        let cases = ring::cases("ops16d", 3, &["info"]).take(150);
        for case in cases.filter(|case| case.image.dmg.is_some()) {
            let dmg = case.image.dmg.clone().unwrap();
            // 7-Zip wants more before the data of a resource fork: the catalogue says so.
            if tool == "7zz" && dmg.resource_fork {
                continue;
            }
            let record = session.try_case(case).unwrap();
            assert_eq!(record.verdict, "match", "{record:#?}");
            forms.insert((dmg.split.is_some(), dmg.resource_fork));
        }
        assert_eq!(forms.len(), if tool == "7zz" { 2 } else { 4 }, "{forms:?}");
    }
}

#[test]
#[cfg_attr(
    any(missing_qemu_img, missing_python),
    ignore = "qemu-img or python3 is not here (on Debian and Ubuntu: apt-get install qemu-utils python3)"
)]
fn the_command_that_makes_a_dmg_by_hand_makes_one_with_the_same_contents() {
    use imgduel::image::content::Contents;
    use imgduel::run::runner::dmg_command;

    let workdir = ring::scratch();
    let in_it = |name: &str| workdir.path().join(name);
    let mut forms = std::collections::BTreeSet::new();
    let cases = ring::cases("ops16d", 3, &["info"]).take(150);
    for dmg in cases.filter_map(|case| case.image.dmg) {
        if !forms.insert((dmg.split.is_some(), dmg.resource_fork)) {
            continue;
        }
        let words = dmg_command::words(&dmg, "image.dmg");
        let flatten = [
            "qemu-img",
            "convert",
            "-f",
            "dmg",
            "-O",
            "raw",
            "image.dmg",
            "flat",
        ];
        for line in [words, flatten.map(str::to_owned).into()] {
            let mut command = std::process::Command::new(&line[0]);
            command.args(&line[1..]).current_dir(workdir.path());
            assert!(command.status().unwrap().success(), "{line:?}");
        }
        let flat = Contents::of_raw_file(&in_it("flat")).unwrap();
        assert_eq!(flat, dmg.contents_within(0, dmg.bytes()));
    }
    assert_eq!(forms.len(), 4, "{forms:?}");
}
