//! Compares the two ways of starting a call: same files before, same exit and output after.
//!
//! Used by the launcher in its mode `check`. Parts of the output that differ each time (durations, the number of blocks
//! on the host, the date of a snapshot, random identifiers) are masked. All files must have the same lengths
//! afterwards, and the same bytes, if there is nothing in them that a tool draws anew or dates. Requests that are under
//! way together end in any order.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::base::error::{Error, Result};
use crate::image::content::{Contents, copy_sparse, open_regular};
use crate::process::{Ending, Finished, Invocation};

/// The result so far.
#[derive(Default)]
pub(super) struct Comparison {
    so_far: Mutex<(u64, u64, Option<String>)>,
}

/// The parts of a result that must be the same each time.
#[derive(PartialEq)]
struct Trace {
    ending: String,
    stdout: String,
    stderr: String,
    files: BTreeMap<String, FileTrace>,
}

/// What must be the same of a file.
#[derive(PartialEq)]
struct FileTrace {
    length: u64,
    /// Its bytes, if they must be the same.
    bytes: Option<Contents>,
}

impl Comparison {
    /// Makes the call in both ways, each on its own copy of the files, and returns the second result.
    pub(super) fn run_both(
        &self,
        invocation: &Invocation<'_>,
        ways: [&dyn Fn() -> Result<Finished>; 2],
    ) -> Result<Finished> {
        let directory = invocation.directory;
        let failed = |error: io::Error| Error::io("copy the files in", directory, &error);
        let before = tempfile::tempdir().map_err(failed)?;
        copy_files(directory, before.path())?;
        let once = |way: &dyn Fn() -> Result<Finished>| {
            empty(directory).map_err(failed)?;
            copy_files(before.path(), directory)?;
            let finished = way()?;
            let trace = Trace::from_finished(&finished, invocation).map_err(failed)?;
            Ok::<_, Error>((finished, trace))
        };
        let [first, second] = ways;
        let (_, spawned) = once(first)?;
        let (finished, forked) = once(second)?;
        let mut so_far = self.so_far.lock().unwrap_or_else(PoisonError::into_inner);
        so_far.0 += 1;
        if let Some(difference) = spawned.difference(&forked) {
            so_far.1 += 1;
            so_far.2.get_or_insert_with(|| {
                format!(
                    "{} {}: {difference}",
                    invocation.program.display(),
                    invocation.arguments.join(" ")
                )
            });
        }
        Ok(finished)
    }

