//! The messages of a process that starts tools on request, and what a child does before it becomes the tool.
//!
//! Part of both programs of this directory; `src/process/server.rs` is the other end of the socket. A call comes in with its
//! descriptors. One answer tells that the child has ended, with its status, CPU time and peak of memory, or the error that kept it from
//! being started; where the call asks for it, one before tells that it has started. The next message lets the child be reaped: until then its
//! number is its own. Whoever wants to know the number meanwhile finds it in the file that is this process's standard output, where the child
//! writes it before it does anything else. The end of the socket is the end of this process, and of its child with it.

#![allow(dead_code, reason = "each of the two programs uses a part")]

use core::ffi::{c_char, c_int};
use core::ptr::{addr_of, addr_of_mut, null_mut};

use crate::system::{self, EINTR, IoVector, Limit, MessageHeader};

/// The version of the messages; both ends are of one build, so this only guards against a foreign file.
pub const PROTOCOL: u32 = 5;

/// The longest message: a call with its arguments and environment.
const MESSAGE_BYTES: usize = 128 << 10;

/// The most words (arguments, or environment variables) of a call.
const WORDS_MAX: usize = 2048;

/// How a process ends that could not do what it is there for.
pub const EXIT_LOST: c_int = 127;

const SOL_SOCKET: c_int = 1;
const SCM_RIGHTS: c_int = 1;

/// Standard output, standard error and, where the head says so, standard input and a Landlock ruleset.
pub const DESCRIPTORS: usize = 4;

/// The length of a control message without its descriptors.
const CONTROL_HEAD_BYTES: usize = 16;

/// The head of a call: flags, how many limits, arguments and environment variables, and the call's own number. After it come the limits, three
/// numbers each (which, soft, hard), then, each ended by a zero byte, the program, the directory, the arguments and the variables.
const HEAD_NUMBERS: usize = 5;

/// Kinds of answers.
const STARTED: u32 = 1;
const ENDED: u32 = 2;
const NOT_STARTED: u32 = 3;

/// Where a child writes the call's number and its own: its standard output, until that is the tool's.
const LEDGER: c_int = 1;

/// Flushes reach the disk.
pub const IS_DURABLE: u64 = 1;
/// Standard input is among the descriptors.
const HAS_STDIN: u64 = 2;
/// A Landlock ruleset is among the descriptors.
const HAS_RULESET: u64 = 4;
/// The destructors of the tool's libraries are left out.
pub const SPARES_LIBRARIES: u64 = 8;
/// The start is told as well.
const TELLS_START: u64 = 16;

/// `struct cmsghdr` with room for a call's descriptors.
#[repr(C, align(8))]
struct Control {
    length: usize,
    level: c_int,
    kind: c_int,
    descriptors: [c_int; DESCRIPTORS],
}

static mut MESSAGE: [u64; MESSAGE_BYTES / 8] = [0; MESSAGE_BYTES / 8];
static mut WORDS: [[*mut c_char; WORDS_MAX + 1]; 2] = [[null_mut(); WORDS_MAX + 1]; 2];
/// CPU time of this process in microseconds when it last told a child's.
static mut OWN_CPU: u64 = 0;

/// A call that has come in; its words lie in this process's only message.
#[derive(Clone, Copy)]
pub struct Call {
    descriptors: [c_int; DESCRIPTORS],
    directory: *const c_char,
    pub program: *const c_char,
    pub count: c_int,
}

/// Says that this process waits for calls. What it has used of the processor until now is nobody's.
pub fn say_hello(socket: c_int) {
    unsafe { OWN_CPU = system::own_cpu() };
    say(socket, [PROTOCOL, 0, 0, 0, 0, 0]);
}

/// An answer. Nobody there to take it: the end.
fn say(socket: c_int, numbers: [u32; 6]) {
    if !system::send(socket, &numbers) {
        system::exit(0);
    }
}

