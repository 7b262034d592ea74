//! One thing asked of a tool, and what came of it.
//!
//! Operations make requests and judge answers without knowing tools; tools answer requests without knowing operations.
//! They meet here. A tool's failure is an answer; see [`Exit`].

mod answer;

pub use answer::{Answer, Exit};

use serde::{Deserialize, Serialize};

use crate::content::Write;
use crate::format::Format;
use crate::qcow2::corruption::Corruption;
use crate::size::Size;

/// An image file in a side's directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageFile {
    /// Its name, relative to the side's directory: the same on every side.
    pub path: String,
    /// Its format.
    pub format: Format,
    /// The `-o` options it is, or was, created with, as far as they are known. From them a tool knows beforehand whether
    /// it can handle the image.
    #[serde(default)]
    pub options: Vec<String>,
    /// The image below it, as far as it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backing: Option<Box<ImageFile>>,
}

impl ImageFile {
    /// A file with the format's default options, called `STEM.FORMAT`.
    pub fn new(stem: &str, format: Format) -> Self {
        Self {
            path: format!("{stem}.{format}"),
            format,
            options: Vec::new(),
            backing: None,
        }
    }

    /// The same on top of `backing`, without the options that say so.
    pub fn over(self, backing: &Self) -> Self {
        Self {
            backing: Some(Box::new(backing.clone())),
            ..self
        }
    }

    /// The same with these `-o` options.
    pub fn with_options(self, options: Vec<String>) -> Self {
        Self { options, ..self }
    }

    /// The names of all files whose bytes a guest may see in it, as far as they are known: its own and those below it.
    pub fn names(&self) -> Vec<&str> {
        let mut names = vec![self.path.as_str()];
        names.extend(self.option("backing_file"));
        names.extend(self.data_file());
        names.extend(self.backing.iter().flat_map(|backing| backing.names()));
        names
    }

    /// The file that holds the guest data of a qcow2 (qcow2 specification, External data file).
    pub fn data_file(&self) -> Option<&str> {
        self.option("data_file")
    }

    /// Whether the file called `name` is a part of it: itself, its data file, or an extent of a vmdk, which is named after it
    /// (`STEM-flat.vmdk`, `STEM-s001.vmdk`, `STEM-f001.vmdk`: QEMU, block/vmdk.c).
    pub fn owns(&self, name: &str) -> bool {
        let stem = self.path.strip_suffix(".vmdk");
        let extent = stem.and_then(|stem| name.strip_prefix(stem)?.strip_prefix('-'));
        name == self.path || Some(name) == self.data_file() || extent.is_some()
    }

    /// Whether it lies in more files than [`ImageFile::names`] tells.
    pub fn is_split(&self) -> bool {
        let subformat = self.option("subformat").unwrap_or_default();
        let below = self.backing.as_deref().is_some_and(Self::is_split);
        below || subformat == "monolithicFlat" || subformat.starts_with("twoGb")
    }

    /// Whether it can be read only with the secret.
    pub fn is_encrypted(&self) -> bool {
        self.option("encrypt.format").is_some()
    }

    /// The cluster size in bytes of a qcow2 with these options: 64 KiB unless they say otherwise.
    pub fn cluster_size(&self) -> u64 {
        self.option("cluster_size")
            .and_then(|bytes| bytes.parse().ok())
            .unwrap_or(65536)
    }

    /// The value of the option `name`, if it was given.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options
            .iter()
            .find_map(|option| option.strip_prefix(name)?.strip_prefix('='))
    }
}

