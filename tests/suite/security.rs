//! The promises of SECURITY.md: a stand-in tries to break them, spawned, forked and as an adapter, as the user who runs the tests and, if
//! that is root, also as an unprivileged user.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use imgduel::image::format::Format;
use imgduel::process::scratch::Root;
use imgduel::process::{Ending, Invocation, Limit, Limits, SandboxPolicy, layers};
use imgduel::tool::CallContext;
use imgduel::tool::launcher::{ExecMode, Launcher};
use imgduel::tool::request::{Exit, ImageFile, Request};
use serde_json::Value;

use crate::ring;

const LIMIT: Duration = Duration::from_secs(60);

/// Returns a unique duration in seconds. The stand-in leaves a sleep of this duration behind, which identifies its process.
fn word(by: u32) -> String {
    format!("{}.{}", 7100 + by, std::process::id())
}

/// Returns the system's Python interpreter, which every user may read.
fn python() -> PathBuf {
    let usual = Path::new("/usr/bin/python3");
    match usual.canonicalize() {
        Ok(python) => python,
        Err(_) => which::which("python3").unwrap(),
    }
}

/// Files and sockets outside the sandbox, and the scratch directory of a case.
struct StepContext {
    outside: tempfile::TempDir,
    _sockets: (UnixListener, UnixDatagram),
    case: Root,
}

impl StepContext {
    fn new(workdir: &Path) -> Self {
        let outside = tempfile::tempdir().unwrap();
        for name in ["file", "spare"] {
            std::fs::write(outside.path().join(name), "as it was").unwrap();
        }
        let socket = UnixListener::bind(outside.path().join("socket")).unwrap();
        let datagrams = UnixDatagram::bind(outside.path().join("datagrams")).unwrap();
        let case = Root::make(workdir, "case").unwrap();
        for side in ["candidate", "reference"] {
            std::fs::create_dir(case.path().join(side)).unwrap();
        }
        Self {
            outside,
            _sockets: (socket, datagrams),
            case,
        }
    }

    fn side(&self) -> PathBuf {
        self.case.path().join("candidate")
    }

    fn arguments(&self, word: &str, moves: bool) -> String {
        serde_json::json!({
            "outside": self.outside.path(),
            "victim": std::process::id(),
            "word": word,
            "moves": moves,
        })
        .to_string()
    }
}

/// Runs the stand-in as a tool in this mode. Returns the outcome of each attempt.
fn tool_outcomes(
    mode: ExecMode,
    context: &StepContext,
    sandbox: &SandboxPolicy,
    word: &str,
) -> BTreeMap<String, Value> {
    let script = ring::stand_in("breaks_promises").display().to_string();
    let arguments = [script, "tool".to_owned(), context.arguments(word, false)];
    let launcher = Launcher::new(mode, false);
    let program = python();
    if mode == ExecMode::Fork {
        assert_eq!(launcher.objection(&program), None);
    }
    let finished = launcher
        .run(&Invocation {
            program: &program,
            arguments: &arguments,
            directory: &context.side(),
            limit: LIMIT,
            grace: Duration::ZERO,
            sandbox: Some(sandbox),
            environment: &[],
            input: None,
            memory_bytes_max: None,
        })
        .unwrap();
    assert_eq!(finished.ending, Ending::Exited(0), "{finished:?}");
    serde_json::from_str(&finished.stdout.text()).unwrap()
}

fn adapter(
    context: &StepContext,
    word: &str,
    moves: bool,
) -> std::sync::Arc<dyn imgduel::tool::Tool> {
    let script = ring::stand_in("breaks_promises");
    let told = context.arguments(word, moves);
    let (python, script) = (python(), script.display());
    ring::open(&format!(
        "adapter:{} {script} adapter {told}",
        python.display()
    ))
}

fn asked(
    tool: &dyn imgduel::tool::Tool,
    context: &StepContext,
    sandbox: &SandboxPolicy,
) -> imgduel::tool::request::Answer {
    let call_context = CallContext {
        directory: &context.side(),
        limit: LIMIT,
        grace: Duration::ZERO,
        sandbox,
        memory_bytes_max: None,
    };
    let file = ImageFile::new("image", Format::Raw);
    tool.ask(&Request::Info { file }, &call_context).unwrap()
}

/// Runs the stand-in as an adapter. Returns the outcome of each attempt.
fn adapter_outcomes(
    context: &StepContext,
    sandbox: &SandboxPolicy,
    word: &str,
) -> BTreeMap<String, Value> {
    let tool = adapter(context, word, false);
    let answer = asked(&*tool, context, sandbox);
    assert!(answer.succeeded(), "{answer:?}");
    serde_json::from_str(&answer.transcript.stdout.text()).unwrap()
}

