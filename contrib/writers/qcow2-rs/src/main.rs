//! A writer for imgduel: makes a qcow2 of a raw file through the crate qcow2-rs.
//!
//! imgduel starts it with `version`, or with `write RAW IMAGE`. The image has clusters of 64 KiB and refcounts of 16 bits, as the crate's own command makes
//! it, and the size of the raw file, which that command rounds up. What is zero is not written.

use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use futures::executor::block_on;
use qcow2_rs::dev::Qcow2DevParams;
use qcow2_rs::helpers::Qcow2IoBuf;
use qcow2_rs::meta::Qcow2Header;
use qcow2_rs::utils::qcow2_setup_dev_sync;

/// How much is read and written at once: a cluster.
const CLUSTER_BITS: usize = 16;

/// The widths of refcounts, as a power of two in bits.
const REFCOUNT_ORDER: u8 = 4;

/// The unit of the crate's reads and writes.
const SECTOR_BYTES: usize = 512;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["version"] => {
            println!("{}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
        ["write", raw, image] => write(Path::new(raw), Path::new(image)),
        _ => Err("write version, or write RAW IMAGE".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn write(raw: &Path, image: &Path) -> Result<(), Box<dyn Error>> {
    let mut raw = File::open(raw)?;
    let size = raw.metadata()?.len();
    std::fs::write(image, empty(size)?)?;
    let params = Qcow2DevParams::new(9, None, None, false, false);
    let told = |why: qcow2_rs::error::Qcow2Error| why.to_string();
    let device = qcow2_setup_dev_sync(image, &params).map_err(told)?;
    block_on(device.qcow2_prep_io()).map_err(told)?;
    let mut piece = Qcow2IoBuf::<u8>::new(1 << CLUSTER_BITS);
    let mut offset = 0;
    while offset < size {
        let length = (size - offset).min(1 << CLUSTER_BITS) as usize;
        let bytes = &mut piece[..length];
        raw.read_exact(bytes)?;
        if bytes.iter().any(|byte| *byte != 0) {
            block_on(device.write_at(bytes, offset)).map_err(told)?;
        }
        offset += length as u64;
    }
    Ok(block_on(device.flush_meta()).map_err(told)?)
}

/// The bytes of an image without data.
fn empty(size: u64) -> Result<Vec<u8>, Box<dyn Error>> {
    let (table, block, _) =
        Qcow2Header::calculate_meta_params(size, CLUSTER_BITS, REFCOUNT_ORDER, SECTOR_BYTES);
    let clusters = (1 + table.1 + block.1) as usize;
    let mut bytes = vec![0; (clusters << CLUSTER_BITS) + SECTOR_BYTES];
    let made =
        Qcow2Header::format_qcow2(&mut bytes, size, CLUSTER_BITS, REFCOUNT_ORDER, SECTOR_BYTES);
    made.map_err(|why| why.to_string())?;
    Ok(bytes)
}
