//! The public interface as users of the library see it: settings from flags, the harness, and their own tool as candidate.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use imgduel::case::generation::{Generation, Selection};
use imgduel::{
    Answer, CallContext, Capabilities, Reproducer, Request, Result, Runner, Settings, Support, Tool,
};

use crate::ring;

/// A tool of a library user: qemu-img under another name.
struct Own(Arc<dyn Tool>);

impl Tool for Own {
    fn name(&self) -> &str {
        "own"
    }

    fn version(&self) -> &str {
        "1"
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

    fn reproducer(&self, request: &Request) -> Option<Reproducer> {
        self.0.reproducer(request)
    }
}

#[test]
fn settings_are_parsed_from_flags_and_errors_are_one_line() {
    let settings =
        Settings::from_flags(["--candidate", "qemu-img,imago", "--timeout", "2"]).unwrap();
    assert_eq!(settings.candidates.len(), 2);
    assert_eq!(settings.timeout.as_secs(), 2);
    let error = Settings::from_flags(["--jobs", "none"])
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains("--jobs") && error.lines().count() == 1,
        "{error}"
    );
    assert!(Settings::from_flags(["fuzz"]).is_err(), "it is no setting");
}

#[test]
fn the_example_runs_one_case_of_every_candidate() {
    let mut example = ring::started(ring::example("one_case"));
    example.args(["ops7_s3_i0", "--candidate", "imago,qemu-img"]);
    let output = example.current_dir(ring::package()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    if cfg!(missing_qemu_img) {
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains("apt-get install qemu-utils"), "{error}");
        return;
    }
    assert!(
        said.contains("imago ") && said.contains("qemu-img "),
        "{said}"
    );
    assert!(said.contains(": match"), "{said}");
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn an_implementation_of_tool_can_be_the_candidate() {
    // The reaper needs a worker program, which this test program is not, so the test uses its own tool environment.
    let own: Arc<dyn Tool> = Arc::new(Own(ring::open("qemu-img")));
    let settings = Settings::from_flags(["--timeout", "20"]).unwrap();
    let contest = imgduel::campaign::candidate_set::CandidateSet::with_candidate(
        own,
        &settings,
        &ring::tool_env(),
    );
    let case = Generation::case(&"ops7_s3_i0".parse().unwrap(), &Selection::ALL);
    let records = contest.unwrap().run_confirmed(&case.unwrap()).unwrap();
    let [record] = &*records else {
        panic!("one candidate, one record")
    };
    assert_eq!(record.candidate.name, "own");
    assert_eq!(record.verdict.to_string(), "match");
    let _: fn(Arc<dyn Tool>, &Settings) -> Result<Runner> = Runner::with_candidate;
}
