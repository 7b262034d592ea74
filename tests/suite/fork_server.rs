//! The fork server compared with plain spawning: arguments, directory, environment, streams, exit statuses and limits are the same. Also:
//! programs that cannot be forked, and cleanup.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(all(target_os = "linux", target_env = "gnu"))]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use imgduel::process::{Ending, Finished, Invocation, SandboxPolicy};
use imgduel::tool::launcher::{ExecMode, Launcher};

use crate::ring;

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
pub fn call<'call>(
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
    let compared = || launcher.compared().unwrap();
    assert_eq!((compared().calls, compared().differed), (1, 0));
    // The file is restored before the second call.
    assert_eq!(
        std::fs::read(scratch.path().join("image")).unwrap(),
        b"datamore\n"
    );
    // A forked call's parent is its own program.
    let way =
        "[ \"$(cat /proc/$PPID/comm)\" = \"$(cat /proc/$$/comm)\" ] && way=forked || way=spawned";
    let run = |rest: &str| run_in(&launcher, scratch.path(), &format!("{way}; {rest}"), LONG);
    run("echo $way");
    run("printf %s $way > new");
    // The length is the same, the bytes are not.
    run("printf %8s $way > new");
    // It is not the same twice, however it is started; the file stays as the forked call left it.
    let finished = run_in(&launcher, scratch.path(), "echo $$ > own; cat own", LONG);
    let own = std::fs::read_to_string(scratch.path().join("own")).unwrap();
    assert_eq!(own, finished.stdout.text());
    let found = compared();
    assert_eq!((found.calls, found.differed, found.unsteady), (5, 3, 1));
    assert!(found.first.unwrap().contains("standard output"));
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

/// Runs a program of QEMU with these words by a launcher for the reference.
#[cfg(not(missing_qemu_img))]
pub fn qemu(launcher: &Launcher, words: &str, directory: &Path, fault: Option<&str>) -> Finished {
    let mut words = words.split(' ').map(str::to_owned);
    let program = which::which(words.next().unwrap()).unwrap();
    let arguments: Vec<String> = words.collect();
    let fault = fault.map(|fault| ("IMGDUEL_FAULT".into(), fault.into()));
    let invocation = Invocation {
        environment: fault.as_slice(),
        ..call(&program, &arguments, directory)
    };
    launcher.run(&invocation).unwrap()
}

#[test]
#[cfg(not(missing_qemu_img))]
fn a_forked_qemu_img_makes_a_key_without_a_benchmark_that_any_other_opens() {
    let scratch = tempfile::tempdir().unwrap();
    let launcher = forking().for_qemu(false);
    let line = "qemu-img create -f qcow2 --object secret,id=s,data=right -o encrypt.format=luks,encrypt.key-secret=s image 1M";
    let finished = qemu(&launcher, line, scratch.path(), None);
    assert_eq!(finished.ending, Ending::Exited(0));
    // The benchmark alone takes half a second of CPU time for each of two keys.
    assert!(finished.cpu < Duration::from_millis(500), "{finished:?}");
    let plainly = |words: &str| {
        let output = Command::new("qemu-img")
            .args(words.split(' '))
            .current_dir(scratch.path())
            .output()
            .unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.success(), stdout)
    };
    let (_, told) = plainly("info --output=json image");
    assert!(told.contains("\"iters\": 1000,"), "{told}");
    for (secret, opens) in [("right", true), ("wrong", false)] {
        let words = format!(
            "map --object secret,id=s,data={secret} --image-opts driver=qcow2,file.filename=image,encrypt.key-secret=s"
        );
        assert_eq!(plainly(&words).0, opens, "{secret}");
    }
}

