//! The libraries that this program preloads into itself as a worker.
//!
//! A worker calls it first. With fixed random bytes, an embedded library does the same on a case in each run, to the byte, so that seeds replay and
//! cached answers stay valid. A case worker makes holes of long zeros, too. Other programs are not affected.

use std::os::unix::process::CommandExt;
use std::process::Command;

use super::memory_file::MemoryFile;

/// A preloaded library as `build.rs` built it; empty if it could not be built.
struct Library {
    name: &'static str,
    bytes: &'static [u8],
}

/// `preload/entropy.rs`.
const ENTROPY: Library = Library {
    name: "imgduel-entropy",
    bytes: include_bytes!(concat!(env!("OUT_DIR"), "/entropy")),
};

/// `preload/holes.rs`.
const HOLES: Library = Library {
    name: "imgduel-holes",
    bytes: include_bytes!(concat!(env!("OUT_DIR"), "/holes")),
};

/// How glibc allocates in a worker (its manual, Memory Allocation Tunables): a request's buffers lie in the heap, of which this much stays for the next
/// request. A new buffer would cost a page fault for each of its pages; 16 MiB are below all limits of a candidate's memory.
const ALLOCATION: (&str, &str) = (
    "GLIBC_TUNABLES",
    "glibc.malloc.mmap_threshold=8388608:glibc.malloc.trim_threshold=16777216",
);

/// The variable that marks a program that was started like this.
const MARK: &str = "IMGDUEL_CHANCE";

/// Executes this program again, with the same arguments and fixed random bytes. Returns if that is done, or impossible.
pub fn fix_entropy() {
    execute_again(&[ENTROPY]);
}

/// As [`fix_entropy`], for a process whose files nobody asks for their holes: long zeros that a library writes become such, and none are read.
pub fn fix_entropy_and_make_holes() {
    execute_again(&[ENTROPY, HOLES]);
}

fn execute_again(libraries: &[Library]) {
    if std::env::var_os(MARK).is_some() {
        return;
    }
    let there = libraries.iter().filter(|library| !library.bytes.is_empty());
    let paths = there.map(|library| {
        let file = MemoryFile::holding(library.name, library.bytes);
        let path = file.and_then(MemoryFile::hand_over).ok()?;
        path.into_os_string().into_string().ok()
    });
    let own_allocation = std::env::var_os(ALLOCATION.0);
    // It returns only if it fails; random bytes are then the system's.
    if let Some(paths) = paths
        .collect::<Option<Vec<String>>>()
        .filter(|paths| !paths.is_empty())
    {
        let _ = Command::new("/proc/self/exe")
            .args(std::env::args_os().skip(1))
            .env("LD_PRELOAD", paths.join(":"))
            .env(MARK, "1")
            .envs(own_allocation.is_none().then_some(ALLOCATION))
            .exec();
    }
}
