//! Whether a library can be preloaded into a program, according to its file.
//!
//! Used by the launcher. Only starting the program shows whether it really waits to be forked.

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The mode bits of programs that run with another user's rights; the loader preloads nothing into them.
const SET_ID_BITS: u32 = 0o6000;

/// ELF: the used parts of the file header (System V ABI, "ELF Header" and "Program Header").
mod elf {
    pub(super) const MAGIC: &[u8] = b"\x7fELF";
    /// Magic, class and byte order.
    pub(super) const IDENTITY_BYTES: usize = 6;
    pub(super) const MACHINE: std::ops::Range<usize> = 18..20;
    pub(super) const PROGRAM_HEADERS: std::ops::Range<usize> = 32..40;
    pub(super) const PROGRAM_HEADER_COUNT: std::ops::Range<usize> = 56..58;
    pub(super) const HEADER_BYTES: usize = 64;
    pub(super) const PROGRAM_HEADER_BYTES: usize = 56;
    /// The type of the program header that names the dynamic loader.
    pub(super) const INTERPRETER: [u8; 4] = 3u32.to_ne_bytes();
}

/// Whether the loader would preload a library into this program; the error says why not.
pub(super) fn can_be_preloaded(program: &Path) -> Result<(), String> {
    let read = |path: &Path| -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        fs::File::open(path)?.take(4096).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let mode = fs::metadata(program).map(|found| found.mode());
    if mode.map_err(|error| error.to_string())? & SET_ID_BITS != 0 {
        return Err("it is set-user-ID or set-group-ID".to_owned());
    }
    if !program.is_absolute() {
        return Err("its path is relative".to_owned());
    }
    let bytes = read(program).map_err(|error| error.to_string())?;
    if bytes.starts_with(b"#!") {
        return Err("it is a script".to_owned());
    }
    if !bytes.starts_with(elf::MAGIC) || bytes.len() < elf::HEADER_BYTES {
        return Err("it is no ELF program".to_owned());
    }
    // A program with the same machine, class and byte order as this one can run here.
    let own = read(Path::new("/proc/self/exe")).map_err(|error| error.to_string())?;
    let same = |range: std::ops::Range<usize>| own.get(range.clone()) == bytes.get(range);
    if !same(0..elf::IDENTITY_BYTES) || !same(elf::MACHINE) {
        return Err("it is for another platform".to_owned());
    }
    let number = |range: std::ops::Range<usize>| {
        let bytes = bytes.get(range).unwrap_or_default();
        let little = |sum: usize, byte: &u8| sum << 8 | usize::from(*byte);
        match cfg!(target_endian = "little") {
            true => bytes.iter().rev().fold(0, little),
            false => bytes.iter().fold(0, little),
        }
    };
    let first = number(elf::PROGRAM_HEADERS);
    let mut headers = (0..number(elf::PROGRAM_HEADER_COUNT)).filter_map(|index| {
        bytes
            .get(first + index * elf::PROGRAM_HEADER_BYTES..)?
            .get(..4)
    });
    match headers.any(|kind| kind == elf::INTERPRETER) {
        true => Ok(()),
        false => Err("it is linked statically".to_owned()),
    }
}