/// Returns whether this machine supports a layer of the sandbox.
fn has(layer: &str) -> bool {
    let layers = layers();
    let layer = layers.iter().find(|found| found.name.starts_with(layer));
    layer.unwrap().missing.is_none()
}

/// Returns the attempts with the wrong outcome: forbidden ones that succeeded and permitted ones that failed.
fn broken(outcomes: &BTreeMap<String, Value>, sandbox: &SandboxPolicy) -> Vec<String> {
    let is_apart = sandbox.is_apart && has("namespaces");
    let wrong = outcomes.iter().filter(|(name, outcome)| {
        let is_done = **outcome == "done";
        match name.as_str() {
            "session" => false,
            // Landlock does not control these.
            "changes rights outside" | "changes times outside" if !is_apart => false,
            name if name.starts_with("may ") => !is_done,
            _ => is_done,
        }
    });
    let wrong = wrong.map(|(name, outcome)| format!("{name}: {outcome}"));
    let mut wrong: Vec<String> = wrong.collect();
    if outcomes["session"] == own_session() {
        wrong.push("it is in our session".to_owned());
    }
    wrong
}

/// Returns the id of this session: 0 if its leader is outside this PID namespace, as in a container.
fn own_session() -> i32 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // The name in parentheses may contain spaces. The session is the fourth field after it (proc_pid_stat(5)).
    let after_name = stat.rsplit(')').next().unwrap();
    after_name
        .split_whitespace()
        .nth(3)
        .unwrap()
        .parse()
        .unwrap()
}

