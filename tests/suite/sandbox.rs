//! The sandbox: resource limits and permissions, each tested with a script that tries to exceed it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    clippy::print_stdout,
    reason = "the ignored tests print figures to be looked at"
)]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use imgduel::process::{
    Ending, Finished, HitLimit, Invocation, Limit, Limits, SandboxPolicy, layers, run,
};
use imgduel::tool::launcher::{ExecMode, Launcher};

/// Runs a shell script in a sandbox.
fn sandboxed(directory: &Path, sandbox: &SandboxPolicy, script: &str) -> Finished {
    let arguments = ["-c".to_owned(), script.to_owned()];
    run(&Invocation {
        memory_bytes_max: None,
        program: Path::new("/bin/sh"),
        arguments: &arguments,
        directory,
        limit: Duration::from_secs(90),
        grace: Duration::ZERO,
        sandbox: Some(sandbox),
        environment: &[],
        input: None,
    })
    .unwrap()
}

/// Runs a shell script in a sandbox, started by a launcher in this mode.
fn launched(mode: ExecMode, directory: &Path, sandbox: &SandboxPolicy, script: &str) -> Finished {
    let arguments = ["-c".to_owned(), script.to_owned()];
    let launcher = Launcher::new(mode, false);
    let shell = Path::new("/bin/sh").canonicalize().unwrap();
    if mode == ExecMode::Fork {
        assert_eq!(launcher.objection(&shell), None);
    }
    let invocation = Invocation {
        memory_bytes_max: None,
        program: &shell,
        arguments: &arguments,
        directory,
        limit: Duration::from_secs(90),
        grace: Duration::ZERO,
        sandbox: Some(sandbox),
        environment: &[],
        input: None,
    };
    launcher.run(&invocation).unwrap()
}

/// Returns the limit that `script` exceeds when it is forked.
fn forked_hit(limits: Limits, script: &str) -> HitLimit {
    let scratch = tempfile::tempdir().unwrap();
    let side = scratch.path().join("case/side");
    std::fs::create_dir_all(&side).unwrap();
    let sandbox = SandboxPolicy {
        limits: Some(limits),
        ..SandboxPolicy::default()
    };
    let finished = launched(ExecMode::Fork, &side, &sandbox, script);
    match finished.ending {
        Ending::HitLimit(hit) => hit,
        _ => panic!("{script}: {finished:?}"),
    }
}

/// Returns the limit that `script` exceeds. Asserts that the script ends quickly.
fn hit(limits: Limits, script: &str) -> HitLimit {
    let scratch = tempfile::tempdir().unwrap();
    let sandbox = SandboxPolicy {
        limits: Some(limits),
        ..SandboxPolicy::default()
    };
    let finished = sandboxed(scratch.path(), &sandbox, script);
    match finished.ending {
        Ending::HitLimit(hit) => hit,
        _ => panic!("{script}: {finished:?}"),
    }
}

#[test]
fn each_exceeded_limit_is_reported_by_name() {
    let few = Limits {
        memory_bytes: 64 << 20,
        file_bytes: 1 << 20,
        processes: 20,
        cpu_seconds: Some(1),
        scratch_bytes: 32 << 20,
        ..Limits::default()
    };
    // dd allocates a buffer of the block size.
    let greedy = "dd if=/dev/zero of=/dev/null bs=300M count=100 & wait";
    let hits = [
        (Limit::Memory, greedy),
        (Limit::FileSize, "exec head -c 2000000 /dev/zero > file"),
        (Limit::Cpu, "while :; do :; done"),
        (
            Limit::Processes,
            "while :; do sleep 20 & sleep 20 & sleep 0.01; done",
        ),
        (
            Limit::DiskQuota,
            "i=0; while :; do i=$((i+1)); head -c 1000000 /dev/zero > $i; done",
        ),
    ];
    std::thread::scope(|scope| {
        for (limit, script) in hits {
            let few = few.clone();
            scope.spawn(move || assert_eq!(hit(few, script).limit, limit, "{script}"));
        }
    });
    let little = Limits {
        address_space_bytes: 64 << 20,
        open_files: 8,
        ..Limits::default()
    };
    let vast = hit(little.clone(), "exec dd if=/dev/zero of=/dev/null bs=300M");
    assert_eq!(vast.limit, Limit::Memory);
    let files = "exec 3<. 4<. 5<. 6<. 7<. 8<. 9<.; cat /dev/null";
    assert_eq!(hit(little, files).limit, Limit::OpenFiles);
}

