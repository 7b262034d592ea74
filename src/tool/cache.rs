//! Caches the answers of qemu-img, so that it need not run again.
//!
//! qemu-img's answer depends on the request, the files in its directory and its version. `cached` wraps the reference
//! for the regression trials: an answer in the `Store` is returned together with its files, and no program is started.
//! Requests that depend on the time of day (a snapshot's date, a benchmark) are never cached, nor are answers other
//! than a clean exit, because a timeout or crash may be the machine's fault. `shared` wraps it for several candidates
//! on one case, which make the same requests on the same bytes.

mod case_answers;
mod entry;
mod file_state;
mod store;

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Instant;

use xxhash_rust::xxh3::xxh3_128;

use crate::base::error::{Error, Result};
use crate::tool::request::{Answer, Exit, Request};
use crate::tool::{CallContext, Tool, ToolWrapper};
use entry::Entry;
use file_state::FileState;

pub use case_answers::CaseAnswers;
pub use store::{Counts, Store};

/// The reference with a cache.
struct Cached {
    tool: Arc<dyn Tool>,
    shelf: Shelf,
    /// The version and file of the program.
    identity: String,
}

/// Where answers are kept.
enum Shelf {
    /// On disk, for later runs.
    Store(Arc<Store>),
    /// In memory, for the other candidates on this case. Snapshots have dates: if a candidate creates snapshots itself,
    /// their dates are compared with the reference's, so the reference must create its own at the same time.
    CaseAnswers {
        answers: Arc<CaseAnswers>,
        snapshots: bool,
    },
}

impl Shelf {
    /// Whether an answer would be the same in any later use.
    fn takes(&self, request: &Request, call_context: &CallContext<'_>) -> bool {
        match self {
            Self::Store(_) => {
                // A call whose memory is measured must run.
                call_context.memory_bytes_max.is_none()
                    && !matches!(request, Request::Snapshot { .. } | Request::Bench { .. })
            }
            Self::CaseAnswers { snapshots, .. } => {
                *snapshots || !matches!(request, Request::Snapshot { .. })
            }
        }
    }

    fn find(&self, key: &str) -> Option<Arc<Entry>> {
        match self {
            Self::Store(store) => store.find(key).map(Arc::new),
            Self::CaseAnswers { answers, .. } => answers.find(key),
        }
    }

    fn keep(&self, key: String, entry: Entry) {
        match self {
            Self::Store(store) => store.keep(&key, &entry),
            Self::CaseAnswers { answers, .. } => answers.keep(key, entry),
        }
    }
}

/// Returns `tool` behind a cache: it gets only requests whose answers `store` does not have.
pub fn cached(tool: Arc<dyn Tool>, store: Arc<Store>) -> Arc<dyn Tool> {
    behind(tool, Shelf::Store(store))
}

/// Returns `tool` behind a cache for one case: it gets only requests that it did not get for another candidate;
/// `snapshots` allows sharing those too.
pub fn shared(tool: Arc<dyn Tool>, answers: Arc<CaseAnswers>, snapshots: bool) -> Arc<dyn Tool> {
    behind(tool, Shelf::CaseAnswers { answers, snapshots })
}

fn behind(tool: Arc<dyn Tool>, shelf: Shelf) -> Arc<dyn Tool> {
    let file = tool.program().and_then(|program| program.metadata().ok());
    let file = file.map(|file| (file.len(), file.mtime(), file.mtime_nsec()));
    let identity = format!("{} {} {file:?}", tool.name(), tool.version());
    Arc::new(Cached {
        tool,
        shelf,
        identity,
    })
}

impl ToolWrapper for Cached {
    fn inner(&self) -> &dyn Tool {
        &*self.tool
    }

    fn ask(&self, request: &Request, call_context: &CallContext<'_>) -> Result<Answer> {
        let started = Instant::now();
        if !self.shelf.takes(request, call_context) {
            return self.tool.ask(request, call_context);
        }
        // The tool reports a directory that cannot be read.
        let Ok(before) = FileState::of_all(call_context.directory) else {
            return self.tool.ask(request, call_context);
        };
        let Some(key) = self.key(request, call_context, &before) else {
            return self.tool.ask(request, call_context);
        };
        if let Some(entry) = self.shelf.find(&key) {
            let put = entry.put_files(call_context.directory);
            put.map_err(|error| Error::io("put files into", call_context.directory, &error))?;
            let mut answer = entry.answer(request.kind());
            if answer.usage.duration.is_zero() {
                answer.usage.duration = started.elapsed();
            }
            return Ok(answer);
        }
        let answer = self.tool.ask(request, call_context)?;
        if matches!(answer.exit, Exit::Success | Exit::Refused(_))
            && let Ok(entry) = Entry::from_answer(&answer, call_context.directory, &before)
        {
            self.shelf.keep(key, entry);
        }
        Ok(answer)
    }
}

impl Cached {
    /// Returns the key of an answer: a hash of everything that it depends on. The limits are part of it, so that a
    /// short limit can still be exceeded.
    fn key(
        &self,
        request: &Request,
        call_context: &CallContext<'_>,
        files: &BTreeMap<String, FileState>,
    ) -> Option<String> {
        let request = serde_json::to_string(request).ok()?;
        let limit = call_context.limit;
        let mut basis = format!("{}\n{request}\n{limit:?}\n{files:?}", self.identity);
        if let Some(memory) = call_context.memory_bytes_max {
            basis.push_str(&format!("\n{memory}"));
        }
        Some(format!("{:032x}", xxh3_128(basis.as_bytes())))
    }
}
