//! Images in blocks that one table maps: vdi, vpc, vhdx, and vmdk with a sparse extent.
//!
//! A [`Volume`](super::Volume) reads and changes one in memory, in pieces of at most 64 KiB; [`BlockFile::store`] writes it anew. Each format has a file of its own,
//! which tells where the blocks of a file lie, and lays out a new file. Differencing images are not known here.

mod vdi;
pub(in crate::disk_format) mod vhdx;
mod vmdk;
pub(in crate::disk_format) mod vpc;

pub(super) use vmdk::is_flat as is_flat_vmdk;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write as _;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::cluster::Cluster;
use super::cluster_map::ClusterMap;
use super::new_file::{beside, write_sparse};
use crate::disk_format::qcow2::Unparsable;
use crate::image::content::{create_in_place, data_segments, open_regular_to_change};
use crate::image::format::Format;
use crate::image::options::CreateOptions;

/// The longest piece of a block, in bytes.
const PIECE_BYTES: u64 = 64 << 10;
/// The most pieces of an image that are kept in memory.
const PIECES_MAX: u64 = 1 << 22;

/// An image in blocks.
#[derive(Clone, Debug)]
pub struct BlockFile {
    kind: Kind,
    /// What the image's table describes, in pieces of blocks.
    pub map: ClusterMap,
}

/// The format of an image in blocks, with what its options say.
#[derive(Clone, Debug)]
enum Kind {
    Vdi(vdi::Vdi),
    Vpc(vpc::Vpc),
    Vhdx(vhdx::Vhdx),
    Vmdk(vmdk::SparseVmdk),
}

/// What a file's table says.
struct Table {
    kind: Kind,
    /// The guest-visible size in bytes.
    size: u64,
    /// The blocks that it describes, ascending: the number of each, and where it lies in the file; `None` if it reads as zeros.
    blocks: Vec<(u64, Option<u64>)>,
}

/// Where everything of a new file goes.
#[derive(Default)]
struct Plan {
    /// The offset of each block that has data, in bytes.
    offsets: BTreeMap<u64, u64>,
    /// Headers and tables, with their offsets in bytes.
    written: Vec<(u64, Vec<u8>)>,
    /// The length of the file in bytes.
    length: u64,
    /// The name of the file that all of this goes to, beside the image, and the text of the image's own file.
    extent: Option<(String, String)>,
}

impl Kind {
    /// The size of a block in bytes.
    fn block_bytes(&self) -> u64 {
        match self {
            Self::Vdi(_) => vdi::BLOCK_BYTES,
            Self::Vpc(_) => vpc::BLOCK_BYTES,
            Self::Vhdx(image) => image.block_bytes,
            Self::Vmdk(image) => image.grain_bytes,
        }
    }

    /// Whether every block has a place in the file from the start.
    fn is_full(&self) -> bool {
        match self {
            Self::Vdi(image) => image.is_static,
            Self::Vpc(image) => image.is_fixed,
            Self::Vhdx(image) => image.is_fixed,
            Self::Vmdk(_) => false,
        }
    }

    fn plan(
        &self,
        path: &Path,
        size: u64,
        present: &BTreeSet<u64>,
        zeros: &BTreeSet<u64>,
    ) -> Result<Plan, Unparsable> {
        match self {
            Self::Vdi(image) => image.plan(size, present),
            Self::Vpc(image) => image.plan(size, present),
            Self::Vhdx(image) => image.plan(size, present, zeros),
            Self::Vmdk(image) => image.plan(path, size, present, zeros),
        }
    }
}

impl BlockFile {
    /// An empty image. Returns it with its guest-visible size in bytes.
    pub fn new(
        format: Format,
        options: &CreateOptions,
        size: u64,
    ) -> Result<(Self, u64), Unparsable> {
        let kind = match format {
            Format::Vdi => Kind::Vdi(vdi::Vdi::with_options(options)),
            Format::Vpc => Kind::Vpc(vpc::Vpc::with_options(options)),
            Format::Vhdx => Kind::Vhdx(vhdx::Vhdx::with_options(options, size)),
            Format::Vmdk => Kind::Vmdk(vmdk::SparseVmdk::with_options(options)),
            other => return Err(Unparsable::new(format!("{other} is not written here"))),
        };
        let size = match &kind {
            Kind::Vpc(image) => image.created_size(size),
            _ => size,
        };
        let image = Self {
            map: ClusterMap::new(piece_bytes(&kind)),
            kind,
        };
        Ok((image, size))
    }

