//! VirtualBox's `vbox-img`: reads an image by converting it to raw, and writes one by converting a raw file.
//!
//! Its convert opens one image alone, without a parent. Its info tells a size of vdi only, so that it is asked for no other.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::command_line::{self, Introduction, Program, words};
use super::writing::{Form, ImageWriter};
use super::{CallContext, Capabilities, Reproducer, Support, Tool, ToolEnv, ToolSpec};
use crate::base::error::Result;
use crate::disk_format::description;
use crate::image::format::Format;
use crate::image::options::{CreateOption, CreateOptions, Subformat};
use crate::process::Captured;
use crate::tool::request::{Answer, Exit, ImageFile, Report, Request, RequestKind};

/// The maximum disk size for a conversion, in bytes: of a qcow2 of 1 TiB with 1 MiB of data, vbox-img 7.2 allocates 48 GiB.
const CONVERT_LIMIT_BYTES: u64 = 4 << 30;

/// The words in its error for a feature that it names and does not know (VBox/err.h).
const UNSUPPORTED: &str = "VERR_NOT_SUPPORTED";

/// How the lines about an error begin; the first says most.
const ERROR: &str = "vbox-img: error: ";
/// How the line begins if no backend takes a file.
const SYNTAX: &str = "Syntax error: ";

/// The text before the size in bytes in its description of a vdi.
const SIZE: &str = " Size=";

struct VboxImg {
    capabilities: Capabilities,
    program: Program,
    version: String,
}

/// How it identifies itself.
const INTRODUCTION: Introduction = Introduction {
    argument: "--help",
    begins: &[
        "Oracle VirtualBox Disk Utility ",
        "Oracle VM VirtualBox Disk Utility ",
    ],
};

pub(super) fn open(spec: &ToolSpec, tool_env: &ToolEnv) -> Result<Arc<dyn Tool>> {
    let program = command_line::find(spec)?;
    let version = command_line::version(spec, &program, &INTRODUCTION, tool_env)?;
    let has_backend = |format: &Format| backend(*format).is_some();
    let formats: Vec<Format> = Format::all().filter(has_backend).collect();
    let capabilities = Capabilities::none()
        .with(&["contents"], &formats)
        .with(&["info"], &[Format::Vdi]);
    Ok(Arc::new(VboxImg {
        capabilities,
        program: Program::new(program, tool_env),
        // Debian's is 7.2.22_Debian.
        version: version.split('_').next().unwrap_or_default().to_owned(),
    }))
}

/// Returns the name of its backend for a format (VBox/Storage, VDBackends).
fn backend(format: Format) -> Option<&'static str> {
    match format {
        Format::Qcow2 | Format::Qcow => Some("QCOW"),
        Format::Vmdk => Some("VMDK"),
        Format::Vpc => Some("VHD"),
        Format::Vhdx => Some("VHDX"),
        Format::Vdi => Some("VDI"),
        Format::Parallels => Some("Parallels"),
        Format::Dmg => Some("DMG"),
        Format::Raw | Format::Luks | Format::Qed => None,
    }
}

fn objection(file: &ImageFile) -> Option<String> {
    if backend(file.format).is_none() {
        return Some(format!("vbox-img has no backend for {}", file.format));
    }
    let is_layered = file.is_layered();
    is_layered.then(|| "vbox-img's convert opens no backing file".to_owned())
}

fn flatten(backend: &str, from: &str, to: &str) -> Vec<String> {
    conversion([from, backend], [to, "RAW"])
}

fn conversion([from, from_backend]: [&str; 2], [to, to_backend]: [&str; 2]) -> Vec<String> {
    words([
        "convert",
        "--srcfilename",
        from,
        "--srcformat",
        from_backend,
        "--dstfilename",
        to,
        "--dstformat",
        to_backend,
    ])
}

/// Returns the variant that makes a form; `None` for forms that it does not make.
fn variant(format: Format, options: &CreateOptions) -> Option<&'static str> {
    if options.force_size() == Some(true) {
        return None;
    }
    let is_static = options
        .iter()
        .any(|option| *option == CreateOption::Static(true));
    let named = match options.subformat() {
        Some(Subformat::MonolithicFlat | Subformat::Fixed) => Some("Fixed"),
        Some(Subformat::TwoGbMaxExtentSparse) => Some("Split2G"),
        Some(Subformat::StreamOptimized) => Some("Stream"),
        Some(Subformat::MonolithicSparse | Subformat::Dynamic) | None if !is_static => {
            Some("Standard")
        }
        None => Some("Fixed"),
        _ => None,
    };
    let is_written = matches!(
        format,
        Format::Vdi | Format::Vmdk | Format::Vpc | Format::Qcow | Format::Parallels
    );
    named.filter(|_| is_written)
}

impl ImageWriter for VboxImg {
    fn makes(&self, form: &Form) -> bool {
        variant(form.format, &form.options).is_some()
    }

    fn make(
        &self,
        source: &ImageFile,
        target: &ImageFile,
        call_context: &CallContext<'_>,
    ) -> Result<Answer> {
        let backend = backend(target.format).unwrap_or_default();
        let mut line = conversion([&source.path, "RAW"], [&target.path, backend]);
        let variant = variant(target.format, &target.options).unwrap_or_default();
        line.extend(words(["--variant", variant]));
        let answer = self
            .program
            .run(line, RequestKind::Contents, call_context)?;
        Ok(understood(answer))
    }
}

