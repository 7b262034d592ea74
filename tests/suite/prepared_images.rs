//! Images that the reference prepares once for both sides: the candidate's side has copies of what was prepared, and of nothing that came after.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(not(missing_qemu_img))]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use imgduel::base::error::Result;
use imgduel::case::Case;
use imgduel::image::content::Write;
use imgduel::oracle::observations::Side;
use imgduel::run::record::Record;
use imgduel::run::scratch_dir::{Remover, ScratchDir};
use imgduel::run::session::Session;
use imgduel::tool::request::{Answer, Fault, Request};
use imgduel::tool::{CallContext, Capabilities, Reproducer, Support, Tool};

use crate::ring;

const LIMIT: Duration = Duration::from_secs(30);

/// The names of requests, each with the side in whose directory it was made.
type Calls = Arc<Mutex<Vec<(String, &'static str)>>>;

/// A reference that keeps a list of its calls and may change what it has just amended.
struct Watched {
    tool: Arc<dyn Tool>,
    calls: Calls,
    writes_after_amending: bool,
}

impl Tool for Watched {
    fn name(&self) -> &str {
        "watched"
    }

    fn version(&self) -> &str {
        self.tool.version()
    }

    fn program(&self) -> Option<&Path> {
        self.tool.program()
    }

    fn capabilities(&self) -> &Capabilities {
        self.tool.capabilities()
    }

    fn support(&self, request: &Request) -> Support {
        self.tool.support(request)
    }

    fn ask(&self, request: &Request, call_context: &CallContext<'_>) -> Result<Answer> {
        let side = call_context.directory.file_name().unwrap();
        let side = side.to_string_lossy().into_owned();
        self.calls.lock().unwrap().push((side, request.name()));
        let answer = self.tool.ask(request, call_context)?;
        if let (Request::Amend { file, .. }, true) = (request, self.writes_after_amending) {
            let file = file.clone();
            let writes = vec![Write::repeated(0, 512, 0x5a)];
            self.tool
                .ask(&Request::Write { file, writes }, call_context)?;
        }
        Ok(answer)
    }

    fn ask_faulty(
        &self,
        request: &Request,
        fault: Fault,
        call_context: &CallContext<'_>,
    ) -> Result<Option<Answer>> {
        self.tool.ask_faulty(request, fault, call_context)
    }

    fn reproducer(&self, request: &Request) -> Option<Reproducer> {
        self.tool.reproducer(request)
    }
}

/// Tries the first amendment of a seed with a watched reference. Returns the record and the calls of the reference.
fn amended(writes_after_amending: bool) -> (Record, Vec<(String, &'static str)>) {
    let workdir = ring::scratch();
    let calls = Calls::default();
    let mut runner = ring::runner("qemu-img", "qemu-img", LIMIT, workdir.path());
    runner.reference = Arc::new(Watched {
        tool: runner.reference,
        calls: Arc::clone(&calls),
        writes_after_amending,
    });
    let session = Session::new(runner, ring::empty_catalogue());
    let case = ring::cases("ops16", 7, &["amend"]).next().unwrap();
    let record = session.try_case(case).unwrap();
    let calls = calls.lock().unwrap().clone();
    (record, calls)
}

#[test]
fn an_image_is_prepared_once_for_both_sides() {
    let (record, calls) = amended(false);
    assert_eq!(record.verdict, "match", "{record:#?}");
    let prepared = calls
        .iter()
        .filter(|(_, request)| ["create", "write"].contains(request));
    let sides: BTreeSet<&str> = prepared.map(|(side, _)| side.as_str()).collect();
    assert_eq!(sides, BTreeSet::from(["reference"]), "{calls:?}");
}

#[test]
fn what_the_reference_does_after_preparing_an_image_is_not_in_the_copy() {
    let (record, _) = amended(true);
    assert_eq!(record.verdict, "divergence", "{record:#?}");
}

fn scratch_dir(workdir: &tempfile::TempDir) -> ScratchDir {
    let case: Case = ring::cases("ops16", 7, &["amend"]).next().unwrap();
    ScratchDir::new(workdir.path(), &case.id(), &Arc::new(Remover::at_once())).unwrap()
}

#[test]
fn copies_have_the_same_bytes_and_take_the_same_space_as_the_originals() {
    let workdir = ring::scratch();
    let scratch_dir = scratch_dir(&workdir);
    let place = scratch_dir.directory(Side::Reference);
    fs::create_dir(place.join("below")).unwrap();
    let names = ["plain", "reserved", "below/deep", "gone"].map(str::to_owned);
    for name in &names[..3] {
        let file = fs::File::create(place.join(name)).unwrap();
        file.set_len(8 << 20).unwrap();
        file.write_all_at(&[7; 5000], 3 << 20).unwrap();
    }
    // Space without data: a copy does not have it, so that both sides get one.
    let reserves = ["--offset", "4M", "--length", "1M", "reserved"];
    let done = Command::new("/usr/bin/fallocate")
        .args(reserves)
        .current_dir(&place)
        .status();
    assert!(done.unwrap().success());
    let all: BTreeSet<&String> = names.iter().collect();
    scratch_dir.hand_over(&all).unwrap();
    for name in &names[..3] {
        let [ours, theirs] =
            [Side::Candidate, Side::Reference].map(|side| scratch_dir.file(side, name));
        assert_eq!(fs::read(&ours).unwrap(), fs::read(&theirs).unwrap());
        let [ours, theirs] = [ours, theirs].map(|path| fs::metadata(path).unwrap());
        assert_eq!(ours.blocks(), theirs.blocks(), "{name}");
        assert_ne!(ours.ino(), theirs.ino());
    }
    scratch_dir.take_back(&all);
    assert!(!scratch_dir.file(Side::Candidate, "plain").exists());
    assert!(scratch_dir.file(Side::Reference, "plain").exists());
}
