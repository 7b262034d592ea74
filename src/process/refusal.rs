//! The system calls that a tool is refused, by seccomp: permanently and without privileges.
//!
//! The filters are built once; a zygote enters them by its first message, a thread by [`enter`]. A filter sees numbers
//! and arguments, not what pointers refer to: Landlock handles paths. A comment at each group says what its calls would
//! allow a tool.

use std::collections::BTreeMap;
use std::io;
use std::sync::LazyLock;

use seccompiler::SeccompCmpArgLen::{Dword, Qword};
use seccompiler::SeccompCmpOp::{self, Eq, MaskedEq, Ne};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter,
};

/// The system calls that flush.
const FLUSHES: [i64; 5] = [
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_sync,
    libc::SYS_syncfs,
    libc::SYS_sync_file_range,
];

/// Refused whatever their arguments.
const REFUSED: &[i64] = &[
    // Communication other than its output. Pairs of sockets are allowed: see [`conditional`].
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    // A session of its own, and so possibly a terminal.
    libc::SYS_setsid,
    // Objects that outlive its processes: System V IPC, POSIX queues, keys.
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_msgget,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
    libc::SYS_msgctl,
    libc::SYS_semget,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_semctl,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // Other processes: their memory, descriptors and shared resources.
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    SYS_PROCESS_MRELEASE,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_ptrace,
    libc::SYS_perf_event_open,
    // Files outside, whose owners, attributes and flags Landlock does not protect.
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    SYS_SETXATTRAT,
    SYS_REMOVEXATTRAT,
    SYS_FILE_SETATTR,
    // Rights and views that it could create for itself, in its own namespaces.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_mount_setattr,
    // Large parts of the kernel that no image needs.
    libc::SYS_bpf,
    libc::SYS_userfaultfd,
    libc::SYS_quotactl,
];

/// Calls of one architecture.
#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: &[i64] = &[libc::SYS_chown, libc::SYS_lchown];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[i64] = &[];

/// The number is the same on every architecture since Linux 5.1 (include/uapi/asm-generic/unistd.h); not every libc has
/// it.
const SYS_PROCESS_MRELEASE: i64 = 448;
const SYS_SETXATTRAT: i64 = 463;
const SYS_REMOVEXATTRAT: i64 = 466;
const SYS_FILE_SETATTR: i64 = 469;

/// Calls that appear to be missing: a program falls back to calls that a filter sees. The kernel processes an io_uring
/// without filters, and takes the flags of `clone3` from memory that a filter cannot read.
const NOT_THERE: &[i64] = &[libc::SYS_io_uring_setup, libc::SYS_clone3];

/// Calls on a process whose number is the first argument; 0 means the caller.
const ON_A_PROCESS: &[i64] = &[
    libc::SYS_sched_setscheduler,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setattr,
    libc::SYS_sched_setaffinity,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
];

/// PRIO_USER and IOPRIO_WHO_USER: all processes of a user.
const ALL_OF_USER: [(i64, u64); 2] = [(libc::SYS_setpriority, 2), (libc::SYS_ioprio_set, 3)];

/// The namespaces that `clone` creates (clone(2)): mounts, groups, names, IPC, users, processes, the network.
const NAMESPACES: [u64; 7] = [
    0x2_0000,
    0x200_0000,
    0x400_0000,
    0x800_0000,
    0x1000_0000,
    0x2000_0000,
    0x4000_0000,
];

/// All ioctl(2) requests of terminals have the letter 'T'. These only query, or concern the descriptor alone: TCGETS,
/// TIOCGPGRP, TIOCGWINSZ, FIONREAD, FIONBIO, TIOCGSID, FIONCLEX, FIOCLEX, FIOASYNC, TCGETS2.
const TERMINAL_LETTER: (u64, u64) = (0xff00, 0x5400);
const TERMINAL_QUESTIONS: [u64; 10] = [
    0x5401,
    0x540f,
    0x5413,
    0x541b,
    0x5421,
    0x5429,
    0x5450,
    0x5451,
    0x5452,
    0x802c_542a,
];

/// FS_IOC_SETFLAGS, FS_IOC32_SETFLAGS and FS_IOC_FSSETXATTR (ioctl_iflags(2)).
const FILE_FLAGS: [u64; 3] = [0x4008_6602, 0x4004_6602, 0x401c_5820];

/// PR_SET_DUMPABLE: a process could hide from its watchers.
const SET_DUMPABLE: u64 = 4;

/// On x86-64, a second way to make the same calls (x32): the same numbers with this bit, except for some with their own
/// numbers.
const X32_BIT: i64 = 0x4000_0000;
const X32_OWN: [(i64, i64); 5] = [
    (libc::SYS_ioctl, 514),
    (libc::SYS_ptrace, 521),
    (libc::SYS_move_pages, 533),
    (libc::SYS_process_vm_readv, 539),
    (libc::SYS_process_vm_writev, 540),
];

type Rules = BTreeMap<i64, Vec<SeccompRule>>;
type Made<T> = Result<T, seccompiler::BackendError>;

fn when(
    argument: u8,
    size: SeccompCmpArgLen,
    op: SeccompCmpOp,
    value: u64,
) -> Made<SeccompCondition> {
    SeccompCondition::new(argument, size, op, value)
}

