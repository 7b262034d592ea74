//! What the zygote enters before it takes a call or becomes another program: a session of its own, fewer rights, namespaces, confinement.
//!
//! Told by the first message on its socket (`protocol.rs` describes it, `src/process/setup.rs` makes it). What cannot be entered ends this
//! process, with the reason told.

use core::ffi::{CStr, c_int};

use crate::attendance::give_up;
use crate::decimal::{DIGITS, MAP_BYTES, decimal, identity_map};
use crate::inbox::Inbox;
use crate::protocol::{NUMBER_BYTES, SetupHead, setup_flag};
use crate::system::{self, Namespaces};

/// A setup as it lies in its message.
pub struct Setup<'message> {
    head: SetupHead,
    /// The filters' instructions, eight bytes each; empty where there is none.
    filters: [&'message [u8]; SetupHead::FILTERS_MAX],
    /// What stays writable, apart.
    place: &'message CStr,
}

/// Enters what the first message says.
pub fn enter(inbox: &mut Inbox, socket: c_int) {
    let (message, [ruleset, ..]) = inbox.receive(socket);
    let Some(setup) = Setup::parse(message) else {
        system::exit(0);
    };
    if let Err(error) = setup.enter(ruleset) {
        give_up(socket, error);
    }
}

impl<'message> Setup<'message> {
    /// The setup that a message is; `None` where it is none, or is cut off.
    pub fn parse(message: &'message [u8]) -> Option<Self> {
        let head = SetupHead::decode(message)?;
        let mut rest = message.get(SetupHead::NUMBERS * NUMBER_BYTES..)?;
        let mut filters = [&[][..]; SetupHead::FILTERS_MAX];
        for (filter, length) in filters.iter_mut().zip(head.filters) {
            let bytes = usize::try_from(length).ok()?.checked_mul(NUMBER_BYTES)?;
            (*filter, rest) = rest.split_at_checked(bytes)?;
        }
        Some(Self {
            head,
            filters,
            place: CStr::from_bytes_until_nul(rest).ok()?,
        })
    }

    /// Enters it, and the Landlock ruleset where it has one; a negated error number when that cannot be.
    fn enter(&self, ruleset: c_int) -> Result<(), isize> {
        let has = |flag| self.head.has(flag);
        checked(system::lead_session())?;
        stay_nice();
        checked(system::adopt_orphans())?;
        if has(setup_flag::IS_APART) {
            part(has(setup_flag::NEEDS_USERS), self.place)?;
        }
        if has(setup_flag::GIVES_UP_RIGHTS) {
            checked(system::give_up_rights(self.head.rights_kept))?;
        }
        let mut filters = self.filters.iter().filter(|filter| !filter.is_empty());
        if has(setup_flag::HAS_RULESET) || filters.clone().next().is_some() {
            checked(system::gain_nothing())?;
        }
        if has(setup_flag::HAS_RULESET) {
            checked(system::restrict(ruleset))?;
            system::close(ruleset);
        }
        filters.try_for_each(|filter| checked(system::filter(filter)))
    }
}

/// A system call's result: an error, where it is negative.
fn checked(done: isize) -> Result<(), isize> {
    if done < 0 { Err(done) } else { Ok(()) }
}

/// Moves this process to namespaces of its own, in which everything is read-only but `place`.
fn part(needs_users: bool, place: &CStr) -> Result<(), isize> {
    let [user, group] = system::own_user_and_group();
    checked(system::part_from(Namespaces { users: needs_users }))?;
    if needs_users {
        // user_namespaces(7): each stays who it is, and nobody else is there.
        checked(system::write_file(c"/proc/self/setgroups", b"deny"))?;
        for (file, id) in [
            (c"/proc/self/uid_map", user),
            (c"/proc/self/gid_map", group),
        ] {
            checked(system::write_file(
                file,
                identity_map(id, &mut [0; MAP_BYTES]),
            ))?;
        }
    }
    checked(system::see_all_read_only_but(place))
}

/// The kernel shares processors out among sessions first, where it is set up so: a session is to be as nice as who made it.
fn stay_nice() {
    if let Ok(niceness @ 1..) = u32::try_from(system::own_niceness()) {
        // Not there where the kernel does not do so.
        system::write_file(c"/proc/self/autogroup", decimal(niceness, &mut [0; DIGITS]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(head: SetupHead, rest: &[u8]) -> Vec<u8> {
        let mut message: Vec<u8> = head
            .encode()
            .into_iter()
            .flat_map(u64::to_ne_bytes)
            .collect();
        message.extend(rest);
        message
    }

    fn head() -> SetupHead {
        SetupHead {
            flags: setup_flag::IS_APART,
            rights_kept: 2,
            filters: [1, 0, 2],
        }
    }

    #[test]
    fn the_parts_of_a_setup_are_where_its_head_says() {
        let message = message(head(), b"11111111222222223333333\x003/tmp/run\0");
        let setup = Setup::parse(&message).expect("a setup");
        let [first, second, third] = setup.filters;
        assert_eq!((first, second), (&b"11111111"[..], &b""[..]));
        assert_eq!(third, b"222222223333333\x003"[..16].to_owned());
    }

    #[test]
    fn a_place_ends_where_its_zero_byte_is() {
        let message = message(SetupHead::default(), b"/tmp/run\0rest");
        assert_eq!(Setup::parse(&message).expect("a setup").place, c"/tmp/run");
    }

    #[test]
    fn what_is_cut_off_or_counts_more_than_there_is_is_no_setup() {
        let whole = message(head(), b"111111112222222233333333/tmp\0");
        assert!(Setup::parse(&whole).is_some());
        for length in [0, 39, 40, 47, 63, whole.len() - 1] {
            assert!(Setup::parse(&whole[..length]).is_none(), "{length}");
        }
        for length in [4, u64::MAX, u64::MAX / 8] {
            let head = SetupHead {
                filters: [0, 0, length],
                ..head()
            };
            assert!(Setup::parse(&message(head, b"111111112222222233333333/tmp\0")).is_none());
        }
    }
}
