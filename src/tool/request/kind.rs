//! What a step can be, in one word each: the one table of the names of requests and of the actions of the harness.
//!
//! Records, facts and the subjects of differences hold the names. Says nothing of what a request is about: see [`Request`].
//! No [`Request`] is of the kind of an action of the harness, and no tool is asked one.

use std::fmt;

use super::Request;

/// Writes out the kinds of requests and of the actions of the harness, with their names.
macro_rules! kinds {
    (
        tool: $($variant:ident = $name:literal,)*;
        harness: $($action:ident = $action_name:literal,)*;
    ) => {
        /// What is asked of a tool, or done by the harness.
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
            /// Every one of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)* $(Self::$action,)*];

            /// Its name in records.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                    $(Self::$action => $action_name,)*
                }
            }
        }

        impl Request {
            /// What is asked.
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
    ;
    harness:
    Corrupt = "corrupt",
    Damage = "damage",
    Untouched = "untouched",
    HostClusters = "host_clusters",
    Audit = "audit",
    ;
}

impl RequestKind {
    /// The one of this name.
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
    /// What is asked, in one word.
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
