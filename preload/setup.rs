//! What the starter enters before it takes a call or becomes another program: a session of its own, fewer rights, namespaces, confinement.
//!
//! Told by the first message on its socket (`src/process/setup.rs` is the other end): flags, the capabilities that are kept, the lengths of
//! the system-call filters, eight bytes each; the filters' instructions, eight bytes each; the place that stays writable, ended by a zero
//! byte. A Landlock ruleset may come with it. What cannot be entered ends this process, with the reason told.

use core::ffi::{c_char, c_int};

use crate::message::{self, DESCRIPTORS};
use crate::system;

/// Capabilities are given up.
const GIVES_UP_RIGHTS: u64 = 1;
/// A Landlock ruleset is with the message.
const HAS_RULESET: u64 = 2;
/// Namespaces of mounts, of System V IPC and of the network; as a user without rights, inside a namespace of users.
const IS_APART: u64 = 4;
const NEEDS_USERS: u64 = 8;

const HEAD_NUMBERS: usize = 5;
const FILTERS: core::ops::Range<usize> = 2..5;

const CLONE_NEWNS: usize = 0x2_0000;
const CLONE_NEWIPC: usize = 0x0800_0000;
const CLONE_NEWUSER: usize = 0x1000_0000;
const CLONE_NEWNET: usize = 0x4000_0000;

/// Enters what the first message says.
pub unsafe fn enter(socket: c_int) {
    let mut descriptors = [-1; DESCRIPTORS];
    unsafe {
        let received = message::receive(socket, &mut descriptors);
        if received < HEAD_NUMBERS * size_of::<u64>() {
            system::exit(0);
        }
        let done = settle(message::numbers(), descriptors[0]);
        if done < 0 {
            message::give_up(socket, done);
        }
    }
}

unsafe fn settle(numbers: &[u64], ruleset: c_int) -> isize {
    let flags = numbers[0];
    let has = |flag| flags & flag != 0;
    let instructions: u64 = numbers[FILTERS].iter().sum();
    let place = HEAD_NUMBERS + instructions as usize;
    let place = numbers[place..].as_ptr().cast::<c_char>();
    let mut done = system::lead_session().min(0);
    stay_nice();
    done = done.min(system::adopt_orphans());
    if has(IS_APART) && done >= 0 {
        done = unsafe { part(has(NEEDS_USERS), place) };
    }
    if has(GIVES_UP_RIGHTS) && done >= 0 {
        done = system::give_up_rights(numbers[1]);
    }
    if (instructions > 0 || has(HAS_RULESET)) && done >= 0 {
        done = system::gain_nothing();
    }
    if has(HAS_RULESET) && done >= 0 {
        done = system::restrict(ruleset);
        system::close(ruleset);
    }
    let mut begin = HEAD_NUMBERS;
    for length in &numbers[FILTERS] {
        let end = begin + *length as usize;
        if end > begin && done >= 0 {
            done = system::filter(&numbers[begin..end]);
        }
        begin = end;
    }
    done
}

unsafe fn part(needs_users: bool, place: *const c_char) -> isize {
    let ids = system::own_user_and_group();
    let users = if needs_users { CLONE_NEWUSER } else { 0 };
    let done = system::part_from(users | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWNET);
    if done < 0 {
        return done;
    }
    if needs_users {
        // user_namespaces(7): each stays who it is, and nobody else is there.
        let denied = system::write_file(c"/proc/self/setgroups", b"deny");
        let mapped = [c"/proc/self/uid_map", c"/proc/self/gid_map"]
            .into_iter()
            .zip(ids)
            .map(|(file, id)| map(file, id))
            .min()
            .unwrap_or(0);
        let done = denied.min(mapped);
        if done < 0 {
            return done;
        }
    }
    unsafe { system::see_all_read_only_but(place) }
}

/// The kernel shares processors out among sessions first, where it is set up so: a session is to be as nice as who made it.
fn stay_nice() {
    let niceness = system::own_niceness();
    if niceness > 0 {
        let mut digits = [0; DIGITS];
        // Not there where the kernel does not do so.
        system::write_file(c"/proc/self/autogroup", decimal(niceness as usize, &mut digits));
    }
}

/// Maps an id to itself: "ID ID 1".
fn map(file: &core::ffi::CStr, id: usize) -> isize {
    let mut digits = [0; DIGITS];
    let number = decimal(id, &mut digits);
    let mut text = [b' '; 2 * DIGITS + 3];
    text[..number.len()].copy_from_slice(number);
    let second = number.len() + 1;
    text[second..second + number.len()].copy_from_slice(number);
    let last = second + number.len() + 1;
    text[last] = b'1';
    system::write_file(file, &text[..=last])
}

/// As many as the largest id has.
const DIGITS: usize = 10;

fn decimal(number: usize, digits: &mut [u8; DIGITS]) -> &[u8] {
    let mut rest = number;
    let mut first = DIGITS;
    loop {
        first -= 1;
        digits[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 || first == 0 {
            return &digits[first..];
        }
    }
}