    pub(super) fn so_far(&self) -> (u64, u64, Option<String>) {
        self.so_far
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Trace {
    fn from_finished(finished: &Finished, invocation: &Invocation<'_>) -> io::Result<Self> {
        let is_in_order = !overlaps(invocation.arguments, invocation.input.unwrap_or_default());
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(invocation.directory)? {
            let entry = entry?;
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            let file = FileTrace {
                length: comparable_length(&path, entry.metadata()?.len())?,
                bytes: match is_in_order && path.is_file() {
                    true => comparable_bytes(&path)?,
                    false => None,
                },
            };
            files.insert(name, file);
        }
        let ending = match &finished.ending {
            // The CPU time is never the same twice.
            Ending::TimedOut(_) => "ran out of time".to_owned(),
            ending => format!("{ending:?}"),
        };
        let told = |text: String| match is_in_order {
            true => masked(&text),
            false => in_any_order(&masked(&text)),
        };
        Ok(Self {
            ending,
            stdout: told(finished.stdout.text()),
            stderr: told(finished.stderr.text()),
            files,
        })
    }

    fn difference(&self, other: &Self) -> Option<String> {
        let Self {
            ending,
            stdout,
            stderr,
            files,
        } = self;
        if ending != &other.ending {
            return Some(format!(
                "{ending} when spawned, {} when forked",
                other.ending
            ));
        }
        let texts = [
            ("standard output", stdout, &other.stdout),
            ("standard error", stderr, &other.stderr),
        ];
        for (name, spawned, forked) in texts {
            let lines = spawned.lines().zip(forked.lines());
            let lines = lines.into_iter().find(|(one, two)| one != two);
            if spawned != forked {
                let (one, two) = lines.unwrap_or(("longer or shorter", "the other"));
                return Some(format!("{name}: '{one}' when spawned, '{two}' when forked"));
            }
        }
        let lengths = |files: &BTreeMap<String, FileTrace>| {
            let lengths = files.iter().map(|(name, file)| (name.clone(), file.length));
            lengths.collect::<BTreeMap<_, _>>()
        };
        let (one, two) = (lengths(files), lengths(&other.files));
        if one != two {
            return Some(format!("files {one:?} when spawned, {two:?} when forked"));
        }
        let mut names = files.keys();
        let differing = names.find(|name| files.get(*name) != other.files.get(*name));
        differing.map(|name| format!("other bytes in {name}"))
    }
}

/// Lines of qemu-img and qemu-io that differ each time start (after blanks) or end like this.
const VOLATILE: [&str; 6] = [
    "\"actual-size\":",
    "\"cid\":",
    // How many iterations fit into a time.
    "\"iters\":",
    "\"master-key-iters\":",
    "Run completed in",
    "disk size:",
];

/// What qemu-io says before it reads a command.
const PROMPT: &str = "qemu-io> ";

/// The beginning of names of block nodes.
const NODE: &str = "#block";

/// Parts of qemu-io's lines about its speed, and of the dates in a list of snapshots.
const VOLATILE_WITHIN: [&str; 2] = [" ops; ", "\"date-"];

/// Whether the call begins a request before the last one has ended: qemu-io by its command, and two of qemu-img's. Which clusters
/// they take then is a matter of chance: a dozen spawned commits of the same image leave as many different files (qemu-img 10.0).
fn overlaps(arguments: &[String], input: &[u8]) -> bool {
    let mut lines = input.split(|byte| *byte == b'\n');
    let command = arguments.first().map(String::as_str);
    matches!(command, Some("commit" | "bench")) || lines.any(|line| line.starts_with(b"aio_"))
}

/// The lines without prompts, in alphabetical order: which request ends first is a matter of chance.
fn in_any_order(text: &str) -> String {
    let lines = text.lines().map(|line| line.trim_start_matches(PROMPT));
    let mut lines: Vec<&str> = lines.collect();
    lines.sort_unstable();
    lines.join("\n")
}

fn masked(text: &str) -> String {
    let is_volatile = |line: &str| {
        let line = line.trim_start();
        VOLATILE.iter().any(|start| line.starts_with(start))
            || VOLATILE_WITHIN.iter().any(|part| line.contains(part))
    };
    let lines = text.lines().map(|line| match is_volatile(line) {
        true => "(said anew each time)".to_owned(),
        false => without_node_numbers(line),
    });
    let lines: Vec<String> = lines.collect();
    lines.join("\n")
}

/// qemu-img names its block nodes by a counter and two random digits (QEMU's util/id.c).
fn without_node_numbers(line: &str) -> String {
    let mut parts = line.split(NODE);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |output, part| {
        let rest = part.trim_start_matches(|letter: char| letter.is_ascii_digit());
        format!("{output}{NODE}{rest}")
    })
}

/// The first line of a vmdk's descriptor in a file of its own, which is short.
const DESCRIPTOR: &[u8] = b"# Disk DescriptorFile\n";
const DESCRIPTOR_BYTES_MAX: u64 = 64 << 10;

/// Returns a file's length. For a vmdk's descriptor, it is the length of its text without the content identifier, which
/// is random and has as many digits as it needs. If qemu-img sets another one, the file keeps its length, and the bytes
/// after the text do not belong to it.
fn comparable_length(path: &Path, length: u64) -> io::Result<u64> {
    if length > DESCRIPTOR_BYTES_MAX || !path.is_file() {
        return Ok(length);
    }
    let bytes = fs::read(path)?;
    if !bytes.starts_with(DESCRIPTOR) {
        return Ok(length);
    }
    let text = bytes.trim_ascii_end().split(|byte| *byte == 0).next();
    let text = text.unwrap_or_default().trim_ascii_end();
    let lines = text.split(|byte| *byte == b'\n');
    let others = lines.filter(|line| !line.starts_with(b"CID="));
    Ok(others.map(|line| line.len() as u64 + 1).sum())
}

/// How the files of formats begin in which a tool draws something at random or writes a date: identifiers of vmdk, vhdx, vdi and vpc, and
/// the keys of LUKS. A fixed vpc image has its header at its end.
const DRAWN: [&[u8]; 7] = [
    b"KDMV",
    b"COWD",
    DESCRIPTOR,
    b"vhdxfile",
    b"<<< ",
    VPC,
    b"LUKS",
];
const VPC: &[u8] = b"conectix";
const VPC_HEADER_BYTES: u64 = 512;

/// "Header" of the qcow2 specification: the magic number, the encryption method at offset 32 and the number of snapshots at 60.
const QCOW2: &[u8] = b"QFI\xfb";
const QCOW2_DRAWN: [usize; 2] = [32, 60];

/// Returns a file's bytes; `None` if something in them may differ each time.
fn comparable_bytes(path: &Path) -> io::Result<Option<Contents>> {
    let file = open_regular(path)?;
    let length = file.metadata()?.len();
    let part = |offset: u64| -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; VPC_HEADER_BYTES.min(length - offset) as usize];
        file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    };
    let (head, tail) = (part(0)?, part(length.saturating_sub(VPC_HEADER_BYTES))?);
    let is_drawn_in_qcow2 = head.starts_with(QCOW2)
        && QCOW2_DRAWN
            .iter()
            .any(|place| head.get(*place..place + 4) != Some(&[0; 4]));
    match DRAWN.iter().any(|magic| head.starts_with(magic))
        || tail.starts_with(VPC)
        || is_drawn_in_qcow2
    {
        true => Ok(None),
        false => Ok(Some(Contents::of_raw_file(path).map_err(io::Error::other)?)),
    }
}

