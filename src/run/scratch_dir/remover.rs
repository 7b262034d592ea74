//! Removes what a case has left behind, beside the cases that go on.
//!
//! One thread for a whole run; the scratch directories hand it their files. It has caught up when it is dropped, so nothing outlives the run.

use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::Root;
use crate::base::phase::Phase;

/// How far it may fall behind before those who hand it more have to wait.
const BACKLOG: usize = 256;

/// Something to be removed.
pub(super) enum Leftover {
    /// Files of an operation.
    Files(Vec<PathBuf>),
    /// A case's whole directory.
    Directory(Root),
}

/// The thread that removes.
pub struct Remover {
    leftovers: Option<SyncSender<Leftover>>,
    thread: Option<JoinHandle<()>>,
}

impl Remover {
    /// Starts it. Without a thread to be had, things are removed by those who have them.
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

    /// No thread: things are removed at once, by those who have them.
    pub fn at_once() -> Self {
        Self {
            leftovers: None,
            thread: None,
        }
    }

    pub(super) fn take(&self, leftover: Leftover) {
        Phase::Cleanup.of(|| {
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
            // A panic of its own is not worth another here.
            let _ = thread.join();
        }
    }
}

fn remove(leftover: Leftover) {
    Phase::Cleanup.of(|| match leftover {
        // What cannot be removed now goes with the whole directory.
        Leftover::Files(paths) => paths.iter().for_each(|path| {
            let _ = fs::remove_file(path);
        }),
        Leftover::Directory(directory) => drop(directory),
    });
}
