//! On-disk image formats: locations of fields, readers of qcow2's tables, and mutations of an image's metadata.
//!
//! The code follows the formats' specifications and shares nothing with any tool, so that no tool judges itself. Nothing in this room starts a
//! tool.

/// Locations of the fields of an image.
pub mod structure;

/// The on-disk format of qcow2.
pub mod qcow2;

/// The on-disk format of vmdk.
pub mod vmdk;

/// The on-disk format of vpc.
pub mod vpc;

/// The on-disk format of vhdx.
pub mod vhdx;

/// The on-disk format of vdi.
pub mod vdi;

/// The on-disk format of qcow version 1.
pub mod qcow;

/// The on-disk format of parallels.
pub mod parallels;

/// A line of a vmdk's descriptor that names an extent.
pub(crate) mod extent_line;

/// What an image file from outside is.
pub mod probe;

/// What campaigns must know of an image from outside.
pub mod origin;

/// An image with fewer blocks of data.
pub mod block_removal;

/// An image with less structure.
pub mod trim;

mod vhdx_blocks;

/// What of an image is structure, and what is guest data.
pub mod skeleton;

/// What is in an image's file, in words.
pub mod description;

/// The on-disk format of dmg: a writer.
pub mod dmg;

/// Plain readers and writers of whole images.
pub mod plain;

/// Writers of images in valid and unusual states.
pub mod writer;

/// Mutations of an image's metadata.
pub mod damage;
