//! An open image with the images below it: what a guest reads, writes, zeroes, discards and resizes.
//!
//! A raw or flat image changes at once; any other changes in memory until [`Volume::save`] writes it anew.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::block_file::{BlockFile, is_flat_vmdk};
use super::cluster::Cluster;
use super::cluster_map::ClusterMap;
use super::flat::FlatFile;
use super::qcow2_file::Qcow2File;
use crate::disk_format::qcow2::Unparsable;
use crate::disk_format::qcow2::header::MAGIC;
use crate::image::content;
use crate::image::format::Format;

/// The most images that lie on each other: what is in a file may lead back to itself.
const DEPTH_MAX: usize = 16;

/// How an image's guest bytes are kept.
#[derive(Clone, Debug)]
pub enum Store {
    /// In files as they are.
    Flat(FlatFile),
    /// In clusters.
    Qcow2(Box<Qcow2File>),
    /// In blocks that one table maps: vmdk with a sparse extent, vpc, vhdx, vdi.
    Blocks(Box<BlockFile>),
}

/// An open image.
#[derive(Clone, Debug)]
pub struct Volume {
    path: PathBuf,
    /// Its format.
    pub format: Format,
    /// The guest-visible size in bytes.
    pub size: u64,
    /// How its bytes are kept.
    pub store: Store,
    /// The image below it.
    pub below: Option<Box<Volume>>,
}

impl Volume {
    /// Opens an image and those below it, which its header names.
    pub fn open(path: &Path, format: Format) -> Result<Self, Unparsable> {
        Self::open_at(path, format, 0)
    }

    fn open_at(path: &Path, format: Format, depth: usize) -> Result<Self, Unparsable> {
        if depth > DEPTH_MAX {
            return Err(Unparsable::new("too many images lie on each other"));
        }
        let (store, size) = match format {
            Format::Raw => {
                FlatFile::open_raw(path).map(|(flat, size)| (Store::Flat(flat), size))?
            }
            Format::Vmdk if is_flat_vmdk(path)? => {
                FlatFile::open_vmdk(path).map(|(flat, size)| (Store::Flat(flat), size))?
            }
            Format::Qcow2 => {
                let (file, size) = Qcow2File::open(path)?;
                (Store::Qcow2(Box::new(file)), size)
            }
            other => {
                let (file, size) = BlockFile::open(path, other)?;
                (Store::Blocks(Box::new(file)), size)
            }
        };
        if size > i64::MAX as u64 {
            return Err(Unparsable::new(format!("a disk of {size} bytes")));
        }
        let mut volume = Self {
            path: path.to_owned(),
            format,
            size,
            store,
            below: None,
        };
        volume.open_below(depth)?;
        Ok(volume)
    }

    fn open_below(&mut self, depth: usize) -> Result<(), Unparsable> {
        let Store::Qcow2(file) = &self.store else {
            return Ok(());
        };
        self.below = None;
        if let Some((name, format)) = &file.backing {
            if name.contains('/') {
                return Err(Unparsable::new(
                    "the backing file lies in another directory",
                ));
            }
            let path = self.path.with_file_name(name);
            let known = |name: &String| Format::all().find(|format| format.name() == name);
            let format = match format {
                Some(name) => known(name)
                    .ok_or_else(|| Unparsable::new(format!("the backing format '{name}'")))?,
                None => guessed(&path)?,
            };
            self.below = Some(Box::new(Self::open_at(&path, format, depth + 1)?));
        }
        Ok(())
    }

    /// A new image in blocks at `path`, which [`Volume::save`] writes.
    pub fn new_blocks(path: &Path, file: BlockFile, format: Format, size: u64) -> Self {
        Self {
            path: path.to_owned(),
            format,
            size,
            store: Store::Blocks(Box::new(file)),
            below: None,
        }
    }

    /// A new, empty qcow2 at `path`, which [`Volume::save`] writes.
    pub fn new_qcow2(path: &Path, file: Qcow2File, size: u64) -> Result<Self, Unparsable> {
        let mut volume = Self {
            path: path.to_owned(),
            format: Format::Qcow2,
            size,
            store: Store::Qcow2(Box::new(file)),
            below: None,
        };
        volume.open_below(0)?;
        Ok(volume)
    }

    /// Its tables, if it is a qcow2.
    pub fn qcow2(&mut self) -> Result<&mut Qcow2File, Unparsable> {
        match &mut self.store {
            Store::Qcow2(file) => Ok(file),
            Store::Flat(_) | Store::Blocks(_) => Err(Unparsable::new("only a qcow2 can do that")),
        }
    }

