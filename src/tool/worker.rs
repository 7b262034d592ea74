//! The disposable process in which a library runs.
//!
//! The program starts itself with [`ARGUMENT`] and the library's name (`libraries.rs` has the list), and speaks the
//! adapter protocol. A panic, an abort, a hang or a runaway allocation affects only that process and becomes an answer:
//! see [`Pool`](super::adapter::Pool).

use std::any::Any;
use std::io::{self, BufRead, Write};
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::thread;

use super::adapter::protocol::{Message, Response};
use super::library::hosting::{Delivery, Hosted};
use crate::process;
use crate::tool::request::Request;

/// The hidden argument that makes the program a worker; the library's name follows.
pub const ARGUMENT: &str = "__imgduel-worker";

/// The argument that makes the program an adapter for everyone; the library's name follows. Scripts name it.
pub const ADAPTER_ARGUMENT: &str = "serve-adapter";

/// Serves until standard input closes.
pub(super) fn serve(
    library: &dyn Hosted,
    delivery: Delivery,
    input: impl BufRead,
    mut output: impl Write,
) -> io::Result<()> {
    for line in input.lines() {
        match serde_json::from_str(&line?)? {
            Message::Hello { .. } => serde_json::to_writer(&mut output, &library.hello())?,
            Message::Request {
                directory, request, ..
            } => {
                let started = process::own_cpu_time();
                let mut response = answer(library, &request, &directory, delivery);
                response.peak_memory_bytes = process::own_peak();
                response.cpu_ns = (process::own_cpu_time() - started).as_nanos() as u64;
                serde_json::to_writer(&mut output, &response)?;
            }
        }
        output.write_all(b"\n")?;
        output.flush()?;
    }
    Ok(())
}

/// Asks a library in a thread of its own, and turns a panic into an answer.
fn answer(
    library: &dyn Hosted,
    request: &Request,
    directory: &Path,
    delivery: Delivery,
) -> Response {
    // Each request has its own thread, so that hash maps start with the same keys whatever came before. After a panic
    // the worker is discarded, so no broken state is reused.
    thread::scope(|scope| {
        let asked = || library.answer(request, directory, delivery);
        scope.spawn(asked).join()
    })
    .unwrap_or_else(panicked)
}

/// Asks a library in this thread, and turns a panic into an answer. The caller gives the process no further case after one.
pub(super) fn answer_in_this_thread(
    library: &dyn Hosted,
    request: &Request,
    directory: &Path,
) -> Response {
    let asked = || library.answer(request, directory, Delivery::Inside);
    panic::catch_unwind(AssertUnwindSafe(asked)).unwrap_or_else(panicked)
}

fn panicked(payload: Box<dyn Any + Send>) -> Response {
    let text = payload.downcast_ref::<String>().cloned();
    let text = text.or_else(|| {
        payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
    });
    Response {
        panicked: Some(text.unwrap_or_else(|| "a panic without a message".to_owned())),
        ..Response::default()
    }
}

#[cfg(test)]
mod tests;