/// Deleted files and shared memory, which neither directory listings nor process memory show.
#[test]
#[cfg_attr(missing_python, ignore = "python3 is not here")]
fn deleted_files_and_shared_memory_count_towards_the_limits() {
    let little = |scratch_bytes: u64, memory_bytes: u64| Limits {
        scratch_bytes,
        memory_bytes,
        ..Limits::default()
    };
    let (disk, memory) = (little(16 << 20, 1 << 30), little(1 << 30, 96 << 20));
    let deep = "i=0; while [ $i -lt 30 ]; do i=$((i+1)); mkdir d; cd d; done; head -c 32M /dev/zero > file; sleep 60";
    let shut = "mkdir d; head -c 32M /dev/zero > d/file; chmod 0 d; sleep 60";
    let endless = "while mkdir d && cd -P d; do :; done; sleep 60";
    let nameless = "exec 3>file; rm file; head -c 32M /dev/zero >&3; sleep 60";
    let elsewhere = "setsid -f true 2>&-; set -m; (exec 3>file; rm file; head -c 32M /dev/zero >&3; exec sleep 60) & sleep 60";
    let python = which::which("python3").unwrap();
    let python = |script: &str| format!("exec {} -c '{script}'", python.display());
    let mapped = python(
        "import mmap, os, time; f = open(\"file\", \"w+b\"); f.truncate(32 << 20); m = mmap.mmap(f.fileno(), 0); f.close(); \
         os.unlink(\"file\"); m.write(bytes(32 << 20)); time.sleep(60)",
    );
    let in_memory = python(
        "import os, time; f = os.memfd_create(\"x\"); [os.write(f, bytes(1 << 20)) for _ in range(160)]; time.sleep(60)",
    );
    let hits = [
        (Limit::DiskQuota, &disk, deep),
        (Limit::DiskQuota, &disk, shut),
        (Limit::DiskQuota, &disk, endless),
        (Limit::DiskQuota, &disk, nameless),
        (Limit::DiskQuota, &disk, elsewhere),
        (Limit::DiskQuota, &disk, mapped.as_str()),
        (Limit::Memory, &memory, in_memory.as_str()),
    ];
    std::thread::scope(|scope| {
        for (limit, limits, script) in hits {
            for hit in [hit, forked_hit] {
                let limits = limits.clone();
                scope.spawn(move || assert_eq!(hit(limits, script).limit, limit, "{script}"));
            }
        }
    });
}

/// Starts a tool that ends within a millisecond a hundred times, while other threads compete for every processor.
#[test]
fn limits_hold_from_the_first_instruction() {
    let scratch = tempfile::tempdir().unwrap();
    let sandbox = SandboxPolicy {
        limits: Some(Limits {
            file_bytes: 512 << 20,
            open_files: 77,
            address_space_bytes: 2 << 30,
            cpu_seconds: Some(7),
            ..Limits::default()
        }),
        ..SandboxPolicy::default()
    };
    let script = "echo $(ulimit -n) $(ulimit -c) $(ulimit -t) $(ulimit -v) $(ulimit -f)";
    // The shell's ulimit counts kibibytes and blocks of 512 bytes.
    let expected = format!("77 0 7 {} {}\n", 2 << 20, 1 << 20);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        // Each start waits for a processor, and the other tests wait meanwhile.
        let said: BTreeSet<String> = (0..12)
            .map(|_| sandboxed(scratch.path(), &sandbox, script).stdout.text())
            .collect();
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(said, BTreeSet::from([expected.clone()]));
    });
    // Canary: without a sandbox the output differs.
    assert_ne!(
        sandboxed(scratch.path(), &SandboxPolicy::OPEN, script)
            .stdout
            .text(),
        expected
    );
}

