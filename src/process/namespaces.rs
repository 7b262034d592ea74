//! Namespaces for tools, if the machine allows them: defence in depth behind Landlock and seccomp.
//!
//! In its namespaces, a zygote sees every mount read-only except the run's own directory, so that it also cannot change
//! rights, owners, times and attributes of files outside, which Landlock does not protect; and it has neither the
//! machine's System V IPC nor its network. `preload/setup.rs` enters them; this module finds out, once, which way the
//! machine allows.

use std::path::Path;
use std::sync::OnceLock;

use super::setup::{Setup, Way};
use super::zygote;

static FOUND: OnceLock<Result<Way, String>> = OnceLock::new();

fn found() -> &'static Result<Way, String> {
    FOUND.get_or_init(|| {
        // A zygote is confined anyway, so a trial costs only its start.
        let place = std::env::temp_dir();
        let place = place.canonicalize().unwrap_or(place);
        let try_out = |needs_users| {
            let way = Way { needs_users };
            zygote::can_enter(&Setup::trial(way, Path::new(&place))).map(|()| way)
        };
        try_out(false).or_else(|_| try_out(true))
    })
}

/// Returns the way that this machine allows; `None` if there is none.
pub(super) fn way() -> Option<Way> {
    found().as_ref().ok().copied()
}

/// Returns why there is no way; `None` if there is one.
pub(super) fn objection() -> Option<String> {
    let why = found().as_ref().err()?;
    Some(format!("{why}: the other layers stand without them"))
}
