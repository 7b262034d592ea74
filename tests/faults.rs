//! Tools that misbehave on purpose, each in its own way: each gets the right verdict, leaves nothing behind, and does not affect the next
//! case.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod ring;

use std::path::Path;
use std::time::{Duration, Instant};

use imgduel::case::Case;
use imgduel::process::{Limits, SandboxPolicy};
use imgduel::run::runner::DifferentialRunner;
use imgduel::run::session::Session;

/// The time limit for faults that wait until it expires.
const SHORT: Duration = Duration::from_millis(700);

/// The time limit for all other faults.
const LONG: Duration = Duration::from_secs(60);

/// Faults of a candidate during `info`: the stand-in, the verdict, its kind, and a part of its reason.
const FAULTS: [(&str, &str, &str, &str); 50] = [
    (
        "hangs_before_output",
        "divergence",
        "candidate_timeout",
        "stuck",
    ),
    (
        "hangs_amid_output",
        "divergence",
        "candidate_timeout",
        "stuck",
    ),
    (
        "hangs_after_output",
        "divergence",
        "candidate_timeout",
        "stuck",
    ),
    (
        "hangs_with_closed_streams",
        "divergence",
        "candidate_timeout",
        "stuck",
    ),
    ("spins", "divergence", "candidate_timeout", "busy"),
    ("stops_itself", "divergence", "candidate_timeout", "stuck"),
    (
        "ignores_sigterm",
        "divergence",
        "candidate_timeout",
        "stuck",
    ),
    ("leaves_a_grandchild_on_the_pipe", "match", "", ""),
    ("leaves_a_daemon", "match", "", ""),
    ("leaves_zombies", "match", "", ""),
    (
        "forks_without_end",
        "divergence",
        "candidate_limit",
        "hit its limit of processes (40)",
    ),
    (
        "says_400_megabytes",
        "divergence",
        "info_output_divergence",
        "JSON",
    ),
    ("complains_400_megabytes", "match", "", ""),
    (
        "says_no_utf8",
        "divergence",
        "info_output_divergence",
        "JSON",
    ),
    (
        "says_nothing",
        "divergence",
        "info_output_divergence",
        "JSON",
    ),
    (
        "says_nested_arrays",
        "divergence",
        "info_output_divergence",
        "JSON",
    ),
    (
        "says_it_twice",
        "divergence",
        "info_output_divergence",
        "JSON",
    ),
    ("exits_77", "divergence", "exit_code_divergence", "exit 77"),
    (
        "fills_the_disk",
        "divergence",
        "candidate_limit",
        "hit its limit of disk quota",
    ),
    (
        "fills_the_disk_in_pieces",
        "divergence",
        "candidate_limit",
        "hit its limit of disk quota",
    ),
    (
        "makes_a_file_too_long",
        "divergence",
        "candidate_limit",
        "hit its limit of file size",
    ),
    ("makes_a_thousand_files", "match", "", ""),
    ("makes_deep_directories", "match", "", ""),
    (
        "allocates_8_gigabytes",
        "divergence",
        "candidate_limit",
        "hit its limit of memory",
    ),
    (
        "takes_more_and_more_memory",
        "divergence",
        "candidate_limit",
        "hit its limit of memory",
    ),
    (
        "opens_too_many_files",
        "divergence",
        "candidate_limit",
        "hit its limit of open files",
    ),
    ("writes_outside", "match", "", ""),
    ("opens_a_socket", "match", "", ""),
    (
        "changes_its_input",
        "divergence",
        "input_changed_divergence",
        "in the file image.raw",
    ),
    (
        "removes_its_input",
        "divergence",
        "input_changed_divergence",
        "candidate gone",
    ),
    (
        "removes_its_directory",
        "divergence",
        "input_changed_divergence",
        "candidate gone",
    ),
    (
        "puts_a_pipe_in_its_place",
        "divergence",
        "input_changed_divergence",
        "candidate gone",
    ),
    (
        "puts_a_link_in_its_place",
        "divergence",
        "input_changed_divergence",
        "candidate gone",
    ),
    (
        "puts_a_directory_in_its_place",
        "divergence",
        "input_changed_divergence",
        "candidate gone",
    ),
    ("signals_its_parent", "match", "", ""),
    (
        "kills_its_group",
        "divergence",
        "candidate_crash",
        "SIGKILL",
    ),
    ("waits_for_input", "match", "", ""),
    ("dies_of_HUP", "divergence", "candidate_crash", "SIGHUP"),
    ("dies_of_INT", "divergence", "candidate_crash", "SIGINT"),
    ("dies_of_QUIT", "divergence", "candidate_crash", "SIGQUIT"),
    ("dies_of_ILL", "divergence", "candidate_crash", "SIGILL"),
    ("dies_of_TRAP", "divergence", "candidate_crash", "SIGTRAP"),
    ("dies_of_ABRT", "divergence", "candidate_crash", "SIGABRT"),
    ("dies_of_BUS", "divergence", "candidate_crash", "SIGBUS"),
    ("dies_of_FPE", "divergence", "candidate_crash", "SIGFPE"),
    ("dies_of_KILL", "divergence", "candidate_crash", "SIGKILL"),
    ("dies_of_SEGV", "divergence", "candidate_crash", "SIGSEGV"),
    ("dies_of_PIPE", "divergence", "candidate_crash", "SIGPIPE"),
    ("dies_of_TERM", "divergence", "candidate_crash", "SIGTERM"),
    ("dies_of_SYS", "divergence", "candidate_crash", "SIGSYS"),
];

