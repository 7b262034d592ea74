//! Bochs' `bximage`: reads an image by converting it to a flat file, and writes one by converting that.
//!
//! It probes the format itself and copies what it does not know as it is. It tells no version, and its info tells a geometry and no size, so that
//! it is asked for contents alone.

use std::path::Path;
use std::sync::Arc;

use super::command_line::{self, Program, words};
use super::writing::{Form, ImageWriter};
use super::{CallContext, Capabilities, Reproducer, Support, Tool, ToolEnv, ToolSpec};
use crate::base::error::{Error, Result};
use crate::disk_format::description;
use crate::image::format::Format;
use crate::image::options::{CreateOptions, Subformat};
use crate::process::{Captured, Ending};
use crate::tool::request::{Answer, Exit, ImageFile, Request, RequestKind};

/// The maximum disk size for a conversion, in bytes: it reads every sector, 1 GiB in about a second.
const CONVERT_LIMIT_BYTES: u64 = 1 << 30;

/// The formats that it probes (bximage.cc of Bochs 3.1, hdimage_init_image and the classes' check_format).
const FORMATS: [Format; 4] = [Format::Vmdk, Format::Vpc, Format::Vhdx, Format::Vdi];

/// What it says of a file that no class of it takes.
const UNDETECTED: &str = "source disk image mode not detected";

/// What every version prints.
const BANNER: &str = "Tool for Bochs";

struct Bximage {
    capabilities: Capabilities,
    program: Program,
    version: &'static str,
}

pub(super) fn open(spec: &ToolSpec, tool_env: &ToolEnv) -> Result<Arc<dyn Tool>> {
    let program = command_line::find(spec)?;
    let version = version(spec, &program, tool_env)?;
    let reads = |format: &Format| version != OLDER || *format != Format::Vhdx;
    let formats: Vec<Format> = FORMATS.into_iter().filter(reads).collect();
    Ok(Arc::new(Bximage {
        capabilities: Capabilities::none().with(&["contents"], &formats),
        program: Program::new(program, tool_env),
        version,
    }))
}

/// The first release with vhdx, and what stands for those before it.
const WITH_VHDX: &str = "3.1";
const OLDER: &str = "3.0";

/// Tells releases apart by what they can do: 3.1 was the first to create a vhdx.
fn version(spec: &ToolSpec, program: &Path, tool_env: &ToolEnv) -> Result<&'static str> {
    let arguments = words(["-func=create", "-hd=10M", "-imgmode=vhdx", "-q", "image"]);
    let finished = command_line::tried(program, &arguments, tool_env)?;
    let said = finished.stdout.text() + &finished.stderr.text();
    if !said.contains(BANNER) {
        let shown = command_line::quoted(&said);
        let message = format!("{} is not bximage: it says {shown}", program.display());
        return Err(match spec.path {
            Some(_) => Error::usage(message),
            None => Error::missing_tool(message),
        });
    }
    Ok(match finished.ending {
        Ending::Exited(0) => WITH_VHDX,
        _ => OLDER,
    })
}

fn objection(file: &ImageFile, formats: &[Format]) -> Option<String> {
    if !formats.contains(&file.format) {
        return Some(format!("bximage does not read {}", file.format));
    }
    let is_layered = file.is_layered();
    is_layered.then(|| "bximage reads no parent".to_owned())
}

fn flatten(from: &str, to: &str) -> Vec<String> {
    conversion("flat", from, to)
}

fn conversion(mode: &str, from: &str, to: &str) -> Vec<String> {
    words(["-func=convert", &format!("-imgmode={mode}"), "-q", from, to])
}

/// Returns the mode that makes a form; `None` for forms that it does not make.
fn mode(format: Format, options: &CreateOptions) -> Option<&'static str> {
    if options.force_size() == Some(true) {
        return None;
    }
    match (format, options.subformat()) {
        (Format::Vpc, Some(Subformat::Dynamic) | None) => Some("vpc"),
        (Format::Vhdx, Some(Subformat::Dynamic) | None) => Some("vhdx"),
        (Format::Vmdk, Some(Subformat::MonolithicSparse) | None) => Some("vmware4"),
        _ => None,
    }
}

