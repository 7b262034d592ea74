//! What the kernel enforces on a thread and everything that it starts: Landlock and seccomp, both for anybody, without
//! privileges, and for good.
//!
//! Entered by the cage, in a thread that does nothing but start a starter or one tool, or by a child itself before it is the tool. Reading is not restricted: a tool may read whatever the person
//! who started imgduel may read. Where Landlock or seccomp is missing, [`layers`] says so.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{LazyLock, OnceLock};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetStatus, Scope,
};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, socket};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};

use super::starter;

/// Files outside the scratch directory that may be written to: what is written there is gone, and the devices through which an
/// instar runs its guest.
const WRITABLE: [&str; 4] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/kvm"];

/// The system calls that flush.
const FLUSHES: [i64; 5] = [
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_sync,
    libc::SYS_syncfs,
    libc::SYS_sync_file_range,
];

/// The calling thread may write below `directory` only; it may not use TCP, nor signal anybody outside. Kernels that know only
/// part of this enforce that part.
pub(super) fn write_only_below(directory: &Path) -> io::Result<()> {
    restrict(directory).map(drop).map_err(io::Error::other)
}

/// What a child restricts itself by in the same way; nothing where the kernel has no Landlock.
pub(super) fn ruleset_below(directory: &Path) -> io::Result<Option<OwnedFd>> {
    ruleset(directory).map(Into::into).map_err(io::Error::other)
}

fn restrict(directory: &Path) -> Result<RulesetStatus, Failure> {
    Ok(ruleset(directory)?.restrict_self()?.ruleset)
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn ruleset(directory: &Path) -> Result<RulesetCreated, Failure> {
    static OUTSIDE: LazyLock<Vec<PathFd>> =
        LazyLock::new(|| WRITABLE.into_iter().flat_map(PathFd::new).collect());
    // What reads or writes a device's settings (ABI 5) is left alone: terminals and /dev/kvm live by it.
    let writing = AccessFs::from_write(ABI::V3);
    let into_files: BitFlags<AccessFs> = AccessFs::WriteFile | AccessFs::Truncate;
    let mut ruleset = Ruleset::default()
        .handle_access(writing)?
        .handle_access(AccessNet::from_all(ABI::V4))?
        .scope(Scope::from_all(ABI::V6))?
        .create()?
        .add_rule(PathBeneath::new(PathFd::new(directory)?, writing))?;
    for file in OUTSIDE.iter() {
        ruleset = ruleset.add_rule(PathBeneath::new(file, into_files))?;
    }
    Ok(ruleset)
}

/// The calling thread may open no socket but a local one, may not leave its session, and does its input and output by system calls
/// that can be seen.
pub(super) fn refuse_calls() -> io::Result<()> {
    static NOT_PERMITTED: OnceLock<Option<BpfProgram>> = OnceLock::new();
    static NOT_THERE: OnceLock<Option<BpfProgram>> = OnceLock::new();
    apply(&NOT_PERMITTED, || {
        let not_local = SeccompCondition::new(
            0,
            SeccompCmpArgLen::Dword,
            SeccompCmpOp::Ne,
            libc::AF_UNIX as u64,
        )?;
        let rules = [
            (libc::SYS_socket, vec![SeccompRule::new(vec![not_local])?]),
            (libc::SYS_setsid, Vec::new()),
        ];
        Ok((rules.into(), libc::EPERM))
    })?;
    // A program that wants it falls back to plain system calls.
    let rules = || {
        Ok((
            [(libc::SYS_io_uring_setup, Vec::new())].into(),
            libc::ENOSYS,
        ))
    };
    apply(&NOT_THERE, rules)
}

/// Whether this process was started with what [`refuse_calls`] does, as a kept worker is: once more would cost each of its
/// requests two filters. Not to be asked first by a thread that has entered them itself.
pub(super) fn calls_are_refused() -> bool {
    static REFUSED: OnceLock<bool> = OnceLock::new();
    *REFUSED.get_or_init(|| {
        let tried = socket(AddressFamily::INET, SocketType::DGRAM, None);
        tried.is_err_and(|error| error == Errno::PERM)
    })
}

/// Flushes of the calling thread succeed without being done. A scratch directory needs no durability.
pub(super) fn flush_nothing() -> io::Result<()> {
    static DONE: OnceLock<Option<BpfProgram>> = OnceLock::new();
    let rules = || {
        Ok((
            FLUSHES.into_iter().map(|call| (call, Vec::new())).collect(),
            0,
        ))
    };
    apply(&DONE, rules)
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Applies a filter that is made once: these system calls fail with this error, or succeed undone with 0.
fn apply(
    once: &OnceLock<Option<BpfProgram>>,
    rules: impl Fn() -> Result<(Rules, i32), seccompiler::BackendError>,
) -> io::Result<()> {
    let make = || {
        let architecture = TargetArch::try_from(std::env::consts::ARCH).ok()?;
        let (rules, error) = rules().ok()?;
        let refusal = SeccompAction::Errno(error as u32);
        let filter = SeccompFilter::new(rules, SeccompAction::Allow, refusal, architecture).ok()?;
        filter.try_into().ok()
    };
    match once.get_or_init(make) {
        Some(program) => apply_filter(program).map_err(io::Error::other),
        // seccompiler does not know this architecture, which `layers` tells.
        None => Ok(()),
    }
}

/// A part of the cage, and whether this machine has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CageLayer {
    /// What it does.
    pub name: &'static str,
    /// Why it is missing, wholly or in part; none: it is there.
    pub missing: Option<String>,
}

/// Every part of the cage, tried out on this machine.
pub fn layers() -> Vec<CageLayer> {
    let in_thread = |attempt: fn() -> Option<String>| {
        let tried = std::thread::spawn(attempt).join();
        tried.unwrap_or_else(|_| Some("it could not be tried".to_owned()))
    };
    let landlock = in_thread(|| match restrict(&std::env::temp_dir()) {
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
    let seccomp = in_thread(|| {
        let known = TargetArch::try_from(std::env::consts::ARCH);
        let tried = refuse_calls().and_then(|()| flush_nothing());
        let unknown = known
            .err()
            .map(|_| "no filters for this architecture".to_owned());
        unknown.or(tried.err().map(|error| error.to_string()))
    });
    let starter = starter::program().err().map(|why| {
        format!("{why}: limits are set just after the start, and descriptors that imgduel inherited are handed on")
    });
    let layer = |name, missing| CageLayer { name, missing };
    vec![
        layer(
            "starter: limits from the first instruction, no inherited descriptors",
            starter,
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
            "seccomp: no sockets but local ones, no new sessions, no io_uring; flushes off",
            seccomp,
        ),
    ]
}
