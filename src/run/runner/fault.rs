//! Has a tool carry out a request while one of its calls fails, on a copy of the side's files, and tells what is left of the image.
//!
//! The runner calls it. The side's own files are not touched, so that the steps that follow need not know what the fault left behind.

use std::fs;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use super::CaseRun;
use crate::base::error::{Error, Result};
use crate::disk_format::qcow2::ImageBytes;
use crate::disk_format::qcow2::header::Header;
use crate::image::content::{Write, copy_sparse, data_segments};
use crate::image::format::Format;
use crate::image::model::View;
use crate::oracle::observations::{HarnessAction, Side};
use crate::tool::Support;
use crate::tool::request::Fault;
use crate::tool::request::{
    Answer, CopyMode, Exit, FaultReport, ImageFile, RepairTier, Report, Request,
};

/// The number of bytes that are compared at once.
const PIECE_BYTES: u64 = 64 << 10;

/// The largest image that is read through after a fault, in bytes.
const READ_BYTES_MAX: u64 = 1 << 30;

/// What a fault is tried on, and what may be left.
struct Attempt<'case> {
    /// The request.
    request: &'case Request,
    /// The fault.
    fault: Fault,
    /// The image that is looked at afterwards.
    file: &'case ImageFile,
    /// What a guest may see in it, byte by byte.
    allowed: &'case [View],
}

impl CaseRun<'_> {
    /// Carries out a fault of the harness on a side. Returns whose tool was asked, and the answer.
    pub(super) fn attempted(
        &mut self,
        side: Side,
        action: &HarnessAction,
    ) -> Result<(Side, Answer)> {
        let HarnessAction::Fault {
            request,
            file,
            fault,
            allowed,
        } = action
        else {
            return Ok((side, Exit::Success.into()));
        };
        let by = match self.tool(side).support(request) {
            Support::Yes => side,
            Support::No(_) => Side::Reference,
        };
        let attempt = Attempt {
            request,
            fault: *fault,
            file,
            allowed,
        };
        Ok((by, self.attempt(side, by, &attempt)?))
    }

    /// Returns the answer of the tool, with what is left; one without a report if the tool takes no faults.
    fn attempt(&mut self, side: Side, by: Side, attempt: &Attempt<'_>) -> Result<Answer> {
        let own = self.scratch_dir.directory(side);
        let copy = own.with_file_name(format!("{}-fault", side.name()));
        copied(&own, &copy)?;
        let answer = self.attempt_in(&copy, by, attempt);
        let removed = fs::remove_dir_all(&copy);
        let answer = answer?;
        removed.map_err(|error| Error::io("remove", &copy, &error))?;
        Ok(answer)
    }

    fn attempt_in(&mut self, directory: &Path, by: Side, attempt: &Attempt<'_>) -> Result<Answer> {
        let call_context = self.call_context(directory, Duration::ZERO);
        let asked = self
            .tool(by)
            .ask_faulty(attempt.request, attempt.fault, &call_context)?;
        let Some(mut answer) = asked else {
            return Ok(Exit::Success.into());
        };
        self.tool_calls += answer.usage.calls;
        self.tool_cpu += answer.usage.cpu;
        let exit = std::mem::replace(&mut answer.exit, Exit::Success);
        let mut report = FaultReport {
            exit: exit.describe(),
            ..FaultReport::default()
        };
        if attempt.file.format == Format::Qcow2 {
            let file = attempt.file.clone();
            if is_dirty(&directory.join(&file.path)) {
                // Whoever opens such an image to write repairs its refcounts first (qcow2 specification, Header, incompatible features: bit 0).
                // QEMU marks an image so before it empties it, as a commit does.
                let repair = Request::Repair {
                    file: file.clone(),
                    tier: RepairTier::All,
                };
                self.look(directory, &repair)?;
            }
            let checked = self.look(directory, &Request::Check { file })?;
            report.is_checked = true;
            if let Report::Check(counts) = checked.report {
                report.corruptions = counts.corruptions;
                report.leaks = counts.leaks;
            } else {
                report.wrong = Some(format!("it cannot be checked: {}", checked.describe()));
            }
        }
        let is_small = attempt
            .allowed
            .iter()
            .all(|view| view.size <= READ_BYTES_MAX);
        if report.wrong.is_none() && is_small {
            report.wrong = self.left(directory, attempt)?;
        }
        answer.report = Report::Fault(report);
        Ok(answer)
    }

    /// Returns what of the image is neither as before nor as after the request.
    fn left(&mut self, directory: &Path, attempt: &Attempt<'_>) -> Result<Option<String>> {
        let target = ImageFile::new("left", Format::Raw);
        let path = directory.join(&target.path);
        let flat = match attempt.file.format {
            Format::Raw => directory.join(&attempt.file.path),
            _ => {
                let convert = Request::Convert {
                    source: attempt.file.clone(),
                    target,
                    compress: false,
                    mode: CopyMode::default(),
                };
                let read = self.look(directory, &convert)?;
                if !read.succeeded() {
                    return Ok(Some(format!("it cannot be read: {}", read.describe())));
                }
                path
            }
        };
        strange(&flat, attempt.allowed).map_err(|error| Error::io("read", &flat, &error))
    }

    fn look(&mut self, directory: &Path, request: &Request) -> Result<Answer> {
        let call_context = self.call_context(directory, Duration::ZERO);
        let answer = self.tool(Side::Reference).ask(request, &call_context)?;
        self.tool_calls += answer.usage.calls;
        self.tool_cpu += answer.usage.cpu;
        Ok(answer)
    }
}

