//! 7-Zip: lists and extracts disk images as archives of one file, and a dmg as one of a file for each of its block tables.

use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::command_line::{self, Introduction, Program, words};
use super::{CallContext, Capabilities, Reproducer, Support, Tool, ToolEnv, ToolSpec};
use crate::base::error::Result;
use crate::image::content::{Contents, open_regular, open_regular_to_change};
use crate::image::format::Format;
use crate::process::Captured;
use crate::tool::request::{Answer, Exit, ImageFile, Report, Request, RequestKind};

/// The maximum disk size for an extraction, in bytes: 7-Zip writes every zero.
const EXTRACT_LIMIT_BYTES: u64 = 512 << 20;

/// 7-Zip's messages about unknown features (CPP/7zip/UI/Common/OpenArchive.cpp, ArchiveExtractCallback.cpp).
const UNSUPPORTED: [&str; 2] = ["unsupported method", "unsupported feature"];

struct SevenZip {
    capabilities: Capabilities,
    program: Program,
    version: String,
}

/// How 7-Zip identifies itself.
const INTRODUCTION: Introduction = Introduction {
    argument: "i",
    begins: &["7-Zip "],
};

pub(super) fn open(spec: &ToolSpec, tool_env: &ToolEnv) -> Result<Arc<dyn Tool>> {
    let program = command_line::find(spec)?;
    let version = command_line::version(spec, &program, &INTRODUCTION, tool_env)?;
    let formats: Vec<Format> = Format::all()
        .filter(|format| handler(*format).is_some())
        .collect();
    Ok(Arc::new(SevenZip {
        capabilities: Capabilities::none().with(&["info", "contents"], &formats),
        program: Program::new(program, tool_env),
        version,
    }))
}

/// Returns the name of 7-Zip's handler.
fn handler(format: Format) -> Option<&'static str> {
    match format.name() {
        "qcow2" | "qcow" => Some("qcow"),
        "vmdk" => Some("vmdk"),
        "vpc" => Some("vhd"),
        "vhdx" => Some("vhdx"),
        "vdi" => Some("vdi"),
        "dmg" => Some("dmg"),
        _ => None,
    }
}

fn objection(file: &ImageFile) -> Option<String> {
    if handler(file.format).is_none() {
        return Some(format!("7zz has no handler for {}", file.format));
    }
    let is_layered = file.is_layered();
    is_layered.then(|| "7zz reads no backing files".to_owned())
}

impl SevenZip {
    /// Lists the archive, one `NAME = VALUE` per line, and returns the facts that qemu-img's info has too.
    fn info(&self, file: &ImageFile, call_context: &CallContext<'_>) -> Result<Answer> {
        let mut answer = self.run(["l", "-slt"], file, call_context)?;
        if answer.succeeded() {
            match listed_size(&answer.transcript.stdout.text()) {
                Some(size) => {
                    let tree = serde_json::json!({ "virtual-size": size, "format": file.format });
                    answer.transcript.stdout = Captured::from_text(tree.to_string());
                    answer.report = Report::from_json(RequestKind::Info, tree, true);
                }
                None => answer.exit = Exit::Refused(0),
            }
        }
        Ok(answer)
    }

    fn contents(&self, file: &ImageFile, call_context: &CallContext<'_>) -> Result<Answer> {
        let listing = self.run(["l", "-slt"], file, call_context)?;
        let size = listed_size(&listing.transcript.stdout.text());
        if !listing.succeeded() {
            return Ok(listing);
        }
        if size.is_none_or(|size| size > EXTRACT_LIMIT_BYTES) {
            let what = format!("disks above {EXTRACT_LIMIT_BYTES} bytes are not extracted with it");
            let exit = Exit::Unsupported(what);
            return Ok(Answer { exit, ..listing });
        }
        let out = format!("{}.out", file.path);
        let mut answer = self.run(["e", "-y", &format!("-o{out}")], file, call_context)?;
        answer.usage.calls += listing.usage.calls;
        answer.usage.cpu += listing.usage.cpu;
        let out = call_context.directory.join(out);
        if answer.succeeded() {
            match extracted(&out) {
                Ok(contents) => answer.report = Report::Contents(contents),
                Err(why) => answer.refuse(0, why),
            }
        }
        // The directory does not exist if 7-Zip refused.
        let _ = std::fs::remove_dir_all(out);
        Ok(answer)
    }

    fn run<const N: usize>(
        &self,
        command: [&str; N],
        file: &ImageFile,
        call_context: &CallContext<'_>,
    ) -> Result<Answer> {
        let handler = handler(file.format).unwrap_or_default();
        let mut arguments = words(command);
        arguments.extend(words([&format!("-t{handler}"), "--", &file.path]));
        // Its listings are not JSON, so they are parsed here.
        let kind = RequestKind::Contents;
        let mut answer = self.program.run(arguments, kind, call_context)?;
        if let Exit::Refused(_) = answer.exit {
            let output = answer.transcript.stdout.text() + &answer.transcript.stderr.text();
            let small = output.to_lowercase();
            let known = UNSUPPORTED.iter().find(|words| small.contains(**words));
            if let Some(words) = known {
                answer.exit = Exit::Unsupported(format!("7zz: {words}"));
            } else if let Some(why) = reason(&output) {
                let all = format!("{why}\n{}", answer.transcript.stderr.text());
                answer.transcript.stderr = Captured::from_text(all);
            }
        }
        Ok(answer)
    }
}

