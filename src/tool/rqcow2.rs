//! `rqcow2`, the command of the qcow2-rs crate: converts qcow2 to raw, and checks it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::command_line::{self, words};
use super::{Means, Scene, Support, Tool, ToolSpec, Wording};
use crate::error::Result;
use crate::format::Format;
use crate::launcher::Launcher;
use crate::qcow2::ImageBytes;
use crate::qcow2::header::Header;
use crate::request::{Answer, Exit, ImageFile, Request};

/// Where it panics when there is no io_uring: it cannot do without.
const URING: &str = "tokio-uring";

/// The exit code of a Rust program that panicked (library/std/src/rt.rs).
const PANIC_EXIT: i32 = 101;

/// The largest disk that is converted, in bytes: rqcow2 reads and writes out every cluster.
const CONVERT_LIMIT_BYTES: u64 = 256 << 20;

struct Rqcow2 {
    launcher: Arc<Launcher>,
    program: PathBuf,
    version: String,
}

pub(super) fn open(spec: &ToolSpec, means: &Means) -> Result<Arc<dyn Tool>> {
    let program = command_line::find(spec)?;
    let version = command_line::version(&program, means)?;
    Ok(Arc::new(Rqcow2 {
        launcher: Arc::clone(&means.launcher),
        program,
        version,
    }))
}

fn objection(file: &ImageFile) -> Option<String> {
    if file.format != Format::Qcow2 {
        return Some(format!("rqcow2 cannot open {}", file.format));
    }
    let lacks = |name: &str, value: &str| file.option(name) == Some(value);
    if lacks("extended_l2", "on") {
        return Some("rqcow2 lacks extended L2 entries".to_owned());
    }
    if lacks("compression_type", "zstd") {
        return Some("rqcow2 lacks zstd".to_owned());
    }
    if file.option("encrypt.format").is_some() || file.option("data_file").is_some() {
        return Some("rqcow2 lacks encryption and external data files".to_owned());
    }
    let is_layered = file.backing.is_some() || file.option("backing_file").is_some();
    is_layered.then(|| "rqcow2's convert reads no backing files".to_owned())
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
        Some(&self.program)
    }

    fn support(&self, request: &Request) -> Support {
        Support::unless(match request {
            Request::Contents { file } => objection(file),
            other => Some(format!("rqcow2 is not asked for {}", other.name())),
        })
    }

    fn ask(&self, request: &Request, scene: &Scene<'_>) -> Result<Answer> {
        let path = scene.directory.join(&request.file().path);
        let header = ImageBytes::open(&path).and_then(|image| Header::read(&image));
        // One that cannot be read is for rqcow2 to refuse.
        if header.is_ok_and(|header| header.size > CONVERT_LIMIT_BYTES) {
            let what = format!("disks above {CONVERT_LIMIT_BYTES} bytes are not converted with it");
            return Ok(Answer::unsupported(what));
        }
        let mut answer = command_line::flattened(
            &self.launcher,
            &self.program,
            request.file(),
            flatten,
            scene,
        )?;
        if answer.exit == Exit::Refused(PANIC_EXIT) {
            if answer.stderr.text().contains(URING) {
                let what = "io_uring, which tools in a cage do not have (--no-cage)";
                return Ok(Answer::unsupported(what.to_owned()));
            }
            let message = answer.stderr.first_line();
            answer.exit = Exit::Crashed(format!("panic: {message}"));
        }
        Ok(answer)
    }

    fn wording(&self, request: &Request) -> Option<Wording> {
        let Request::Contents { file } = request else {
            return None;
        };
        let mut line = vec![self.program.display().to_string()];
        line.extend(flatten(&file.path, &command_line::flat(file)));
        Some(Wording::CommandLine(line))
    }
}
