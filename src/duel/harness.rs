//! What the harness itself carries out: requests that no tool could be asked.
//!
//! Called by the duel for steps of [`Actor::Harness`](crate::exchange::Actor::Harness). What it cannot do with an image is
//! a refusal, judged like a tool's; it starts no program.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::process::Captured;
use crate::qcow2::host_clusters::HostClusters;
use crate::qcow2::{ImageBytes, Unparsable};
use crate::request::{Answer, Exit, Request};

/// Carries out a request in a side's directory.
pub(super) fn carry_out(request: &Request, directory: &Path) -> Answer {
    let started = Instant::now();
    let mut words = vec!["(imgduel)".to_owned(), request.name().to_owned()];
    words.push(request.file().path.clone());
    let image = || ImageBytes::open(&directory.join(&request.file().path));
    let done = match request {
        Request::Corrupt { corruption, .. } => {
            words.push(corruption.name().to_owned());
            image()
                .and_then(|image| corruption.inflict(&image))
                .map(|()| None)
        }
        Request::HostClusters { .. } => {
            image().and_then(|image| HostClusters::settle_and_read(&image).map(Some))
        }
        _ => Err(Unparsable::new("that is for a tool")),
    };
    let (exit, said, host_clusters) = match done {
        Ok(host_clusters) => (Exit::Success, String::new(), host_clusters),
        Err(why) => (Exit::Refused(1), why.to_string(), None),
    };
    Answer {
        exit,
        command: words,
        stdout: Captured::default(),
        stderr: Captured::from_text(said),
        contents: None,
        host_clusters,
        partial: false,
        duration: started.elapsed(),
        cpu: Duration::ZERO,
        calls: 0,
    }
}
