//! For what a kept process runs: everything that a trial's records may depend on, as one hash.
//!
//! The trial and the kept process compute it. Another build, setting, variable, directory, tool or catalogue is another
//! key and so another socket. Libraries and modules that a tool loads are not looked at: the process is kept for seconds.

use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::VARIABLE;
use crate::base::program;
use crate::campaign::settings::Settings;
use crate::case::known::{Catalogue, JSON_NAME, USUAL_DIRECTORY};
use crate::frontend::trial::SEED_DIRECTORY;
use crate::tool::TOOLS;

/// The version of what is said between the two processes.
const PROTOCOL: u32 = 1;

/// Programs beside those that are called like their tools.
const MORE_PROGRAMS: [&str; 5] = ["qemu-io", "qcowinfo", "vmdkinfo", "vhdiinfo", "python3"];

/// How many bytes of the hash are the key: a socket's path must be short.
const KEY_BYTES: usize = 16;

/// Returns the key; `None` if it cannot be told what this process is.
pub(super) fn for_settings(settings: &Settings) -> Option<String> {
    let program = std::env::current_exe().ok()?;
    let mut text = format!("{PROTOCOL} {}\n", env!("CARGO_PKG_VERSION"));
    let mut say = |what: &dyn std::fmt::Debug| writeln!(text, "{what:?}").ok();
    say(&identified(&program))?;
    say(&std::env::current_dir().ok()?)?;
    say(&program::words())?;
    say(settings)?;
    say(&variables())?;
    let rows = TOOLS.iter().map(|row| row.name).chain(MORE_PROGRAMS);
    for program in rows.filter_map(|name| which::which(name).ok()) {
        say(&identified(&program))?;
    }
    let named = settings
        .candidates
        .iter()
        .cloned()
        .chain([settings.reference()]);
    for path in named.filter_map(|spec| spec.path) {
        say(&identified(&path))?;
    }
    for path in catalogue_files(settings) {
        say(&identified(&path))?;
    }
    let hash = Sha256::digest(text.as_bytes());
    Some(
        hash[..KEY_BYTES]
            .iter()
            .fold(String::new(), |key, byte| format!("{key}{byte:02x}")),
    )
}

/// What changes when a file is replaced or written to.
pub(super) fn identified(path: &Path) -> (PathBuf, Option<[i64; 7]>) {
    let found = fs::metadata(path).ok().map(|found| {
        [
            found.dev() as i64,
            found.ino() as i64,
            found.len() as i64,
            found.mtime(),
            found.mtime_nsec(),
            found.ctime(),
            found.ctime_nsec(),
        ]
    });
    (path.to_owned(), found)
}

fn catalogue_files(settings: &Settings) -> Vec<PathBuf> {
    let usual = || {
        let json = Path::new(SEED_DIRECTORY).join(JSON_NAME);
        vec![PathBuf::from(USUAL_DIRECTORY), json]
    };
    let named = settings.catalogue.clone();
    let places = named.map_or_else(usual, |named| vec![named]);
    let files = places.iter().map(|place| Catalogue::files(place));
    files.flat_map(Result::unwrap_or_default).collect()
}

/// Whether a variable is nextest's, which sets it for each trial, or says that this is a kept process.
pub(super) fn is_of_runner(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.contains("NEXTEST") || name == VARIABLE
}

fn variables() -> Vec<(OsString, OsString)> {
    let mut variables: Vec<_> = std::env::vars_os().collect();
    variables.retain(|(name, _)| !is_of_runner(name));
    variables.sort();
    variables
}
