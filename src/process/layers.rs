//! The parts of the sandbox, each tested on this machine.
//!
//! `imgduel tools` and the head of a run show them. Only the thread that tests is confined.

use landlock::RulesetStatus;

use super::{confinement, namespaces, refusal, zygote};

/// A part of the sandbox, and whether this machine has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxLayer {
    /// What it does.
    pub name: &'static str,
    /// Why it is missing, completely or partly; `None` if it is available.
    pub missing: Option<String>,
}

/// Tests every part of the sandbox on this machine.
pub fn layers() -> Vec<SandboxLayer> {
    let in_thread = |attempt: fn() -> Option<String>| {
        let tried = std::thread::spawn(attempt).join();
        tried.unwrap_or_else(|_| Some("it could not be tried".to_owned()))
    };
    let landlock = in_thread(|| match confinement::restrict(&std::env::temp_dir()) {
        Ok(RulesetStatus::FullyEnforced) => None,
        Ok(RulesetStatus::PartiallyEnforced) => Some(
            "in part: the kernel's Landlock is older than 6.12 (TCP or signals are not covered)"
                .to_owned(),
        ),
        Ok(RulesetStatus::NotEnforced) => {
            Some("the kernel has no Landlock, or it is switched off".to_owned())
        }
        Err(error) => Some(error.to_string()),
    });
    let seccomp = in_thread(refusal::objection);
    let zygote = zygote::program().err().map(|why| {
        format!("{why}: limits are set just after the start, and descriptors that imgduel inherited are handed on")
    });
    let layer = |name, missing| SandboxLayer { name, missing };
    vec![
        layer(
            "zygote: limits from the first instruction, no inherited descriptors",
            zygote,
        ),
        layer(
            "rlimits: address space, file size, open files, CPU, no core dumps",
            None,
        ),
        layer("watch: memory in use, processes, disk quota", None),
        layer(
            "Landlock: writes below the scratch directory only, no TCP, no signals to others",
            landlock,
        ),
        layer(
            "seccomp: no sockets, new sessions, IPC that stays, owners or attributes of files, limits or memory of other processes, terminal settings, namespaces, io_uring; flushes off",
            seccomp,
        ),
        layer(
            "capabilities: root's tools have none but to read what others own",
            None,
        ),
        layer(
            "session and orphans: no terminal; what leaves its process group is found and ended",
            zygote::program().err().map(str::to_owned),
        ),
        layer(
            "namespaces: everything read-only but the run's directory (rights, times and owners of files too), no System V IPC, no network",
            namespaces::objection(),
        ),
    ]
}
