//! What the reference answered in a case, for the other candidates that are tried on it.
//!
//! In memory, and gone with the case. Made by the contest. Unlike the [`Store`](super::Store) it also keeps what depends on the time of day
//! and on this machine: within a case both are the same for all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::entry::Entry;

/// How many bytes of file data are kept; what does not fit is asked again.
const DATA_BYTES_MAX: u64 = 128 << 20;

/// The answers of one case.
#[derive(Default)]
pub struct OfCase {
    shelf: Mutex<Shelf>,
}

#[derive(Default)]
struct Shelf {
    entries: HashMap<String, Arc<Entry>>,
    bytes: u64,
}

impl OfCase {
    pub(super) fn find(&self, key: &str) -> Option<Arc<Entry>> {
        self.lock().entries.get(key).cloned()
    }

    pub(super) fn keep(&self, key: String, entry: Entry) {
        let mut shelf = self.lock();
        let bytes = shelf.bytes + entry.data_bytes();
        if bytes <= DATA_BYTES_MAX {
            shelf.bytes = bytes;
            shelf.entries.insert(key, Arc::new(entry));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
