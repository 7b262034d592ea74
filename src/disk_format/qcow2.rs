//! qcow2 on disk: the structures of the format, with the field names of QEMU's specification (docs/interop/qcow2).
//!
//! For what no tool says: [`corruption`] damages an image for `repair`, [`snapshot_table`] and [`host_clusters`] let
//! two tools' snapshots be compared down to the byte. Called by the duel. Every structure may come from a tool that is
//! wrong, so what is read is checked against the file's length and the limits below, and what makes no sense is an
//! [`Unparsable`], never a panic. No guest data is read here and nothing is repaired: contents are read through tools.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::OFlags;

use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

pub mod audit;
pub mod cluster_mapping;
pub mod corruption;
pub mod extensions;
pub mod header;
pub mod host_clusters;
pub mod layout;
pub mod refcounts;
pub mod snapshot_table;

/// The most that is read of one table at once, in bytes: QEMU's limit for an L1 table (QCOW_MAX_L1_SIZE).
pub const TABLE_BYTES_MAX: u64 = 32 << 20;

/// Why a file cannot be taken for a qcow2, or be worked on as one, in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unparsable(String);

impl Unparsable {
    /// Because of `why`.
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

/// An image's file, read and written at offsets.
pub struct ImageBytes {
    file: File,
    length: u64,
}

impl ImageBytes {
    /// Opens it for reading and writing.
    pub fn open(path: &Path) -> Result<Self, Unparsable> {
        let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(flags.bits() as i32)
            .open(path)?;
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

    /// `length` bytes from `offset`, which lies inside the file; what lies beyond its end is zeros, as QEMU reads it.
    /// `what` names them in errors.
    pub fn read(&self, what: &str, offset: u64, length: u64) -> Result<Vec<u8>, Unparsable> {
        if length > TABLE_BYTES_MAX {
            return Err(Unparsable::new(format!("{what} has {length} bytes")));
        }
        if offset >= self.length && length > 0 {
            return Err(Unparsable::new(format!(
                "{what} at offset {offset:#x} lies beyond the end of the file ({} bytes)",
                self.length
            )));
        }
        let mut bytes = vec![0; length as usize];
        self.read_into(&mut bytes, offset)?;
        Ok(bytes)
    }

    /// Fills `bytes` from `offset`; what lies beyond the file's end becomes zeros.
    pub fn read_into(&self, bytes: &mut [u8], offset: u64) -> Result<(), Unparsable> {
        let there = self.length.saturating_sub(offset).min(bytes.len() as u64) as usize;
        let (inside, beyond) = bytes.split_at_mut(there);
        self.file.read_exact_at(inside, offset)?;
        beyond.fill(0);
        Ok(())
    }

    /// Writes `bytes` at `offset`, inside the file.
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

/// The unsigned number in the `LENGTH` bytes from `offset`, big-endian; bytes that are not there count as zero.
fn number<const LENGTH: usize>(bytes: &[u8], offset: usize) -> u64 {
    let field = (offset..offset + LENGTH).map(|place| bytes.get(place).copied().unwrap_or(0));
    field.fold(0, |number, byte| number << 8 | u64::from(byte))
}

/// Images for the tests of this room, made by the qemu-img of this machine.
#[cfg(test)]
mod fixture {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::path::PathBuf;
    use std::time::Duration;

    use tempfile::TempDir;

    use crate::process::{Ending, Invocation, run};

    /// A scratch directory with images in it.
    pub struct Scratch(TempDir);

    impl Scratch {
        pub fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        pub fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        /// Runs `program` here; its exit code and what it wrote.
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
                memory_bytes_max: None,
            };
            let finished = run(&invocation).unwrap();
            let Ending::Exited(code) = finished.ending else {
                panic!("{program:?} did not come to its end")
            };
            let said = finished.stdout.text() + &finished.stderr.text();
            (code, said)
        }

        pub fn qemu_img(&self, arguments: &[&str]) {
            let (code, said) = self.run("qemu-img", arguments);
            assert_eq!(code, 0, "{arguments:?}: {said}");
        }

        /// A qcow2 of 1 MiB with these `-o` options and 64 KiB each of 0xAA, 0xBB, 0xCC, 0xDD at its start.
        pub fn image(&self, name: &str, options: &str) -> PathBuf {
            self.qemu_img(&["create", "-q", "-f", "qcow2", "-o", options, name, "1M"]);
            let data = [(0xaa, 0), (0xbb, 65536), (0xcc, 131_072), (0xdd, 196_608)];
            let writes = data.map(|(byte, offset)| format!("write -q -P {byte} {offset} 65536"));
            let mut arguments = vec!["-f", "qcow2"];
            arguments.extend(writes.iter().flat_map(|write| ["-c", write]));
            arguments.push(name);
            let (code, said) = self.run("qemu-io", &arguments);
            assert_eq!(code, 0, "{said}");
            self.path(name)
        }
    }
}
