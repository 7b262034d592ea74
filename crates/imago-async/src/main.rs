//! The worker of the candidate `imago-async`: imago by its asynchronous interface. imgduel starts it and sends it requests, as its own workers.
//!
//! It is a program of its own because a build can have imago's features `sync` or `async`, and imgduel has `sync`.

mod library;
mod session;

use std::process::ExitCode;

use imgduel::library::Blocking;

fn main() -> ExitCode {
    imgduel::tool::libraries::serve_alone(&Blocking(library::ImagoAsync))
}
