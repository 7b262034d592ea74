//! A store of source images that many cases share, so that each is made once in a run.
//!
//! The runner looks images up and adds those that it makes. The key of an image is the list of requests that made it,
//! so two recipes share an image only if they put the same requests to the reference. The store keeps copies, as the
//! sides get copies too, and sides may hard-link them. When any of the copies may have been written to, the store
//! drops them all.

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use xxhash_rust::xxh3::xxh3_64;

use crate::base::error::Result;
use crate::image::content::copy_sparse;
use crate::image::outside::Outside;
use crate::process::write_watch::WriteWatch;
use crate::run::case_image::{CaseImage, Reading};
use crate::run::scratch_dir::Root;
use crate::tool::request::Request;

/// How many images the store keeps.
const FIXTURES_MAX: usize = 2048;

/// How large one file may be, and all files together, in allocated bytes.
const FIXTURE_BYTES_MAX: u64 = 4 << 20;
const ALL_BYTES_MAX: u64 = 256 << 20;

/// The images of one run, in a directory that is removed with the store.
#[derive(Default)]
pub struct Fixtures {
    /// Whether the store is switched off.
    is_closed: bool,
    shelf: Mutex<Shelf>,
    names: AtomicU64,
    /// The images from outside with which cases of the run begin.
    outside: Mutex<Vec<Arc<CaseImage>>>,
}

#[derive(Default)]
struct Shelf {
    directory: Option<Root>,
    images: HashMap<String, Fixture>,
    /// Hashes of the keys that were added once; an image with data is kept when it is added again.
    added_once: HashSet<u64>,
    bytes: u64,
    watch: Option<WriteWatch>,
}

/// A source image in the store.
#[derive(Clone, Debug)]
pub struct Fixture {
    /// The path of its file.
    pub path: PathBuf,
    /// The commands that made it.
    pub commands: Vec<Vec<String>>,
}

impl Fixtures {
    /// Returns a store that keeps nothing: every case makes its own images.
    pub fn none() -> Self {
        Self {
            is_closed: true,
            ..Self::default()
        }
    }

    /// Returns the image that these requests made, if the store has it.
    pub fn find(&self, requests: &[Request]) -> Option<Fixture> {
        let mut shelf = self.lock();
        if shelf.watch.as_ref().is_some_and(WriteWatch::has_seen_any) {
            shelf.images.clear();
        }
        shelf.images.get(&key(requests)?).cloned()
    }

    /// Keeps a copy of the image that these requests made, unless it is large. An image with data is kept only when it
    /// is added for the second time, because few cases share their data. The store makes its directory in `workdir`.
    pub fn keep(
        &self,
        requests: &[Request],
        path: &Path,
        commands: &[Vec<String>],
        workdir: &Path,
    ) -> Result<()> {
        let Some(key) = key(requests).filter(|_| !self.is_closed) else {
            return Ok(());
        };
        let bytes = path
            .metadata()
            .map_or(u64::MAX, |found| found.blocks() * 512);
        let copy = {
            let mut shelf = self.lock();
            if requests.len() > 1 && shelf.added_once.insert(xxh3_64(key.as_bytes())) {
                return Ok(());
            }
            let is_full = shelf.images.len() >= FIXTURES_MAX || shelf.bytes + bytes > ALL_BYTES_MAX;
            if bytes > FIXTURE_BYTES_MAX || is_full {
                return Ok(());
            }
            if shelf.directory.is_none() {
                let made = Root::make(workdir, "fixtures");
                // If the directory cannot be made, nothing is kept and every case makes its own images.
                shelf.directory = made.ok();
            }
            let Some(directory) = &shelf.directory else {
                return Ok(());
            };
            let number = self.names.fetch_add(1, Ordering::Relaxed);
            directory.path().join(number.to_string())
        };
        copy_sparse(path, &copy)?;
        let mut shelf = self.lock();
        shelf.bytes += bytes;
        if shelf.watch.is_none() {
            shelf.watch = WriteWatch::begin().ok();
        }
        let watched = shelf.watch.as_mut().map(|watch| watch.add(&copy));
        if watched.is_none_or(|added| added.is_err()) {
            // An image that is not watched could be changed unnoticed by one case for all others.
            return Ok(());
        }
        let fixture = Fixture {
            path: copy,
            commands: commands.to_vec(),
        };
        // Two jobs may have added the same image at once; either copy will do.
        shelf.images.insert(key, fixture);
        Ok(())
    }

    /// Opens the image from outside with which a case begins, and holds it as long as the store is there.
    pub fn begin_with(&self, from: &Outside, reading: &Reading<'_>) -> Result<()> {
        let mut outside = self.outside.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |image: &Arc<CaseImage>| image.from.digest == from.digest;
        if !outside.iter().any(is_it) {
            outside.push(CaseImage::of_case(from, reading)?);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(requests: &[Request]) -> Option<String> {
    serde_json::to_string(requests).ok()
}
