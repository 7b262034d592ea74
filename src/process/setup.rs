//! What a zygote enters before it takes a call: told by the first message on its socket.
//!
//! Made of a policy by whoever starts a zygote or a fork server. The other end is `preload/setup.rs`; `preload/protocol.rs` says what each part is.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use seccompiler::BpfProgram;

use super::policy::SandboxPolicy;
use super::protocol::{SetupHead, setup_flag};
use super::{confinement, refusal};

/// How namespaces are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    /// Inside a namespace of users, in which anybody has the rights for it.
    pub(super) needs_users: bool,
}

/// What is to be entered.
pub(super) struct Setup<'place> {
    flags: u64,
    filters: Vec<&'static BpfProgram>,
    ruleset: Option<OwnedFd>,
    /// What stays writable, apart.
    place: Option<&'place Path>,
}

impl<'place> Setup<'place> {
    /// Makes that of a policy. What is started may write below `below` only, where there is one, else each of its children is to confine
    /// itself; it is put apart in this `way`, where there is one and the policy allows it, with `place` as the one place that is not read-only.
    pub(super) fn new(
        policy: &SandboxPolicy,
        below: Option<&Path>,
        place: Option<&'place Path>,
        way: Option<Way>,
    ) -> io::Result<Self> {
        let ruleset = match (policy.is_confined, below) {
            (true, Some(below)) => confinement::ruleset_below(below)?,
            _ => None,
        };
        let place = place.filter(|_| policy.wants_namespaces());
        let apart = place.and(way);
        let flag = |is_set: bool, flag: u64| if is_set { flag } else { 0 };
        Ok(Self {
            flags: flag(policy.is_confined, setup_flag::GIVES_UP_RIGHTS)
                | flag(ruleset.is_some(), setup_flag::HAS_RULESET)
                | flag(apart.is_some(), setup_flag::IS_APART)
                | flag(
                    apart.is_some_and(|way| way.needs_users),
                    setup_flag::NEEDS_USERS,
                ),
            filters: refusal::filters(policy.is_confined, policy.flushes_off),
            ruleset,
            place,
        })
    }

    /// Does without namespaces, for a place where they cannot be had though the machine has them; whether it had them.
    pub(super) fn stay(&mut self) -> bool {
        let was_apart = self.flags & setup_flag::IS_APART != 0;
        self.flags &= !(setup_flag::IS_APART | setup_flag::NEEDS_USERS);
        was_apart
    }

    /// The same apart in this way, to try it.
    pub(super) fn trial(way: Way, place: &'place Path) -> Self {
        let users = if way.needs_users {
            setup_flag::NEEDS_USERS
        } else {
            0
        };
        Self {
            flags: setup_flag::GIVES_UP_RIGHTS | setup_flag::IS_APART | users,
            filters: Vec::new(),
            ruleset: None,
            place: Some(place),
        }
    }

    /// Puts it as the first message.
    pub(super) fn send(&self, socket: &OwnedFd) -> io::Result<()> {
        let mut filters = [0; SetupHead::FILTERS_MAX];
        for (length, filter) in filters.iter_mut().zip(&self.filters) {
            *length = filter.len() as u64;
        }
        let head = SetupHead {
            flags: self.flags,
            rights_kept: confinement::RIGHTS_KEPT,
            filters,
        };
        let numbers = head.encode().into_iter();
        let mut message: Vec<u8> = numbers.flat_map(u64::to_ne_bytes).collect();
        for instruction in self.filters.iter().flat_map(|filter| filter.iter()) {
            message.extend(instruction.code.to_ne_bytes());
            message.extend([instruction.jt, instruction.jf]);
            message.extend(instruction.k.to_ne_bytes());
        }
        message.extend(self.place.unwrap_or(Path::new("")).as_os_str().as_bytes());
        message.push(0);
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut rights = SendAncillaryBuffer::new(&mut space);
        let descriptors: Vec<_> = self.ruleset.iter().map(AsFd::as_fd).collect();
        if !descriptors.is_empty() {
            rights.push(SendAncillaryMessage::ScmRights(&descriptors));
        }
        let slices = [IoSlice::new(&message)];
        sendmsg(socket, &slices, &mut rights, SendFlags::NOSIGNAL)?;
        Ok(())
    }
}
