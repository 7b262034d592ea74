//! Calls of a tool that fail on purpose: they do fail, what is left is as before or as after, and a tool that loses what was there is caught.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use imgduel::base::error::Result;
use imgduel::case::Case;
use imgduel::image::content::Write;
use imgduel::image::format::Format;
use imgduel::process::SandboxPolicy;
use imgduel::report::script::script;
use imgduel::run::session::Session;
use imgduel::tool::request::{Answer, Fault, FaultKind, FaultyCall, ImageFile, Request};
use imgduel::tool::{CallContext, Capabilities, Reproducer, Support, Tool};

use crate::ring;

const LIMIT: Duration = Duration::from_secs(30);

fn first_write(how: FaultKind) -> Fault {
    Fault {
        call: FaultyCall::Write,
        number: 1,
        how,
    }
}

fn case() -> Case {
    let text = r#"{"generation":"by_hand","seed":0,"iteration":0,"iter_seed":0,"image":{"format":"raw","virtual_size":"1M","pattern":"zeros"},"ops":[{"op":"chain",
        "layers":[{"format":"qcow2","size":1048576,"writes":[{"offset":0,"length":65536,"byte":7}]}],
        "steps":[
            {"step":"fault","act":{"step":"write","writes":[{"offset":131072,"length":65536,"byte":9}]},
             "fault":{"call":"write","number":1,"how":"enospc"}},
            {"step":"fault","act":{"step":"resize","size":2097152},"fault":{"call":"write","number":2,"how":"kill"}},
            {"step":"read"}]}],"words_used":0}"#;
    serde_json::from_str(text).unwrap()
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn the_call_that_is_named_fails_and_no_other() {
    let tool = ring::open("qemu-img");
    let workdir = ring::scratch();
    let directory = workdir.path().join("case").join("candidate");
    std::fs::create_dir_all(&directory).unwrap();
    let file = ImageFile::new("a", Format::Raw);
    std::fs::write(directory.join(&file.path), [0; 4096]).unwrap();
    let request = Request::Write {
        file,
        writes: vec![Write::repeated(0, 512, 1)],
    };
    let call_context = CallContext {
        directory: &directory,
        limit: LIMIT,
        grace: Duration::ZERO,
        sandbox: &SandboxPolicy::default(),
        memory_bytes_max: None,
    };
    let said = |fault| {
        let answer = tool.ask_faulty(&request, fault, &call_context).unwrap();
        let answer = answer.expect("qemu-io is forked");
        format!(
            "{} {}",
            answer.exit.describe(),
            answer.transcript.stdout.text()
        )
    };
    for (how, message) in [
        (FaultKind::Eio, "Input/output error"),
        (FaultKind::Enospc, "No space left on device"),
        (FaultKind::Kill, "SIGKILL"),
    ] {
        let said = said(first_write(how));
        assert!(said.contains(message), "{said}");
    }
    let second = Fault {
        number: 2,
        ..first_write(FaultKind::Eio)
    };
    assert!(said(second).starts_with("exit 0"));
}

/// qemu-img, which loses a cluster of what was there before when a call fails.
struct Loser(Arc<dyn Tool>);

impl Tool for Loser {
    fn name(&self) -> &str {
        "loser"
    }

    fn version(&self) -> &str {
        self.0.version()
    }

    fn program(&self) -> Option<&std::path::Path> {
        self.0.program()
    }

    fn capabilities(&self) -> &Capabilities {
        self.0.capabilities()
    }

    fn support(&self, request: &Request) -> Support {
        self.0.support(request)
    }

    fn ask(&self, request: &Request, call_context: &CallContext<'_>) -> Result<Answer> {
        self.0.ask(request, call_context)
    }

    fn ask_faulty(
        &self,
        request: &Request,
        fault: Fault,
        call_context: &CallContext<'_>,
    ) -> Result<Option<Answer>> {
        let answer = self.0.ask_faulty(request, fault, call_context)?;
        let discard = Request::Discard {
            file: request.file().clone(),
            offset: 0,
            length: 65536,
        };
        self.0.ask(&discard, call_context)?;
        Ok(answer)
    }

    fn reproducer(&self, request: &Request) -> Option<Reproducer> {
        self.0.reproducer(request)
    }
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn a_tool_that_loses_what_was_there_when_a_call_fails_is_caught() {
    let workdir = ring::scratch();
    let honest = ring::session("qemu-img", "qemu-img", LIMIT, workdir.path());
    let record = honest.try_case(case()).unwrap();
    assert_eq!(record.verdict, "match", "{record:#?}");
    let mut runner = ring::runner("qemu-img", "qemu-img", LIMIT, workdir.path());
    runner.candidate = Arc::new(Loser(runner.candidate));
    let session = Session::new(runner, ring::empty_catalogue());
    let record = session.try_case(case()).unwrap();
    assert_eq!(
        record.kind.as_deref(),
        Some("chain_fault_divergence"),
        "{record:#?}"
    );
    let blame = record.blame.map(|blame| blame.name());
    assert_eq!(blame, Some("candidate"));
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn what_a_failing_call_leaves_has_a_script() {
    let workdir = ring::scratch();
    let mut runner = ring::runner("qemu-img", "qemu-img", LIMIT, workdir.path());
    runner.candidate = Arc::new(Loser(runner.candidate));
    let session = Session::new(runner, ring::empty_catalogue());
    let record = session.try_case(case()).unwrap();
    let text = script(&record, session.candidate(), session.reference(), LIMIT).unwrap();
    assert!(!text.contains("command -v imgduel"), "{text}");
    let path = workdir.path().join("script.sh");
    std::fs::write(&path, &text).unwrap();
    let shows = |qemu_io: &std::path::Path| {
        let mut command = std::process::Command::new("sh");
        let output = command.arg(&path).env("CANDIDATE_IO", qemu_io).output();
        output.unwrap().status.code()
    };
    // A program that does with a failing call what the tool above does.
    let loser = ring::stand_in("chain/loses_data_when_a_call_fails/qemu-io");
    assert_eq!(shows(&loser), Some(0), "{text}");
    assert_eq!(shows("qemu-io".as_ref()), Some(1), "{text}");
}