/// One thing asked of a tool. The formats of images that are only read are not told to the tool (it finds them out, as in
/// the Python harness), except for [`Request::Contents`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// Make an image with the file's options.
    Create {
        /// The image to be made.
        file: ImageFile,
        /// Its virtual size.
        size: Size,
    },
    /// Describe an image, in the shape of `qemu-img info --output=json`.
    Info {
        /// The image.
        file: ImageFile,
    },
    /// Check an image's metadata, in the shape of `qemu-img check --output=json`.
    Check {
        /// The image.
        file: ImageFile,
    },
    /// Copy an image's contents into a new image.
    Convert {
        /// The image to be read.
        source: ImageFile,
        /// The image to be made.
        target: ImageFile,
        /// Whether its clusters are to be compressed.
        compress: bool,
    },
    /// Foretell the file size of a conversion, in the shape of `qemu-img measure --output=json`.
    Measure {
        /// The image to be converted.
        source: ImageFile,
        /// The format it would be converted to.
        target: Format,
    },
    /// Change an image's virtual size.
    Resize {
        /// The image.
        file: ImageFile,
        /// The new size, or the change with its sign: `64M`, `+1M`, `-512K`.
        size: String,
        /// The new size in bytes.
        end_bytes: u64,
        /// Whether losing data at the end is agreed to.
        shrink: bool,
        /// The preallocation mode of what is added.
        preallocation: Option<String>,
    },
    /// Write guest data.
    Write {
        /// The image.
        file: ImageFile,
        /// What is written, in this order.
        writes: Vec<Write>,
    },
    /// Make guest data zero.
    WriteZeroes {
        /// The image.
        file: ImageFile,
        /// Guest offset in bytes.
        offset: u64,
        /// Number of bytes.
        length: u64,
        /// Whether the space may be given back as well.
        unmap: bool,
    },
    /// Give space back; what is given back reads as zeros.
    Discard {
        /// The image.
        file: ImageFile,
        /// Guest offset in bytes.
        offset: u64,
        /// Number of bytes.
        length: u64,
    },
    /// Read the whole of what a guest would see.
    Contents {
        /// The image.
        file: ImageFile,
    },
    /// Describe what is allocated, in the shape of `qemu-img map --output=json`.
    Map {
        /// The image.
        file: ImageFile,
        /// The flags of a window: `--start-offset`, `--max-length`, each with its bytes.
        window: Vec<String>,
    },
    /// Change a qcow2's creation options in place.
    Amend {
        /// The image.
        file: ImageFile,
        /// The options, each its own `-o`.
        options: Vec<String>,
    },
    /// Put an overlay onto another backing file.
    Rebase {
        /// The overlay.
        file: ImageFile,
        /// The new backing file's name, as it is to be recorded; empty to detach.
        new_backing: String,
        /// The flags beside `-b`: `-u`, `-F FORMAT`.
        flags: Vec<String>,
    },
    /// Merge an overlay into its backing file.
    Commit {
        /// The overlay.
        file: ImageFile,
        /// The backing file, when it is named with `-b`.
        base: Option<String>,
    },
    /// Copy a window of an image block by block into a new image.
    Dd {
        /// The image to be read.
        source: ImageFile,
        /// The image to be made.
        target: ImageFile,
        /// The block size in bytes.
        block_size: u64,
        /// How many blocks of the source are looked at; none: all.
        count: Option<u64>,
        /// How many of them are passed over.
        skip: u64,
    },
    /// Change a dirty bitmap of a qcow2.
    Bitmap {
        /// The image.
        file: ImageFile,
        /// What is done, as on the command line.
        flags: Vec<String>,
        /// The bitmap.
        name: String,
    },
    /// Read or write an image in a fixed rhythm.
    Bench {
        /// The image.
        file: ImageFile,
        /// The schedule, as on the command line.
        arguments: Vec<String>,
    },
    /// Say whether a guest would see the same in two images: a refusal says that it would not.
    Compare {
        /// One image.
        first: ImageFile,
        /// The other.
        second: ImageFile,
    },
    /// Create, delete or apply an internal snapshot of a qcow2. Freed clusters are not to be discarded, so that what is in
    /// them can be compared.
    Snapshot {
        /// The image.
        file: ImageFile,
        /// What is done.
        action: SnapshotAction,
        /// The name of the new snapshot, or the argument that names one.
        argument: String,
    },
    /// List a qcow2's internal snapshots, for a person, in the layout of qemu-img 9.0 and later.
    SnapshotList {
        /// The image.
        file: ImageFile,
    },
    /// Read the whole of what a guest would see if a snapshot were applied.
    SnapshotContents {
        /// The image.
        file: ImageFile,
        /// The snapshot's unique id string.
        id: String,
    },
    /// Check a qcow2 and repair it. Some tools say in JSON whether they left something undone, as `repair-incomplete`.
    Repair {
        /// The image.
        file: ImageFile,
        /// What may be repaired.
        tier: RepairTier,
    },
    /// Asked of the harness itself: damage a qcow2.
    Corrupt {
        /// The image.
        file: ImageFile,
        /// How.
        corruption: Corruption,
    },
    /// Asked of the harness itself: settle a qcow2's snapshot table, and tell its host clusters.
    HostClusters {
        /// The image.
        file: ImageFile,
    },
    /// Asked of the harness itself: what an image takes on the host and, of a qcow2, whether its metadata holds together; the
    /// answer is the JSON of an [`Audit`](crate::qcow2::audit::Audit).
    Audit {
        /// The image.
        file: ImageFile,
    },
}

