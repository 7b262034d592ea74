//! Space that a forked tool reserves: it is taken late, and the file ends as by a spawned call.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(all(target_os = "linux", target_env = "gnu"))]

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use imgduel::process::Ending;
use imgduel::tool::launcher::{ExecMode, Launcher};

use crate::fork_server::call;
#[cfg(not(missing_qemu_img))]
use crate::fork_server::qemu;
use crate::ring;

/// The length of a file and the space that it takes, in blocks.
fn space(path: &Path) -> (u64, u64) {
    let file = std::fs::File::open(path).unwrap();
    // A disk reserves space for what was written when it is flushed at the latest.
    file.sync_all().unwrap();
    let metadata = file.metadata().unwrap();
    (metadata.len(), metadata.blocks())
}

#[test]
fn space_that_a_tool_reserves_and_never_gives_back_is_taken_when_it_ends() {
    let scratch = ring::scratch();
    let program = Path::new("/usr/bin/fallocate");
    let taken = [ExecMode::Spawn, ExecMode::Fork].map(|mode| {
        let launcher = Launcher::new(mode, false).for_reference().for_qemu(true);
        let name = mode.to_string();
        let words = ["--offset", "1M", "--length", "20M", &name].map(str::to_owned);
        let finished = launcher.run(&call(program, &words, scratch.path()));
        assert_eq!(finished.unwrap().ending, Ending::Exited(0));
        space(&scratch.path().join(&name))
    });
    assert_eq!(taken[0], taken[1]);
    assert!(taken[0].1 >= 40960, "{taken:?}");
}

#[test]
#[cfg(not(missing_qemu_img))]
fn space_that_a_tool_reserves_and_gives_back_is_never_taken() {
    let taken = [ExecMode::Spawn, ExecMode::Fork].map(|mode| {
        let scratch = ring::scratch();
        let launcher = Launcher::new(mode, false).for_reference().for_qemu(true);
        let create = "qemu-img create -f parallels image 64M";
        let finished = qemu(&launcher, create, scratch.path(), None);
        assert_eq!(finished.ending, Ending::Exited(0));
        let program = which::which("qemu-io").unwrap();
        let words = ["-f", "parallels", "-c", "write 3M 100k", "image"].map(str::to_owned);
        let finished = launcher.run(&call(&program, &words, scratch.path()));
        assert_eq!(finished.unwrap().ending, Ending::Exited(0));
        space(&scratch.path().join("image"))
    });
    assert_eq!(taken[0], taken[1]);
    assert_eq!(taken[0].0, 2 << 20);
}
