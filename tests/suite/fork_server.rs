//! The fork server compared with plain spawning: arguments, directory, environment, streams, exit statuses and limits are the same. Also:
//! programs that cannot be forked, and cleanup.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(all(target_os = "linux", target_env = "gnu"))]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use imgduel::process::{Ending, Finished, Invocation};
use imgduel::tool::launcher::{ExecMode, Launcher};

/// Returns the shell, which is dynamically linked like most tools.
fn shell() -> PathBuf {
    Path::new("/bin/sh").canonicalize().unwrap()
}

fn run_in(launcher: &Launcher, directory: &Path, script: &str, limit: Duration) -> Finished {
    let arguments = [
        "-c".to_owned(),
        script.to_owned(),
        "name".to_owned(),
        "a b".to_owned(),
    ];
    launcher
        .run(&Invocation {
            limit,
            ..call(&shell(), &arguments, directory)
        })
        .unwrap()
}

/// Returns a call without sandbox and grace period, with a generous time limit.
fn call<'call>(
    program: &'call Path,
    arguments: &'call [String],
    directory: &'call Path,
) -> Invocation<'call> {
    Invocation {
        program,
        arguments,
        directory,
        limit: LONG,
        grace: Duration::ZERO,
        sandbox: None,
        environment: &[],
        input: None,
        memory_bytes_max: None,
    }
}

fn forking() -> Arc<Launcher> {
    let launcher = Launcher::new(ExecMode::Fork, false);
    assert_eq!(launcher.objection(&shell()), None);
    launcher
}

const LONG: Duration = Duration::from_secs(20);

/// Returns the ending and output of a script, spawned and forked.
fn both_ways(script: &str) -> [(Ending, String, String); 2] {
    let scratch = tempfile::tempdir().unwrap();
    [ExecMode::Spawn, ExecMode::Fork].map(|mode| {
        let launcher = Launcher::new(mode, false);
        let Finished {
            ending,
            stdout,
            stderr,
            ..
        } = run_in(&launcher, scratch.path(), script, LONG);
        (ending, stdout.text(), stderr.text())
    })
}

#[test]
fn a_forked_call_is_like_a_spawned_one() {
    for script in [
        r#"echo "$0 $1 $#"; pwd; echo oops >&2; exit 3"#,
        "tr '\\0' '\\n' < /proc/self/environ | grep -v '^_='; env | grep -v '^_='",
        "cat; readlink /proc/self/fd/0; ls /proc/self/fd | wc -l",
        "kill -SEGV $$",
        "kill -KILL $$",
        "trap; ulimit -a; umask",
        r#"set -- $(cat /proc/$$/stat); [ "$1" = "$5" ] && echo leads its group"#,
        "grep -E 'Sig(Blk|Ign|Cgt)' /proc/self/status",
    ] {
        let [spawned, forked] = both_ways(script);
        assert_eq!(spawned, forked, "{script}");
    }
}

#[test]
fn flushes_are_skipped_unless_durable_is_set() {
    // The kernel refuses to flush a pipe, so an error shows that the flush was executed.
    let dd = Path::new("/bin/dd").canonicalize().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let arguments = [
        "if=/dev/null",
        "of=/dev/stdout",
        "conv=fsync",
        "status=none",
    ];
    let arguments = arguments.map(str::to_owned);
    let endings = [false, true].map(|durable| {
        let launcher = Launcher::new(ExecMode::Fork, durable);
        assert_eq!(launcher.objection(&dd), None);
        let invocation = call(&dd, &arguments, scratch.path());
        launcher.run(&invocation).unwrap().ending
    });
    assert_eq!(endings, [Ending::Exited(0), Ending::Exited(1)]);
}

#[test]
fn a_forked_call_is_killed_at_its_limit_with_its_group_and_the_next_call_works() {
    let scratch = tempfile::tempdir().unwrap();
    let launcher = forking();
    let started = Instant::now();
    let script = "echo before; sleep 987654 & echo $!; wait";
    let finished = run_in(&launcher, scratch.path(), script, Duration::from_secs(1));
    let Ending::TimedOut(post_mortem) = &finished.ending else {
        panic!("{finished:?}");
    };
    assert_eq!(post_mortem.processes.len(), 2, "{post_mortem}");
    assert!(started.elapsed() < LONG);
    let said = finished.stdout.text();
    let grandchild = said.lines().nth(1).unwrap();
    // The killed process needs some processor time to exit.
    let is_there = || {
        let state = std::fs::read_to_string(format!("/proc/{grandchild}/stat")).unwrap_or_default();
        state.contains("(sleep)") && !state.contains(") Z ")
    };
    while is_there() {
        assert!(started.elapsed() < LONG, "it was not killed");
        std::thread::sleep(Duration::from_millis(1));
    }
    let finished = run_in(&launcher, scratch.path(), "echo next", LONG);
    assert_eq!(finished.ending, Ending::Exited(0));
    assert_eq!(finished.stdout.text(), "next\n");
}

#[test]
fn a_tool_that_kills_its_fork_server_fails_only_its_own_call() {
    let scratch = tempfile::tempdir().unwrap();
    let launcher = forking();
    // Only the fork server has the tool's own name; kill no other parent.
    let script = r#"read own < /proc/$$/comm; read other < /proc/$PPID/comm
        [ "$own" = "$other" ] && kill -KILL $PPID; sleep 0.2; echo here"#;
    let finished = run_in(&launcher, scratch.path(), script, LONG);
    assert_eq!(finished.ending, Ending::Signaled(9), "{finished:?}");
    let finished = run_in(&launcher, scratch.path(), "echo next", LONG);
    assert_eq!(finished.stdout.text(), "next\n");
}

