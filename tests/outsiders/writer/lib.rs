//! Disks of vhdx by any byte, on top of the crate vhdx-rs, which knows whole sectors.

use std::io::{Read, Write};
use std::path::Path;

use vhdx::{Error, File, LogReplayPolicy};

const SECTOR: u64 = 512;

pub struct Disk {
    file: File,
    pub size: u64,
}

impl Disk {
    pub fn open(path: &Path, writes: bool) -> Result<Self, Error> {
        let options = File::open(path);
        let options = if writes { options.write() } else { options };
        let policy = match writes {
            true => LogReplayPolicy::Auto,
            false => LogReplayPolicy::ReadOnlyNoReplay,
        };
        let file = options.log_replay(policy).finish()?;
        let size = file.sections().metadata()?.items().virtual_disk_size()?;
        Ok(Self { file, size })
    }

    pub fn create(path: &Path, size: u64) -> Result<Self, Error> {
        File::create(path).size(size).finish()?;
        Self::open(path, true)
    }

    pub fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        let (start, whole) = self.sectors(offset, buffer.len())?;
        let skipped = (offset - start) as usize;
        buffer.copy_from_slice(&whole[skipped..skipped + buffer.len()]);
        Ok(())
    }

    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let (start, mut whole) = self.sectors(offset, bytes.len())?;
        let skipped = (offset - start) as usize;
        whole[skipped..skipped + bytes.len()].copy_from_slice(bytes);
        let count = whole.len() as u64 / SECTOR;
        let io = self.file.io()?;
        let mut sectors = io.sector(start / SECTOR, count)?;
        sectors.write_all(&whole)?;
        sectors.flush()?;
        Ok(())
    }

    /// The sectors around some bytes, and where they begin.
    fn sectors(&self, offset: u64, length: usize) -> Result<(u64, Vec<u8>), Error> {
        let start = offset / SECTOR * SECTOR;
        let end = (offset + length as u64).next_multiple_of(SECTOR);
        let mut whole = vec![0; (end - start) as usize];
        if !whole.is_empty() {
            let io = self.file.io()?;
            let mut sectors = io.sector(start / SECTOR, (end - start) / SECTOR)?;
            sectors.read_exact(&mut whole)?;
        }
        Ok((start, whole))
    }
}
