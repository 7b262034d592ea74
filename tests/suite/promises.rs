//! What SECURITY.md promises, tried by a stand-in that tries to break it: spawned, forked and as an adapter, as whoever runs the tests
//! and, where that is root, as a user without rights.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use imgduel::image::format::Format;
use imgduel::process::scratch::Root;
use imgduel::process::{Cage, Ending, Invocation, layers};
use imgduel::tool::Scene;
use imgduel::tool::launcher::{ExecMode, Launcher};
use imgduel::tool::request::{Exit, ImageFile, Request};
use serde_json::Value;

use crate::ring;

const LIMIT: Duration = Duration::from_secs(60);

/// A word among the arguments of what the stand-in leaves behind: how long that sleeps, in seconds, told by whom.
fn word(by: u32) -> String {
    format!("{}.{}", 7100 + by, std::process::id())
}

/// The system's own interpreter, which every user may read.
fn python() -> PathBuf {
    let usual = Path::new("/usr/bin/python3");
    match usual.canonicalize() {
        Ok(python) => python,
        Err(_) => which::which("python3").unwrap(),
    }
}

/// Something of somebody else, and a side's directory in a run's.
struct Ground {
    outside: tempfile::TempDir,
    _sockets: (UnixListener, UnixDatagram),
    case: Root,
}

impl Ground {
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

    fn told(&self, word: &str, moves: bool) -> String {
        serde_json::json!({
            "outside": self.outside.path(),
            "victim": std::process::id(),
            "word": word,
            "moves": moves,
        })
        .to_string()
    }
}

/// What came of the attempts of a tool that is started so.
fn of_tool(mode: ExecMode, ground: &Ground, cage: &Cage, word: &str) -> BTreeMap<String, Value> {
    let script = ring::stand_in("breaks_promises").display().to_string();
    let arguments = [script, "tool".to_owned(), ground.told(word, false)];
    let launcher = Launcher::new(mode, false);
    let program = python();
    if mode == ExecMode::Fork {
        assert_eq!(launcher.objection(&program), None);
    }
    let finished = launcher
        .run(&Invocation {
            program: &program,
            arguments: &arguments,
            directory: &ground.side(),
            limit: LIMIT,
            patience: Duration::ZERO,
            cage: Some(cage),
            environment: &[],
            memory_bytes_max: None,
        })
        .unwrap();
    assert_eq!(finished.ending, Ending::Exited(0), "{finished:?}");
    serde_json::from_str(&finished.stdout.text()).unwrap()
}

fn adapter(ground: &Ground, word: &str, moves: bool) -> std::sync::Arc<dyn imgduel::tool::Tool> {
    let script = ring::stand_in("breaks_promises");
    let told = ground.told(word, moves);
    let (python, script) = (python(), script.display());
    ring::open(&format!(
        "adapter:{} {script} adapter {told}",
        python.display()
    ))
}

fn asked(
    tool: &dyn imgduel::tool::Tool,
    ground: &Ground,
    cage: &Cage,
) -> imgduel::tool::request::Answer {
    let scene = Scene {
        directory: &ground.side(),
        limit: LIMIT,
        patience: Duration::ZERO,
        cage,
        memory_bytes_max: None,
    };
    let file = ImageFile::new("image", Format::Raw);
    tool.ask(&Request::Info { file }, &scene).unwrap()
}

fn of_adapter(ground: &Ground, cage: &Cage, word: &str) -> BTreeMap<String, Value> {
    let tool = adapter(ground, word, false);
    let answer = asked(&*tool, ground, cage);
    assert!(answer.succeeded(), "{answer:?}");
    serde_json::from_str(&answer.stdout.text()).unwrap()
}

/// Whether this machine has what a part of the cage needs.
fn has(layer: &str) -> bool {
    let layers = layers();
    let layer = layers.iter().find(|found| found.name.starts_with(layer));
    layer.unwrap().missing.is_none()
}