/// Calls that are refused depending on their arguments: all conditions of a rule must hold.
fn conditional() -> Made<Rules> {
    let rule = |conditions: Vec<Made<SeccompCondition>>| {
        let conditions: Made<Vec<SeccompCondition>> = conditions.into_iter().collect();
        SeccompRule::new(conditions?)
    };
    let mut rules = Rules::new();
    for call in ON_A_PROCESS {
        rules.insert(*call, vec![rule(vec![when(0, Dword, Ne, 0)])?]);
    }
    for (call, all_of_user) in ALL_OF_USER {
        let (others, all) = (when(1, Dword, Ne, 0), when(0, Dword, Eq, all_of_user));
        rules.insert(call, vec![rule(vec![others])?, rule(vec![all])?]);
    }
    // Limits of other processes may be read, but not set.
    let set = vec![when(0, Dword, Ne, 0), when(2, Qword, Ne, 0)];
    rules.insert(libc::SYS_prlimit64, vec![rule(set)?]);
    // Datagrams go to the address that they name, whatever their socket is paired with; so do those of a raw local
    // socket.
    let datagrams = [libc::SOCK_DGRAM, libc::SOCK_RAW]
        .map(|kind| rule(vec![when(1, Dword, MaskedEq(0xf), kind as u64)]));
    let datagrams: Made<Vec<SeccompRule>> = datagrams.into_iter().collect();
    rules.insert(libc::SYS_socketpair, datagrams?);
    let made = NAMESPACES.map(|flag| rule(vec![when(0, Dword, MaskedEq(flag), flag)]));
    let made: Made<Vec<SeccompRule>> = made.into_iter().collect();
    rules.insert(libc::SYS_clone, made?);
    let hidden = vec![when(0, Dword, Eq, SET_DUMPABLE)];
    rules.insert(libc::SYS_prctl, vec![rule(hidden)?]);
    let (mask, letter) = TERMINAL_LETTER;
    let mut changes = vec![when(1, Dword, MaskedEq(mask), letter)];
    changes.extend(TERMINAL_QUESTIONS.map(|request| when(1, Dword, Ne, request)));
    let mut requests = vec![rule(changes)?];
    for request in FILE_FLAGS {
        requests.push(rule(vec![when(1, Dword, Eq, request)])?);
    }
    rules.insert(libc::SYS_ioctl, requests);
    Ok(rules)
}

fn refused() -> Made<Rules> {
    let mut rules = conditional()?;
    let always = REFUSED.iter().chain(REFUSED_HERE);
    rules.extend(always.map(|call| (*call, Vec::new())));
    Ok(rules)
}

fn of_calls(calls: &[i64]) -> Rules {
    calls.iter().map(|call| (*call, Vec::new())).collect()
}

/// Returns the filter by which these calls fail with this error, or succeed without effect with 0; `None` if
/// seccompiler does not know the architecture, which `layers` reports.
fn filter(rules: Made<Rules>, error: i32) -> Option<BpfProgram> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH).ok()?;
    let mut rules = rules.ok()?;
    if cfg!(target_arch = "x86_64") {
        let again = |(call, rule): (&i64, &Vec<SeccompRule>)| {
            let own = X32_OWN.iter().find(|(usual, _)| usual == call);
            let own = own.map(|(_, own)| (own | X32_BIT, rule.clone()));
            own.into_iter().chain([(call | X32_BIT, rule.clone())])
        };
        let others: Vec<_> = rules.iter().flat_map(again).collect();
        rules.extend(others);
    }
    let refusal = SeccompAction::Errno(error as u32);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refusal, architecture).ok()?;
    filter.try_into().ok()
}

static NOT_PERMITTED: LazyLock<Option<BpfProgram>> =
    LazyLock::new(|| filter(refused(), libc::EPERM));
static MISSING: LazyLock<Option<BpfProgram>> =
    LazyLock::new(|| filter(Ok(of_calls(NOT_THERE)), libc::ENOSYS));
static DONE: LazyLock<Option<BpfProgram>> = LazyLock::new(|| filter(Ok(of_calls(&FLUSHES)), 0));

/// Returns the filters for a confined process, and for one whose flushes are off.
pub(super) fn filters(is_confined: bool, flushes_off: bool) -> Vec<&'static BpfProgram> {
    let confining = is_confined.then(|| [NOT_PERMITTED.as_ref(), MISSING.as_ref()]);
    let flushing = flushes_off.then(|| DONE.as_ref());
    let filters = confining.into_iter().flatten().chain(flushing);
    filters.flatten().collect()
}

/// Enters the filters in the calling thread, and in everything that it starts.
pub(super) fn enter(is_confined: bool, flushes_off: bool) -> io::Result<()> {
    let filters = filters(is_confined, flushes_off);
    filters
        .into_iter()
        .try_for_each(|filter| apply_filter(filter).map_err(io::Error::other))
}

/// Returns why there are no filters; `None` if there are.
pub(super) fn objection() -> Option<String> {
    let unknown = TargetArch::try_from(std::env::consts::ARCH).err();
    let unknown = unknown.map(|_| "no filters for this architecture".to_owned());
    unknown.or_else(|| enter(true, true).err().map(|error| error.to_string()))
}
