//! Carries out what no tool is asked for: damaging images, auditing them, describing raw files, writing raw fixtures.
//!
//! The runner calls it for steps of [`Executor::Harness`](crate::oracle::observations::Executor::Harness). A failure is an
//! answer like a tool's refusal, and is judged as one. It starts no program.

use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::Instant;

use serde_json::json;

use crate::disk_format::damage::{self, Damage};
use crate::disk_format::qcow2::audit::Audit;
use crate::disk_format::qcow2::corruption::FieldMutation;
use crate::disk_format::qcow2::host_clusters::HostClusters;
use crate::disk_format::qcow2::{ImageBytes, Unparsable};
use crate::image::content::{
    Fill, Write, copy_sparse, data_segments, open_regular, open_regular_to_write,
};
use crate::image::format::{Format, SECTOR_BYTES};
use crate::image::outside::is_plain_name;
use crate::oracle::observations::{HarnessAction, Side};
use crate::process::Captured;
use crate::run::case_image;
use crate::run::evidence::quoted;
use crate::run::scratch_dir::ScratchDir;
use crate::tool::request::{Answer, Exit, ImageFile, Report, Request};

/// The unit of `st_blocks` in stat(2), in bytes.
const HOST_BLOCK_BYTES: u64 = 512;

/// The longest image that is damaged, in bytes: it is read as a whole to tell what was done.
const CORRUPTED_BYTES_MAX: u64 = 256 << 20;

/// Carries out an action of the harness's own in a side's directory.
pub(super) fn carry_out(action: &HarnessAction, scratch_dir: &ScratchDir, side: Side) -> Answer {
    let started = Instant::now();
    let directory = scratch_dir.directory(side);
    let path = directory.join(&action.file().path);
    let words = words(action.name(), action.file());
    match action {
        // The runner has a tool carry it out.
        HarnessAction::Fault { .. } => success(words, String::new(), started),
        HarnessAction::Audit { file } => {
            let answer = audit(file, &directory, words, started);
            match file.names_its_directory() {
                true => answer.without_directory(&directory.to_string_lossy()),
                false => answer,
            }
        }
        HarnessAction::Place { digest, names, .. } => match place(digest, names, &directory) {
            Ok(()) => success(words, names.join("\n"), started),
            Err(why) => refused(words, &why, started),
        },
        // Damages the reference's image; the candidate gets a copy of the damaged file.
        HarnessAction::Damage { file, damages } => match damage(scratch_dir, file, damages) {
            Ok((words, output)) => success(words, output, started),
            Err(why) => refused(words, &why, started),
        },
        HarnessAction::Untouched { file } => match scratch_dir.changed(side, file.stem()) {
            None => success(words, String::new(), started),
            Some(change) => refused(words, &Unparsable::new(change), started),
        },
        HarnessAction::WriteImage { files, .. } => match files.write_into(&directory) {
            Ok(names) => success(words, names.join("\n"), started),
            Err(why) => refused(words, &why, started),
        },
        // The runner has a tool write it.
        HarnessAction::WriteByTool { writer, .. } => refused(
            words,
            &Unparsable::new(format!("{writer} was not asked")),
            started,
        ),
        HarnessAction::Unchanged { files, .. } => {
            match files.changed_in(&directory, &scratch_dir.source_directory()) {
                None => success(words, String::new(), started),
                Some(change) => refused(words, &Unparsable::new(change), started),
            }
        }
        HarnessAction::Corrupt { corruption, .. } => match corrupt(*corruption, &path) {
            Ok(line) => {
                let words = ["sh".to_owned(), "-c".to_owned(), line];
                success(words.into(), corruption.name().to_owned(), started)
            }
            Err(why) => refused(words, &why, started),
        },
        HarnessAction::HostClusters { .. } => {
            let image = ImageBytes::open(&path);
            match image.and_then(|image| HostClusters::settle_and_read(&image)) {
                Ok(clusters) => {
                    let report = Report::HostClusters(clusters);
                    answer(report, words, String::new(), started)
                }
                Err(why) => refused(words, &why, started),
            }
        }
    }
}