    /// Reads an image's table. Returns it with its guest-visible size in bytes.
    pub fn open(path: &Path, format: Format) -> Result<(Self, u64), Unparsable> {
        let extent = match format {
            Format::Vmdk => vmdk::extent(path)?,
            _ => path.to_owned(),
        };
        let file = open_regular_to_change(&extent)?;
        let written = data_segments(&file)?;
        let Table { kind, size, blocks } = match format {
            Format::Vdi => vdi::table(&file)?,
            Format::Vpc => vpc::table(&file)?,
            Format::Vhdx => vhdx::table(&file)?,
            Format::Vmdk => vmdk::table(&file, path, extent != path, &written)?,
            other => return Err(Unparsable::new(format!("{other} is not read here"))),
        };
        let piece = piece_bytes(&kind);
        let per_block = kind.block_bytes() / piece;
        let pieces = size.div_ceil(piece);
        are_few(blocks.len() as u64, &kind)?;
        let mut map = ClusterMap::new(piece);
        for (block, place) in blocks {
            // The offset is what a file says: one that no file reaches is none.
            if place.is_some_and(|offset| offset > i64::MAX as u64) {
                return Err(Unparsable::new(format!("the place of block {block}")));
            }
            for index in 0..per_block {
                let guest = block * per_block + index;
                if guest >= pieces {
                    break;
                }
                let cluster = match place {
                    None => Cluster::Zero,
                    Some(offset) => stored(offset + index * piece, piece, &written),
                };
                map.clusters.insert(guest, cluster);
            }
        }
        map.source = Some(Arc::new(file));
        Ok((Self { kind, map }, size))
    }

    /// Writes the image to `path`, which is replaced when all is written.
    pub(super) fn store(&self, path: &Path, size: u64) -> Result<(), Unparsable> {
        let piece = self.map.cluster_size;
        let per_block = self.kind.block_bytes() / piece;
        let (mut present, mut zeros) = (BTreeSet::new(), BTreeSet::new());
        for (guest, cluster) in &self.map.clusters {
            match cluster {
                Cluster::Zero => zeros.insert(guest / per_block),
                _ => present.insert(guest / per_block),
            };
        }
        if self.kind.is_full() {
            present = (0..size.div_ceil(self.kind.block_bytes())).collect();
        }
        zeros.retain(|block| !present.contains(block));
        let plan = self.kind.plan(path, size, &present, &zeros)?;
        let target = match &plan.extent {
            Some((name, _)) => path.with_file_name(name),
            None => path.to_owned(),
        };
        let new = beside(&target);
        let file = create_in_place(&new)?;
        for (offset, bytes) in &plan.written {
            write_sparse(&file, bytes, *offset)?;
        }
        let written = self.map.data_segments()?;
        for (guest, cluster) in &self.map.clusters {
            let Some(block) = plan.offsets.get(&(guest / per_block)) else {
                continue;
            };
            if cluster.has_data(piece, &written) {
                let length = piece.min(size - guest * piece);
                let mut bytes = vec![0; length as usize];
                self.map.read(cluster, 0, &mut bytes)?;
                write_sparse(&file, &bytes, block + guest % per_block * piece)?;
            }
        }
        file.set_len(plan.length)?;
        fs::rename(new, target)?;
        if let Some((_, text)) = &plan.extent {
            create_in_place(path)?.write_all(text.as_bytes())?;
        }
        Ok(())
    }
}

/// Fails if so many blocks are more than are kept in memory.
fn are_few(blocks: u64, kind: &Kind) -> Result<(), Unparsable> {
    let per_block = kind.block_bytes() / piece_bytes(kind);
    match blocks.saturating_mul(per_block) > PIECES_MAX {
        true => Err(Unparsable::new(
            "the image has more blocks than are read here",
        )),
        false => Ok(()),
    }
}

fn piece_bytes(kind: &Kind) -> u64 {
    kind.block_bytes().min(PIECE_BYTES)
}

/// A piece that has a place in the file; one in a hole was never written to.
fn stored(offset: u64, length: u64, written: &[Range<u64>]) -> Cluster {
    let stored = Cluster::Stored(offset);
    match stored.has_data(length, written) {
        true => stored,
        false => Cluster::Reserved,
    }
}

/// Reads `length` bytes from `offset` of a file. Fails if they are not all there, or for more than 256 MiB.
fn read(file: &File, offset: u64, length: u64) -> Result<Vec<u8>, Unparsable> {
    if length > 256 << 20 {
        return Err(Unparsable::new(format!("a table has {length} bytes")));
    }
    let mut bytes = vec![0; length as usize];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

/// A little-endian number of `LENGTH` bytes at `offset`; what is not there is zero.
fn word<const LENGTH: usize>(bytes: &[u8], offset: u64) -> u64 {
    let there = bytes.get(offset as usize..).unwrap_or_default();
    let mut word = [0; 8];
    let length = there.len().min(LENGTH);
    word[..length].copy_from_slice(&there[..length]);
    u64::from_le_bytes(word)
}

/// Puts `bytes` at `offset` of a structure.
fn put(structure: &mut [u8], offset: usize, bytes: &[u8]) {
    structure[offset..offset + bytes.len()].copy_from_slice(bytes);
}

#[cfg(test)]
mod tests;
