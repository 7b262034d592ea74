//! Caches the answers of qemu-img, so that it need not run again.
//!
//! qemu-img's answer depends on the request, the files in its directory and its version. `cached` wraps the reference
//! for the regression trials: an answer in the `Store` is returned together with its files, and no program is started.
//! Requests that depend on the time of day (a snapshot's date, a benchmark) are never cached, nor are answers other
//! than a clean exit, because a timeout or crash may be the machine's fault. `shared` wraps it for one case, in which
//! several candidates, and both sides of one, make the same requests on the same bytes.

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
    /// In memory, for this case.
    CaseAnswers {
        answers: Arc<CaseAnswers>,
        sharing: Sharing,
    },
}

/// Which of the reference's answers are shared within a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Those that change no file: what the reference prepares for a single candidate it prepares once anyway, and to keep
    /// changed files costs more than to change them again.
    Readings,
    /// All but snapshots, which have dates: if a candidate creates snapshots itself, their dates are compared with the
    /// reference's, so the reference must create its own at the same time.
    AllButSnapshots,
    /// All, for candidates on one case.
    All,
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
            Self::CaseAnswers { sharing, .. } => match sharing {
                Sharing::Readings => request.is_reading(),
                Sharing::AllButSnapshots => !matches!(request, Request::Snapshot { .. }),
                Sharing::All => true,
            },
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

/// Returns `tool` behind a cache for one case: of the requests whose answers are shared, it gets only those that it did not
/// get before.
pub fn shared(tool: Arc<dyn Tool>, answers: Arc<CaseAnswers>, sharing: Sharing) -> Arc<dyn Tool> {
    behind(tool, Shelf::CaseAnswers { answers, sharing })
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