/// What is done with a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SnapshotAction {
    /// Make one of what the guest sees now.
    Create,
    /// Remove one.
    Delete,
    /// Let the guest see what it saw then.
    Apply,
}

impl SnapshotAction {
    /// The flag of `qemu-img snapshot`, which instar shares.
    pub fn flag(self) -> &'static str {
        match self {
            Self::Create => "-c",
            Self::Delete => "-d",
            Self::Apply => "-a",
        }
    }
}

/// What a repair may touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RepairTier {
    /// Clusters that nobody uses.
    Leaks,
    /// Everything.
    All,
}

impl RepairTier {
    /// Its name on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Leaks => "leaks",
            Self::All => "all",
        }
    }
}

impl Request {
    /// What is asked, in one word.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Info { .. } => "info",
            Self::Check { .. } => "check",
            Self::Convert { .. } => "convert",
            Self::Measure { .. } => "measure",
            Self::Resize { .. } => "resize",
            Self::Write { .. } => "write",
            Self::WriteZeroes { .. } => "write_zeroes",
            Self::Discard { .. } => "discard",
            Self::Contents { .. } => "contents",
            Self::Map { .. } => "map",
            Self::Amend { .. } => "amend",
            Self::Rebase { .. } => "rebase",
            Self::Commit { .. } => "commit",
            Self::Dd { .. } => "dd",
            Self::Bitmap { .. } => "bitmap",
            Self::Bench { .. } => "bench",
            Self::Compare { .. } => "compare",
            Self::Snapshot { .. } => "snapshot",
            Self::SnapshotList { .. } => "snapshot_list",
            Self::SnapshotContents { .. } => "snapshot_contents",
            Self::Repair { .. } => "repair",
            Self::Corrupt { .. } => "corrupt",
            Self::HostClusters { .. } => "host_clusters",
            Self::Audit { .. } => "audit",
        }
    }

    /// The image it is asked of: the one that is made, changed or, where none is, read.
    pub fn file(&self) -> &ImageFile {
        match self {
            Self::Create { file, .. }
            | Self::Info { file }
            | Self::Check { file }
            | Self::Resize { file, .. }
            | Self::Write { file, .. }
            | Self::WriteZeroes { file, .. }
            | Self::Discard { file, .. }
            | Self::Contents { file }
            | Self::Map { file, .. }
            | Self::Amend { file, .. }
            | Self::Rebase { file, .. }
            | Self::Commit { file, .. }
            | Self::Bitmap { file, .. }
            | Self::Bench { file, .. }
            | Self::Snapshot { file, .. }
            | Self::SnapshotList { file }
            | Self::SnapshotContents { file, .. }
            | Self::Repair { file, .. }
            | Self::Corrupt { file, .. }
            | Self::HostClusters { file }
            | Self::Audit { file }
            | Self::Dd { target: file, .. }
            | Self::Convert { target: file, .. }
            | Self::Compare { first: file, .. }
            | Self::Measure { source: file, .. } => file,
        }
    }
}
