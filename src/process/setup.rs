//! What a zygote enters before it takes a call: the first message on its socket.
//!
//! Whoever starts a zygote or a fork server builds it from a policy. The other end is `preload/setup.rs`;
//! `preload/protocol.rs` describes each part.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use seccompiler::BpfProgram;

use super::policy::SandboxPolicy;
use super::protocol::{SetupHead, setup_flag};
use super::{confinement, refusal};

/// How namespaces are created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    /// Inside a user namespace, in which any user has the necessary rights.
    pub(super) needs_users: bool,
}

/// What a zygote must enter.
pub(super) struct Setup<'place> {
    flags: u64,
    filters: Vec<&'static BpfProgram>,
    ruleset: Option<OwnedFd>,
    /// The directory that stays writable in the namespaces.
    place: Option<&'place Path>,
}

impl<'place> Setup<'place> {
    /// Returns the setup for a policy. Its processes may only write below `below`, if given; otherwise each of its
    /// children must confine itself. It enters namespaces in this `way`, if given and allowed by the policy, with
    /// `place` as the only directory that is not read-only.
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

    /// Removes the namespaces, for a place where they are unavailable although the machine has them; returns whether
    /// there were any.
    pub(super) fn stay(&mut self) -> bool {
        let was_apart = self.flags & setup_flag::IS_APART != 0;
        self.flags &= !(setup_flag::IS_APART | setup_flag::NEEDS_USERS);
        was_apart
    }

    /// Returns a setup that only tests the namespaces in this way.
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

    /// Sends it as the first message.
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