/// One message into [`MESSAGE`]; its length, 0 at the end of the socket.
pub unsafe fn receive(socket: c_int, descriptors: &mut [c_int; DESCRIPTORS]) -> usize {
    unsafe {
        let mut vector = IoVector {
            base: addr_of_mut!(MESSAGE).cast(),
            length: MESSAGE_BYTES,
        };
        let mut control = Control {
            length: 0,
            level: 0,
            kind: 0,
            descriptors: [-1; DESCRIPTORS],
        };
        let mut header = MessageHeader {
            name: null_mut(),
            name_length: 0,
            vectors: &mut vector,
            vector_count: 1,
            control: addr_of_mut!(control).cast(),
            control_length: size_of::<Control>(),
            flags: 0,
        };
        loop {
            let received = system::receive(socket, &mut header);
            if received >= 0 {
                if control.level == SOL_SOCKET && control.kind == SCM_RIGHTS {
                    let bytes = control.length.saturating_sub(CONTROL_HEAD_BYTES);
                    let count = (bytes / size_of::<c_int>()).min(DESCRIPTORS);
                    descriptors[..count].copy_from_slice(&control.descriptors[..count]);
                }
                return received as usize;
            }
            if received != EINTR {
                return 0;
            }
        }
    }
}

/// The message that came last, as numbers.
pub unsafe fn numbers() -> &'static [u64] {
    unsafe { &*addr_of!(MESSAGE) }
}

/// The next call; one that does not fit is refused. The end of the socket is the end of this process.
pub unsafe fn next_call(socket: c_int) -> Call {
    loop {
        let mut descriptors = [-1; DESCRIPTORS];
        let received = unsafe { receive(socket, &mut descriptors) };
        if received == 0 {
            system::exit(0);
        }
        if let Some(call) = unsafe { lay_out(received, descriptors) } {
            return call;
        }
        descriptors.into_iter().for_each(system::close);
        say(socket, [0; 6]);
    }
}

/// Makes the lists of words of the call in [`MESSAGE`]; none when they do not fit.
unsafe fn lay_out(received: usize, descriptors: [c_int; DESCRIPTORS]) -> Option<Call> {
    unsafe {
        let message = core::slice::from_raw_parts(addr_of!(MESSAGE).cast::<u8>(), received);
        let numbers = &*addr_of!(MESSAGE);
        let [limits, arguments, variables] = [1, 2, 3].map(|index| numbers[index] as usize);
        let fits = |count: usize| count <= WORDS_MAX;
        if !fits(limits) || !fits(arguments) || !fits(variables) || received >= MESSAGE_BYTES {
            return None;
        }
        let program = (HEAD_NUMBERS + limits * 3) * size_of::<u64>();
        let directory = after(message, program);
        let mut place = after(message, directory);
        for (list, count) in (*addr_of_mut!(WORDS))
            .iter_mut()
            .zip([arguments, variables])
        {
            for slot in &mut list[..count] {
                *slot = message.as_ptr().wrapping_add(place).cast_mut().cast();
                place = after(message, place);
            }
            list[count] = null_mut();
        }
        (place <= received).then_some(Call {
            descriptors,
            directory: message.as_ptr().wrapping_add(directory).cast(),
            program: message.as_ptr().wrapping_add(program).cast(),
            count: arguments as c_int,
        })
    }
}

/// Where the word after the one at `place` begins.
fn after(message: &[u8], place: usize) -> usize {
    let rest = message.get(place..).unwrap_or_default();
    let length = rest
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(rest.len());
    place + length + 1
}

impl Call {
    /// The arguments and the environment variables, each list ended by a null pointer.
    pub fn words(&self) -> [*mut *mut c_char; 2] {
        unsafe { [0, 1].map(|list| addr_of_mut!(WORDS[list]).cast()) }
    }

    /// Whether a flag of the head is set.
    pub fn has(&self, flag: u64) -> bool {
        unsafe { MESSAGE[0] & flag != 0 }
    }

    /// Closes what came with it; for the process that started its child.
    pub fn close(&self) {
        self.descriptors.into_iter().for_each(system::close);
    }

