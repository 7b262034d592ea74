//! Tests of threads that share their program's first one. One test, since a process has one first thread.

use core::ffi::{c_int, c_void};
use core::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::{
    Condition, DETACHED, FIRST, Mutex, error_place, own, pthread_cond_broadcast,
    pthread_cond_signal, pthread_cond_timedwait, pthread_cond_wait, pthread_create,
    pthread_mutex_lock, pthread_mutex_unlock, share_this_thread,
};

/// Room for what the C library keeps in a mutex, a condition, or attributes of a thread.
#[repr(C, align(16))]
struct Room([u8; 64]);

static mut MUTEX: Room = Room([0; 64]);
static mut WORK: Room = Room([0; 64]);
static mut STOPPED: Room = Room([0; 64]);
static LEFT: AtomicUsize = AtomicUsize::new(0);
static DONE_BY: AtomicUsize = AtomicUsize::new(0);
static ENDS: AtomicBool = AtomicBool::new(false);

unsafe extern "C" {
    fn pthread_attr_init(attributes: *mut c_void) -> c_int;
    fn pthread_attr_setdetachstate(attributes: *mut c_void, state: c_int) -> c_int;
}

fn mutex() -> *mut Mutex {
    (&raw mut MUTEX).cast()
}

fn work() -> *mut Condition {
    (&raw mut WORK).cast()
}

fn stopped() -> *mut Condition {
    (&raw mut STOPPED).cast()
}

fn lock() {
    // SAFETY: the mutex is of this test and never moved.
    unsafe { pthread_mutex_lock(mutex()) };
}

fn unlock() {
    // SAFETY: as above.
    unsafe { pthread_mutex_unlock(mutex()) };
}

fn signal(condition: *mut Condition) {
    // SAFETY: the condition is of this test and never moved.
    unsafe { pthread_cond_signal(condition) };
}

fn set_error(error: c_int) {
    // SAFETY: the place is this thread's own.
    unsafe { *error_place() = error };
}

/// A worker as of QEMU's pool: it waits for work under a mutex, and works without it.
extern "C" fn worker(_: *mut c_void) -> *mut c_void {
    lock();
    while !ENDS.load(Ordering::Relaxed) {
        if LEFT.load(Ordering::Relaxed) == 0 {
            // SAFETY: mutex and condition are of this test; a user thread waits without a limit.
            unsafe { pthread_cond_timedwait(work(), mutex(), core::ptr::null()) };
            continue;
        }
        LEFT.fetch_sub(1, Ordering::Relaxed);
        unlock();
        set_error(77);
        DONE_BY.store(own(), Ordering::Relaxed);
        lock();
    }
    signal(stopped());
    unlock();
    null_mut()
}

/// Starts a worker, as the thread that has the mutex.
fn start() {
    let mut attributes = Room([0; 64]);
    let attributes = (&raw mut attributes).cast();
    let mut thread = 0;
    // SAFETY: there is room for attributes (56 bytes).
    unsafe { pthread_attr_init(attributes) };
    // SAFETY: they were just made.
    unsafe { pthread_attr_setdetachstate(attributes, DETACHED) };
    lock();
    // SAFETY: there is room for a thread's number.
    let started = unsafe { pthread_create(&raw mut thread, attributes, worker, null_mut()) };
    assert_eq!(started, 0);
    unlock();
}

fn left() -> usize {
    LEFT.load(Ordering::Relaxed)
}

#[test]
#[cfg(all(target_arch = "x86_64", not(miri)))]
fn a_worker_has_done_its_work_when_the_first_thread_goes_on() {
    let of_its_own = std::thread::spawn(|| {
        share_this_thread();
        LEFT.store(2, Ordering::Relaxed);
        start();
        assert_eq!(left(), 0, "at its start");
        assert_eq!(DONE_BY.load(Ordering::Relaxed), own());
        lock();
        LEFT.store(1, Ordering::Relaxed);
        signal(work());
        assert_eq!(left(), 1, "while it is locked");
        unlock();
        assert_eq!(left(), 0, "when it is unlocked");
        set_error(5);
        LEFT.store(1, Ordering::Relaxed);
        signal(work());
        assert_eq!(left(), 0, "at a signal");
        // SAFETY: the place is this thread's own.
        let error = unsafe { *error_place() };
        assert_eq!(error, 5, "an error of the worker's is its own");
        // As the pool is freed: the first thread waits for the end of the worker.
        lock();
        ENDS.store(true, Ordering::Relaxed);
        // SAFETY: the condition is of this test.
        unsafe { pthread_cond_broadcast(work()) };
        // SAFETY: as above, and the mutex is locked.
        let waited = unsafe { pthread_cond_wait(stopped(), mutex()) };
        assert_eq!(waited, 0);
        unlock();
        FIRST.store(0, Ordering::Relaxed);
    });
    of_its_own.join().unwrap();
}
