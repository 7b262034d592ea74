//! `rqcow2`, the command of the qcow2-rs crate: describes qcow2 and converts it to raw.
//!
//! Its convert reads only by io_uring (src/main.rs of qcow2-rs 0.1.6, `convert_from_qcow2` on Linux), which the sandbox
//! does not offer: there only info is supported, which reads by plain calls. Its map and check report nothing that can
//! be compared.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::command_line::{self, Introduction, Program, words};
use super::{CallContext, Capabilities, Reproducer, Support, Tool, ToolEnv, ToolSpec};
use crate::base::error::Result;
use crate::disk_format::qcow2::ImageBytes;
use crate::disk_format::qcow2::header::Header;
use crate::image::format::Format;
use crate::image::options::Compression;
use crate::process::Captured;
use crate::tool::request::{Answer, Exit, ImageFile, Report, Request, RequestKind};

/// Part of its panic message if io_uring is unavailable.
const URING: &str = "tokio-uring";

/// The message if a library call in its main returns an error, which is how it refuses.
const REFUSAL: &str = "called `Result::unwrap()` on an `Err` value: Qcow2Error { description: \"";
const MAIN: &str = "src/main.rs:";

/// The message for unknown features.
const UNKNOWN: &str = "Unrecognized incompatible feature(s)";

/// The text before the size in bytes in its description of an image.
const SIZE: &str = "virtual_size: ";

/// The exit code of a Rust program that panicked (library/std/src/rt.rs).
const PANIC_EXIT: i32 = 101;

/// The maximum disk size for a conversion, in bytes: rqcow2 reads and writes every cluster.
const CONVERT_LIMIT_BYTES: u64 = 256 << 20;

struct Rqcow2 {
    capabilities: Capabilities,
    program: Program,
    version: String,
}

/// How it identifies itself: by the name of its crate, which is clap's default.
const INTRODUCTION: Introduction = Introduction {
    argument: "--version",
    begins: &["qcow2-rs ", "rqcow2 "],
};

pub(super) fn open(spec: &ToolSpec, tool_env: &ToolEnv) -> Result<Arc<dyn Tool>> {
    let program = command_line::find(spec)?;
    let version = command_line::version(spec, &program, &INTRODUCTION, tool_env)?;
    let capabilities = Capabilities::none().with(&["info", "contents"], &[Format::Qcow2]);
    Ok(Arc::new(Rqcow2 {
        capabilities,
        program: Program::new(program, tool_env),
        version,
    }))
}

fn objection(file: &ImageFile) -> Option<String> {
    if file.format != Format::Qcow2 {
        return Some(format!("rqcow2 cannot open {}", file.format));
    }
    if file.options.has_extended_l2() {
        return Some("rqcow2 lacks extended L2 entries".to_owned());
    }
    if file.options.compression_type() == Some(Compression::Zstd) {
        return Some("rqcow2 lacks zstd".to_owned());
    }
    if file.is_encrypted() || file.data_file().is_some() {
        return Some("rqcow2 lacks encryption and external data files".to_owned());
    }
    let is_layered = file.is_layered();
    is_layered.then(|| "rqcow2's convert reads no backing files".to_owned())
}