/// Carries out a request on a raw file in any directory, e.g. that of the source image, without a tool: describes the
/// file, or writes guest data into it.
pub(super) fn carry_out_raw(request: &Request, directory: &Path) -> Answer {
    let started = Instant::now();
    let path = directory.join(&request.file().path);
    let own = words(request.name(), request.file());
    let (words, done) = match request {
        Request::Info { .. } => (own, described(&path)),
        Request::Write { file, writes } => {
            let line = in_shell(&file.path, writes);
            let words = ["sh".to_owned(), "-c".to_owned(), line];
            (words.into(), written(&path, writes).map(|()| String::new()))
        }
        _ => (
            own,
            Err(Unparsable::new("only a tool can carry out this request")),
        ),
    };
    match done {
        Ok(output) => {
            let report = Report::parse(request.kind(), output.as_bytes(), false);
            answer(report, words, output, started)
        }
        Err(why) => refused(words, &why, started),
    }
}

/// The command line that stands for what no program did.
fn words(name: &str, file: &ImageFile) -> Vec<String> {
    ["(imgduel)", name, &file.path].map(str::to_owned).into()
}

fn success(words: Vec<String>, output: String, started: Instant) -> Answer {
    answer(Report::Nothing, words, output, started)
}

fn refused(words: Vec<String>, why: &Unparsable, started: Instant) -> Answer {
    let mut answer = success(words, String::new(), started);
    answer.refuse(1, why);
    answer
}

/// The answer in place of a call that is not made.
pub(super) fn refusal(request: &Request, why: String) -> Answer {
    let words = words(request.name(), request.file());
    refused(words, &Unparsable::new(why), Instant::now())
}

/// The fields of `info` that matter for a raw file; its size is its length rounded up to whole sectors (QEMU,
/// block/raw-format.c).
fn described(path: &Path) -> Result<String, Unparsable> {
    let length = || Ok::<_, io::Error>(open_regular(path)?.metadata()?.len());
    let length = length().map_err(|error| Unparsable::new(error.to_string()))?;
    let size = length.next_multiple_of(SECTOR_BYTES);
    Ok(json!({"format": Format::Raw.name(), "virtual-size": size}).to_string())
}

/// Whether the request writes bytes into a raw file, which the harness does without a tool.
pub(super) fn writes_itself(request: &Request) -> bool {
    matches!(request, Request::Write { file, .. } if file.format == Format::Raw)
}

/// Writes into a raw file. Fails for a write beyond its end.
fn written(path: &Path, writes: &[Write]) -> Result<(), Unparsable> {
    let write = || {
        let file = open_regular_to_write(path)?;
        let size = file.metadata()?.len().next_multiple_of(SECTOR_BYTES);
        for write in writes {
            if write.offset + write.length > size {
                return Err(io::Error::other(
                    "the write reaches beyond the end of the image",
                ));
            }
            let bytes = write.bytes();
            file.write_all_at(&bytes, write.offset)?;
        }
        Ok(())
    };
    write().map_err(|error: io::Error| Unparsable::new(error.to_string()))
}

/// The shell command that makes the same writes.
fn in_shell(file: &str, writes: &[Write]) -> String {
    let lines = writes.iter().map(|write| {
        let Write {
            offset,
            length,
            fill,
        } = write;
        let data = match fill {
            Fill::Byte(byte) => format!("head -c {length} /dev/zero | tr '\\0' '\\{byte:03o}'"),
            Fill::Data(recipe) => recipe.in_awk(*offset, *length),
        };
        format!(
            "{data} | dd of={} bs=1 seek={offset} conv=notrunc status=none",
            quoted(file)
        )
    });
    lines.collect::<Vec<_>>().join(" && ")
}

fn answer(report: Report, command: Vec<String>, output: String, started: Instant) -> Answer {
    let mut answer = Answer::from(Exit::Success);
    answer.report = report;
    answer.transcript.command = command;
    answer.transcript.stdout = Captured::from_text(output);
    answer.usage.duration = started.elapsed();
    answer
}

