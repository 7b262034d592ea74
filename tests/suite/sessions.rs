//! Sessions: every tool makes many requests on one open image and answers each; what is too long for a command line is one call all the same.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use imgduel::base::size::Size;
use imgduel::image::content::{Contents, Write};
use imgduel::image::format::Format;
use imgduel::process::SandboxPolicy;
use imgduel::tool::request::{ImageFile, Request, SessionOutcome, SessionRequest};
use imgduel::tool::{CallContext, Support, Tool, model};

use crate::ring;

const MIB: u64 = 1 << 20;

fn ask(tool: &Arc<dyn Tool>, request: &Request, directory: &Path) -> imgduel::Answer {
    let call_context = CallContext {
        directory,
        limit: Duration::from_secs(30),
        grace: Duration::ZERO,
        sandbox: &SandboxPolicy::default(),
        memory_bytes_max: None,
    };
    let _: Support = tool.support(request);
    tool.ask(request, &call_context).unwrap()
}

fn requests() -> Vec<SessionRequest> {
    let read = |offset, length| SessionRequest::Read { offset, length };
    vec![
        SessionRequest::Write(Write::repeated(1000, 100_000, 7)),
        read(999, 3),
        SessionRequest::WriteVector {
            offset: 65_530,
            lengths: vec![1, 2, 9],
            byte: 8,
        },
        SessionRequest::ReadVector {
            offset: 65_528,
            lengths: vec![4, 12],
        },
        SessionRequest::Write(Write::repeated(MIB - 1, 2, 9)),
        SessionRequest::Write(Write::repeated(u64::MAX - 511, 512, 9)),
        SessionRequest::WriteZeroes {
            offset: 65_536,
            length: 65_536,
            unmap: true,
        },
        SessionRequest::Discard {
            offset: 1 << 62,
            length: 65_536,
        },
        SessionRequest::Flush,
        read(65_535, 2),
        SessionRequest::Resize { size: 2 * MIB },
        SessionRequest::Together {
            requests: vec![
                SessionRequest::Write(Write::repeated(2 * MIB - 512, 512, 3)),
                SessionRequest::Write(Write::repeated(512, 512, 4)),
                read(2000, 1),
            ],
        },
        read(2 * MIB - 513, 2),
        read(511, 2),
    ]
}

/// What must come of them: what is read is told by a few writes into a range of its own.
fn outcomes() -> Vec<SessionOutcome> {
    let read = |length, writes: &[(u64, u64, u8)]| {
        let writes = writes.iter();
        let writes: Vec<Write> = writes
            .map(|(offset, length, byte)| Write::repeated(*offset, *length, *byte))
            .collect();
        SessionOutcome::Read(Contents::of_writes(length, &writes))
    };
    let refused = || SessionOutcome::Refused(String::new());
    vec![
        SessionOutcome::Done,
        read(3, &[(1, 2, 7)]),
        SessionOutcome::Done,
        read(16, &[(0, 16, 7), (2, 12, 8)]),
        refused(),
        refused(),
        SessionOutcome::Done,
        refused(),
        SessionOutcome::Done,
        read(2, &[(0, 1, 8)]),
        SessionOutcome::Done,
        SessionOutcome::Done,
        SessionOutcome::Done,
        read(1, &[(0, 1, 7)]),
        read(2, &[(1, 1, 3)]),
        read(2, &[(1, 1, 4)]),
    ]
}

fn all_come_out_as_they_must(tool: &Arc<dyn Tool>, format: Format) {
    let workdir = ring::scratch();
    let file = ImageFile::new("a", format);
    let create = Request::Create {
        file: file.clone(),
        size: Size::of_bytes(MIB),
    };
    assert!(ask(&model::tool(), &create, workdir.path()).succeeded());
    let session = Request::Session {
        file: file.clone(),
        requests: requests(),
    };
    let answer = ask(tool, &session, workdir.path());
    assert!(answer.succeeded(), "{answer:?}");
    let found = answer.report.session().unwrap();
    let without_messages = found.iter().map(|outcome| match outcome {
        SessionOutcome::Refused(_) => SessionOutcome::Refused(String::new()),
        other => other.clone(),
    });
    let found: Vec<SessionOutcome> = without_messages.collect();
    assert_eq!(found, outcomes(), "{} {format}", tool.name());
    // What it wrote is in the file.
    let contents = ask(&model::tool(), &Request::Contents { file }, workdir.path());
    let expected = [
        Write::repeated(1000, 64_536, 7),
        Write::repeated(65_530, 6, 8),
        Write::repeated(2 * MIB - 512, 512, 3),
        Write::repeated(512, 512, 4),
    ];
    let expected = Contents::of_writes(2 * MIB, &expected);
    assert_eq!(contents.report.contents(), Some(&expected));
}

#[test]
fn the_model_answers_each_request_of_a_session() {
    for format in [Format::Raw, Format::Qcow2] {
        all_come_out_as_they_must(&model::tool(), format);
    }
}

#[test]
#[cfg(feature = "imago")]
fn imago_answers_each_request_of_a_session() {
    for format in [Format::Raw, Format::Qcow2] {
        all_come_out_as_they_must(&ring::open("imago"), format);
    }
}

#[test]
#[cfg_attr(
    missing_imago_async,
    ignore = "imgduel-imago-async is not on PATH (crates/imago-async/build makes it)"
)]
fn imago_by_its_asynchronous_interface_answers_each_request_of_a_session() {
    for format in [Format::Raw, Format::Qcow2] {
        all_come_out_as_they_must(&ring::open("imago-async"), format);
    }
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn qemu_io_answers_each_request_of_a_session() {
    for format in [Format::Raw, Format::Qcow2] {
        all_come_out_as_they_must(&ring::open("qemu-img"), format);
    }
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn sixty_thousand_writes_are_one_call() {
    let workdir = ring::scratch();
    let file = ImageFile::new("a", Format::Raw);
    std::fs::write(workdir.path().join(&file.path), [0; 61_440]).unwrap();
    let writes: Vec<Write> = (0..60_000)
        .map(|offset| Write::repeated(offset, 1, 1 + (offset % 251) as u8))
        .collect();
    let expected = Contents::of_writes(61_440, &writes);
    let request = Request::Write {
        file: file.clone(),
        writes,
    };
    let answer = ask(&ring::open("qemu-img"), &request, workdir.path());
    assert!(answer.succeeded(), "{answer:?}");
    assert_eq!(answer.usage.calls, 1);
    let found = Contents::of_raw_file(&workdir.path().join(&file.path)).unwrap();
    assert_eq!(found, expected);
}
