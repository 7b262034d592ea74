//! What came of a request.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::content::Contents;
use crate::process::{Captured, HitLimit, PostMortem};
use crate::qcow2::host_clusters::HostClusters;

/// How a tool came out of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// It did it.
    Success,
    /// It said no, in an orderly way, with this exit code (1 for a library's error).
    Refused(i32),
    /// It said that it does not know a feature of the image, this one: nothing was tested.
    Unsupported(String),
    /// It died: of a signal, or a panic.
    Crashed(String),
    /// It was still at it when its time ran out.
    TimedOut(PostMortem),
    /// It used up more than a tool may.
    HitLimit(HitLimit),
}

impl Exit {
    /// In a few words.
    pub fn describe(&self) -> String {
        match self {
            Self::Success => "exit 0".to_owned(),
            Self::Refused(code) => format!("exit {code}"),
            Self::Unsupported(feature) => format!("unsupported: {feature}"),
            Self::Crashed(how) => format!("crashed: {how}"),
            Self::TimedOut(post_mortem) => post_mortem.to_string(),
            Self::HitLimit(hit) => hit.to_string(),
        }
    }
}

/// What came of a request.
#[derive(Clone, Debug)]
pub struct Answer {
    /// How the tool came out of it.
    pub exit: Exit,
    /// The command line as it was run, or a library call in words.
    pub command: Vec<String>,
    /// Standard output.
    pub stdout: Captured,
    /// Standard error.
    pub stderr: Captured,
    /// The guest-visible contents, for [`Request::Contents`] and [`Request::SnapshotContents`].
    pub contents: Option<Contents>,
    /// The host clusters, for [`Request::HostClusters`].
    pub host_clusters: Option<HostClusters>,
    /// Whether the JSON on standard output tells only some of the facts that qemu-img would tell: what it leaves out is
    /// then not compared.
    pub partial: bool,
    /// Wall time.
    pub duration: Duration,
    /// CPU time.
    pub cpu: Duration,
    /// The most memory that the tool had at once, in bytes; 0 where that is not known.
    pub peak_memory_bytes: u64,
    /// How many times a tool was called for it: programs run, or library calls made; 0 when the harness read the answer
    /// off a raw file by itself.
    pub calls: u64,
}

impl Answer {
    /// Nothing was asked: the image has this feature, which the tool does not know.
    pub fn unsupported(feature: String) -> Self {
        Self {
            exit: Exit::Unsupported(feature),
            command: Vec::new(),
            stdout: Captured::default(),
            stderr: Captured::default(),
            contents: None,
            host_clusters: None,
            partial: true,
            duration: Duration::ZERO,
            cpu: Duration::ZERO,
            peak_memory_bytes: 0,
            calls: 0,
        }
    }

    /// Whether the tool was ended by a signal.
    pub fn crashed(&self) -> bool {
        matches!(self.exit, Exit::Crashed(_))
    }

    /// Whether the tool did what was asked.
    pub fn succeeded(&self) -> bool {
        self.exit == Exit::Success
    }

    /// Standard output as JSON; the error names what is wrong with it.
    pub fn json(&self) -> Result<Value, String> {
        serde_json::from_slice(&self.stdout.bytes).map_err(|error| error.to_string())
    }

    /// How the tool came out, with the first line it wrote about it.
    pub fn describe(&self) -> String {
        let said = self.stderr.first_line();
        if said.is_empty() {
            self.exit.describe()
        } else {
            format!("{}: {said}", self.exit.describe())
        }
    }
}