/// What came of attempts that are to fail, and did not; and of those that are to succeed, and failed.
fn broken(outcomes: &BTreeMap<String, Value>, cage: &Cage) -> Vec<String> {
    let is_apart = cage.is_apart && has("namespaces");
    let wrong = outcomes.iter().filter(|(name, outcome)| {
        let is_done = **outcome == "done";
        match name.as_str() {
            "session" => false,
            // Landlock has no say in these.
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

/// The number of our own session: 0 where its leader lies outside our PID namespace, as in a container.
fn own_session() -> i32 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // The name in parentheses may hold spaces; the session is the fourth field after it (proc_pid_stat(5)).
    let after_name = stat.rsplit(')').next().unwrap();
    after_name
        .split_whitespace()
        .nth(3)
        .unwrap()
        .parse()
        .unwrap()
}

/// Whether a process with this word among its arguments runs, after it had time to go.
fn stays(word: &str) -> bool {
    let runs = || {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let lines =
            processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
        lines.into_iter().any(|line| {
            let mut arguments = line.split(|byte| *byte == 0);
            arguments.any(|argument| argument == word.as_bytes())
        })
    };
    let deadline = Instant::now() + Duration::from_secs(5);
    while runs() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    runs()
}

/// With namespaces and without.
fn cages() -> [Cage; 2] {
    [true, false].map(|is_apart| Cage {
        is_apart,
        ..Cage::default()
    })
}

#[test]
#[cfg_attr(missing_python, ignore = "python3 is not here")]
fn no_tool_breaks_a_promise_however_it_is_started() {
    let workdir = tempfile::tempdir().unwrap();
    for (number, cage) in cages().iter().enumerate() {
        for mode in [ExecMode::Spawn, ExecMode::Fork] {
            let ground = Ground::new(workdir.path());
            let word = word(number as u32 * 2 + u32::from(mode == ExecMode::Fork));
            let outcomes = of_tool(mode, &ground, cage, &word);
            let none = Vec::<String>::new();
            assert_eq!(broken(&outcomes, cage), none, "{mode}: {outcomes:#?}");
            assert!(!stays(&word), "{mode}: it left a process behind");
            assert!(ground.side().join("own").exists());
        }
    }
}

#[test]
#[cfg_attr(missing_python, ignore = "python3 is not here")]
fn no_adapter_breaks_a_promise() {
    let workdir = tempfile::tempdir().unwrap();
    for (number, cage) in cages().iter().enumerate() {
        let ground = Ground::new(workdir.path());
        let word = word(10 + number as u32);
        let outcomes = of_adapter(&ground, cage, &word);
        assert_eq!(
            broken(&outcomes, cage),
            Vec::<String>::new(),
            "{outcomes:#?}"
        );
        assert!(ground.side().join("own").exists());
        // It was dropped, and what it left behind with it.
        assert!(!stays(&word), "it left a process behind");
    }
}

/// The rest runs without a terminal, where there is none to be had.
#[test]
#[cfg_attr(missing_python, ignore = "python3 is not here")]
fn no_promise_is_broken_at_a_terminal() {
    let script =
        "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
    let output = Command::new(python())
        .args(["-c", script, "sh", "-c"])
        // The canary: there is one.
        .args([": < /dev/tty && exec \"$@\"", "sh"])
        .arg(std::env::current_exe().unwrap())
        .arg("--exact")
        .args(["promises::no_tool_breaks_a_promise_however_it_is_started"])
        .args(["promises::no_adapter_breaks_a_promise"])
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
fn the_stand_in_breaks_promises_where_there_is_no_cage() {
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
    let ground = Ground::new(workdir.path());
    let spawned = of_tool(ExecMode::Spawn, &ground, &Cage::OPEN, "");
    let ground = Ground::new(workdir.path());
    let adapted = of_adapter(&ground, &Cage::OPEN, "");
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

/// What the canary has left: it has the key of the stand-in.
fn forget_shared_memory() {
    let script = "import ctypes; libc = ctypes.CDLL(None); \
                  libc.shmctl(libc.shmget(0x1d0e1, 0, 0), 0, 0); libc.msgctl(libc.msgget(0x1d0e1, 0), 0, 0); \
                  libc.semctl(libc.semget(0x1d0e1, 0, 0), 0, 0, 0); ctypes.CDLL('librt.so.1').mq_unlink(b'/imgduel-promise')";
    let _ = Command::new(python()).args(["-c", script]).status();
}

#[test]
#[cfg_attr(missing_python, ignore = "python3 is not here")]
fn an_adapter_that_moves_its_directory_away_is_found_out_and_gets_it_back_nowhere() {
    let workdir = tempfile::tempdir().unwrap();
    let ground = Ground::new(workdir.path());
    std::fs::write(ground.side().join("image.raw"), "x").unwrap();
    let tool = adapter(&ground, "", true);
    let answer = asked(&*tool, &ground, &Cage::default());
    let Exit::Crashed(how) = &answer.exit else {
        panic!("{answer:?}");
    };
    assert_eq!(how, "it moved the directory that it was asked about");
    // No link to somewhere else stands in its place, and nothing is lost.
    let found = std::fs::symlink_metadata(ground.side()).unwrap();
    assert!(found.is_dir());
    assert_eq!(
        std::fs::read(ground.side().join("image.raw")).unwrap(),
        b"x"
    );
}

#[test]
#[cfg_attr(missing_python, ignore = "python3 is not here")]
#[cfg_attr(
    missing_other_users,
    ignore = "only root can run this as somebody else, with setpriv, where nobody may read the build directory"
)]
fn no_promise_is_broken_as_a_user_without_rights() {
    let tests = [
        "promises::no_tool_breaks_a_promise_however_it_is_started",
        "promises::no_adapter_breaks_a_promise",
        "promises::an_adapter_that_moves_its_directory_away_is_found_out_and_gets_it_back_nowhere",
        "cage::a_tool_writes_nowhere_but_in_its_scratch_directory",
        "cage::every_limit_that_is_hit_is_told_by_its_name",
        "cage::what_hides_is_counted",
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
    assert!(said.contains("6 passed"), "{said}");
}