#[test]
fn tools_do_not_inherit_descriptors() {
    let scratch = tempfile::tempdir().unwrap();
    let secret = tempfile::Builder::new()
        .prefix("secret-")
        .tempfile()
        .unwrap();
    rustix::io::fcntl_setfd(secret.as_file(), rustix::io::FdFlags::empty()).unwrap();
    let script = "ls -l /proc/self/fd /proc/$$/fd";
    for mode in [ExecMode::Spawn, ExecMode::Fork] {
        for sandbox in [SandboxPolicy::default(), SandboxPolicy::OPEN] {
            let seen = launched(mode, scratch.path(), &sandbox, script)
                .stdout
                .text();
            assert!(
                seen.contains("pipe:") && !seen.contains("secret-"),
                "{seen}"
            );
        }
    }
    // Canary: a child that is started without the harness inherits it.
    let seen = std::process::Command::new("/bin/sh")
        .args(["-c", script])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&seen.stdout).contains("secret-"));
}

#[test]
fn a_call_cannot_write_to_its_neighbours_scratch_directory() {
    let place = tempfile::tempdir().unwrap();
    let [own, neighbour] = ["case/own", "other/neighbour"].map(|name| place.path().join(name));
    for directory in [&own, &neighbour] {
        std::fs::create_dir_all(directory).unwrap();
    }
    let script = "echo mine > mine; echo x > ../../other/neighbour/new; echo x > ../new; true";
    let new = neighbour.join("new");
    for mode in [ExecMode::Spawn, ExecMode::Fork] {
        let finished = launched(mode, &own, &SandboxPolicy::default(), script);
        assert_eq!(finished.ending, Ending::Exited(0), "{finished:?}");
        assert!(own.join("mine").exists() && !new.exists(), "{mode}");
        assert!(!place.path().join("case/new").exists(), "{mode}");
        // Canary: without the sandbox the write succeeds.
        launched(mode, &own, &SandboxPolicy::OPEN, script);
        assert!(new.exists() && place.path().join("case/new").exists());
        for file in [own.join("mine"), new.clone(), place.path().join("case/new")] {
            std::fs::remove_file(file).unwrap();
        }
    }
}

#[test]
fn a_tool_that_kills_its_spawn_helper_fails_only_its_own_call() {
    let scratch = tempfile::tempdir().unwrap();
    let script = r#"read parent < /proc/$PPID/comm; [ "$parent" = imgduel-zygote ] && kill -KILL $PPID; sleep 0.2"#;
    let script = format!("echo once >> runs; {script}");
    for calls in 1..=3 {
        let finished = sandboxed(scratch.path(), &SandboxPolicy::OPEN, &script);
        assert_eq!(finished.ending, Ending::Signaled(9), "{finished:?}");
        let runs = std::fs::read_to_string(scratch.path().join("runs")).unwrap();
        assert_eq!(runs.lines().count(), calls);
    }
    // In the sandbox it cannot.
    let finished = sandboxed(scratch.path(), &SandboxPolicy::default(), &script);
    assert_eq!(finished.ending, Ending::Exited(0), "{finished:?}");
    for sandbox in [SandboxPolicy::OPEN, SandboxPolicy::default()] {
        let finished = sandboxed(scratch.path(), &sandbox, "echo next");
        assert_eq!(finished.stdout.text(), "next\n");
    }
}