/// Returns whether a process with this argument still runs after five seconds.
fn is_left_behind(word: &str) -> bool {
    let runs = || {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let lines =
            processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
        lines.into_iter().any(|line| {
            let mut arguments = line.split(|byte| *byte == 0);
            arguments.any(|argument| argument == word.as_bytes())
        })
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    while runs() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    runs()
}

/// Returns the sandbox policies with and without namespaces.
fn policies() -> [SandboxPolicy; 2] {
    [true, false].map(|is_apart| SandboxPolicy {
        is_apart,
        ..SandboxPolicy::default()
    })
}

#[test]
#[cfg_attr(missing_python, ignore = "python3 is not here")]
fn no_tool_breaks_a_promise_however_it_is_started() {
    let workdir = tempfile::tempdir().unwrap();
    for (number, sandbox) in policies().iter().enumerate() {
        for mode in [ExecMode::Spawn, ExecMode::Fork] {
            let context = StepContext::new(workdir.path());
            let word = word(number as u32 * 2 + u32::from(mode == ExecMode::Fork));
            let outcomes = tool_outcomes(mode, &context, sandbox, &word);
            let none = Vec::<String>::new();
            assert_eq!(broken(&outcomes, sandbox), none, "{mode}: {outcomes:#?}");
            assert!(!is_left_behind(&word), "{mode}: it left a process behind");
            assert!(context.side().join("own").exists());
        }
    }
}

#[test]
#[cfg_attr(missing_python, ignore = "python3 is not here")]
fn no_adapter_breaks_a_promise() {
    let workdir = tempfile::tempdir().unwrap();
    for (number, sandbox) in policies().iter().enumerate() {
        let context = StepContext::new(workdir.path());
        let word = word(10 + number as u32);
        let outcomes = adapter_outcomes(&context, sandbox, &word);
        assert_eq!(
            broken(&outcomes, sandbox),
            Vec::<String>::new(),
            "{outcomes:#?}"
        );
        assert!(context.side().join("own").exists());
        // Dropping the adapter also ended the processes that it left behind.
        assert!(!is_left_behind(&word), "it left a process behind");
    }
}

/// Asks the adapter that uses disk or memory in this hidden way: how it ends.
fn ending_of_what_hides(way: &str, limits: Limits) -> Exit {
    let workdir = tempfile::tempdir().unwrap();
    let context = StepContext::new(workdir.path());
    let script = ring::stand_in("hides_what_it_uses");
    let (python, script) = (python(), script.display());
    let tool = ring::open(&format!("adapter:{} {script} {way}", python.display()));
    let sandbox = SandboxPolicy {
        limits: Some(limits),
        ..SandboxPolicy::default()
    };
    asked(&*tool, &context, &sandbox).exit
}

#[test]
#[cfg_attr(missing_python, ignore = "python3 is not here")]
fn deleted_files_and_shared_memory_of_an_adapter_count_towards_its_limits() {
    let disk = Limits {
        scratch_bytes: 16 << 20,
        ..Limits::default()
    };
    let memory = Limits {
        memory_bytes: 96 << 20,
        ..Limits::default()
    };
    let hits = [
        (Limit::DiskQuota, "deep", &disk),
        (Limit::DiskQuota, "shut", &disk),
        (Limit::DiskQuota, "nameless", &disk),
        (Limit::DiskQuota, "mapped", &disk),
        (Limit::DiskQuota, "by_child", &disk),
        (Limit::Memory, "in_memory", &memory),
    ];
    std::thread::scope(|scope| {
        for (limit, way, limits) in hits {
            scope.spawn(move || match ending_of_what_hides(way, limits.clone()) {
                Exit::HitLimit(hit) => assert_eq!(hit.limit, limit, "{way}"),
                other => panic!("{way}: {other:?}"),
            });
        }
    });
    // The canary: with the limits that tools have, all of it is allowed.
    let allowed = ending_of_what_hides("nameless", Limits::default());
    assert_eq!(allowed, Exit::Success);
}

/// Runs the tests above at a terminal; without this, they may run without one.
#[test]
#[cfg_attr(missing_python, ignore = "python3 is not here")]
fn no_promise_is_broken_at_a_terminal() {
    let script =
        "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
    let output = Command::new(python())
        .args(["-c", script, "sh", "-c"])
        // Canary: the terminal exists.
        .args([": < /dev/tty && exec \"$@\"", "sh"])
        .arg(std::env::current_exe().unwrap())
        .arg("--exact")
        .args(["security::no_tool_breaks_a_promise_however_it_is_started"])
        .args(["security::no_adapter_breaks_a_promise"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("2 passed"),
        "{said}"
    );
}

#[test]
#[cfg_attr(missing_python, ignore = "python3 is not here")]
fn the_stand_in_breaks_promises_without_a_sandbox() {
    let workdir = tempfile::tempdir().unwrap();
    let free = [
        "writes outside",
        "limits another",
        "makes another nice",
        "makes shared memory",
        "connects",
        "sends a datagram",
        "leaves its session",
        "changes rights outside",
        "reads another's environment",
    ];
    let context = StepContext::new(workdir.path());
    let spawned = tool_outcomes(ExecMode::Spawn, &context, &SandboxPolicy::OPEN, "");
    let context = StepContext::new(workdir.path());
    let adapted = adapter_outcomes(&context, &SandboxPolicy::OPEN, "");
    for outcomes in [spawned, adapted] {
        let refused = free.iter().filter(|name| outcomes[**name] != "done");
        assert_eq!(
            refused.collect::<Vec<_>>(),
            Vec::<&&str>::new(),
            "{outcomes:#?}"
        );
    }
    forget_shared_memory();
}

/// Removes the System V and POSIX objects that the stand-in created.
fn forget_shared_memory() {
    let script = "import ctypes; libc = ctypes.CDLL(None); \
                  libc.shmctl(libc.shmget(0x1d0e1, 0, 0), 0, 0); libc.msgctl(libc.msgget(0x1d0e1, 0), 0, 0); \
                  libc.semctl(libc.semget(0x1d0e1, 0, 0), 0, 0, 0); ctypes.CDLL('librt.so.1').mq_unlink(b'/imgduel-promise')";
    let _ = Command::new(python()).args(["-c", script]).status();
}

#[test]
#[cfg_attr(missing_python, ignore = "python3 is not here")]
fn an_adapter_that_moves_its_directory_away_is_detected_and_the_files_stay_in_place() {
    let workdir = tempfile::tempdir().unwrap();
    let context = StepContext::new(workdir.path());
    std::fs::write(context.side().join("image.raw"), "x").unwrap();
    let tool = adapter(&context, "", true);
    let answer = asked(&*tool, &context, &SandboxPolicy::default());
    let Exit::Crashed(how) = &answer.exit else {
        panic!("{answer:?}");
    };
    assert_eq!(how, "it moved the directory that it was asked about");
    // The directory is not replaced by a link, and no file is lost.
    let found = std::fs::symlink_metadata(context.side()).unwrap();
    assert!(found.is_dir());
    assert_eq!(
        std::fs::read(context.side().join("image.raw")).unwrap(),
        b"x"
    );
}

#[test]
#[cfg_attr(missing_python, ignore = "python3 is not here")]
#[cfg_attr(
    missing_other_users,
    ignore = "needs root, setpriv, and a build directory that every user may read"
)]
fn no_promise_is_broken_as_an_unprivileged_user() {
    let tests = [
        "security::no_tool_breaks_a_promise_however_it_is_started",
        "security::no_adapter_breaks_a_promise",
        "security::an_adapter_that_moves_its_directory_away_is_detected_and_the_files_stay_in_place",
        "sandbox::a_tool_can_write_only_to_its_scratch_directory",
        "sandbox::each_exceeded_limit_is_reported_by_name",
        "sandbox::deleted_files_and_shared_memory_count_towards_the_limits",
        "security::deleted_files_and_shared_memory_of_an_adapter_count_towards_its_limits",
    ];
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(std::env::current_exe().unwrap())
        .arg("--exact")
        .args(tests)
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env_remove("TMPDIR")
        .current_dir("/")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("7 passed"), "{said}");
}