/// Returns a case with one info of a small raw image.
fn case() -> Case {
    let text = r#"{"generation": "faults", "seed": 0, "iteration": 0, "iter_seed": 1, "words_used": 0,
        "image": {"format": "raw", "virtual_size": "64K", "pattern": "random", "writes": [{"offset": 0, "length": 512, "byte": 7}]},
        "ops": [{"op": "info"}]}"#;
    serde_json::from_str(text).unwrap()
}

/// Returns a sandbox policy with low limits, so that they are exceeded quickly.
fn sandbox() -> SandboxPolicy {
    SandboxPolicy {
        limits: Some(Limits {
            memory_bytes: 256 << 20,
            processes: 40,
            scratch_bytes: 48 << 20,
            ..Limits::default()
        }),
        ..SandboxPolicy::default()
    }
}

fn session(candidate: &str, limit: Duration, workdir: &Path) -> Session {
    let runner = DifferentialRunner {
        sandbox: sandbox(),
        ..ring::runner(candidate, "qemu-img", limit, workdir)
    };
    Session::new(runner, ring::empty_catalogue())
}

fn nothing_is_left_behind(workdir: &Path, fault: &str) {
    let deadline = Instant::now() + Duration::from_secs(3);
    while ring::is_worked_in(workdir) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(
        !ring::is_worked_in(workdir),
        "{fault}: a process is left behind"
    );
    let left: Vec<_> = std::fs::read_dir(workdir).unwrap().flatten().collect();
    assert!(left.is_empty(), "{fault}: {left:?}");
}

fn suffers(fault: (&str, &str, &str, &str)) {
    let (name, verdict, kind, reason) = fault;
    let workdir = tempfile::tempdir().unwrap();
    let stand_in = ring::stand_in("faults").join(name);
    let limit = match kind {
        "candidate_timeout" => SHORT,
        _ => LONG,
    };
    let spec = format!("qemu-img:{}", stand_in.display());
    let faulty = session(&spec, limit, workdir.path());
    let record = faulty.try_case(case()).unwrap();
    let said = record.reason.as_deref().unwrap_or_default();
    assert_eq!(
        (
            record.verdict.as_str(),
            record.kind.as_deref().unwrap_or_default()
        ),
        (verdict, kind),
        "{name}: {said}"
    );
    assert!(said.contains(reason), "{name}: {said}");
    drop(faulty);
    nothing_is_left_behind(workdir.path(), name);
    let next = session("qemu-img", LONG, workdir.path())
        .try_case(case())
        .unwrap();
    assert_eq!(next.verdict, "match", "after {name}: {:?}", next.reason);
}

#[test]
#[cfg_attr(
    missing_qemu_img,
    ignore = "qemu-img is not here (on Debian and Ubuntu: apt-get install qemu-utils)"
)]
fn every_fault_gets_its_verdict_leaves_nothing_behind_and_does_not_affect_the_next_case() {
    let next = std::sync::Mutex::new(FAULTS.into_iter());
    // Most faults only wait, so they run in parallel.
    let failed: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    let mut failed = Vec::new();
                    loop {
                        let Some(fault) = next.lock().unwrap().next() else {
                            return failed;
                        };
                        if std::panic::catch_unwind(|| suffers(fault)).is_err() {
                            failed.push(fault.0.to_owned());
                        }
                    }
                })
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap())
            .collect()
    });
    assert!(failed.is_empty(), "{failed:?}");
    assert!(!Path::new("/tmp/imgduel_was_here").exists());
    let memory = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = memory.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes: u64 = line
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    assert!(kibibytes < 256 << 10, "{kibibytes} KiB");
}
