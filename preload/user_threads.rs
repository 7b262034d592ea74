//! A tool's detached threads, run inside its first thread.
//!
//! QEMU hands each read and write of a file to a worker thread and waits for it (util/thread-pool.c). That takes two to nine changes of context
//! a block, and they cost more than the block. Where a call wants it, a detached thread that its first thread starts is a *user thread*: it has
//! a stack of its own and runs inside the first thread, from the moment at which it has something to do to that at which it waits for a
//! condition. The order of everything is then the same each time: a worker has done its work when the first thread goes on.
//!
//! Here are the functions of POSIX threads by which such threads start, wait and are woken, in place of the C library's; all other threads, and all
//! threads of a call that does not want this, get the C library's. `user_threads/stack.rs` changes from one stack to another. Only for a tool
//! that is known to wait by a condition alone: what else blocks, blocks the first thread. Not here: time limits of a wait, which the QEMU
//! program's workers need only to end.

use core::cell::Cell;
use core::ffi::{c_int, c_void};
use core::ptr::{null, null_mut};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::next::next;
use crate::single::Single;

mod stack;

/// The most user threads; further ones are threads of the kernel.
const THREADS_MAX: usize = 64;

const DETACHED: c_int = 1;

/// No thread's number: the first thread runs as itself.
const NONE: usize = usize::MAX;

/// A function that a thread runs.
type Start = extern "C" fn(*mut c_void) -> *mut c_void;

unsafe extern "C" {
    fn pthread_self() -> usize;
    fn pthread_mutex_trylock(mutex: *mut Mutex) -> c_int;
    fn pthread_attr_getdetachstate(attributes: *const c_void, state: *mut c_int) -> c_int;
    fn __errno_location() -> *mut c_int;
}

/// A `pthread_mutex_t`; nothing here looks inside.
pub enum Mutex {}

/// A `pthread_cond_t`; only its address matters.
pub enum Condition {}

/// What a user thread is about.
#[derive(Clone, Copy)]
enum State {
    /// It has not been started, or has ended.
    None,
    Running,
    /// For a condition; then it needs the mutex.
    Waits(*const Condition, *mut Mutex),
    /// It can go on as soon as it has the mutex; null: at once.
    Ready(*mut Mutex),
}

struct Thread {
    state: Cell<State>,
    /// Where its stack ends at the moment, while it does not run.
    stack: Cell<usize>,
    start: Cell<Option<Start>>,
    argument: Cell<*mut c_void>,
}

/// What is known of user threads. The stacks of all of them see it, one at a time.
struct Threads {
    all: [Thread; THREADS_MAX],
    count: Cell<usize>,
    /// The number of the one that runs.
    running: Cell<usize>,
    /// How many are ready.
    ready: Cell<usize>,
    /// Where the first thread's own stack ends while a user thread runs.
    first_stack: Cell<usize>,
    /// The condition for which the first thread waits while user threads run, null if it has come.
    first_waits: Cell<*const Condition>,
}

static THREADS: Single<Threads> = Single::new(Threads {
    all: [const {
        Thread {
            state: Cell::new(State::None),
            stack: Cell::new(0),
            start: Cell::new(None),
            argument: Cell::new(null_mut()),
        }
    }; THREADS_MAX],
    count: Cell::new(0),
    running: Cell::new(NONE),
    ready: Cell::new(0),
    first_stack: Cell::new(0),
    first_waits: Cell::new(null()),
});

/// The thread inside which user threads run, as pthread_self(3) names it; 0: there are no user threads.
static FIRST: AtomicUsize = AtomicUsize::new(0);

/// Whether detached threads are not started at all.
static ARE_LEFT_OUT: AtomicBool = AtomicBool::new(false);

/// Says whether detached threads are left out that the tool's own handlers start while it is forked. QEMU's frees memory later (util/rcu.c,
/// `call_rcu_thread`), in no hurry and after ten milliseconds at the earliest; nobody waits for it.
pub fn leave_out_threads(are_left_out: bool) {
    ARE_LEFT_OUT.store(are_left_out, Ordering::Relaxed);
}

/// The number of the thread that runs, as the C library has it.
fn own() -> usize {
    // SAFETY: it takes nothing.
    unsafe { pthread_self() }
}

/// The place of this thread's error number.
fn error_place() -> *mut c_int {
    // SAFETY: it takes nothing.
    unsafe { __errno_location() }
}

/// From now on, detached threads that this thread starts run inside it. False where the machine's stacks cannot be changed here.
pub fn share_this_thread() -> bool {
    if stack::CAN_BE_CHANGED {
        FIRST.store(own(), Ordering::Relaxed);
    }
    stack::CAN_BE_CHANGED
}

/// What is known, if this is the thread that user threads share.
fn threads() -> Option<&'static Threads> {
    let first = FIRST.load(Ordering::Relaxed);
    if first == 0 || own() != first {
        return None;
    }
    // SAFETY: it is never written as a whole, and one thread alone comes here.
    Some(unsafe { &*THREADS.get() })
}