#[test]
#[cfg(not(missing_qemu_img))]
fn workers_inside_the_first_thread_leave_the_same_files_and_words() {
    let scratch = tempfile::tempdir().unwrap();
    let launcher = Launcher::new(ExecMode::Check, false)
        .for_reference()
        .for_qemu(true);
    let lines = [
        "qemu-img create -f qcow2 -o cluster_size=512,preallocation=full below 300k",
        "qemu-io -f qcow2 -c write\u{a0}-P\u{a0}7\u{a0}1k\u{a0}90k -c aio_write\u{a0}-P\u{a0}9\u{a0}0\u{a0}64k -c aio_flush below",
        "qemu-img create -f qcow2 -b below -F qcow2 image 1M",
        "qemu-io -f qcow2 -c discard\u{a0}4k\u{a0}8k -c read\u{a0}-P\u{a0}7\u{a0}80k\u{a0}4k image",
        "qemu-img convert -O qcow2 -c image compressed",
        "qemu-img convert -m 8 -W -O raw image flat",
        "qemu-img dd -f qcow2 -O qcow2 bs=512 if=compressed of=copy",
        "qemu-img compare copy flat",
        "qemu-img commit -f qcow2 image",
        "qemu-img check --output=json copy",
        "qemu-img map --output=json below",
        "qemu-img bench -f qcow2 -w -c 40 -s 4096 copy",
    ];
    for line in lines {
        let words: Vec<String> = line
            .split(' ')
            .map(|word| word.replace('\u{a0}', " "))
            .collect();
        let program = which::which(&words[0]).unwrap();
        let finished = launcher.run(&call(&program, &words[1..], scratch.path()));
        assert_eq!(finished.unwrap().ending, Ending::Exited(0), "{line}");
    }
    let compared = launcher.compared().unwrap();
    assert_eq!((compared.calls, compared.first), (lines.len() as u64, None));
}

#[test]
#[cfg(not(missing_qemu_img))]
fn a_write_that_fails_inside_the_first_thread_is_seen() {
    let scratch = tempfile::tempdir().unwrap();
    let launcher = forking().for_reference().for_qemu(true);
    let run = |words: &str, fault| qemu(&launcher, words, scratch.path(), fault).ending;
    assert_eq!(
        run("qemu-img create -f qcow2 image 1M", None),
        Ending::Exited(0)
    );
    let dd = "qemu-img dd -f qcow2 -O raw bs=64k if=image of=copy";
    assert_eq!(run(dd, Some("write:3:eio")), Ending::Exited(1));
    assert_eq!(run(dd, None), Ending::Exited(0));
}

#[test]
#[cfg(not(missing_qemu_img))]
fn the_check_mode_compares_no_call_that_has_a_fault() {
    let scratch = tempfile::tempdir().unwrap();
    let launcher = Launcher::new(ExecMode::Check, false).for_qemu(true);
    let create = "qemu-img create -f qcow2 image 1M";
    let run = |fault| qemu(&launcher, create, scratch.path(), fault).ending;
    assert_eq!(run(Some("write:1:eio")), Ending::Exited(1));
    let compared = || launcher.compared().unwrap();
    assert_eq!(compared().calls, 0);
    assert_eq!(run(None), Ending::Exited(0));
    assert_eq!((compared().calls, compared().differed), (1, 0));
}

#[test]
fn the_servers_of_a_directory_that_was_removed_end_when_another_one_gets_its_own() {
    let launcher = forking();
    let confined = SandboxPolicy::default();
    let server_of_a_call_in = |root: &Path| {
        let directory = root.join("case/candidate");
        std::fs::create_dir_all(&directory).unwrap();
        let arguments = ["-c".to_owned(), "echo $PPID".to_owned()];
        let finished = launcher.run(&Invocation {
            sandbox: Some(&confined),
            ..call(&shell(), &arguments, &directory)
        });
        let number = finished.unwrap().stdout.text().trim().to_owned();
        Path::new("/proc").join(number)
    };
    let [first, second] = [(), ()].map(|()| ring::scratch());
    let server = server_of_a_call_in(first.path());
    assert_eq!(server_of_a_call_in(first.path()), server);
    assert!(server.exists());
    drop(first);
    let another = server_of_a_call_in(second.path());
    assert!(!server.exists() && another.exists());
}
