//! Reads the header of an image for the liar, and modifies the image behind the tool's back.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// The properties of an image that lies depend on.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The extension of the file name.
    pub format: String,
    /// The virtual size in bytes.
    pub size: u64,
    /// The cluster size in bytes; 0 if there are no clusters.
    pub cluster: u64,
    /// The width of a refcount in bits.
    pub refcount_bits: u64,
    /// The qcow2 version, 2 or 3.
    pub version: u64,
    /// Whether L2 entries have 16 bytes.
    pub extended_l2: bool,
    /// Whether refcounts may be out of date.
    pub lazy: bool,
    /// The number of internal snapshots.
    pub snapshots: u64,
    /// The name of the backing file.
    pub backing: Option<String>,
}

impl Facts {
    /// Reads the properties of an image from its header (QEMU's qcow2 specification, Header).
    pub fn read_from(path: &str) -> Option<Self> {
        if let Some(foreseen) = crate::foresight::facts(path) {
            return Some(foreseen);
        }
        let format = path.rsplit('.').next()?.to_owned();
        let file = File::open(path).ok()?;
        if format == "raw" {
            let size = file.metadata().ok()?.len();
            return Some(Self {
                format,
                size,
                ..Self::default()
            });
        }
        if format != "qcow2" {
            return None;
        }
        let mut header = [0; 112];
        file.read_exact_at(&mut header, 0).ok()?;
        let number = |offset: usize, length: usize| {
            let bytes = header[offset..offset + length].iter();
            bytes.fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
        };
        let version = number(4, 4);
        let is_new = version > 2;
        let backing = (number(8, 8) > 0).then(|| {
            let mut name = vec![0; number(16, 4) as usize];
            let _ = file.read_exact_at(&mut name, number(8, 8));
            String::from_utf8_lossy(&name).into_owned()
        });
        Some(Self {
            format,
            size: number(24, 8),
            cluster: 1 << number(20, 4),
            refcount_bits: if is_new { 1 << number(96, 4) } else { 16 },
            version,
            extended_l2: is_new && number(72, 8) & 16 != 0,
            lazy: is_new && number(80, 8) & 1 != 0,
            snapshots: number(60, 4),
            backing,
        })
    }

    /// Returns the guest bytes that one L2 table covers.
    pub fn table(&self) -> u64 {
        self.cluster * self.cluster / if self.extended_l2 { 16 } else { 8 }
    }
}

/// Writes unrequested guest data, up to the end of the image.
pub fn scribble(path: &str, byte: u8, offset: u64, length: u64) {
    let Some(facts) = Facts::read_from(path) else {
        return;
    };
    let length = length.min(facts.size.saturating_sub(offset));
    if length > 0 {
        let command = format!("write -q -P {byte} {offset} {length}");
        quiet(&["qemu-io", "-f", &facts.format, "-c", &command, path]);
    }
}

/// Inverts the byte at a guest offset.
pub fn flip(path: &str, offset: u64) {
    let Some(facts) = Facts::read_from(path).filter(|facts| offset < facts.size) else {
        return;
    };
    let flat = format!("{path}.liar");
    let skip = format!("skip={}", offset / 512);
    let words = ["dd", "-f", &facts.format, "-O", "raw", "bs=512", "count=1"];
    let count = format!("count={}", offset / 512 + 1);
    let source = format!("if={path}");
    let target = format!("of={flat}");
    quiet(&[
        "qemu-img", words[0], words[1], words[2], words[3], words[4], words[5], &count, &skip,
        &source, &target,
    ]);
    let mut byte = [0];
    if let Ok(file) = File::open(&flat) {
        let _ = file.read_exact_at(&mut byte, offset % 512);
    }
    let _ = std::fs::remove_file(&flat);
    scribble(path, byte[0] ^ 0xff, offset, 1);
}

/// Sets the refcount of the header's cluster to 2, which creates a leak in any image.
pub fn leak(path: &str) {
    let Some(facts) = Facts::read_from(path).filter(|facts| facts.refcount_bits >= 8) else {
        return;
    };
    let Ok(file) = OpenOptions::new().read(true).write(true).open(path) else {
        return;
    };
    let field = |offset: u64| {
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes, offset).ok()?;
        Some(u64::from_be_bytes(bytes))
    };
    let block = field(48).and_then(field);
    if let Some(block) = block {
        let _ = file.write_all_at(&[2], block + facts.refcount_bits / 8 - 1);
    }
}

/// Runs a program and discards its output.
pub fn quiet(words: &[&str]) {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).stdin(Stdio::null());
    let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
}

/// Returns the directory of a program that was called by its path.
pub fn directory_of(program: &str) -> &Path {
    Path::new(program).parent().unwrap_or(Path::new("."))
}
