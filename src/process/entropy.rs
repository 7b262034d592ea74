//! Fixes the random bytes of code that runs inside this program.
//!
//! A worker calls it first: an embedded library then does the same on a case in each run, to the byte, so that seeds
//! replay and cached answers stay valid. Other programs are not affected.

use std::os::unix::process::CommandExt;
use std::process::Command;

use super::memory_file::MemoryFile;

/// The preloaded library (`preload/entropy.rs`), as `build.rs` built it; empty if it could not be built.
const LIBRARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/entropy"));

/// The variable that marks a program that was started like this.
const MARK: &str = "IMGDUEL_CHANCE";

/// Executes this program again, with the same arguments and fixed random bytes. Returns if that is done, or impossible.
pub fn fix_entropy() {
    if LIBRARY.is_empty() || std::env::var_os(MARK).is_some() {
        return;
    }
    let library = MemoryFile::holding("imgduel-entropy", LIBRARY);
    if let Ok(path) = library.and_then(MemoryFile::hand_over) {
        // It returns only if it fails; random bytes are then the system's.
        let _ = Command::new("/proc/self/exe")
            .args(std::env::args_os().skip(1))
            .env("LD_PRELOAD", path)
            .env(MARK, "1")
            .exec();
    }
}