#[test]
fn a_tool_can_write_only_to_its_scratch_directory() {
    let place = tempfile::tempdir().unwrap();
    let (scratch, outside) = (place.path().join("scratch"), place.path().join("outside"));
    std::fs::create_dir(&scratch).unwrap();
    std::fs::write(&outside, "as it was").unwrap();
    let script = "echo mine > mine; mkdir below && mv mine below/; echo x > ../new; echo x > ../outside; \
                  ln ../outside hard && echo x > hard; ln -s ../outside soft && echo x > soft; truncate -s 1 ../outside; rm ../outside; true";
    let finished = sandboxed(&scratch, &SandboxPolicy::default(), script);
    assert_eq!(finished.ending, Ending::Exited(0), "{finished:?}");
    assert_eq!(std::fs::read_to_string(&outside).unwrap(), "as it was");
    assert!(!place.path().join("new").exists());
    assert_eq!(
        std::fs::read_to_string(scratch.join("below/mine")).unwrap(),
        "mine\n"
    );
    // Canary: without the sandbox the same script succeeds.
    sandboxed(&scratch, &SandboxPolicy::OPEN, script);
    assert!(!outside.exists() && place.path().join("new").exists());
}

/// A Python program that tries to open sockets and to create a session.
const ASKS: &str = "import socket, os
def told(what):
    try: what(); return 'yes'
    except OSError as error: return os.strerror(error.errno)
print(told(lambda: socket.socket(socket.AF_INET)), told(lambda: socket.socket(socket.AF_INET6)), told(lambda: socket.socket(socket.AF_UNIX)), sep=',', flush=True)
pid = os.fork()
if pid == 0:
    print(told(os.setsid), told(lambda: os.kill(int(os.environ['TMPDIR'].rsplit('.', 1)[1]), 0)), sep=',', flush=True)
    os._exit(0)
os.wait()
";

#[test]
#[cfg_attr(missing_python, ignore = "python3 is not here")]
fn a_tool_has_no_network_and_cannot_create_a_session_or_signal_other_processes() {
    let python = which::which("python3").unwrap();
    let place = tempfile::tempdir().unwrap();
    let scratch = place.path().join(format!("for.{}", std::process::id()));
    std::fs::create_dir(&scratch).unwrap();
    let ask = |sandbox: &SandboxPolicy| {
        let script = format!("exec {} -c \"{ASKS}\"", python.display());
        let finished = sandboxed(&scratch, sandbox, &script);
        finished
            .stdout
            .text()
            .lines()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let refused = "Operation not permitted";
    let sandboxed = ask(&SandboxPolicy::default());
    assert_eq!(sandboxed[0], format!("{refused},{refused},{refused}"));
    assert_eq!(sandboxed.last().unwrap(), &format!("{refused},{refused}"));
    let free = ask(&SandboxPolicy::OPEN);
    assert_eq!(
        (free[0].as_str(), free.last().unwrap().as_str()),
        ("yes,yes,yes", "yes,yes")
    );
}

#[test]
fn disabled_flushes_succeed_without_effect() {
    // This needs a disk: in memory, flushes have no measurable effect.
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let script =
        "i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo $i > file; sync file || exit 1; done";
    let on = sandboxed(scratch.path(), &SandboxPolicy::default(), script);
    let off = sandboxed(
        scratch.path(),
        &SandboxPolicy::default().without_flushes(),
        script,
    );
    assert_eq!(
        [on.ending, off.ending],
        [Ending::Exited(0), Ending::Exited(0)]
    );
    assert_eq!(
        std::fs::read_to_string(scratch.path().join("file")).unwrap(),
        "60\n"
    );
}

#[test]
#[ignore = "prints what the sandbox costs: a figure to look at"]
fn sandbox_overhead_of_one_call() {
    let scratch = tempfile::tempdir().unwrap();
    for (name, sandbox) in [
        ("open", SandboxPolicy::OPEN),
        ("sandboxed", SandboxPolicy::default()),
        ("open", SandboxPolicy::OPEN),
        ("sandboxed", SandboxPolicy::default()),
    ] {
        let started = Instant::now();
        for _ in 0..500 {
            sandboxed(scratch.path(), &sandbox, "exit 0");
        }
        println!("{name}: {:?} a call", started.elapsed() / 500);
    }
    println!("{:#?}", layers());
}
