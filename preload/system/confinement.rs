//! What a process gives up for good: limits, rights, system calls, and what it sees of the machine.

use core::ffi::{CStr, c_int};

use super::{AT_FDCWD, call, number};
use crate::protocol::NUMBER_BYTES;

const PR_SET_SECCOMP: usize = 22;
const PR_CAPBSET_DROP: usize = 24;
const PR_SET_NO_NEW_PRIVS: usize = 38;
const PR_CAP_AMBIENT: usize = 47;
const PR_CAP_AMBIENT_CLEAR_ALL: usize = 4;
const SECCOMP_MODE_FILTER: usize = 2;
/// `_LINUX_CAPABILITY_VERSION_3`, and more capabilities than there are.
const CAPABILITY_VERSION: u32 = 0x2008_0522;
const CAPABILITIES: usize = 64;
const CLONE_NEWNS: usize = 0x2_0000;
const CLONE_NEWIPC: usize = 0x0800_0000;
const CLONE_NEWUSER: usize = 0x1000_0000;
const CLONE_NEWNET: usize = 0x4000_0000;
const MS_BIND: usize = 0x1000;
const MS_REC: usize = 0x4000;
const MS_PRIVATE: usize = 0x4_0000;
const AT_RECURSIVE: usize = 0x8000;
const MOUNT_ATTR_RDONLY: u64 = 1;

/// `struct rlimit64` (prlimit(2)).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What holds.
    pub soft: u64,
    /// What the process may raise that to.
    pub hard: u64,
}

impl Limit {
    /// The same where a process is limited to `found` already, which it may not raise.
    fn within(self, found: Self) -> Self {
        let hard = self.hard.min(found.hard);
        Self {
            soft: self.soft.min(hard),
            hard,
        }
    }
}

/// Limits this process; where its limit is lower already and may not be raised, that one stays.
pub fn limit(resource: usize, wanted: Limit) -> isize {
    let mut found = wanted;
    let ask = [0, resource, 0, &raw mut found as usize, 0, 0];
    // SAFETY: prlimit(2) writes the limit that there is, and is told of no other.
    let asked = unsafe { call(number::PRLIMIT64, ask) };
    if asked < 0 {
        return asked;
    }
    let limit = wanted.within(found);
    let set = [0, resource, &raw const limit as usize, 0, 0, 0];
    // SAFETY: prlimit(2) reads a limit, and is told of no place for the one before.
    unsafe { call(number::PRLIMIT64, set) }
}

/// Gives up ever gaining rights.
pub fn gain_nothing() -> isize {
    // SAFETY: it takes numbers.
    unsafe { call(number::PRCTL, [PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0]) }
}

/// Gives up ever gaining rights, and enters a Landlock ruleset for good.
pub fn restrict(ruleset: c_int) -> isize {
    let settled = gain_nothing();
    if settled < 0 {
        return settled;
    }
    // SAFETY: it takes numbers.
    unsafe {
        call(
            number::LANDLOCK_RESTRICT_SELF,
            [ruleset as usize, 0, 0, 0, 0, 0],
        )
    }
}

/// Enters a system-call filter for good: instructions of eight bytes each (`struct sock_filter`).
pub fn filter(instructions: &[u8]) -> isize {
    /// `struct sock_fprog` (seccomp(2)).
    #[repr(C)]
    struct Program {
        length: u16,
        instructions: *const u8,
    }
    let program = Program {
        length: (instructions.len() / NUMBER_BYTES) as u16,
        instructions: instructions.as_ptr(),
    };
    let arguments = [
        PR_SET_SECCOMP,
        SECCOMP_MODE_FILTER,
        &raw const program as usize,
        0,
        0,
        0,
    ];
    // SAFETY: prctl(2) reads the program and this many instructions, at any address.
    unsafe { call(number::PRCTL, arguments) }
}

