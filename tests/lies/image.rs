//! What a liar looks at: the file of an image, its header, and what is written into it behind everybody's back.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// The facts of an image that lies depend on.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The ending of its name.
    pub format: String,
    /// The virtual size in bytes.
    pub size: u64,
    /// The cluster size in bytes; 0 where there are none.
    pub cluster: u64,
    /// The width of a refcount in bits.
    pub refcount_bits: u64,
    /// 2 or 3.
    pub version: u64,
    /// Whether an entry of an L2 table has 16 bytes.
    pub extended_l2: bool,
    /// Whether refcounts may be out of date.
    pub lazy: bool,
    /// How many internal snapshots it has.
    pub snapshots: u64,
    /// The name of the image below it.
    pub backing: Option<String>,
}

impl Facts {
    /// Of the image in this file, as far as its header tells them (QEMU's qcow2 specification, Header).
    pub fn of(path: &str) -> Option<Self> {
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

    /// What one L2 table covers, in guest bytes.
    pub fn table(&self) -> u64 {
        self.cluster * self.cluster / if self.extended_l2 { 16 } else { 8 }
    }
}

/// Writes guest data that nobody asked for, as far as the image reaches.
pub fn scribble(path: &str, byte: u8, offset: u64, length: u64) {
    let Some(facts) = Facts::of(path) else {
        return;
    };
    let length = length.min(facts.size.saturating_sub(offset));
    if length > 0 {
        let command = format!("write -q -P {byte} {offset} {length}");
        quiet(&["qemu-io", "-f", &facts.format, "-c", &command, path]);
    }
}

/// Turns over the byte at a guest offset, by what a zero would be: another byte than any that is there.
pub fn flip(path: &str, offset: u64) {
    let Some(facts) = Facts::of(path).filter(|facts| offset < facts.size) else {
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

/// Counts the header's cluster twice: a leak, whatever else there is.
pub fn leak(path: &str) {
    let Some(facts) = Facts::of(path).filter(|facts| facts.refcount_bits >= 8) else {
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

/// Runs a program of this machine; what it says is nobody's business.
pub fn quiet(words: &[&str]) {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).stdin(Stdio::null());
    let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
}

/// The directory of a program that was called by its path.
pub fn directory_of(program: &str) -> &Path {
    Path::new(program).parent().unwrap_or(Path::new("."))
}
