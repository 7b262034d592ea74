//! What is done when a forked tool ends: its own destructors, and not those of its libraries where the call says so.
//!
//! Called by the C library last of all exit handlers, in place of the loader's own function. A library's destructor gives back
//! memory that ends with the process anyway; that of thirty libraries, each touched for it for the first time since the fork, is half of a
//! short call's page faults.

use core::ffi::{c_char, c_int, c_void};

/// Runs the destructors of the program and of all its libraries.
pub type Farewell = extern "C" fn();

/// The loader's own; none: it has nothing to do.
static mut OF_LOADER: Option<Farewell> = None;
/// Whether the libraries' destructors are left out.
static mut SPARES_LIBRARIES: bool = false;

/// Kinds of program headers and of dynamic entries (System V ABI, "Program Header" and "Dynamic Section").
const PT_DYNAMIC: u32 = 2;
const DT_NULL: usize = 0;
const DT_FINI: usize = 13;
const DT_FINI_ARRAY: usize = 26;
const DT_FINI_ARRAYSZ: usize = 28;

/// The beginning of `struct dl_phdr_info` (dl_iterate_phdr(3)).
#[repr(C)]
struct Object {
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

/// What the C library is given in place of the loader's function; nothing, where there is none.
pub unsafe fn in_place_of(of_loader: Option<Farewell>) -> Option<Farewell> {
    unsafe { OF_LOADER = of_loader };
    of_loader.map(|_| say as Farewell)
}

/// From now on, the libraries' destructors are left out.
pub unsafe fn spare_libraries() {
    unsafe { SPARES_LIBRARIES = true };
}

extern "C" fn say() {
    unsafe {
        if SPARES_LIBRARIES {
            // The program is the first of the objects (dl_iterate_phdr(3)).
            dl_iterate_phdr(of_first, core::ptr::null_mut());
        } else if let Some(of_loader) = OF_LOADER {
            of_loader();
        }
    }
}

/// Runs an object's destructors in the loader's order: the array from its end, then the one function. No other object is wanted.
unsafe extern "C" fn of_first(object: *const Object, _bytes: usize, _data: *mut c_void) -> c_int {
    let (mut array, mut array_bytes, mut last) = (0, 0, 0);
    unsafe {
        let Object {
            base,
            headers,
            header_count,
            ..
        } = *object;
        for index in 0..usize::from(header_count) {
            let header = &*headers.add(index);
            if header.kind != PT_DYNAMIC {
                continue;
            }
            let mut entry = (base + header.address) as *const DynamicEntry;
            while (*entry).tag != DT_NULL {
                match (*entry).tag {
                    DT_FINI => last = base + (*entry).value,
                    DT_FINI_ARRAY => array = base + (*entry).value,
                    DT_FINI_ARRAYSZ => array_bytes = (*entry).value,
                    _ => {}
                }
                entry = entry.add(1);
            }
        }
        let functions = array as *const Farewell;
        for index in (0..array_bytes / size_of::<Farewell>()).rev() {
            (*functions.add(index))();
        }
        if last != 0 {
            core::mem::transmute::<usize, Farewell>(last)();
        }
    }
    1
}