/// Gives up every capability but those of `kept`, a bit for each, for good and for all that this process starts.
pub fn give_up_rights(kept: u64) -> isize {
    for capability in 0..CAPABILITIES {
        if kept & 1 << capability == 0 {
            // SAFETY: it takes numbers. Refused to whoever may not, and of numbers that are none.
            unsafe { call(number::PRCTL, [PR_CAPBSET_DROP, capability, 0, 0, 0, 0]) };
        }
    }
    // SAFETY: it takes numbers.
    unsafe {
        call(
            number::PRCTL,
            [PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0, 0],
        )
    };
    let header = [CAPABILITY_VERSION, 0];
    // Effective, permitted, inheritable: of the lower 32, then of the upper.
    let mut sets = [0_u32; 6];
    let arguments = [
        &raw const header as usize,
        &raw mut sets as usize,
        0,
        0,
        0,
        0,
    ];
    // SAFETY: capget(2) of this version reads a header and writes two sets of three.
    let found = unsafe { call(number::CAPGET, arguments) };
    if found < 0 {
        return found;
    }
    let sets = left_of(sets, kept);
    let arguments = [
        &raw const header as usize,
        &raw const sets as usize,
        0,
        0,
        0,
        0,
    ];
    // SAFETY: capset(2) of this version reads a header and two sets of three.
    unsafe { call(number::CAPSET, arguments) }
}

/// What is left of sets of capabilities: what may be had of those that are kept, and nothing that is inherited.
fn left_of(sets: [u32; 6], kept: u64) -> [u32; 6] {
    let lower = sets[1] & kept as u32;
    let upper = sets[4] & (kept >> 32) as u32;
    [lower, lower, 0, upper, upper, 0]
}

/// What a process parts from: the machine's mounts, its System V IPC and its network.
#[derive(Clone, Copy, Debug)]
pub struct Namespaces {
    /// Its users as well, so that it has the rights for the others.
    pub users: bool,
}

/// Moves this process to namespaces of its own.
pub fn part_from(Namespaces { users }: Namespaces) -> isize {
    let users = if users { CLONE_NEWUSER } else { 0 };
    let flags = users | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWNET;
    // SAFETY: it takes a number.
    unsafe { call(number::UNSHARE, [flags, 0, 0, 0, 0, 0]) }
}

/// `struct mount_attr` (mount_setattr(2)).
#[repr(C)]
#[derive(Default)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

fn mount(place: &CStr, flags: usize) -> isize {
    let place = place.as_ptr() as usize;
    // SAFETY: mount(2) reads two paths up to their zero bytes; with these flags neither a file system nor data.
    unsafe { call(number::MOUNT, [place, place, 0, flags, 0, 0]) }
}

fn set_attributes(place: &CStr, flags: usize, attributes: &MountAttributes) -> isize {
    let (length, place) = (size_of::<MountAttributes>(), place.as_ptr() as usize);
    let arguments = [
        AT_FDCWD,
        place,
        flags,
        &raw const *attributes as usize,
        length,
        0,
    ];
    // SAFETY: mount_setattr(2) reads a path up to its zero byte, and attributes of this length.
    unsafe { call(number::MOUNT_SETATTR, arguments) }
}

/// Makes all mounts of this namespace read-only but what lies at `place`, and lets none be seen outside.
pub fn see_all_read_only_but(place: &CStr) -> isize {
    let read_only = MountAttributes {
        set: MOUNT_ATTR_RDONLY,
        ..MountAttributes::default()
    };
    let writable = MountAttributes {
        clear: MOUNT_ATTR_RDONLY,
        ..MountAttributes::default()
    };
    let steps: [&dyn Fn() -> isize; 4] = [
        &|| mount(c"/", MS_REC | MS_PRIVATE),
        &|| mount(place, MS_REC | MS_BIND),
        &|| set_attributes(c"/", AT_RECURSIVE, &read_only),
        &|| set_attributes(place, 0, &writable),
    ];
    steps
        .iter()
        .map(|step| step())
        .find(|done| *done < 0)
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_never_raised_over_what_there_is() {
        let limit = |soft, hard| Limit { soft, hard };
        assert_eq!(limit(5, 9).within(limit(1, u64::MAX)), limit(5, 9));
        assert_eq!(limit(5, 9).within(limit(1, 7)), limit(5, 7));
        assert_eq!(limit(5, 9).within(limit(1, 3)), limit(3, 3));
    }

    #[test]
    fn of_rights_are_left_those_that_may_be_had_and_are_kept() {
        let all = [u32::MAX; 6];
        assert_eq!(left_of(all, 1 << 1), [2, 2, 0, 0, 0, 0]);
        assert_eq!(left_of(all, 1 << 33), [0, 0, 0, 2, 2, 0]);
        assert_eq!(left_of([0; 6], u64::MAX), [0; 6]);
    }
}