impl ImageWriter for Bximage {
    fn makes(&self, form: &Form) -> bool {
        let is_known = self.capabilities.formats("contents").contains(&form.format);
        is_known && mode(form.format, &form.options).is_some()
    }

    fn make(
        &self,
        source: &ImageFile,
        target: &ImageFile,
        call_context: &CallContext<'_>,
    ) -> Result<Answer> {
        let mode = mode(target.format, &target.options).unwrap_or_default();
        let line = conversion(mode, &source.path, &target.path);
        let answer = self
            .program
            .run(line, RequestKind::Contents, call_context)?;
        Ok(understood(answer))
    }
}

/// Drops its progress, of which it prints a thousand times what it says else, and tells a file that it does not know from one that it refuses.
fn understood(mut answer: Answer) -> Answer {
    let output = answer.transcript.stdout.text();
    if output.contains('\u{8}') {
        // Of a number that the next one is written over, what stands before its bracket stays.
        let kept = output
            .split('\u{8}')
            .map(|piece| match piece.ends_with("%]") {
                true => piece.rfind('[').map_or("", |end| &piece[..end]),
                false => piece,
            });
        answer.transcript.stdout = Captured::from_text(kept.collect::<String>());
    }
    let said = answer.transcript.stdout.text() + &answer.transcript.stderr.text();
    if said.contains(UNDETECTED) {
        answer.exit = Exit::Unsupported(UNDETECTED.to_owned());
    } else if let Exit::Refused(code) = answer.exit {
        let reason = said.lines().rev().find(|line| !line.trim().is_empty());
        let reason = reason.unwrap_or_default().trim().to_owned();
        answer.refuse(code, reason);
    }
    answer
}

impl Tool for Bximage {
    fn name(&self) -> &str {
        "bximage"
    }

    fn version(&self) -> &str {
        self.version
    }

    fn program(&self) -> Option<&Path> {
        Some(&self.program.path)
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn support(&self, request: &Request) -> Support {
        Support::unless(match request {
            Request::Contents { file } => objection(file, self.capabilities.formats("contents")),
            other => Some(format!("bximage is not asked for {}", other.name())),
        })
    }

    fn writer(&self) -> Option<&dyn ImageWriter> {
        Some(self)
    }

    fn ask(&self, request: &Request, call_context: &CallContext<'_>) -> Result<Answer> {
        let file = request.file();
        let size = description::size(&call_context.directory.join(&file.path), file.format);
        // bximage itself says what it does with an image whose headers tell no size.
        if size.is_some_and(|size| size > CONVERT_LIMIT_BYTES) {
            let what = format!("disks above {CONVERT_LIMIT_BYTES} bytes are not converted with it");
            return Ok(Answer::unsupported(what));
        }
        let answer = self.program.flattened(file, flatten, call_context)?;
        Ok(understood(answer))
    }

    fn reproducer(&self, request: &Request) -> Option<Reproducer> {
        let Request::Contents { file } = request else {
            return None;
        };
        let line = flatten(&file.path, &command_line::flat(file));
        Some(Reproducer::CommandLine(self.program.line(line)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_progress_is_no_part_of_what_it_says() {
        let mut answer = Answer::from(Exit::Success);
        let said = "source image mode = 'vbox'\nConverting image file: [  0%]\u{8}\u{8}\u{8}\u{8}\u{8}  1%]\u{8}\u{8}\u{8}\u{8}\u{8}100%] Done.\n";
        answer.transcript.stdout = Captured::from_text(said.to_owned());
        let kept = understood(answer).transcript.stdout.text();
        assert_eq!(
            kept,
            "source image mode = 'vbox'\nConverting image file: 100%] Done.\n"
        );
    }

    #[test]
    fn a_file_that_it_does_not_know_is_no_refusal() {
        let mut answer = Answer::from(Exit::Refused(1));
        answer.transcript.stdout = Captured::from_text(format!("\n{UNDETECTED}\n"));
        assert!(matches!(understood(answer).exit, Exit::Unsupported(_)));
    }
}