/// What a user thread's stack begins with.
extern "C" fn run_current() -> ! {
    let threads = threads();
    if let Some(threads) = threads
        && let Some(thread) = threads.all.get(threads.running.get())
        && let Some(start) = thread.start.get()
    {
        start(thread.argument.get());
        threads.hand_over(State::None);
    }
    // Nobody lets one go on that has ended.
    crate::system::exit(crate::protocol::EXIT_LOST)
}

impl Threads {
    /// Adds a user thread, which is ready; false if there can be none.
    fn add(&self, start: Start, argument: *mut c_void) -> bool {
        let Some(thread) = self.all.get(self.count.get()) else {
            return false;
        };
        let Some(stack) = stack::new(run_current) else {
            return false;
        };
        thread.stack.set(stack);
        thread.start.set(Some(start));
        thread.argument.set(argument);
        thread.state.set(State::Ready(null_mut()));
        self.count.set(self.count.get() + 1);
        self.ready.set(self.ready.get() + 1);
        true
    }

    /// The user thread that runs; `None` if the first thread runs as itself.
    fn current(&self) -> Option<&Thread> {
        self.all.get(self.running.get())
    }

    /// The user thread that runs is now in this state, and the first thread goes on; returns when it runs again.
    fn hand_over(&self, state: State) {
        let Some(thread) = self.current() else { return };
        thread.state.set(state);
        if let State::Ready(_) = state {
            self.ready.set(self.ready.get() + 1);
        }
        // SAFETY: a user thread runs, so the first thread's stack is as `run_ready` has left it.
        unsafe { stack::change(thread.stack.as_ptr(), self.first_stack.get()) };
    }

    /// Runs what is ready and can have its mutex, until nothing is. A user thread does not do so itself.
    fn run_ready(&self) {
        if self.ready.get() == 0 || self.running.get() != NONE {
            return;
        }
        // What a thread finds as its error is not what another has done meanwhile.
        // SAFETY: the C library gives a place that is there, and this thread's own.
        let error = unsafe { *error_place() };
        while let Some(number) = self.take_ready() {
            self.running.set(number);
            // SAFETY: the stack of one that does not run is as `hand_over` or `add` has left it.
            unsafe { stack::change(self.first_stack.as_ptr(), self.all[number].stack.get()) };
            self.running.set(NONE);
        }
        // SAFETY: as above.
        unsafe { *error_place() = error };
    }

    /// Takes one that is ready, with its mutex.
    fn take_ready(&self) -> Option<usize> {
        let all = self.all[..self.count.get()].iter().enumerate();
        for (number, thread) in all {
            let State::Ready(mutex) = thread.state.get() else {
                continue;
            };
            // SAFETY: a thread waits for it, so it is there.
            if mutex.is_null() || unsafe { pthread_mutex_trylock(mutex) } == 0 {
                thread.state.set(State::Running);
                self.ready.set(self.ready.get() - 1);
                return Some(number);
            }
        }
        None
    }

    /// Wakes the first, or all, that wait for a condition; false if none of them is known here.
    fn wake(&self, condition: *const Condition, all: bool) -> bool {
        let mut woken = 0;
        for thread in &self.all[..self.count.get()] {
            if let State::Waits(wanted, mutex) = thread.state.get()
                && wanted == condition
                && (all || woken == 0)
            {
                thread.state.set(State::Ready(mutex));
                woken += 1;
            }
        }
        self.ready.set(self.ready.get() + woken);
        if self.first_waits.get() == condition && (all || woken == 0) {
            self.first_waits.set(null());
            woken += 1;
        }
        self.run_ready();
        woken > 0
    }

    /// Waits for a condition among user threads: false if it did not come, and the C library has to wait.
    ///
    /// # Safety
    ///
    /// As of pthread_cond_wait(3): the mutex is the caller's then and now.
    unsafe fn wait(&self, condition: *const Condition, mutex: *mut Mutex) -> bool {
        if self.current().is_some() {
            // SAFETY: it is the caller's, who waits.
            unsafe { unlock(mutex) };
            self.hand_over(State::Waits(condition, mutex));
            return true;
        }
        if self.ready.get() == 0 {
            return false;
        }
        self.first_waits.set(condition);
        // SAFETY: as above.
        unsafe { unlock(mutex) };
        self.run_ready();
        let has_come = self.first_waits.replace(null()).is_null();
        // SAFETY: it is there as long as the caller waits.
        unsafe { pthread_mutex_lock(mutex) };
        has_come
    }
}

/// The C library's own.
///
/// # Safety
///
/// As of pthread_mutex_unlock(3).
unsafe fn unlock(mutex: *mut Mutex) -> c_int {
    match next!(
        "pthread_mutex_unlock",
        unsafe extern "C" fn(*mut Mutex) -> c_int
    ) {
        // SAFETY: the caller gives what the C library's function takes.
        Some(real) => unsafe { real(mutex) },
        None => -1,
    }
}

