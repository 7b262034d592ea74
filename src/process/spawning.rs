//! Starts a tool: by a zygote if there is one, otherwise from this process; or by a fork of a tool that is already
//! loaded.
//!
//! `call.rs` and `dialogue.rs` use it, which watch the child to its end.

use std::path::Path;

use super::child::{Child, Pipes, Put, Started};
use super::invocation::{Invocation, Omissions};
use super::launch::{START_PAUSE, START_TRIES, may_pass};
use super::policy::SandboxPolicy;
use super::server::{NotStarted, Server};
use super::{child, scratch, zygote_pool};
use crate::base::error::{Error, Result};

/// Starts the program as the leader of a new group, with a pipe as standard input if `spoken_to`, otherwise an empty
/// one, and has `attend` watch it.
pub(super) fn spawn<T>(
    invocation: &Invocation<'_>,
    spoken_to: bool,
    attend: impl Fn(Child, Pipes) -> Result<Started<T>>,
) -> Result<T> {
    let policy = invocation.sandbox.unwrap_or(&SandboxPolicy::OPEN);
    let wall = invocation.limit + invocation.grace;
    let limits = policy.set_limits((!spoken_to).then_some(wall), invocation.memory_bytes_max);
    // A program without a directory is searched on PATH, which a zygote does not do.
    let is_path = invocation.program.components().nth(1).is_some();
    let mut tries = 0;
    let place = scratch::run_directory_of(invocation.directory);
    while is_path && let Ok(zygote) = zygote_pool::take(policy, place) {
        let home = {
            let (policy, place) = (policy.clone(), place.map(Path::to_owned));
            move |zygote| zygote_pool::put_back(&policy, place.as_deref(), zygote)
        };
        let put = Put {
            invocation,
            omissions: Omissions::default(),
            spoken_to,
            limits: &limits,
        };
        let attended = match put.by_server(zygote, Some(Box::new(home)))? {
            Started::Yes((child, pipes)) => attend(child, pipes)?,
            Started::No(why) => Started::No(why),
        };
        match attended {
            Started::Yes(attended) => return Ok(attended),
            Started::No(NotStarted::ByServer) => break,
            Started::No(NotStarted::BySystem(error)) if may_pass(&error) && tries < START_TRIES => {
                tries += 1;
                std::thread::sleep(START_PAUSE);
            }
            Started::No(NotStarted::BySystem(error)) => {
                return Err(child::cannot_start(invocation, &error));
            }
        }
    }
    let (child, pipes) = child::by_us(invocation, spoken_to, &limits)?;
    match attend(child, pipes)? {
        Started::Yes(attended) => Ok(attended),
        Started::No(_) => Err(Error::system("a tool's process was lost".to_owned())),
    }
}

/// Starts it by a fork of a tool that is already loaded; its server is returned when the child is reaped.
pub(super) fn fork(
    invocation: &Invocation<'_>,
    omissions: Omissions,
    server: Server,
) -> Result<Started<(Child, Pipes)>> {
    let policy = invocation.sandbox.unwrap_or(&SandboxPolicy::OPEN);
    let wall = invocation.limit + invocation.grace;
    let put = Put {
        invocation,
        omissions,
        spoken_to: false,
        limits: &policy.set_limits(Some(wall), invocation.memory_bytes_max),
    };
    put.by_server(server, None)
}
