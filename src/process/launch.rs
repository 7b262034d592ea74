//! Starts a program from this process: a zygote, a fork server, or, without a zygote, a tool.

use std::io;
use std::process::{Child, Command};
use std::time::Duration;

/// The number of retries while the program's file is open for writing somewhere (ETXTBSY).
pub(super) const START_TRIES: u32 = 20;

/// The pause before each retry.
pub(super) const START_PAUSE: Duration = Duration::from_millis(5);

/// Starts a program; retries if a fork of this process that has not executed its own program yet holds it open for
/// writing.
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

/// Whether the error may disappear in a moment: ETXTBSY, or no free process (EAGAIN).
pub(super) fn may_pass(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ExecutableFileBusy | io::ErrorKind::WouldBlock
    )
}
