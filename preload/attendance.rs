//! How a process that starts tools sees a child through: it tells of its start and its end, and reaps it when it may.
//!
//! Used by the zygote and the fork server. The child ends with its process, and all that it has left behind ends before the next call.

use core::ffi::c_int;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::inbox::{Call, NO_DESCRIPTORS};
use crate::protocol::{EXIT_LOST, REAP, Reply, VERSION, call_flag};
use crate::system;

/// CPU time of this process in microseconds when it last told a child's.
static OWN_CPU: AtomicU64 = AtomicU64::new(0);

/// Says that this process waits for calls. What it has used of the processor until now is nobody's.
pub fn say_hello(socket: c_int) {
    OWN_CPU.store(system::own_cpu(), Ordering::Relaxed);
    say(socket, Reply::Hello { version: VERSION });
}

/// Tells that there is no child, by a negated error number.
pub fn say_failed(socket: c_int, error: isize) {
    let error = -error as i32;
    say(socket, Reply::NotStarted { error });
}

/// Tells that this process could not become what it is to be, by a negated error number, and ends.
pub fn give_up(socket: c_int, error: isize) -> ! {
    let error = -error as i32;
    say(socket, Reply::CannotEnter { error });
    system::exit(EXIT_LOST)
}

/// A reply. Nobody there to take it: the end.
fn say(socket: c_int, reply: Reply) {
    if !system::send(socket, &reply.encode()) {
        system::exit(0);
    }
}

/// Sees a child through.
pub fn attend(socket: c_int, call: &Call<'_>, child: c_int) {
    if call.has(call_flag::TELLS_START) {
        tell(socket, child, Reply::Started { process: child });
    }
    let watched = system::open_process(child);
    // Nothing is said here while a child runs: what can be read is the end of the socket.
    if watched >= 0 && system::first_is_ready(socket, watched) {
        await_leave(socket, child);
    }
    system::close(watched);
    let Some(ended) = system::await_end(child) else {
        system::exit(EXIT_LOST);
    };
    // Starting a tool is part of its cost: what this process has used for it is the call's too.
    let own = system::own_cpu();
    let before = OWN_CPU.swap(own, Ordering::Relaxed);
    let reply = Reply::Ended {
        process: child,
        status: ended.status,
        cpu_microseconds: ended.cpu_microseconds + own.saturating_sub(before),
        peak_kibibytes: ended.peak_kibibytes.min(u64::from(u32::MAX)) as u32,
    };
    tell(socket, child, reply);
    await_leave(socket, child);
    system::reap(child);
    system::end_descendants();
}

fn tell(socket: c_int, child: c_int, reply: Reply) {
    if !system::send(socket, &reply.encode()) {
        end_with(child);
    }
}

/// Waits for the leave to reap a child. The end of the socket is the end of this process and its child.
fn await_leave(socket: c_int, child: c_int) {
    let mut room = [0; REAP.len()];
    let mut descriptors = NO_DESCRIPTORS;
    if system::receive(socket, &mut room, &mut descriptors) == 0 {
        end_with(child);
    }
    descriptors.into_iter().for_each(system::close);
}

/// Ends this process, its child's group and whatever else comes from it.
fn end_with(child: c_int) -> ! {
    system::kill_group(child);
    system::end_descendants();
    system::exit(0)
}
