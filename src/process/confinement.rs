//! What the kernel enforces on a thread and everything that it starts, permanently and without privileges: Landlock and
//! capabilities.
//!
//! A child enters it before it becomes the tool; without a zygote, a thread does that starts a single tool. Reading is
//! not restricted: a tool may read whatever the user may read. `refusal.rs` has the refused system calls; `layers.rs`
//! reports missing Landlock or seccomp.

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

/// Writable files outside the scratch directory: devices that discard data, and those with which instar runs its guest.
const WRITABLE: [&str; 4] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/kvm"];

/// The capabilities that root's tools keep: reading other users' files. The others would let a tool change the machine
/// and read other processes, which other users' tools cannot.
pub(super) const RIGHTS_KEPT: u64 = 1 << CAP_DAC_OVERRIDE;
const CAP_DAC_OVERRIDE: u64 = 1;

/// Lets the calling thread write only below `directory`, and refuses TCP and signals to processes outside. A kernel
/// that supports only a part of this enforces that part.
pub(super) fn write_only_below(directory: &Path) -> io::Result<()> {
    restrict(directory).map(drop).map_err(io::Error::other)
}

/// Returns the ruleset with which a child in `scratch` restricts itself; `None` if it must not, or if the kernel has no
/// Landlock.
pub(super) fn ruleset_of_policy(
    policy: &SandboxPolicy,
    scratch: &Path,
) -> io::Result<Option<OwnedFd>> {
    match policy.is_confined {
        true => ruleset_below(scratch),
        false => Ok(None),
    }
}

/// Returns the ruleset for a process that is confined anyway.
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
    // This includes changing the settings of a device, for example a terminal (ABI 5, Linux 6.10).
    let writing = AccessFs::from_write(ABI::V5);
    // Creating devices is refused, because they would give access to the whole machine.
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

/// Removes all capabilities except [`RIGHTS_KEPT`] from the calling thread and everything that it starts.
pub(super) fn give_up_rights() -> io::Result<()> {
    let kept = CapabilitySet::from_bits_retain(RIGHTS_KEPT);
    for capability in CapabilitySet::all().difference(kept) {
        // This fails for a process without rights, which does not matter.
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