/// Copies the files of a directory, with their holes and modification times, which show the files that a call touches.
fn copy_files(from: &Path, to: &Path) -> Result<()> {
    let entries = fs::read_dir(from).map_err(|error| Error::io("list", from, &error))?;
    for entry in entries.flatten() {
        if entry.path().is_file() {
            let copy = to.join(entry.file_name());
            copy_sparse(&entry.path(), &copy)?;
            let dated = || {
                File::options()
                    .write(true)
                    .open(&copy)?
                    .set_modified(entry.metadata()?.modified()?)
            };
            dated().map_err(|error| Error::io("date", &copy, &error))?;
        }
    }
    Ok(())
}

fn empty(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_file() {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_block_nodes_are_masked_and_nothing_else() {
        let output = "bitmap 'b' in '#block165' and '#block9': 17";
        let kept = "bitmap 'b' in '#block' and '#block': 17";
        assert_eq!(masked(output), kept);
    }

    #[test]
    fn the_width_of_a_content_identifier_is_masked_only_in_a_descriptor() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("image.vmdk");
        let length = |text: &str| {
            fs::write(&path, text).unwrap();
            comparable_length(&path, text.len() as u64).unwrap()
        };
        let head = "# Disk DescriptorFile\nversion=1\n";
        let expected = length(&format!("{head}CID=a28384b\nparentCID=ffffffff\n"));
        for (id, rest) in [
            ("a2", "\n"),
            ("12345678", ""),
            ("1", "\n\0\0\0\0"),
            ("1", "\n\0\0f\n"),
        ] {
            let text = format!("{head}CID={id}\nparentCID=ffffffff{rest}");
            assert_eq!(length(&text), expected, "{text:?}");
        }
        assert_ne!(length(&format!("{head}CID=a2\n")), expected);
        assert_eq!(length("CID=a28384b\n"), 12);
    }

    #[test]
    fn bytes_are_compared_of_files_in_which_nothing_is_drawn_or_dated() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("image");
        let are_compared = |head: &[u8], tail: &[u8]| {
            let bytes = [head, &[0; 8192], tail].concat();
            fs::write(&path, bytes).unwrap();
            comparable_bytes(&path).unwrap().is_some()
        };
        let plain = [&b"QFI\xfb\0\0\0\x03"[..], &[0; 96]].concat();
        let with = |place: usize| {
            let mut bytes = plain.clone();
            bytes[place + 3] = 1;
            bytes
        };
        assert!(are_compared(&plain, &[]) && are_compared(b"", &[]));
        assert!(!are_compared(&with(32), &[]) && !are_compared(&with(60), &[]));
        for magic in DRAWN {
            assert!(!are_compared(magic, &[]));
        }
        let footer = [VPC, &[0; 504]].concat();
        assert!(!are_compared(b"", &footer));
        fs::write(&path, "QFI\u{fb}").unwrap();
        assert!(comparable_bytes(&path).unwrap().is_some());
        fs::write(&path, b"QFI\xfb").unwrap();
        assert!(comparable_bytes(&path).unwrap().is_none());
    }

    #[test]
    fn requests_that_are_under_way_together_end_in_any_order() {
        let io = |input: &[u8]| overlaps(&["-f".to_owned(), "qcow2".to_owned()], input);
        assert!(io(b"read 0 512\naio_write 0 512\naio_flush\n") && io(b"aio_flush"));
        assert!(!io(b"read 0 512\nwrite -P 1 0 512\n"));
        let img = |command: &str| overlaps(&[command.to_owned(), "image".to_owned()], b"");
        assert!(img("commit") && img("bench") && !img("convert"));
        let told =
            "qemu-io> qemu-io> wrote 2/2 bytes at offset 4\nqemu-io> wrote 1/1 bytes at offset 0";
        let otherwise =
            "qemu-io> wrote 1/1 bytes at offset 0\nqemu-io> qemu-io> wrote 2/2 bytes at offset 4";
        assert_eq!(in_any_order(told), in_any_order(otherwise));
        assert_ne!(
            in_any_order(told),
            in_any_order(&otherwise.replace("2/2", "1/2"))
        );
    }

    #[test]
    fn a_copy_keeps_the_modification_time() {
        let places = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let [from, to] = [0, 1].map(|index: usize| places[index].path().join("image"));
        fs::write(&from, "x").unwrap();
        let then = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1 << 30);
        let file = File::options().write(true).open(&from).unwrap();
        file.set_modified(then).unwrap();
        copy_files(places[0].path(), places[1].path()).unwrap();
        assert_eq!(to.metadata().unwrap().modified().unwrap(), then);
    }
}