    fn map(&mut self) -> Result<&mut ClusterMap, Unparsable> {
        match &mut self.store {
            Store::Qcow2(file) => Ok(&mut file.map),
            Store::Blocks(file) => Ok(&mut file.map),
            Store::Flat(_) => Err(Unparsable::new("a flat image has no tables")),
        }
    }

    /// Writes what is no flat image; `compress` compresses what is new in it. The image below is not written.
    pub fn save(&self, compress: bool) -> Result<(), Unparsable> {
        match &self.store {
            Store::Flat(_) => Ok(()),
            Store::Qcow2(file) => file.store(&self.path, self.size, compress),
            Store::Blocks(file) => file.store(&self.path, self.size),
        }
    }

    /// The image as it was when the snapshot was made, which is named by its id or its name.
    pub fn at_snapshot(&self, named: &str) -> Result<Self, Unparsable> {
        let mut volume = self.clone();
        let file = volume.qcow2()?;
        let found = file.snapshot(named).cloned();
        let found = found.ok_or_else(|| Unparsable::new("there is no such snapshot"))?;
        file.map.clusters = found.clusters;
        volume.size = found.size;
        Ok(volume)
    }

    /// Reads guest bytes; those beyond the end are zeros.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Unparsable> {
        let there = self.size.saturating_sub(offset).min(bytes.len() as u64) as usize;
        let (bytes, beyond) = bytes.split_at_mut(there);
        beyond.fill(0);
        let map = match &self.store {
            Store::Flat(file) => return file.read(offset, bytes),
            Store::Qcow2(file) => &file.map,
            Store::Blocks(file) => &file.map,
        };
        let size = map.cluster_size;
        let mut done = 0;
        while done < bytes.len() {
            let place = offset + done as u64;
            let within = place % size;
            let length = ((size - within) as usize).min(bytes.len() - done);
            let part = &mut bytes[done..done + length];
            match (map.clusters.get(&(place / size)), &self.below) {
                (Some(cluster), _) => map.read(cluster, within as usize, part)?,
                (None, Some(below)) => below.read(place, part)?,
                (None, None) => part.fill(0),
            }
            done += length;
        }
        Ok(())
    }

    /// Writes guest bytes. Fails if they reach beyond the end.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Unparsable> {
        self.is_inside(offset, bytes.len() as u64)?;
        if let Store::Flat(file) = &self.store {
            return file.write(offset, bytes);
        }
        self.change(offset, bytes.len() as u64, |part, from| {
            part.copy_from_slice(&bytes[from..from + part.len()]);
        })
    }

    /// Makes a range zero: whole clusters are described as zeros, or given back where that shows the same. A flat image `keeps` its space on the
    /// host, and so does a raw external data file.
    pub fn zero(&mut self, offset: u64, length: u64, keeps: bool) -> Result<(), Unparsable> {
        self.is_inside(offset, length)?;
        let (end, size, has_below) = (offset + length, self.size, self.below.is_some());
        let (map, zeros, is_raw_outside) = match &mut self.store {
            Store::Flat(file) => return file.zero(offset, length, keeps),
            Store::Qcow2(file) => {
                let zeros = file.zeros();
                (&mut file.map, zeros, file.data_file_raw)
            }
            Store::Blocks(file) => (&mut file.map, Cluster::Zero, false),
        };
        let cluster_size = map.cluster_size;
        let first = offset.div_ceil(cluster_size);
        // The last cluster of an image may end behind it.
        let last = match end == size {
            true => end.div_ceil(cluster_size),
            false => end / cluster_size,
        };
        if first < last && keeps && is_raw_outside {
            // QEMU passes it on to the data file (qcow2_subcluster_zeroize).
            let zeros = Cluster::New(Arc::new(vec![0; cluster_size as usize]));
            map.clusters
                .extend((first..last).map(|guest| (guest, zeros.clone())));
        } else if first < last && !has_below {
            let covered: Vec<u64> = map
                .clusters
                .range(first..last)
                .map(|(guest, _)| *guest)
                .collect();
            covered.iter().for_each(|guest| {
                map.clusters.remove(guest);
            });
        } else if first < last {
            map.clusters
                .extend((first..last).map(|guest| (guest, zeros.clone())));
        }
        let (head, tail) = (
            (first * cluster_size).min(end),
            (last * cluster_size).max(offset),
        );
        for (from, to) in [(offset, head), (tail.max(head), end)] {
            if from < to && !self.is_zero(from, to)? {
                self.change(from, to - from, |part, _| part.fill(0))?;
            }
        }
        Ok(())
    }

    /// Gives the whole clusters of a range places in the file without writing to them; only for an image that has no data there.
    pub fn reserve(&mut self, offset: u64, length: u64) -> Result<(), Unparsable> {
        self.is_inside(offset, length)?;
        if let Store::Qcow2(file) = &mut self.store {
            let size = file.cluster_size();
            let guests = offset.div_ceil(size)..(offset + length) / size;
            file.map
                .clusters
                .extend(guests.map(|guest| (guest, Cluster::Reserved)));
        }
        Ok(())
    }

    /// Changes the size. What is added reads as zeros, even where a longer image below has data; what is cut off is gone.
    pub fn resize(&mut self, size: u64) -> Result<(), Unparsable> {
        let old = self.size;
        let below = self.below.as_ref().map_or(0, |below| below.size);
        let file = match &mut self.store {
            Store::Flat(file) => {
                file.resize(size)?;
                self.size = size;
                return Ok(());
            }
            Store::Qcow2(file) => file,
            Store::Blocks(_) => {
                let why = "Image format driver does not support resize";
                return Err(Unparsable::new(why));
            }
        };
        let cluster_size = file.cluster_size();
        let hidden = old.div_ceil(cluster_size)..size.min(below).div_ceil(cluster_size);
        if size < old {
            file.map.clusters.split_off(&size.div_ceil(cluster_size));
        } else if !hidden.is_empty() && file.version < 3 {
            let why = "Operation not supported: version 2 cannot hide what the backing file holds";
            return Err(Unparsable::new(why));
        } else {
            let hidden = hidden.map(|guest| (guest, Cluster::Zero));
            file.map.clusters.extend(hidden);
        }
        // The cluster in which the image ended, or ends now, holds nothing behind that end.
        let edge = old.min(size);
        let is_split = !edge.is_multiple_of(cluster_size) && old != size;
        let holds = file.map.clusters.contains_key(&(edge / cluster_size)) || below > edge;
        self.size = size.min(old);
        if is_split && holds {
            let start = edge / cluster_size * cluster_size;
            let mut bytes = vec![0; cluster_size as usize];
            self.read(start, &mut bytes)?;
            let zeros = content::is_zero(&bytes);
            let file = self.qcow2()?;
            let new = match zeros {
                true => file.zeros(),
                false => Cluster::New(Arc::new(bytes)),
            };
            file.map.clusters.insert(edge / cluster_size, new);
        }
        self.size = size;
        Ok(())
    }

    fn is_inside(&self, offset: u64, length: u64) -> Result<(), Unparsable> {
        let end = offset.checked_add(length);
        match end.is_some_and(|end| end <= self.size) {
            true => Ok(()),
            false => Err(Unparsable::new(format!(
                "Input/output error: {length} bytes at {offset} reach beyond the end of the image"
            ))),
        }
    }

    /// Changes bytes of a qcow2 cluster by cluster. `edit` gets the part of a cluster that is changed, and how many bytes of the range come before it.
    fn change(
        &mut self,
        offset: u64,
        length: u64,
        mut edit: impl FnMut(&mut [u8], usize),
    ) -> Result<(), Unparsable> {
        let (size, end) = (self.map()?.cluster_size, offset + length);
        for guest in offset / size..end.div_ceil(size) {
            let (from, to) = ((guest * size).max(offset), ((guest + 1) * size).min(end));
            let part = (from - guest * size) as usize..(to - guest * size) as usize;
            if let Some(Cluster::New(bytes)) = self.map()?.clusters.get_mut(&guest) {
                edit(&mut Arc::make_mut(bytes)[part], (from - offset) as usize);
                continue;
            }
            let mut bytes = vec![0; size as usize];
            if to - from < size {
                self.read(guest * size, &mut bytes)?;
            }
            edit(&mut bytes[part], (from - offset) as usize);
            let new = Cluster::New(Arc::new(bytes));
            self.map()?.clusters.insert(guest, new);
        }
        Ok(())
    }
}

/// The format of a backing file of which the overlay does not tell it.
fn guessed(path: &Path) -> Result<Format, Unparsable> {
    let file = content::open_regular(path)?;
    let mut bytes = [0; 4];
    super::cluster::read_padded(&file, 0, &mut bytes)?;
    Ok(match &bytes {
        magic if *magic == MAGIC => Format::Qcow2,
        b"# Di" => Format::Vmdk,
        _ => Format::Raw,
    })
}
