//! Where the host clusters of two images differ.
//!
//! Found where they are compared; said of findings, in their words.

use std::fmt;

/// Where in the files, roughly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HostRegion {
    /// Where both files reach.
    Prefix,
    /// Behind the end of the shorter one.
    Tail,
}

/// Where exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HostPlace {
    /// How large their clusters are.
    ClusterSize,
    /// In this cluster.
    Cluster {
        /// The number of the cluster.
        index: u64,
        /// Where it begins in the file, in bytes.
        offset: u64,
    },
}

impl HostRegion {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Prefix, Self::Tail];

    /// Its name, the Python harness's.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prefix => "prefix_mismatch",
            Self::Tail => "nonzero_tail",
        }
    }
}

const CLUSTER_SIZE: &str = "cluster size";
const CLUSTER: &str = "host cluster ";
const AT: &str = " at file offset 0x";

impl HostPlace {
    /// What [`fmt::Display`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        if text == CLUSTER_SIZE {
            return Some(Self::ClusterSize);
        }
        let (index, offset) = text.strip_prefix(CLUSTER)?.split_once(AT)?;
        Some(Self::Cluster {
            index: index.parse().ok()?,
            offset: u64::from_str_radix(offset, 16).ok()?,
        })
    }
}

impl fmt::Display for HostPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClusterSize => formatter.write_str(CLUSTER_SIZE),
            Self::Cluster { index, offset } => write!(formatter, "{CLUSTER}{index}{AT}{offset:x}"),
        }
    }
}
