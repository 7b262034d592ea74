//! A writer for imgduel: makes a vhdx of a raw file through the crate vhdx-rs.
//!
//! imgduel starts it with `version`, or with `write RAW IMAGE [fixed]`. Blocks have the crate's own size of 32 MiB, sectors 512 bytes. What is zero is not written.

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::process::ExitCode;

use vhdx::Medium;

/// How much is read and written at once.
const PIECE_BYTES: usize = 1 << 20;

const SECTOR_BYTES: u64 = 512;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["version"] => {
            println!("{}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
        ["write", raw, image] => write(raw, image, false),
        ["write", raw, image, form] => write(raw, image, form == "fixed"),
        _ => Err("write version, or write RAW IMAGE [fixed]".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn write(raw: &str, image: &str, is_fixed: bool) -> Result<(), Box<dyn Error>> {
    let mut raw = File::open(raw)?;
    let size = raw.metadata()?.len();
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create_new(true).open(image)?;
    let created = Medium::create(file)
        .size(size)
        .fixed(is_fixed)
        .logical_sector_size(SECTOR_BYTES as u32);
    let mut medium = created.finish()?;
    let mut io = medium.io()?;
    let mut piece = vec![0; PIECE_BYTES];
    let mut offset = 0;
    while offset < size {
        let length = (size - offset).min(PIECE_BYTES as u64) as usize;
        let bytes = &mut piece[..length];
        raw.read_exact(bytes)?;
        if bytes.iter().any(|byte| *byte != 0) {
            let mut sectors = io.sector(offset / SECTOR_BYTES, length as u64 / SECTOR_BYTES)?;
            sectors.write_all(bytes)?;
            sectors.flush()?;
        }
        offset += length as u64;
    }
    Ok(())
}
