//! The on-disk format of qcow2: its structures, with the field names of QEMU's specification (docs/interop/qcow2).
//!
//! The differential runner uses it for what no tool prints: `corruption` corrupts an image for the operation `repair`; `snapshot_table` and
//! `host_clusters` allow a comparison of two tools' snapshots to the byte; `audit` checks an image's metadata. A faulty tool may have
//! written any structure, so everything is checked against the file's length and the limits below; invalid metadata is an `Unparsable` error,
//! never a panic. This module reads no guest contents (tools do) and repairs nothing.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::image::content::{data_within, open_regular, open_regular_to_change};

pub mod audit;
pub mod cluster_mapping;
pub mod corruption;
pub mod extensions;
pub mod header;
pub mod host_clusters;
pub mod layout;
pub mod refcounts;
pub mod snapshot_table;
pub(in crate::disk_format) mod table;

/// The most bytes that are read of one table at once: QEMU's limit for an L1 table (QCOW_MAX_L1_SIZE).
pub const TABLE_BYTES_MAX: u64 = 32 << 20;

/// Up to this length, what is read is read with its holes: asking for them would cost more.
const READ_AT_ONCE_BYTES: u64 = 64 << 10;

/// Why an image cannot be read, or cannot be changed, in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unparsable(String);

impl Unparsable {
    /// An error with this reason.
    pub fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

impl fmt::Display for Unparsable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl From<io::Error> for Unparsable {
    fn from(error: io::Error) -> Self {
        Self::new(format!("the file cannot be read or written: {error}"))
    }
}

/// An open image file, for reading and writing at offsets.
pub struct ImageBytes {
    file: File,
    length: u64,
}

impl ImageBytes {
    /// Opens an image for reading and writing. Does not follow a symbolic link, and does not wait for a named pipe.
    pub fn open(path: &Path) -> Result<Self, Unparsable> {
        let file = open_regular_to_change(path)?;
        let length = file.metadata()?.len();
        Ok(Self { file, length })
    }

    /// Opens an image that is only read.
    pub fn open_to_read(path: &Path) -> Result<Self, Unparsable> {
        let file = open_regular(path)?;
        let length = file.metadata()?.len();
        Ok(Self { file, length })
    }

    /// The file's length in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The file itself.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Reads `length` bytes from `offset`. Bytes beyond the end of the file are zeros, as QEMU reads them. `what` names the structure in errors.
    /// Fails if `offset` itself lies beyond the end, or if `length` is over [`TABLE_BYTES_MAX`].
    pub fn read(&self, what: &str, offset: u64, length: u64) -> Result<Vec<u8>, Unparsable> {
        check_length(what, length)?;
        if offset >= self.length && length > 0 {
            return Err(Unparsable::new(format!(
                "{what} at offset {offset:#x} lies beyond the end of the file ({} bytes)",
                self.length
            )));
        }
        let mut bytes = vec![0; length as usize];
        if length <= READ_AT_ONCE_BYTES {
            self.read_into(&mut bytes, offset)?;
            return Ok(bytes);
        }
        for data in data_within(&self.file, offset..(offset + length).min(self.length))? {
            let part = (data.start - offset) as usize..(data.end - offset) as usize;
            self.file.read_exact_at(&mut bytes[part], data.start)?;
        }
        Ok(bytes)
    }

    /// Fills `bytes` from `offset`; bytes beyond the end of the file become zeros.
    pub fn read_into(&self, bytes: &mut [u8], offset: u64) -> Result<(), Unparsable> {
        let there = self.length.saturating_sub(offset).min(bytes.len() as u64) as usize;
        let (inside, beyond) = bytes.split_at_mut(there);
        self.file.read_exact_at(inside, offset)?;
        beyond.fill(0);
        Ok(())
    }

    /// Writes `bytes` at `offset`; fails if they do not end inside the file. `what` names the structure in errors.
    pub fn write(&self, what: &str, offset: u64, bytes: &[u8]) -> Result<(), Unparsable> {
        let end = offset.checked_add(bytes.len() as u64);
        if end.is_none_or(|end| end > self.length) {
            return Err(Unparsable::new(format!(
                "{what} at offset {offset:#x} does not end inside the file ({} bytes)",
                self.length
            )));
        }
        Ok(self.file.write_all_at(bytes, offset)?)
    }
}

/// Fails if a structure is longer than [`TABLE_BYTES_MAX`].
fn check_length(what: &str, length: u64) -> Result<(), Unparsable> {
    match length > TABLE_BYTES_MAX {
        true => Err(Unparsable::new(format!("{what} has {length} bytes"))),
        false => Ok(()),
    }
}

/// The unsigned big-endian integer of `LENGTH` bytes at `offset`; missing bytes count as zero.
pub(super) fn number<const LENGTH: usize>(bytes: &[u8], offset: usize) -> u64 {
    let mut word = [0; 8];
    let there = bytes.get(offset..).unwrap_or_default();
    let length = there.len().min(LENGTH);
    word[8 - LENGTH..][..length].copy_from_slice(&there[..length]);
    u64::from_be_bytes(word)
}

/// Images for the tests of this module, created with the qemu-img on PATH.
#[cfg(test)]
mod fixture {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::path::PathBuf;
    use std::time::Duration;

    use tempfile::TempDir;

    use crate::process::{Ending, Invocation, run};

    /// A scratch directory for images.
    pub struct Scratch(TempDir);

    impl Scratch {
        pub fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        pub fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        /// Runs `program` in the scratch directory, and returns its exit code and its output.
        pub fn run(&self, program: &str, arguments: &[&str]) -> (i32, String) {
            let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
            let program = which::which(program).unwrap();
            let invocation = Invocation {
                program: &program,
                arguments: &arguments,
                directory: self.0.path(),
                limit: Duration::from_secs(30),
                grace: Duration::ZERO,
                sandbox: None,
                environment: &[],
                input: None,
                memory_bytes_max: None,
            };
            let finished = run(&invocation).unwrap();
            let Ending::Exited(code) = finished.ending else {
                panic!("{program:?} did not exit normally")
            };
            let output = finished.stdout.text() + &finished.stderr.text();
            (code, output)
        }

        pub fn qemu_img(&self, arguments: &[&str]) {
            let (code, output) = self.run("qemu-img", arguments);
            assert_eq!(code, 0, "{arguments:?}: {output}");
        }

        /// Creates a qcow2 image of 1 MiB with these `-o` options, and writes 64 KiB each of 0xAA, 0xBB, 0xCC, 0xDD at its start.
        pub fn image(&self, name: &str, options: &str) -> PathBuf {
            self.qemu_img(&["create", "-q", "-f", "qcow2", "-o", options, name, "1M"]);
            let data = [(0xaa, 0), (0xbb, 65536), (0xcc, 131_072), (0xdd, 196_608)];
            let writes = data.map(|(byte, offset)| format!("write -q -P {byte} {offset} 65536"));
            let mut arguments = vec!["-f", "qcow2"];
            arguments.extend(writes.iter().flat_map(|write| ["-c", write]));
            arguments.push(name);
            let (code, output) = self.run("qemu-io", &arguments);
            assert_eq!(code, 0, "{output}");
            self.path(name)
        }
    }
}
