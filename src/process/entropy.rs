//! The same random bytes in each run for what works inside this program.
//!
//! Asked for by a worker before it does anything: an embedded library then does on a case what it did before, to the byte, so that a seed
//! replays and the cache knows what the reference said of it. Programs of others are left as they are.

use std::os::unix::process::CommandExt;
use std::process::Command;

use super::memory_file::MemoryFile;

/// What is preloaded (`preload/entropy.rs`), as `build.rs` made it; empty where it could not be made.
const LIBRARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/entropy"));

/// What tells a program that it was started so.
const MARK: &str = "IMGDUEL_CHANCE";

/// Becomes this program anew, with the same arguments and the system's random bytes fixed. Returns where that is done, or cannot be.
pub fn fix_entropy() {
    if LIBRARY.is_empty() || std::env::var_os(MARK).is_some() {
        return;
    }
    let library = MemoryFile::holding("imgduel-entropy", LIBRARY);
    if let Ok(path) = library.and_then(MemoryFile::hand_over) {
        // It returns only when it fails; then random bytes are what they are elsewhere.
        let _ = Command::new("/proc/self/exe")
            .args(std::env::args_os().skip(1))
            .env("LD_PRELOAD", path)
            .env(MARK, "1")
            .exec();
    }
}
