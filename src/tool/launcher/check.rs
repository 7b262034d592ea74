//! Compares the two ways of starting a call: same files before, same exit and output after.
//!
//! Used by the launcher in its mode `check`. Parts of the output that differ each time (durations, the number of blocks
//! on the host, the date of a snapshot, random identifiers) are masked. All files must have the same lengths
//! afterwards.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::base::error::{Error, Result};
use crate::image::content::copy_sparse;
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
    files: BTreeMap<String, u64>,
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
            let trace = Trace::from_finished(&finished, directory).map_err(failed)?;
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
    fn from_finished(finished: &Finished, directory: &Path) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            files.insert(
                name,
                comparable_length(&entry.path(), entry.metadata()?.len())?,
            );
        }
        let ending = match &finished.ending {
            // The CPU time is never the same twice.
            Ending::TimedOut(_) => "ran out of time".to_owned(),
            ending => format!("{ending:?}"),
        };
        Ok(Self {
            ending,
            stdout: masked(&finished.stdout.text()),
            stderr: masked(&finished.stderr.text()),
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
        (files != &other.files).then(|| {
            format!(
                "files {files:?} when spawned, {:?} when forked",
                other.files
            )
        })
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

/// The beginning of names of block nodes.
const NODE: &str = "#block";

/// Parts of qemu-io's lines about its speed, and of the dates in a list of snapshots.
const VOLATILE_WITHIN: [&str; 2] = [" ops; ", "\"date-"];

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
