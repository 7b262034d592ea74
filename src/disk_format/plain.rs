//! Plain readers and writers of whole images: raw, vmdk, vpc, vhdx, vdi and qcow2, with the images below a qcow2.
//!
//! The model as reference uses them in place of a tool: it makes the images that a candidate cannot make, reads what a candidate left, and carries out
//! the steps that a candidate lacks. They follow the formats' specifications, share nothing with any tool, and are made to be simple rather than fast: of a
//! qcow2 that changes all tables are written anew. What they do not know (encryption, subclusters, zstd, differencing images) they refuse by name.

pub(in crate::disk_format) mod block_file;
mod cluster;
mod cluster_map;
mod flat;
mod guest_view;
mod host_space;
mod map;
mod new_file;
mod qcow2_file;
mod qcow2_header;
mod qcow2_layout;
mod volume;

pub use block_file::BlockFile;
pub(in crate::disk_format) use cluster::compressed;
pub use cluster::{Cluster, StoredSnapshot};
pub use flat::{FlatFile, create_flat_vmdk, create_raw};
pub use map::MappedRange;
pub use qcow2_file::Qcow2File;
pub use volume::{Store, Volume};
