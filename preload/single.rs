//! A cell for what a program keeps in static memory.
//!
//! A program here is called back by the C library or by the kernel with nothing to hold on to, so that what it keeps has to lie in a static.
//! Each program has few such cells; flags that other threads of a tool read as well are atomics instead.

use core::cell::UnsafeCell;

/// A value in static memory that one thread at a time uses.
pub struct Single<T>(UnsafeCell<T>);

// SAFETY: `get` alone gives access, as a raw pointer, and whoever follows it has to show that nobody else does. Each program here follows it
// before its own or its tool's `main`, when there is one thread (a thread that a library's constructor has started knows nothing of this
// cell), and later only to read what was written then.
unsafe impl<T> Sync for Single<T> {}

impl<T> Single<T> {
    /// A cell with this value.
    pub const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// Where the value lies. To follow the pointer, nobody else may hold a reference into it.
    pub const fn get(&self) -> *mut T {
        self.0.get()
    }
}
