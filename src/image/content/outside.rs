//! What guests see in images from outside: bytes that follow from no recipe, kept in files while a run goes on.
//!
//! The run registers them before it carries out a case that begins with such an image; the model then fills views with them, like with the data of a
//! recipe. A key is a part of a digest, so that a case which names it means the same bytes in every run. Nothing is written here.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, PoisonError, RwLock};

/// What a guest sees in an image, or in a snapshot of it.
#[derive(Debug)]
pub struct GuestBytes {
    /// The guest-visible size in bytes.
    pub size: u64,
    /// The ranges [start, end) of sectors that are not all zero, ascending.
    pub runs: Vec<(u64, u64)>,
    /// The bytes, at their guest offsets.
    pub file: File,
}

static REGISTERED: RwLock<BTreeMap<u32, Arc<GuestBytes>>> = RwLock::new(BTreeMap::new());

/// Makes the bytes known under a key; those that had it before are forgotten.
pub fn register(key: u32, guest: GuestBytes) {
    let mut registered = REGISTERED.write().unwrap_or_else(PoisonError::into_inner);
    registered.insert(key, Arc::new(guest));
}

/// Returns what is registered under a key.
pub fn registered(key: u32) -> Option<Arc<GuestBytes>> {
    let registered = REGISTERED.read().unwrap_or_else(PoisonError::into_inner);
    registered.get(&key).cloned()
}

/// Writes the bytes from `place` on into `bytes`: zeros where nothing is registered, and beyond the end.
pub(super) fn put(key: u32, place: u64, bytes: &mut [u8]) {
    bytes.fill(0);
    let Some(guest) = registered(key) else { return };
    let mut done = 0;
    while done < bytes.len() {
        match guest.file.read_at(&mut bytes[done..], place + done as u64) {
            Ok(read) if read > 0 => done += read,
            _ => return,
        }
    }
}
