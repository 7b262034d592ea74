//! Compares the two ways of starting a call: same files before, same exit and output after.
//!
//! Used by the launcher in its mode `check`. Parts of the output that differ each time (durations, the number of blocks
//! on the host, the date of a snapshot, random identifiers) are masked. All files must have the same lengths
//! afterwards, and the same bytes, if there is nothing in them that a tool draws anew or dates. Requests that are under
//! way together end in any order and take clusters in any order, so that of their calls only exits, words and the names of
//! files are compared. (A dozen spawned commits of one image leave as many different files: qemu-img 10.0.) Any other call
//! that differs is spawned some more times, and is told as a difference only if it does the same each time.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::base::error::{Error, Result};
use crate::disk_format::qcow2::header::MAGIC;
use crate::image::content::{Contents, copy_sparse, open_regular};
use crate::process::{Ending, Finished, Invocation};

/// How often a call that differed is spawned again, to see whether it does the same each time.
const SPAWNED_AGAIN: usize = 4;

/// The result so far.
#[derive(Default)]
pub(super) struct Comparison {
    so_far: Mutex<Compared>,
}

/// What came of starting calls both ways.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// How many calls there were.
    pub calls: u64,
    /// How many differed when forked.
    pub differed: u64,
    /// How many are not the same twice when spawned, so that nothing follows from a difference.
    pub unsteady: u64,
    /// The first that differed.
    pub first: Option<String>,
}

/// The parts of a result that must be the same each time.
#[derive(PartialEq)]
struct Trace {
    ending: String,
    stdout: String,
    stderr: String,
    files: BTreeMap<String, FileTrace>,
}

/// What must be the same of a file. Requests that are under way together take clusters in any order, which shows in its length, too.
#[derive(Default, PartialEq)]
struct FileTrace {
    length: Option<u64>,
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
        let [spawn, fork] = ways;
        let (_, spawned) = once(spawn)?;
        let (finished, forked) = once(fork)?;
        let mut difference = spawned.difference(&forked);
        let mut is_unsteady = false;
        if difference.is_some() {
            let after = tempfile::tempdir().map_err(failed)?;
            copy_files(directory, after.path())?;
            for _ in 0..SPAWNED_AGAIN {
                is_unsteady = is_unsteady || once(spawn)?.1 != spawned;
            }
            empty(directory).map_err(failed)?;
            copy_files(after.path(), directory)?;
        }
        difference = difference.filter(|_| !is_unsteady);
        let mut so_far = self.so_far.lock().unwrap_or_else(PoisonError::into_inner);
        so_far.calls += 1;
        so_far.unsteady += u64::from(is_unsteady);
        if let Some(difference) = difference {
            so_far.differed += 1;
            so_far.first.get_or_insert_with(|| {
                format!(
                    "{} {}: {difference}",
                    invocation.program.display(),
                    invocation.arguments.join(" ")
                )
            });
        }
        Ok(finished)
    }

    pub(super) fn so_far(&self) -> Compared {
        self.so_far
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl FileTrace {
    fn of_file(path: &Path, length: u64) -> io::Result<Self> {
        Ok(Self {
            length: Some(comparable_length(path, length)?),
            bytes: match path.is_file() {
                true => comparable_bytes(path)?,
                false => None,
            },
        })
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
            let file = match is_in_order {
                true => FileTrace::of_file(&path, entry.metadata()?.len())?,
                false => FileTrace::default(),
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

/// Whether the call begins a request before the last one has ended: qemu-io by its command, and two commands of qemu-img.
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

/// "Header" of the qcow2 specification: the encryption method at offset 32 and the number of snapshots at 60.
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
    let is_drawn_in_qcow2 = head.starts_with(&MAGIC)
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
mod tests;
