//! Ctrl-C, SIGTERM and SIGHUP while a run is under way: an orderly end soon, and an end in any case.
//!
//! Called by the run before its tools are opened; until then, a signal ends the program as it does any other. The wish to stop is the process
//! room's, and each loop that runs tools looks at it.

use std::process::exit;
use std::sync::Once;
use std::thread;
use std::time::Duration;

use super::EXIT_INTERRUPTED;
use crate::base::error::{Error, Result};
use crate::process::request_stop;
use crate::report::complain;

/// How long after the first signal the program may take to write what there is to be written. The cases in flight have ended long before, or were left
/// behind.
const LAST: Duration = Duration::from_secs(8);

/// Listens for them from here on.
pub(super) fn listen() -> Result<()> {
    ctrlc::set_handler(|| {
        request_stop();
        // Without a thread to spare, the orderly end is all there is.
        static TIMER: Once = Once::new();
        TIMER.call_once(|| drop(thread::Builder::new().spawn(end_at_last)));
    })
    .map_err(|error| Error::system(format!("cannot listen for Ctrl-C: {error}")))
}

/// Ends the program when it has not ended by itself. The reaper cleans up after it.
fn end_at_last() {
    thread::sleep(LAST);
    complain(&Error::system(format!(
        "interrupted, and not at an end {} seconds later: given up; the records that were written are whole",
        LAST.as_secs()
    )));
    exit(i32::from(EXIT_INTERRUPTED));
}
