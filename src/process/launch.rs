//! The start of a program by this process: a zygote, a fork server, and, where there is no zygote, a tool.

use std::io;
use std::process::{Child, Command};
use std::time::Duration;

/// How often a start is tried again while the program's file is still open for writing somewhere (ETXTBSY).
pub(super) const START_TRIES: u32 = 20;

/// The pause before each.
pub(super) const START_PAUSE: Duration = Duration::from_millis(5);

/// Starts a program, again when it is being written to by a fork of this process that has not come to its own program yet.
pub(super) fn launch(command: &mut Command) -> io::Result<Child> {
    let mut tries = 0;
    loop {
        match command.spawn() {
            Err(error) if may_pass(&error) && tries < START_TRIES => {
                tries += 1;
                std::thread::sleep(START_PAUSE);
            }
            started => return started,
        }
    }
}

/// Whether what kept a program from being started may be over in a moment: ETXTBSY, or (EAGAIN) no process to spare.
pub(super) fn may_pass(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ExecutableFileBusy | io::ErrorKind::WouldBlock
    )
}