fn described(file: &ImageFile) -> Vec<String> {
    words(["info", "--filename", &file.path])
}

impl VboxImg {
    fn info(&self, file: &ImageFile, call_context: &CallContext<'_>) -> Result<Answer> {
        // Its description is not JSON, so it is parsed here.
        let kind = RequestKind::Contents;
        let mut answer = self.program.run(described(file), kind, call_context)?;
        if answer.succeeded()
            && let Some(size) = reported_size(&answer.transcript.stdout.text())
        {
            let tree = json!({ "virtual-size": size, "format": file.format });
            answer.transcript.stdout = Captured::from_text(tree.to_string());
            answer.report = Report::from_json(RequestKind::Info, tree, true);
        }
        Ok(answer)
    }

    fn contents(&self, file: &ImageFile, call_context: &CallContext<'_>) -> Result<Answer> {
        let size = description::size(&call_context.directory.join(&file.path), file.format);
        // vbox-img itself says what it does with an image whose headers tell no size.
        if size.is_some_and(|size| size > CONVERT_LIMIT_BYTES) {
            let what = format!("disks above {CONVERT_LIMIT_BYTES} bytes are not converted with it");
            return Ok(Answer::unsupported(what));
        }
        let backend = backend(file.format).unwrap_or_default();
        let flatten = |from: &str, to: &str| flatten(backend, from, to);
        self.program.flattened(file, flatten, call_context)
    }
}

/// Returns the guest-visible size in bytes of its description of a vdi.
fn reported_size(output: &str) -> Option<u64> {
    let header = output
        .lines()
        .find(|line| line.starts_with("Header: Version="))?;
    let (_, behind) = header.split_once(SIZE)?;
    behind.split_whitespace().next()?.parse().ok()
}

/// Makes a refusal for an unknown feature `Unsupported`, and puts the line with the reason first.
fn understood(mut answer: Answer) -> Answer {
    if !matches!(answer.exit, Exit::Refused(_)) {
        return answer;
    }
    let output = answer.transcript.stderr.text();
    let after = |start: &str| output.lines().find_map(|line| line.strip_prefix(start));
    let Some(why) = after(ERROR).or_else(|| after(SYNTAX)) else {
        return answer;
    };
    if output.contains(UNSUPPORTED) && after(SYNTAX).is_none() {
        answer.exit = Exit::Unsupported(why.to_owned());
    }
    answer.transcript.stderr = Captured::from_text(format!("{why}\n{output}"));
    answer
}

impl Tool for VboxImg {
    fn name(&self) -> &str {
        "vbox-img"
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn program(&self) -> Option<&Path> {
        Some(&self.program.path)
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn support(&self, request: &Request) -> Support {
        Support::unless(match request {
            Request::Info { file } if file.format != Format::Vdi => {
                Some("vbox-img's info tells no size but of vdi".to_owned())
            }
            Request::Info { file } | Request::Contents { file } => objection(file),
            other => Some(format!("vbox-img is not asked for {}", other.name())),
        })
    }

    fn writer(&self) -> Option<&dyn ImageWriter> {
        Some(self)
    }

    fn ask(&self, request: &Request, call_context: &CallContext<'_>) -> Result<Answer> {
        let answer = match request {
            Request::Info { file } => self.info(file, call_context)?,
            other => self.contents(other.file(), call_context)?,
        };
        Ok(understood(answer))
    }

    fn reproducer(&self, request: &Request) -> Option<Reproducer> {
        let line = match request {
            Request::Info { file } => {
                let script = "\"$0\" info --filename \"$1\" >listing && sed -n 's/^Header: Version=.* Size=\\([0-9]*\\)/{\\n\"virtual-size\": \\1\\n}/p' listing";
                let program = self.program.path.display().to_string();
                words(["sh", "-c", script, &program, &file.path])
            }
            Request::Contents { file } => {
                let flat = command_line::flat(file);
                self.program
                    .line(flatten(backend(file.format)?, &file.path, &flat))
            }
            _ => return None,
        };
        Some(Reproducer::CommandLine(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_a_vdi_is_in_its_header_s_line() {
        let output = "Dumping VD image \"a\"\nHeader: Version=00010001 Type=1 Flags=0 Size=8388608\nHeader: cbBlock=1048576\n";
        assert_eq!(reported_size(output), Some(8_388_608));
        assert_eq!(reported_size("Header: Geometry PCHS=0/0/0"), None);
    }

    #[test]
    fn a_feature_that_it_does_not_know_is_no_refusal() {
        let refused = |why: &str, code: &str| {
            let mut answer = Answer::from(Exit::Success);
            answer.refuse(1, format!("Converting\n{ERROR}{why}\n{ERROR}x. ({code})\n"));
            understood(answer).exit
        };
        let unknown = "QCow: Image 'z' contains unsupported incompatible features (8 vs 0)";
        assert_eq!(
            refused(unknown, UNSUPPORTED),
            Exit::Unsupported(unknown.to_owned())
        );
        assert_eq!(refused("no header", "VERR_EOF"), Exit::Refused(1));
    }
}
