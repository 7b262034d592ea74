//! What a tool or the harness reports in an answer: parsed once, where the answer is made.

use serde_json::Value;

use super::{FaultReport, RequestKind, SessionOutcome};
use crate::disk_format::qcow2::audit::Audit;
use crate::disk_format::qcow2::host_clusters::HostClusters;
use crate::image::content::Contents;

/// The report of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Report {
    /// No report: the exit says everything, or the text on standard output.
    #[default]
    Nothing,
    /// The JSON of `info`, `measure` or `map`: a tree, because the judges compare whatever it contains.
    Json {
        /// The JSON.
        tree: Value,
        /// Whether it has only some of the facts that qemu-img reports: missing facts are not compared.
        is_partial: bool,
    },
    /// The counts of `check` or `repair`.
    Check(CheckCounts),
    /// The request calls for JSON, and standard output cannot be parsed; with the reason.
    Unparsable(String),
    /// The guest-visible contents, for `Request::Contents` and `Request::SnapshotContents`.
    Contents(Contents),
    /// The outcomes of the requests of a session, in order; those that are made together have one each.
    Session(Vec<SessionOutcome>),
    /// What is left after a call of the tool failed.
    Fault(FaultReport),
    /// The host clusters, for the harness action that normalizes the dates of snapshots.
    HostClusters(HostClusters),
    /// The audit of an image by the harness.
    Audit(Audit),
}

/// The counts of a check. qemu-img omits those that are zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckCounts {
    /// The number of errors in the metadata.
    pub corruptions: u64,
    /// The number of clusters that nothing refers to.
    pub leaks: u64,
    /// The number of errors of the check itself.
    pub check_errors: u64,
    /// Whether a repair reports that it is incomplete.
    pub is_incomplete: bool,
}

impl CheckCounts {
    fn read(kind: RequestKind, tree: &Value) -> Self {
        let count = |name: &str| tree[name].as_u64().unwrap_or(0);
        Self {
            corruptions: count("corruptions"),
            leaks: count("leaks"),
            check_errors: count("check-errors"),
            is_incomplete: kind == RequestKind::Repair && tree["repair-incomplete"] == true,
        }
    }

    /// Returns the counters that must be zero, with their names.
    pub fn errors(&self) -> [(&'static str, u64); 3] {
        [
            ("corruptions", self.corruptions),
            ("leaks", self.leaks),
            ("check-errors", self.check_errors),
        ]
    }
}

impl Report {
    /// Parses the standard output of a request of this kind. `is_partial` says whether the tool reports only some of
    /// the facts.
    pub fn parse(kind: RequestKind, output: &[u8], is_partial: bool) -> Self {
        match kind {
            RequestKind::Info
            | RequestKind::Measure
            | RequestKind::Map
            | RequestKind::Check
            | RequestKind::Repair => match serde_json::from_slice(output) {
                Ok(tree) => Self::from_json(kind, tree, is_partial),
                Err(error) => Self::Unparsable(error.to_string()),
            },
            _ => Self::Nothing,
        }
    }

    /// Returns the report of a request of this kind whose answer is this JSON.
    pub fn from_json(kind: RequestKind, tree: Value, is_partial: bool) -> Self {
        match kind {
            RequestKind::Check | RequestKind::Repair if tree.is_object() => {
                Self::Check(CheckCounts::read(kind, &tree))
            }
            RequestKind::Check | RequestKind::Repair => {
                Self::Unparsable("the JSON is no object".to_owned())
            }
            RequestKind::Info | RequestKind::Measure | RequestKind::Map => {
                Self::Json { tree, is_partial }
            }
            _ => Self::Nothing,
        }
    }

    /// Returns the tree of a report in JSON, or why there is none.
    pub fn tree(&self) -> Result<&Value, &str> {
        match self {
            Self::Json { tree, .. } => Ok(tree),
            Self::Unparsable(why) => Err(why),
            _ => Err("no JSON"),
        }
    }

    /// Whether the report has only some of the facts that qemu-img reports.
    pub fn is_partial(&self) -> bool {
        matches!(
            self,
            Self::Json {
                is_partial: true,
                ..
            }
        )
    }

    /// Returns the guest-visible contents.
    pub fn contents(&self) -> Option<&Contents> {
        match self {
            Self::Contents(contents) => Some(contents),
            _ => None,
        }
    }
}

impl Report {
    /// Returns the outcomes of a session.
    pub fn session(&self) -> Option<&[SessionOutcome]> {
        match self {
            Self::Session(outcomes) => Some(outcomes),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_kind_of_the_request_says_what_standard_output_reports() {
        let text = br#"{"leaks": 2, "repair-incomplete": true}"#;
        let counts = CheckCounts {
            leaks: 2,
            is_incomplete: true,
            ..CheckCounts::default()
        };
        let parse = |kind, text: &[u8]| Report::parse(kind, text, false);
        assert_eq!(parse(RequestKind::Repair, text), Report::Check(counts));
        let info = parse(RequestKind::Info, text);
        assert_eq!(info.tree().unwrap()["leaks"], json!(2));
        assert_eq!(parse(RequestKind::Create, text), Report::Nothing);
        for text in [&b"[]"[..], b"{", b""] {
            let report = parse(RequestKind::Check, text);
            assert!(matches!(report, Report::Unparsable(_)), "{report:?}");
        }
    }
}