/// Whether a thread with these attributes is detached.
///
/// # Safety
///
/// They are attributes, or null.
unsafe fn is_detached(attributes: *const c_void) -> bool {
    let mut state = 0;
    !attributes.is_null()
        // SAFETY: they are attributes, and there is room for the answer.
        && unsafe { pthread_attr_getdetachstate(attributes, &raw mut state) } == 0
        && state == DETACHED
}

/// In place of the C library's function of this name.
///
/// # Safety
///
/// As of pthread_create(3).
#[cfg_attr(standalone, unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_create(
    thread: *mut usize,
    attributes: *const c_void,
    start: Start,
    argument: *mut c_void,
) -> c_int {
    type Create = unsafe extern "C" fn(*mut usize, *const c_void, Start, *mut c_void) -> c_int;
    // SAFETY: the caller gives attributes, or none.
    let is_detached = unsafe { is_detached(attributes) };
    let is_dealt_with = || {
        ARE_LEFT_OUT.load(Ordering::Relaxed)
            || threads().is_some_and(|threads| threads.add(start, argument))
    };
    if is_detached && is_dealt_with() {
        // SAFETY: the caller has room for it. Nobody may ask anything of a thread that is detached.
        unsafe { *thread = own() };
        return 0;
    }
    match next!("pthread_create", Create) {
        // SAFETY: the caller gives what the C library's function takes.
        Some(real) => unsafe { real(thread, attributes, start, argument) },
        None => -1,
    }
}

/// In place of the C library's function of this name. A user thread that cannot have the mutex lets the first thread go on, which may have it.
///
/// # Safety
///
/// As of pthread_mutex_lock(3).
#[cfg_attr(standalone, unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_mutex_lock(mutex: *mut Mutex) -> c_int {
    if let Some(threads) = threads()
        && threads.current().is_some()
    {
        // SAFETY: the caller gives a mutex.
        if unsafe { pthread_mutex_trylock(mutex) } != 0 {
            // It has the mutex when it goes on.
            threads.hand_over(State::Ready(mutex));
        }
        return 0;
    }
    match next!(
        "pthread_mutex_lock",
        unsafe extern "C" fn(*mut Mutex) -> c_int
    ) {
        // SAFETY: the caller gives what the C library's function takes.
        Some(real) => unsafe { real(mutex) },
        None => -1,
    }
}

/// In place of the C library's function of this name; then whoever is ready runs.
///
/// # Safety
///
/// As of pthread_mutex_unlock(3).
#[cfg_attr(standalone, unsafe(no_mangle))]
pub unsafe extern "C" fn pthread_mutex_unlock(mutex: *mut Mutex) -> c_int {
    // SAFETY: the caller gives what the C library's function takes.
    let done = unsafe { unlock(mutex) };
    if let Some(threads) = threads() {
        threads.run_ready();
    }
    done
}

/// Functions by which threads wait for a condition, in place of the C library's.
macro_rules! waiting {
    ($($name:ident($($limit:ident: $type:ty)?);)*) => {
        $(
            /// In place of the C library's function of this name; a user thread waits without a limit.
            ///
            /// # Safety
            ///
            /// As of the C library's function.
            #[cfg_attr(standalone, unsafe(no_mangle))]
            pub unsafe extern "C" fn $name(condition: *mut Condition, mutex: *mut Mutex $(, $limit: $type)?) -> c_int {
                type Wait = unsafe extern "C" fn(*mut Condition, *mut Mutex $(, $type)?) -> c_int;
                if let Some(threads) = threads()
                    // SAFETY: the caller gives what is waited for, and its mutex.
                    && unsafe { threads.wait(condition, mutex) }
                {
                    return 0;
                }
                match next!(stringify!($name), Wait) {
                    // SAFETY: the caller gives what the C library's function takes.
                    Some(real) => unsafe { real(condition, mutex $(, $limit)?) },
                    None => -1,
                }
            }
        )*
    };
}

waiting! {
    pthread_cond_wait();
    pthread_cond_timedwait(until: *const c_void);
}

/// Functions by which threads are woken, in place of the C library's.
macro_rules! waking {
    ($($name:ident, $all:literal;)*) => {
        $(
            /// In place of the C library's function of this name.
            ///
            /// # Safety
            ///
            /// As of the C library's function.
            #[cfg_attr(standalone, unsafe(no_mangle))]
            pub unsafe extern "C" fn $name(condition: *mut Condition) -> c_int {
                type Wake = unsafe extern "C" fn(*mut Condition) -> c_int;
                if let Some(threads) = threads()
                    && threads.wake(condition, $all)
                    && !$all
                {
                    return 0;
                }
                match next!(stringify!($name), Wake) {
                    // SAFETY: the caller gives what the C library's function takes.
                    Some(real) => unsafe { real(condition) },
                    None => -1,
                }
            }
        )*
    };
}

waking! {
    pthread_cond_signal, false;
    pthread_cond_broadcast, true;
}

#[cfg(test)]
mod tests;
