//! Namespaces for tools, where the machine allows them: defence in depth behind Landlock and seccomp.
//!
//! A zygote that is apart sees every mount read-only but the run's own directory, so that rights, owners, times and attributes of files
//! outside cannot be changed either, which Landlock does not see; and has neither the machine's System V IPC nor its network. How it is
//! entered is `preload/setup.rs`; here is found out, once, which way this machine allows.

use std::path::Path;
use std::sync::OnceLock;

use super::setup::{Setup, Way};
use super::zygote;

static FOUND: OnceLock<Result<Way, String>> = OnceLock::new();

fn found() -> &'static Result<Way, String> {
    FOUND.get_or_init(|| {
        // Where a zygote itself is confined anyway, trying costs nothing but its start.
        let place = std::env::temp_dir();
        let place = place.canonicalize().unwrap_or(place);
        let try_out = |needs_users| {
            let way = Way { needs_users };
            zygote::can_enter(&Setup::trial(way, Path::new(&place))).map(|()| way)
        };
        try_out(false).or_else(|_| try_out(true))
    })
}

/// The way of this machine; nothing where there is none.
pub(super) fn way() -> Option<Way> {
    found().as_ref().ok().copied()
}

/// Why there is no way; nothing where there is one.
pub(super) fn objection() -> Option<String> {
    let why = found().as_ref().err()?;
    Some(format!("{why}: the other layers stand without them"))
}
