//! Deletes files that cases no longer need, in parallel with the next cases.
//!
//! One thread serves a whole run; the scratch directories send it their files. Dropping the remover waits until it has
//! deleted everything, so nothing outlives the run.

use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::Root;
use crate::base::phase::Phase;

/// How many leftovers may be queued before senders have to wait.
const BACKLOG: usize = 256;

/// Something to be deleted.
pub(super) enum Leftover {
    /// The files of one operation.
    Files(Vec<PathBuf>),
    /// The whole directory of a case.
    Directory(Root),
}

/// The thread that deletes leftovers.
pub struct Remover {
    leftovers: Option<SyncSender<Leftover>>,
    thread: Option<JoinHandle<()>>,
}

impl Remover {
    /// Starts the thread. If that fails, senders delete their leftovers themselves.
    pub fn start() -> Self {
        let (leftovers, queue) = sync_channel(BACKLOG);
        let thread = std::thread::Builder::new()
            .name("remover".to_owned())
            .spawn(move || queue.into_iter().for_each(remove));
        let thread = thread.ok();
        Self {
            leftovers: thread.is_some().then_some(leftovers),
            thread,
        }
    }

    /// Returns a remover without a thread: senders delete their leftovers themselves, at once.
    pub fn at_once() -> Self {
        Self {
            leftovers: None,
            thread: None,
        }
    }

    pub(super) fn take(&self, leftover: Leftover) {
        Phase::Cleanup.time(|| {
            let Some(leftovers) = &self.leftovers else {
                return remove(leftover);
            };
            if let Err(unsent) = leftovers.send(leftover) {
                remove(unsent.0);
            }
        });
    }
}

impl Drop for Remover {
    fn drop(&mut self) {
        drop(self.leftovers.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the remover's thread must not become another one here.
            let _ = thread.join();
        }
    }
}

fn remove(leftover: Leftover) {
    Phase::Cleanup.time(|| match leftover {
        // A file that cannot be removed now is removed with the case's directory.
        Leftover::Files(paths) => paths.iter().for_each(|path| {
            let _ = fs::remove_file(path);
        }),
        Leftover::Directory(directory) => drop(directory),
    });
}
