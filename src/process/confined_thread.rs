//! The sandbox without a zygote: a thread that is confined permanently and starts one tool, and limits that are set
//! just after the start.
//!
//! Used if this program was built without a zygote, or cannot execute it. A child inherits everything from its parent's
//! thread except limits. It has no namespaces and no session of its own.

use std::io;
use std::path::Path;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::limits::SetLimit;
use super::policy::SandboxPolicy;
use super::{confinement, refusal};

/// The resources that [`SandboxPolicy::set_limits`] names.
const RESOURCES: [(u32, Resource); 6] = [
    (libc::RLIMIT_AS, Resource::As),
    (libc::RLIMIT_FSIZE, Resource::Fsize),
    (libc::RLIMIT_NOFILE, Resource::Nofile),
    (libc::RLIMIT_CORE, Resource::Core),
    (libc::RLIMIT_NPROC, Resource::Nproc),
    (libc::RLIMIT_CPU, Resource::Cpu),
];

/// Runs `side_run` in a thread that is confined permanently, with everything that it starts: it may write only below
/// `scratch`, if given.
pub(super) fn confine<T: Send>(
    policy: &SandboxPolicy,
    scratch: Option<&Path>,
    side_run: impl FnOnce() -> T + Send,
) -> io::Result<T> {
    if !policy.is_confined && !policy.flushes_off {
        return Ok(side_run());
    }
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| enter(policy, scratch).map(|()| side_run()));
        match thread.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

fn enter(policy: &SandboxPolicy, scratch: Option<&Path>) -> io::Result<()> {
    if policy.is_confined {
        confinement::give_up_rights()?;
        scratch.map_or(Ok(()), confinement::write_only_below)?;
    }
    refusal::enter(policy.is_confined, policy.flushes_off)
}

/// Limits a running process. One that has already ended needs no limits.
pub(super) fn limit_late(process: Pid, limits: &[SetLimit]) {
    for limit in limits {
        let meant = RESOURCES
            .iter()
            .find(|(number, _)| *number == limit.resource);
        let Some((_, resource)) = meant else {
            continue;
        };
        let amounts = Rlimit {
            current: Some(limit.soft),
            maximum: Some(limit.hard).filter(|hard| *hard != libc::RLIM_INFINITY),
        };
        let _ = prlimit(Some(process), *resource, amounts);
    }
}
