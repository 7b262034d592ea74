//! The reference's answers in one case, for the other candidates on it.
//!
//! They are kept in memory and dropped with the case. Campaigns with several candidates create it. Unlike the
//! [`Store`](super::Store), it also keeps answers that depend on the time of day and on this machine, which are the
//! same within a case.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::entry::Entry;

/// The maximum number of bytes of file data; an answer beyond it is not cached.
const DATA_BYTES_MAX: u64 = 128 << 20;

/// The answers of one case.
#[derive(Default)]
pub struct CaseAnswers {
    shelf: Mutex<Shelf>,
}

#[derive(Default)]
struct Shelf {
    entries: HashMap<String, Arc<Entry>>,
    bytes: u64,
}

impl CaseAnswers {
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
