//! Source images that many cases share: made once in a run.
//!
//! Asked by the duel, which makes what is not here yet. An image is known by the very requests that made it, so that two
//! recipes share one only when the reference was asked the same. What is kept is a copy, as what the sides get is, and may get further names. Nothing is
//! trusted any more when somebody may have written to one of them.

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use xxhash_rust::xxh3::xxh3_64;

use crate::base::error::Result;
use crate::image::content::copy_sparse;
use crate::process::write_watch::WriteWatch;
use crate::run::scratch_dir::Root;
use crate::tool::request::Request;

/// How many images are kept.
const FIXTURES_MAX: usize = 2048;

/// How large a file may be, and all together, in bytes that they take up.
const FIXTURE_BYTES_MAX: u64 = 4 << 20;
const ALL_BYTES_MAX: u64 = 256 << 20;

/// The images of one run, in a directory that goes with it.
#[derive(Default)]
pub struct Fixtures {
    /// Whether none are kept.
    is_closed: bool,
    shelf: Mutex<Shelf>,
    names: AtomicU64,
}

#[derive(Default)]
struct Shelf {
    directory: Option<Root>,
    images: HashMap<String, Fixture>,
    /// Hashes of what was asked for once, and is kept when it is asked for again.
    asked: HashSet<u64>,
    bytes: u64,
    watch: Option<WriteWatch>,
}

/// An image that was made.
#[derive(Clone, Debug)]
pub struct Fixture {
    /// Its file.
    pub path: PathBuf,
    /// The command lines that made it.
    pub commands: Vec<Vec<String>>,
}

impl Fixtures {
    /// None are kept: every case makes its own.
    pub fn none() -> Self {
        Self {
            is_closed: true,
            ..Self::default()
        }
    }

    /// The image that these requests made, when it is here.
    pub fn find(&self, requests: &[Request]) -> Option<Fixture> {
        let mut shelf = self.lock();
        if shelf.watch.as_ref().is_some_and(WriteWatch::has_seen_any) {
            shelf.images.clear();
        }
        shelf.images.get(&key(requests)?).cloned()
    }

    /// Keeps a copy of what these requests made, unless it is large; where data was put into it, when it is made for the second time:
    /// few cases share their data. `workdir` is where the directory is made.
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
            if requests.len() > 1 && shelf.asked.insert(xxh3_64(key.as_bytes())) {
                return Ok(());
            }
            let is_full = shelf.images.len() >= FIXTURES_MAX || shelf.bytes + bytes > ALL_BYTES_MAX;
            if bytes > FIXTURE_BYTES_MAX || is_full {
                return Ok(());
            }
            if shelf.directory.is_none() {
                let made = Root::make(workdir, "fixtures");
                // Without a place to keep them, every case makes its own.
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
            // Whoever gets it could change it for all.
            return Ok(());
        }
        let fixture = Fixture {
            path: copy,
            commands: commands.to_vec(),
        };
        // Two jobs may have made the same: either will do.
        shelf.images.insert(key, fixture);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(requests: &[Request]) -> Option<String> {
    serde_json::to_string(requests).ok()
}