#[test]
fn programs_that_cannot_be_forked_are_spawned_with_a_notice() {
    let scratch = tempfile::tempdir().unwrap();
    let script = scratch.path().join("script");
    std::fs::write(&script, "#!/bin/sh\necho script\n").unwrap();
    let set_id = scratch.path().join("set_id");
    std::fs::copy(shell(), &set_id).unwrap();
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(&set_id, std::fs::Permissions::from_mode(0o4755)).unwrap();
    let launcher = Launcher::new(ExecMode::Fork, false);
    for (program, reason) in [(&script, "it is a script"), (&set_id, "it is set-user-ID")] {
        let objection = launcher.objection(program).unwrap();
        assert!(objection.starts_with(reason), "{objection}");
    }
    let invocation = call(&script, &[], scratch.path());
    assert_eq!(launcher.run(&invocation).unwrap().stdout.text(), "script\n");
    let lines = launcher.fallbacks();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].ends_with("script is started anew for every call: it is a script"));
}

#[test]
fn a_replaced_program_is_loaded_again() {
    let scratch = tempfile::tempdir().unwrap();
    let program = scratch.path().join("program");
    std::fs::copy(shell(), &program).unwrap();
    let launcher = Launcher::new(ExecMode::Fork, false);
    assert_eq!(launcher.objection(&program), None);
    let other = scratch.path().join("other");
    std::fs::copy("/bin/echo", &other).unwrap();
    std::fs::rename(&other, &program).unwrap();
    let arguments = ["new".to_owned()];
    let invocation = call(&program, &arguments, scratch.path());
    assert_eq!(launcher.run(&invocation).unwrap().stdout.text(), "new\n");
}

#[test]
fn no_server_outlives_its_launcher() {
    let scratch = tempfile::tempdir().unwrap();
    let launcher = forking();
    let finished = run_in(&launcher, scratch.path(), "echo $PPID", LONG);
    let server = finished.stdout.text().trim().to_owned();
    assert!(Path::new("/proc").join(&server).exists());
    drop(launcher);
    assert!(!Path::new("/proc").join(&server).exists());
}

#[test]
fn the_check_mode_detects_a_tool_that_behaves_differently_when_forked() {
    let scratch = tempfile::tempdir().unwrap();
    let launcher = Launcher::new(ExecMode::Check, false);
    assert_eq!(launcher.objection(&shell()), None);
    std::fs::write(scratch.path().join("image"), "data").unwrap();
    run_in(
        &launcher,
        scratch.path(),
        "cat image; echo more >> image",
        LONG,
    );
    assert_eq!(launcher.compared(), Some((1, 0, None)));
    // The file is restored before the second call.
    assert_eq!(
        std::fs::read(scratch.path().join("image")).unwrap(),
        b"datamore\n"
    );
    // The parent process differs between the two modes.
    run_in(&launcher, scratch.path(), "echo $PPID", LONG);
    run_in(
        &launcher,
        scratch.path(),
        "head -c $((PPID % 1000)) /dev/zero > new",
        LONG,
    );
    let (calls, differed, first) = launcher.compared().unwrap();
    assert_eq!((calls, differed), (3, 2));
    assert!(first.unwrap().contains("standard output"));
}

/// Compiles `tests/plain/farewell.rs` into `directory`.
fn program_with_a_library(directory: &Path) -> PathBuf {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/plain/farewell.rs");
    let (library, program) = (directory.join("libgreeting.so"), directory.join("program"));
    let linked = format!(
        "-Clink-args=-L{0} -lgreeting -Wl,-rpath,{0}",
        directory.display()
    );
    let of_library = ["--cfg", "library", "--crate-type", "cdylib"];
    for (made, flags) in [(&library, &of_library[..]), (&program, &[&linked])] {
        let compiled = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
            .args(["--edition", "2024", "--check-cfg", "cfg(library)", "-o"])
            .arg(made)
            .args(flags)
            .arg(source)
            .output()
            .unwrap();
        assert!(
            compiled.status.success(),
            "{}",
            String::from_utf8_lossy(&compiled.stderr)
        );
    }
    program
}

#[test]
fn exit_hooks_of_libraries_run_for_candidates_but_not_for_the_reference() {
    let scratch = tempfile::tempdir().unwrap();
    let program = program_with_a_library(scratch.path());
    let said = |launcher: &Launcher| {
        let finished = launcher.run(&call(&program, &[], scratch.path()));
        let Finished {
            ending,
            stdout,
            stderr,
            ..
        } = finished.unwrap();
        assert_eq!(ending, Ending::Exited(0));
        assert_eq!(stdout.text(), "not flushed by the program");
        stderr.text()
    };
    let launcher = Launcher::new(ExecMode::Fork, false);
    assert_eq!(launcher.objection(&program), None);
    let whole = "library works\nprogram ends\nlibrary ends\n";
    assert_eq!(said(&launcher), whole);
    assert_eq!(
        said(&launcher.for_reference()),
        "library works\nprogram ends\n"
    );
    // Another call of the candidate, with the same server.
    assert_eq!(said(&launcher), whole);
    let spawned = Launcher::new(ExecMode::Spawn, false);
    assert_eq!(said(&spawned.for_reference()), whole);
}
