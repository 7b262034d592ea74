//! What the kernel enforces on a thread and everything that it starts: Landlock and capabilities, for anybody, without privileges, and for good.
//!
//! Entered by a child itself before it is the tool, or, where there is no zygote, in a thread that does nothing but start one tool. Reading is not
//! restricted: a tool may read whatever the person who started imgduel may read. The system calls that are refused are in `refusal.rs`; where
//! Landlock or seccomp is missing, `layers.rs` says so.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::LazyLock;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetStatus, Scope,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities,
};

use super::policy::SandboxPolicy;

/// Files outside the scratch directory that may be written to: what is written there is gone, and the devices through which an
/// instar runs its guest.
const WRITABLE: [&str; 4] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/kvm"];

/// The capabilities that root's tools keep: that of reading what others own. They would let it do to the machine, and read of other
/// processes, what nobody else's tools can.
pub(super) const RIGHTS_KEPT: u64 = 1 << CAP_DAC_OVERRIDE;
const CAP_DAC_OVERRIDE: u64 = 1;

/// The calling thread may write below `directory` only; it may not use TCP, nor signal anybody outside. Kernels that know only
/// part of this enforce that part.
pub(super) fn write_only_below(directory: &Path) -> io::Result<()> {
    restrict(directory).map(drop).map_err(io::Error::other)
}

/// What a child in `scratch` restricts itself by; nothing, where it is not to, or the kernel has no Landlock.
pub(super) fn ruleset_of_policy(
    policy: &SandboxPolicy,
    scratch: &Path,
) -> io::Result<Option<OwnedFd>> {
    match policy.is_confined {
        true => ruleset_below(scratch),
        false => Ok(None),
    }
}

/// The same for whoever is confined anyway.
pub(super) fn ruleset_below(directory: &Path) -> io::Result<Option<OwnedFd>> {
    ruleset(directory).map(Into::into).map_err(io::Error::other)
}

pub(super) fn restrict(directory: &Path) -> Result<RulesetStatus, Failure> {
    Ok(ruleset(directory)?.restrict_self()?.ruleset)
}

pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;

fn ruleset(directory: &Path) -> Result<RulesetCreated, Failure> {
    static OUTSIDE: LazyLock<Vec<PathFd>> =
        LazyLock::new(|| WRITABLE.into_iter().flat_map(PathFd::new).collect());
    // Among it what changes a device's settings, a terminal's for one (ABI 5, Linux 6.10).
    let writing = AccessFs::from_write(ABI::V5);
    // No devices are made: they would be ways to the whole machine.
    let below = writing & !(AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev);
    let into_files: BitFlags<AccessFs> =
        AccessFs::WriteFile | AccessFs::Truncate | AccessFs::IoctlDev;
    let mut ruleset = Ruleset::default()
        .handle_access(writing)?
        .handle_access(AccessNet::from_all(ABI::V4))?
        .scope(Scope::from_all(ABI::V6))?
        .create()?
        .add_rule(PathBeneath::new(PathFd::new(directory)?, below))?;
    for file in OUTSIDE.iter() {
        ruleset = ruleset.add_rule(PathBeneath::new(file, into_files))?;
    }
    Ok(ruleset)
}

/// The calling thread, and all that it starts, gives up every capability but [`RIGHTS_KEPT`], where it has any.
pub(super) fn give_up_rights() -> io::Result<()> {
    let kept = CapabilitySet::from_bits_retain(RIGHTS_KEPT);
    for capability in CapabilitySet::all().difference(kept) {
        // Refused to whoever has no rights anyway.
        let _ = remove_capability_from_bounding_set(capability);
    }
    let _ = clear_ambient_capability_set();
    let own = capabilities(None)?;
    let sets = CapabilitySets {
        effective: own.permitted & kept,
        permitted: own.permitted & kept,
        inheritable: CapabilitySet::empty(),
    };
    Ok(set_capabilities(None, sets)?)
}