/// Copies the files of a directory and of those in it into a new one.
fn copied(from: &Path, to: &Path) -> Result<()> {
    let cannot = |error| Error::io("copy the files of", from, &error);
    fs::create_dir(to).map_err(|error| Error::io("make", to, &error))?;
    for entry in fs::read_dir(from).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let kind = entry.file_type().map_err(cannot)?;
        let (entry, copy) = (entry.path(), to.join(entry.file_name()));
        // Where the copy itself lies, nothing is copied.
        if kind.is_dir() && !copy.starts_with(&entry) {
            copied(&entry, &copy)?;
        } else if kind.is_file() {
            copy_sparse(&entry, &copy)?;
        }
    }
    Ok(())
}

/// Returns the first byte of a raw file that none of the views has there, or its size if none has that.
fn strange(path: &Path, allowed: &[View]) -> std::io::Result<Option<String>> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let Some(longest) = allowed.iter().map(|view| view.size).max() else {
        return Ok(None);
    };
    // A raw file may end before the last sector does.
    let is_size = |view: &View| view.size == size;
    if !allowed.iter().any(is_size) {
        return Ok(Some(format!("it has {size} bytes")));
    }
    let writes: Vec<Vec<Write>> = allowed.iter().map(View::writes).collect();
    let mut places: Vec<Range<u64>> = data_segments(&file)?;
    let of_views = writes.iter().flatten();
    places.extend(of_views.map(|write| write.offset..write.offset + write.length));
    places.sort_by_key(|place| place.start);
    let mut reached = 0;
    for place in places {
        let mut start = place.start.max(reached);
        let end = place.end.min(size).min(longest);
        while start < end {
            let stop = end.min(start + PIECE_BYTES);
            if let Some(strange) = strange_piece(&file, start..stop, &writes)? {
                return Ok(Some(strange));
            }
            start = stop;
        }
        reached = reached.max(end);
    }
    Ok(None)
}

fn strange_piece(
    file: &File,
    place: Range<u64>,
    writes: &[Vec<Write>],
) -> std::io::Result<Option<String>> {
    let mut found = vec![0; (place.end - place.start) as usize];
    file.read_exact_at(&mut found, place.start)?;
    let expected: Vec<Vec<u8>> = writes.iter().map(|writes| bytes(writes, &place)).collect();
    let mut each = found.iter().enumerate();
    let wrong = each.find(|(index, byte)| !expected.iter().any(|view| view[*index] == **byte));
    Ok(wrong.map(|(index, byte)| {
        format!(
            "byte {byte:#04x} at guest offset {}",
            place.start + index as u64
        )
    }))
}

/// The bytes of a range that these writes leave.
fn bytes(writes: &[Write], place: &Range<u64>) -> Vec<u8> {
    let mut bytes = vec![0; (place.end - place.start) as usize];
    let first = writes.partition_point(|write| write.offset + write.length <= place.start);
    let within = writes[first..]
        .iter()
        .take_while(|write| write.offset < place.end);
    for write in within.filter_map(|write| write.within(place.start, place.end)) {
        let from = (write.offset - place.start) as usize;
        write
            .fill
            .put(write.offset, &mut bytes[from..from + write.length as usize]);
    }
    bytes
}

/// Whether a qcow2 says that its refcounts may be wrong.
fn is_dirty(path: &Path) -> bool {
    let header = ImageBytes::open(path).and_then(|image| Header::read(&image));
    header.is_ok_and(|header| header.incompatible_features & 1 != 0)
}
