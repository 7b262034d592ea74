//! What can be asked, in one word each: the one table of the names of requests.
//!
//! Records, facts and the subjects of differences hold the names. Says nothing of what a request is about: see [`Request`].

use std::fmt;

use super::Request;

/// Writes out the kinds of requests with their names.
macro_rules! kinds {
    ($($variant:ident = $name:literal,)*) => {
        /// What is asked.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum RequestKind {
            $(
                #[doc = concat!("[`Request::", stringify!($variant), "`].")]
                $variant,
            )*
        }

        impl RequestKind {
            /// Every one of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Its name in records.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
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
    Corrupt = "corrupt",
    Damage = "damage",
    Untouched = "untouched",
    HostClusters = "host_clusters",
    Audit = "audit",
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
