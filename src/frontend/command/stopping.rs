//! Ctrl-C, SIGTERM and SIGHUP during a run: end in order soon, and in any case after a time limit.
//!
//! The run calls it before it opens its tools; until then, a signal ends the program as usual. The process room holds
//! the request to stop, and each loop that runs tools checks it.

use std::process::exit;
use std::sync::Once;
use std::thread;
use std::time::Duration;

use super::EXIT_INTERRUPTED;
use crate::base::error::{Error, Result};
use crate::process::request_stop;
use crate::report::complain;

/// How long after the first signal the program may take to write its files, before it is ended. Running cases have
/// ended or been abandoned long before.
const LAST: Duration = Duration::from_secs(8);

/// Handles the signals from here on.
pub(super) fn listen() -> Result<()> {
    ctrlc::set_handler(|| {
        request_stop();
        // Without a thread for the timer, only the orderly end is left.
        static TIMER: Once = Once::new();
        TIMER.call_once(|| drop(thread::Builder::new().spawn(end_at_last)));
    })
    .map_err(|error| Error::system(format!("cannot listen for Ctrl-C: {error}")))
}

/// Ends the program if it has not ended by itself. The reaper then cleans up.
fn end_at_last() {
    thread::sleep(LAST);
    complain(&Error::system(format!(
        "interrupted, but still running {} seconds later, so ended now; all records that were written are complete",
        LAST.as_secs()
    )));
    exit(i32::from(EXIT_INTERRUPTED));
}