/// Audits an image: the space that it takes on the host and, for qcow2, its metadata.
fn audit(file: &ImageFile, directory: &Path, words: Vec<String>, started: Instant) -> Answer {
    let read = || match file.format {
        Format::Qcow2 => Audit::of_qcow2(&ImageBytes::open(&directory.join(&file.path))?),
        _ => Ok(Audit::default()),
    };
    match read() {
        Ok(mut audit) => {
            let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
            let own = entries.filter(|entry| {
                entry
                    .file_name()
                    .to_str()
                    .is_some_and(|name| file.owns(name))
            });
            for entry in own {
                let Ok(metadata) = entry.metadata() else {
                    continue;
                };
                audit.file_bytes += metadata.len();
                audit.allocated_bytes += metadata.blocks() * HOST_BLOCK_BYTES;
                let file = open_regular(&entry.path());
                let segments = file.and_then(|file| data_segments(&file));
                let segments = segments.unwrap_or_default().into_iter();
                let lengths = segments.map(|segment| segment.end - segment.start);
                audit.data_bytes += lengths.sum::<u64>();
            }
            let json = serde_json::to_string(&audit).unwrap_or_default();
            let report = Report::Audit(audit);
            answer(report, words, json, started)
        }
        Err(why) => refused(words, &why, started),
    }
}

/// Gives a side its copies of files of an image from outside.
fn place(digest: &str, names: &[String], directory: &Path) -> Result<(), Unparsable> {
    let image = case_image::held(digest);
    let image = image.ok_or_else(|| Unparsable::new("the image from outside is not open"))?;
    for name in names.iter().filter(|name| is_plain_name(name)) {
        let target = directory.join(name);
        // Damage on the reference's side has given the candidate its copy already.
        if target.exists() {
            continue;
        }
        let copied = copy_sparse(&image.path_of(name), &target);
        copied.map_err(|error| Unparsable::new(error.to_string()))?;
    }
    Ok(())
}

/// Damages a qcow2: the shell's line for it.
fn corrupt(corruption: FieldMutation, path: &Path) -> Result<String, Unparsable> {
    let image = ImageBytes::open(path)?;
    if image.length() > CORRUPTED_BYTES_MAX {
        return Err(Unparsable::new(format!(
            "the image has {} bytes: more than {CORRUPTED_BYTES_MAX} are not damaged",
            image.length()
        )));
    }
    let bytes = || {
        let mut bytes = vec![0; image.length() as usize];
        image.read_into(&mut bytes, 0).map(|()| bytes)
    };
    let before = bytes()?;
    corruption.inflict(&image)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let patches = damage::between(&before, &bytes()?);
    let lines = patches.iter().map(|patch| patch.in_shell(&quoted(&name)));
    Ok(lines.collect::<Vec<_>>().join(" && "))
}

/// Damages the reference's image and gives both sides copies of it. Returns the equivalent shell command and a
/// description of the damage.
fn damage(
    scratch_dir: &ScratchDir,
    file: &ImageFile,
    damages: &[Damage],
) -> Result<(Vec<String>, String), Unparsable> {
    let path = scratch_dir.file(Side::Reference, &file.path);
    let inflicted = damage::inflict(&path, file.format, damages)?;
    scratch_dir
        .keep_originals(file.stem())
        .map_err(|error| Unparsable::new(error.to_string()))?;
    let name = quoted(&file.path);
    let patches = inflicted.patches.iter().map(|patch| patch.in_shell(&name));
    let cut = inflicted
        .length
        .map(|length| format!("dd if=/dev/null of={name} bs=1 count=0 seek={length} 2>/dev/null"));
    let lines: Vec<String> = patches.chain(cut).collect();
    let words = ["sh".to_owned(), "-c".to_owned(), lines.join(" && ")].into();
    Ok((words, inflicted.words.join("\n")))
}
