//! The kinds of steps: the one table of the names of requests and harness actions.
//!
//! Records, facts and the subjects of differences have these names. For the parameters see [`Request`]. No [`Request`]
//! has the kind of a harness action, and no tool gets one.

use std::fmt;

use super::Request;

/// Defines the kinds of requests and harness actions, with their names.
macro_rules! kinds {
    (
        tool: $($variant:ident = $name:literal,)*;
        harness: $($action:ident = $action_name:literal,)*;
    ) => {
        /// The kind of a request or of a harness action.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum RequestKind {
            $(
                #[doc = concat!("[`Request::", stringify!($variant), "`].")]
                $variant,
            )*
            $(
                #[doc = concat!("The action `", $action_name, "` of the harness.")]
                $action,
            )*
        }

        impl RequestKind {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$variant,)* $(Self::$action,)*];

            /// Returns the name in records.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                    $(Self::$action => $action_name,)*
                }
            }
        }

        impl Request {
            /// Returns the kind of the request.
            pub fn kind(&self) -> RequestKind {
                match self {
                    $(Self::$variant { .. } => RequestKind::$variant,)*
                }
            }
        }
    };
}

kinds! {
    tool:
    Create = "create",
    Info = "info",
    Check = "check",
    Convert = "convert",
    ConvertSnapshot = "convert_snapshot",
    Measure = "measure",
    Resize = "resize",
    Write = "write",
    WriteZeroes = "write_zeroes",
    Discard = "discard",
    Contents = "contents",
    Map = "map",
    Amend = "amend",
    Rebase = "rebase",
    Commit = "commit",
    Dd = "dd",
    Bitmap = "bitmap",
    Bench = "bench",
    Compare = "compare",
    Snapshot = "snapshot",
    SnapshotList = "snapshot_list",
    SnapshotContents = "snapshot_contents",
    Repair = "repair",
    Session = "session",
    ;
    harness:
    Fault = "fault",
    Place = "place",
    Corrupt = "corrupt",
    Damage = "damage",
    Untouched = "untouched",
    WriteImage = "write_image",
    Unchanged = "unchanged",
    HostClusters = "host_clusters",
    Audit = "audit",
    ;
}

impl RequestKind {
    /// Returns the kind of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for RequestKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl Request {
    /// Returns the name of the kind.
    pub fn name(&self) -> &'static str {
        self.kind().name()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_is_found_by_its_name() {
        for kind in RequestKind::ALL {
            assert_eq!(RequestKind::named(kind.name()), Some(*kind));
        }
        assert_eq!(RequestKind::named("no_such_request"), None);
    }
}