/// Returns the guest-visible size in bytes that info reports.
fn reported_size(output: &str) -> Option<u64> {
    let (_, behind) = output.split_once(SIZE)?;
    let digits = behind.split(|other: char| !other.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// Returns the exit that a panic stands for.
fn exit_of_panic(stderr: &str) -> Exit {
    if stderr.contains(URING) {
        return Exit::Unsupported(
            "io_uring, which tools in the sandbox do not have (--no-cage)".to_owned(),
        );
    }
    let mut lines = stderr.lines().filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    let refusal = stderr.split_once(REFUSAL).filter(|_| first.contains(MAIN));
    match refusal.map(|(_, why)| why.split('"').next().unwrap_or_default()) {
        Some(why) if why.starts_with(UNKNOWN) => Exit::Unsupported(why.to_owned()),
        Some(_) => Exit::Refused(PANIC_EXIT),
        None => {
            let message = lines.next().unwrap_or(first);
            Exit::Crashed(format!("panic: {message}"))
        }
    }
}

fn flatten(from: &str, to: &str) -> Vec<String> {
    words(["convert", "-f", "qcow2", "-O", "raw", "-o", to, from])
}

impl Tool for Rqcow2 {
    fn name(&self) -> &str {
        "rqcow2"
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
            Request::Info { file } | Request::Contents { file } => objection(file),
            other => Some(format!("rqcow2 is not asked for {}", other.name())),
        })
    }

    fn ask(&self, request: &Request, call_context: &CallContext<'_>) -> Result<Answer> {
        let mut answer = match request {
            Request::Info { file } => self.info(file, call_context)?,
            other => self.contents(other.file(), call_context)?,
        };
        if answer.exit == Exit::Refused(PANIC_EXIT) {
            answer.exit = exit_of_panic(&answer.transcript.stderr.text());
        }
        Ok(answer)
    }

    fn reproducer(&self, request: &Request) -> Option<Reproducer> {
        let program = self.program.path.display().to_string();
        let file = match request {
            // Only the facts that qemu-img's info has too.
            Request::Info { file } => {
                let script = "\"$0\" info \"$1\" >listing 2>complaint; code=$?; cat complaint >&2; case $code in \
                    0) sed -n 's/^info .*virtual_size: \\([0-9]*\\).*/{\\n\"virtual-size\": \\1\\n}/p' listing ;; \
                    101) grep -q 'Err. value: Qcow2Error' complaint || code=134 ;; esac; exit $code";
                return Some(Reproducer::CommandLine(words([
                    "sh", "-c", script, &program, &file.path,
                ])));
            }
            Request::Contents { file } => file,
            _ => return None,
        };
        let line = flatten(&file.path, &command_line::flat(file));
        Some(Reproducer::CommandLine(self.program.line(line)))
    }
}

impl Rqcow2 {
    fn info(&self, file: &ImageFile, call_context: &CallContext<'_>) -> Result<Answer> {
        let arguments = words(["info", &file.path]);
        let kind = RequestKind::Info;
        let mut answer = self.program.run(arguments, kind, call_context)?;
        // Without a size the output stays as it is; it is reported as not being JSON.
        if answer.succeeded()
            && let Some(size) = reported_size(&answer.transcript.stdout.text())
        {
            let tree = json!({ "virtual-size": size, "format": file.format });
            answer.transcript.stdout = Captured::from_text(tree.to_string());
            answer.report = Report::from_json(kind, tree, true);
        }
        Ok(answer)
    }

    fn contents(&self, file: &ImageFile, call_context: &CallContext<'_>) -> Result<Answer> {
        let path = call_context.directory.join(&file.path);
        let header = ImageBytes::open(&path).and_then(|image| Header::read(&image));
        // rqcow2 itself refuses an unreadable header.
        if header.is_ok_and(|header| header.size > CONVERT_LIMIT_BYTES) {
            let what = format!("disks above {CONVERT_LIMIT_BYTES} bytes are not converted with it");
            return Ok(Answer::unsupported(what));
        }
        self.program.flattened(file, flatten, call_context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_is_parsed_from_its_description_of_an_image() {
        let output = "Image path \"a\"\ninfo Qcow2Info { block_size_shift: 9, rb_cache_cnt: 64, virtual_size: 1537 }\nbacking None\n";
        assert_eq!(reported_size(output), Some(1537));
        assert_eq!(reported_size("Image path"), None);
    }

    #[test]
    fn an_error_that_its_main_unwraps_is_a_refusal_and_any_other_panic_a_crash() {
        let main = "\nthread 'main' (1) panicked at /qcow2-rs-0.1.6/src/main.rs:463:63:\n";
        let other = "\nthread 'main' (1) panicked at /qcow2-rs-0.1.6/src/meta.rs:1:1:\n";
        let error = |what: &str| format!("{REFUSAL}{what}\", io: Custom }}\n");
        let refused = format!("{main}{}", error("Not a qcow2 file"));
        assert_eq!(exit_of_panic(&refused), Exit::Refused(PANIC_EXIT));
        let unknown = "Unrecognized incompatible feature(s) 4 (extended L2 entries)";
        let unsupported = format!("{main}{}", error(unknown));
        assert_eq!(
            exit_of_panic(&unsupported),
            Exit::Unsupported(unknown.to_owned())
        );
        let deeper = format!("{other}{}", error("Not a qcow2 file"));
        assert!(matches!(exit_of_panic(&deeper), Exit::Crashed(_)));
        let overflow = format!("{main}attempt to shift left with overflow\n");
        assert_eq!(
            exit_of_panic(&overflow),
            Exit::Crashed("panic: attempt to shift left with overflow".to_owned())
        );
    }
}
