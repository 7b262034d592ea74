//! What is done when a forked tool ends: its own destructors, and not those of its libraries where the call says so.
//!
//! Called by the C library last of all exit handlers, in place of the loader's own function. A library's destructor gives back
//! memory that ends with the process anyway; that of thirty libraries, each touched for it for the first time since the fork, is half of a
//! short call's page faults.

use core::ffi::{c_char, c_int, c_void};
use core::ptr::null_mut;

/// A destructor, or the function that runs all of them.
pub type Destructor = extern "C" fn();

/// Kinds of program headers and of dynamic entries (System V ABI, "Program Header" and "Dynamic Section").
const PT_DYNAMIC: u32 = 2;
const DT_NULL: usize = 0;
const DT_FINI: usize = 13;
const DT_FINI_ARRAY: usize = 26;
const DT_FINI_ARRAYSZ: usize = 28;

/// The beginning of `struct dl_phdr_info` (dl_iterate_phdr(3)).
#[repr(C)]
pub struct Object {
    base: usize,
    name: *const c_char,
    headers: *const ProgramHeader,
    header_count: u16,
}

/// `Elf64_Phdr`.
#[repr(C)]
struct ProgramHeader {
    kind: u32,
    flags: u32,
    offset: usize,
    address: usize,
    physical_address: usize,
    file_bytes: usize,
    memory_bytes: usize,
    alignment: usize,
}

/// `Elf64_Dyn`.
#[repr(C)]
#[derive(Clone, Copy)]
struct DynamicEntry {
    tag: usize,
    value: usize,
}

unsafe extern "C" {
    fn dl_iterate_phdr(
        visit: unsafe extern "C" fn(*const Object, usize, *mut c_void) -> c_int,
        data: *mut c_void,
    ) -> c_int;
}

/// Runs the destructors of the program, and of none of its libraries.
pub fn run_those_of_program() {
    // SAFETY: `of_first` takes what the function gives, and no data.
    unsafe { dl_iterate_phdr(of_first, null_mut()) };
}

/// Runs the destructors of the first object, which is the program (dl_iterate_phdr(3)); no other is wanted.
///
/// # Safety
///
/// `object` is one that is loaded, as the loader tells of it.
unsafe extern "C" fn of_first(object: *const Object, _bytes: usize, _data: *mut c_void) -> c_int {
    // SAFETY: the loader tells of it.
    let object = unsafe { &*object };
    // SAFETY: the object is loaded, so its entries are there, with addresses as the loader has them.
    let found = unsafe { Destructors::find(object) };
    // SAFETY: they are the object's own, and it is still loaded; the program ends, so each is run once.
    unsafe { found.run() };
    1
}

/// Where an object's destructors are: addresses, 0 where there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Destructors {
    array: usize,
    array_bytes: usize,
    last: usize,
}

impl Destructors {
    /// # Safety
    ///
    /// The headers of `object` are there, and its dynamic section ends with an entry of none.
    unsafe fn find(object: &Object) -> Self {
        let mut found = Self::default();
        let count = usize::from(object.header_count);
        // SAFETY: this many headers are there.
        let headers = unsafe { core::slice::from_raw_parts(object.headers, count) };
        for header in headers.iter().filter(|header| header.kind == PT_DYNAMIC) {
            let first =
                core::ptr::with_exposed_provenance::<DynamicEntry>(object.base + header.address);
            for index in 0.. {
                // SAFETY: no entry is read behind the last, which is one of none.
                let entry = unsafe { *first.wrapping_add(index) };
                match entry.tag {
                    DT_NULL => break,
                    DT_FINI => found.last = object.base + entry.value,
                    DT_FINI_ARRAY => found.array = object.base + entry.value,
                    DT_FINI_ARRAYSZ => found.array_bytes = entry.value,
                    _ => {}
                }
            }
        }
        found
    }

    /// Runs them in the loader's order: the array from its end, then the one function.
    ///
    /// # Safety
    ///
    /// They are there, and may be run.
    unsafe fn run(self) {
        let array = core::ptr::with_exposed_provenance::<Destructor>(self.array);
        for index in (0..self.array_bytes / size_of::<Destructor>()).rev() {
            // SAFETY: an array of this many functions lies there.
            let destructor = unsafe { *array.wrapping_add(index) };
            destructor();
        }
        let last = core::ptr::with_exposed_provenance::<()>(self.last);
        if !last.is_null() {
            // SAFETY: DT_FINI is the address of a function of this kind (System V ABI, "Initialization and Termination Functions").
            let last = unsafe { core::mem::transmute::<*const (), Destructor>(last) };
            last();
        }
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// The digits of those that ran, one after the other.
    static RAN: AtomicU32 = AtomicU32::new(0);

    fn note(digit: u32) {
        RAN.store(RAN.load(Ordering::Relaxed) * 10 + digit, Ordering::Relaxed);
    }

    extern "C" fn first() {
        note(1);
    }

    extern "C" fn second() {
        note(2);
    }

    extern "C" fn last() {
        note(3);
    }

    fn header(kind: u32, address: usize) -> ProgramHeader {
        ProgramHeader {
            kind,
            flags: 0,
            offset: 0,
            address,
            physical_address: 0,
            file_bytes: 0,
            memory_bytes: 0,
            alignment: 8,
        }
    }

    #[test]
    fn the_array_is_run_from_its_end_and_the_one_function_last() {
        let array: [Destructor; 2] = [first, second];
        let array_at = array.as_ptr().expose_provenance();
        let last_at = (last as Destructor as *const ()).expose_provenance();
        let entry = |tag, value| DynamicEntry { tag, value };
        // Addresses are told from where the object is loaded, which is here 16.
        let entries = [
            entry(1, 99),
            entry(DT_FINI, last_at - 16),
            entry(DT_FINI_ARRAYSZ, size_of_val(&array)),
            entry(DT_FINI_ARRAY, array_at - 16),
            entry(DT_NULL, 0),
            entry(DT_FINI, 1),
        ];
        let entries_at = entries.as_ptr().expose_provenance();
        let headers = [header(1, 0), header(PT_DYNAMIC, entries_at - 16)];
        let object = Object {
            base: 16,
            name: c"".as_ptr(),
            headers: headers.as_ptr(),
            header_count: 2,
        };
        // SAFETY: two headers are there, and the entries end with one of none.
        let found = unsafe { Destructors::find(&object) };
        // SAFETY: they are functions of this test.
        unsafe { found.run() };
        assert_eq!(RAN.load(Ordering::Relaxed), 213);
    }

    #[test]
    fn an_object_without_destructors_has_none_to_run() {
        let headers = [header(1, 0)];
        let object = Object {
            base: 0,
            name: c"".as_ptr(),
            headers: headers.as_ptr(),
            header_count: 1,
        };
        // SAFETY: one header is there, and it is of no dynamic section.
        let found = unsafe { Destructors::find(&object) };
        assert_eq!(found, Destructors::default());
        // SAFETY: there are none.
        unsafe { found.run() };
    }
}
