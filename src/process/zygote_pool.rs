//! The zygotes that wait for calls, by what they have entered.
//!
//! Each takes one call at a time, so there are as many as there were simultaneous calls. They end with this process, or
//! when their writable directory is removed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use super::policy::SandboxPolicy;
use super::server::Server;
use super::setup::Setup;
use super::{namespaces, zygote};

/// The maximum number of idle zygotes of a kind.
const IDLE_MAX: usize = 64;

/// What a zygote has entered: whether it is confined, whether flushes are off, and the only writable directory.
type Entered = (bool, bool, Option<PathBuf>);

/// The idle zygotes.
static IDLE: LazyLock<Mutex<HashMap<Entered, Vec<Server>>>> = LazyLock::new(Mutex::default);

fn entered(policy: &SandboxPolicy, place: Option<&Path>) -> Entered {
    let place = place.filter(|_| policy.wants_namespaces());
    (
        policy.is_confined,
        policy.flushes_off,
        place.map(Path::to_owned),
    )
}

fn idle() -> MutexGuard<'static, HashMap<Entered, Vec<Server>>> {
    IDLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns a zygote for a call with this policy in `place`, the run's directory; the error says why there is none.
pub(super) fn take(policy: &SandboxPolicy, place: Option<&Path>) -> Result<Server, String> {
    let program = zygote::program()?;
    let waiting = idle().get_mut(&entered(policy, place)).and_then(Vec::pop);
    if let Some(server) = waiting {
        return Ok(server);
    }
    // The writable directory is specific to each call.
    let way = place
        .filter(|_| policy.wants_namespaces())
        .and_then(|_| namespaces::way());
    let mut setup = Setup::new(policy, None, place, way).map_err(|error| error.to_string())?;
    zygote::start(program, &setup).or_else(|why| match setup.stay() {
        true => zygote::start(program, &setup),
        false => Err(why),
    })
}

/// Keeps a zygote for the next call with this policy in this place.
pub(super) fn put_back(policy: &SandboxPolicy, place: Option<&Path>, server: Server) {
    let mut idle = idle();
    let waiting = idle.entry(entered(policy, place)).or_default();
    if waiting.len() < IDLE_MAX {
        waiting.push(server);
    }
}

/// Ends the idle zygotes of a directory that is about to be removed.
pub(super) fn forget(place: &Path) {
    let is_there = |(_, _, there): &Entered| there.as_deref() == Some(place);
    let gone: Vec<_> = idle().extract_if(|entered, _| is_there(entered)).collect();
    drop(gone);
}