    /// Makes of this process, a child that was just forked, what the call wants: group, directory, streams, limits, confinement. A
    /// negated error number when that cannot be; nothing of the tool may run then.
    pub unsafe fn settle(&self) -> isize {
        let [stdout, stderr, third, fourth] = self.descriptors;
        let (stdin, ruleset) = match (self.has(HAS_STDIN), self.has(HAS_RULESET)) {
            (true, true) => (third, fourth),
            (true, false) => (third, -1),
            (false, true) => (-1, third),
            (false, false) => (-1, -1),
        };
        system::lead_group(0);
        let numbers = unsafe { &*addr_of!(MESSAGE) };
        system::write_at_start(LEDGER, &[numbers[4], system::own_process()]);
        for (from, to) in [(stdin, 0), (stdout, 1), (stderr, 2)] {
            if from >= 0 || to > 0 {
                let done = system::duplicate(from, to);
                if done < 0 {
                    return done;
                }
                system::close(from);
            }
        }
        let done = unsafe { system::change_directory(self.directory) };
        if done < 0 {
            return done;
        }
        let limits = numbers[1] as usize;
        for limit in numbers[HEAD_NUMBERS..][..limits * 3].chunks_exact(3) {
            let [resource, soft, hard] = [limit[0], limit[1], limit[2]];
            let done = system::limit(resource as usize, Limit { soft, hard });
            if done < 0 {
                return done;
            }
        }
        if self.has(HAS_RULESET) {
            let done = system::restrict(ruleset);
            if done < 0 {
                return done;
            }
            system::close(ruleset);
        }
        0
    }
}

/// Tells that there is no child, by a negated error number.
pub fn say_failed(socket: c_int, error: isize) {
    say(socket, [NOT_STARTED, 0, (-error) as u32, 0, 0, 0]);
}

/// Tells that this process could not become what it is to be, by a negated error number, and ends.
pub fn give_up(socket: c_int, error: isize) -> ! {
    say(socket, [0, 0, (-error) as u32, 0, 0, 0]);
    system::exit(EXIT_LOST)
}

/// Sees a child through: tells its start, where that is asked for, and its end, and reaps it when it may. The child ends with this process,
/// and all that it has left behind ends before the next call.
pub unsafe fn attend(socket: c_int, call: &Call, child: c_int) {
    if call.has(TELLS_START) {
        tell(socket, child, [STARTED, child as u32, 0, 0, 0, 0]);
    }
    let watched = system::open_process(child);
    // Nothing is said here while a child runs: what can be read is the end of the socket.
    if watched >= 0 && system::first_is_ready(socket, watched) {
        let mut nothing = [-1; DESCRIPTORS];
        end_with(child, unsafe { receive(socket, &mut nothing) });
    }
    system::close(watched);
    let Some(ended) = system::await_end(child) else {
        system::exit(EXIT_LOST);
    };
    // Starting a tool is part of its cost: what this process has used for it is the call's too.
    let own = system::own_cpu();
    let cpu = unsafe { ended.cpu_microseconds + own - OWN_CPU };
    unsafe { OWN_CPU = own };
    let kibibytes = ended.peak_kibibytes.min(u64::from(u32::MAX)) as u32;
    let (low, high) = (cpu as u32, (cpu >> 32) as u32);
    tell(socket, child, [ENDED, child as u32, ended.status, low, high, kibibytes]);
    let mut nothing = [-1; DESCRIPTORS];
    end_with(child, unsafe { receive(socket, &mut nothing) });
    system::reap(child);
    system::end_descendants();
}

fn tell(socket: c_int, child: c_int, numbers: [u32; 6]) {
    if !system::send(socket, &numbers) {
        end_with(child, 0);
    }
}

/// Ends this process, its child's group and whatever else comes from it when nothing was `received`: that is the end of the socket.
fn end_with(child: c_int, received: usize) {
    if received == 0 {
        system::kill_group(child);
        system::end_descendants();
        system::exit(0);
    }
}