/// Returns the line with the reason; of several, the most specific one.
fn reason(output: &str) -> Option<&str> {
    let begins = |word: &str| output.lines().find(|line| line.starts_with(word));
    let listed = output.lines().skip_while(|line| *line != "ERRORS:").nth(1);
    begins("Open ERROR").or(listed).or_else(|| begins("ERROR"))
}

/// Returns the size of all files in the archive.
fn listed_size(listing: &str) -> Option<u64> {
    let of_files = listing.split("\n----------").nth(1)?;
    let sizes = of_files
        .lines()
        .filter_map(|line| line.strip_prefix("Size = "));
    let sizes = sizes.map(|size| size.trim().parse::<u64>().ok());
    let sizes = sizes.collect::<Option<Vec<u64>>>()?;
    (!sizes.is_empty()).then(|| {
        sizes
            .iter()
            .fold(0_u64, |all, size| all.saturating_add(*size))
    })
}

/// Reads what was extracted: one file, or those of a dmg, which are joined in the order of their numbers.
fn extracted(directory: &Path) -> std::result::Result<Contents, String> {
    let entries = std::fs::read_dir(directory).map_err(|error| error.to_string())?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort_by_key(|path| number_of_name(path));
    let [first, others @ ..] = &*files else {
        return Err("no file was extracted".to_owned());
    };
    if others.iter().any(|path| number_of_name(path).is_none()) {
        return Err(format!("{} files were extracted", files.len()));
    }
    let joined = || -> std::io::Result<()> {
        let mut whole = open_regular_to_change(first)?;
        whole.seek(SeekFrom::End(0))?;
        for path in others {
            std::io::copy(&mut open_regular(path)?, &mut whole)?;
        }
        Ok(())
    };
    joined().map_err(|error| error.to_string())?;
    Contents::of_raw_file(first).map_err(|error| error.to_string())
}

/// Returns the number with which a file's name begins: 7-Zip names the parts of a dmg so.
fn number_of_name(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    let digits = name.len()
        - name
            .trim_start_matches(|digit: char| digit.is_ascii_digit())
            .len();
    name[..digits].parse().ok()
}

impl Tool for SevenZip {
    fn name(&self) -> &str {
        "7zz"
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
            other => Some(format!("7zz has no {}", other.name())),
        })
    }

    fn ask(&self, request: &Request, call_context: &CallContext<'_>) -> Result<Answer> {
        match request {
            Request::Info { file } => self.info(file, call_context),
            other => self.contents(other.file(), call_context),
        }
    }

    fn reproducer(&self, request: &Request) -> Option<Reproducer> {
        let script = match request {
            // The facts of its listing that qemu-img's info has too.
            Request::Info { .. } => {
                "\"$0\" l -slt \"-t$1\" -- \"$2\" >listing && sed -n 's/^Size = \\(.*\\)/{\\n\"virtual-size\": \\1\\n}/p' listing"
            }
            Request::Contents { .. } => "\"$0\" e -so \"-t$1\" -- \"$2\" >\"$2.flat\"",
            _ => return None,
        };
        let file = request.file();
        let handler = handler(file.format)?;
        let program = self.program.path.display().to_string();
        Some(Reproducer::CommandLine(words([
            "sh", "-c", script, &program, handler, &file.path,
        ])))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn of_several_lines_the_one_with_the_reason_is_reported() {
        let refused = "ERROR: a : a\nOpen ERROR: Cannot open the file as [VHDX] archive\n";
        let why = super::reason(refused);
        assert_eq!(
            why,
            Some("Open ERROR: Cannot open the file as [VHDX] archive")
        );
        let cut = "Type = QCOW\nERRORS:\nUnexpected end of archive\nPhysical Size = 1\n";
        assert_eq!(super::reason(cut), Some("Unexpected end of archive"));
    }

    #[test]
    fn the_listed_size_is_that_of_the_files_and_not_of_the_archive() {
        let listing = "--\nType = QCOW\nPhysical Size = 393216\n\n----------\nSize = 4194304\nPacked Size = 393216\n";
        assert_eq!(super::listed_size(listing), Some(4_194_304));
        assert_eq!(super::listed_size("ERROR: a : Cannot open"), None);
        let parts = "--\nType = Dmg\n\n----------\nPath = 0\nSize = 512\n\nPath = 1\nSize = 1024\n";
        assert_eq!(super::listed_size(parts), Some(1536));
    }
}
