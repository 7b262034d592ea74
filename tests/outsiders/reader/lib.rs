//! A small reader of qcow2.
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

pub struct Image {
    file: File,
    pub size: u64,
    cluster_bits: u32,
    l1_offset: u64,
}

fn number(file: &File, at: u64, bytes: usize) -> io::Result<u64> {
    let mut buffer = [0; 8];
    file.read_exact_at(&mut buffer[8 - bytes..], at)?;
    Ok(u64::from_be_bytes(buffer))
}

impl Image {
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        if number(&file, 0, 4)? != 0x5146_49fb {
            return Err(io::Error::other("no qcow2"));
        }
        Ok(Self {
            size: number(&file, 24, 8)?,
            cluster_bits: number(&file, 20, 4)? as u32,
            l1_offset: number(&file, 40, 8)?,
            file,
        })
    }

    pub fn read(&self, mut offset: u64, mut buffer: &mut [u8]) -> io::Result<()> {
        let cluster = 1u64 << self.cluster_bits;
        while !buffer.is_empty() {
            let within = offset % cluster;
            let length = ((cluster - within) as usize).min(buffer.len());
            let (now, rest) = buffer.split_at_mut(length);
            match self.place(offset)? {
                Some(place) => {
                    // The last cluster may be cut short in the file.
                    let mut done = 0;
                    while done < now.len() {
                        match self.file.read_at(&mut now[done..], place + within + done as u64)? {
                            0 => {
                                now[done..].fill(0);
                                break;
                            }
                            count => done += count,
                        }
                    }
                }
                None => now.fill(0),
            }
            offset += length as u64;
            buffer = rest;
        }
        Ok(())
    }

    fn place(&self, offset: u64) -> io::Result<Option<u64>> {
        let per_table = 1u64 << (self.cluster_bits - 3);
        let index = offset >> self.cluster_bits;
        let mask = 0x00ff_ffff_ffff_fe00;
        let table = number(&self.file, self.l1_offset + index / per_table * 8, 8)? & mask;
        if table == 0 {
            return Ok(None);
        }
        let entry = number(&self.file, table + index % per_table * 8, 8)?;
        if entry >> 62 & 1 == 1 {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "compressed clusters"));
        }
        Ok((entry & 1 == 0 && entry & mask != 0).then_some(entry & mask))
    }
}
