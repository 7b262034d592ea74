//! What qemu-img answered before, so that it need not be asked again.
//!
//! qemu-img's answer to a request follows from the request, the files in its directory and its version. [`cached`] wraps the reference for
//! the regression trials: an answer that is in the [`Store`] is given, with the files that came of it, and no program is started. What depends
//! on the time of day (a snapshot's date, a benchmark) is always asked, and an answer that is no clean end is never kept: a timeout or a crash
//! may be the machine's doing.

mod entry;
mod store;

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use xxhash_rust::xxh3::xxh3_128;

use crate::error::{Error, Result};
use crate::request::{Answer, Exit, Request};
use crate::tool::{Scene, Support, Tool, Wording};
use entry::{Entry, FileState};

pub use store::{Counts, Store};

/// The reference, behind a store of its answers.
struct Cached {
    tool: Arc<dyn Tool>,
    store: Arc<Store>,
    /// Which program it is: its version and its file.
    identity: String,
}

/// `tool`, which is asked only what `store` does not know.
pub fn cached(tool: Arc<dyn Tool>, store: Arc<Store>) -> Arc<dyn Tool> {
    let file = tool.program().and_then(|program| program.metadata().ok());
    let file = file.map(|file| (file.len(), file.mtime(), file.mtime_nsec()));
    let identity = format!("{} {} {file:?}", tool.name(), tool.version());
    Arc::new(Cached {
        tool,
        store,
        identity,
    })
}

impl Tool for Cached {
    fn name(&self) -> &str {
        self.tool.name()
    }

    fn version(&self) -> &str {
        self.tool.version()
    }

    fn program(&self) -> Option<&Path> {
        self.tool.program()
    }

    fn support(&self, request: &Request) -> Support {
        self.tool.support(request)
    }

    fn wording(&self, request: &Request) -> Option<Wording> {
        self.tool.wording(request)
    }

    fn ask(&self, request: &Request, scene: &Scene<'_>) -> Result<Answer> {
        if scene.memory_bytes_max.is_some() {
            // What it needs is measured, so it is made.
            return self.tool.ask(request, scene);
        }
        let started = Instant::now();
        // A directory that cannot be read is the tool's to complain about.
        let Ok(before) = FileState::of_all(scene.directory) else {
            return self.tool.ask(request, scene);
        };
        let key = match is_repeatable(request) {
            true => self.key(request, scene.limit, &before),
            false => None,
        };
        let Some(key) = key else {
            return self.tool.ask(request, scene);
        };
        if let Some(entry) = self.store.find(&key) {
            let put = entry.put_files(scene.directory);
            put.map_err(|error| Error::io("put files into", scene.directory, &error))?;
            let mut answer = entry.into_answer();
            answer.duration = started.elapsed();
            return Ok(answer);
        }
        let answer = self.tool.ask(request, scene)?;
        if matches!(answer.exit, Exit::Success | Exit::Refused(_))
            && let Ok(entry) = Entry::of(&answer, scene.directory, &before)
        {
            self.store.keep(&key, &entry);
        }
        Ok(answer)
    }
}

impl Cached {
    /// The name of an answer: a hash of all it follows from. The limit is part of it, so that who sets a short one sees it run out.
    fn key(
        &self,
        request: &Request,
        limit: Duration,
        files: &BTreeMap<String, FileState>,
    ) -> Option<String> {
        let request = serde_json::to_string(request).ok()?;
        let said = format!("{}\n{request}\n{limit:?}\n{files:?}", self.identity);
        Some(format!("{:032x}", xxh3_128(said.as_bytes())))
    }
}

/// Whether the answer will be the same tomorrow.
fn is_repeatable(request: &Request) -> bool {
    !matches!(request, Request::Snapshot { .. } | Request::Bench { .. })
}
