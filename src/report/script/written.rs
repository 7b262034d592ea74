//! Images of our own writers in a reproducer, which carries them with it, and the checks of what tools say about them.
//!
//! The pieces of a file that are not zero follow each other in one stream, compressed and in base64: whoever gets the script has no imgduel.

use std::borrow::Cow;

use super::intermediate::EXTENTS;
use super::shell::{CLEAN, Check, VALUE};
use super::{ScriptContext, ScriptInput};
use crate::base::base64;
use crate::disk_format::writer::HostFile;
use crate::image::content::{BLOCK_BYTES, is_zero};
use crate::operation::Operation;
use crate::operation::written::Written;
use crate::oracle::observations::{HarnessAction, Step, Task};
use crate::oracle::verdict::{Blame, DivergenceKind, Subject};
use crate::run::evidence::quoted;
use crate::tool::FLAT_SUFFIX;
use crate::tool::request::Request;

/// The most bytes of base64 in a script.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// The length of a line of base64.
const LINE_BYTES: usize = 120;

/// A function that makes a file.
const CARRIED: &str = r#"
# carried NAME LENGTH OFFSET+BYTES...: makes a file; its pieces follow each other on standard input, all other bytes are zeros.
carried() {
  file=$1 length=$2 at=0; shift 2
  mkdir -p "$(dirname "$file")" && truncate -s "$length" "$file" && base64 -d | gzip -d >pieces || exit 2
  for piece; do
    dd if=pieces of="$file" bs=64k iflag=skip_bytes,count_bytes,fullblock oflag=seek_bytes conv=notrunc \
      skip="$at" count="${piece#*+}" seek="${piece%+*}" 2>/dev/null || exit 2
    at=$((at + ${piece#*+}))
  done
}
"#;

impl ScriptContext<'_> {
    /// Returns the lines that make the files of an image of our own on both sides; nothing for other operations. `None` if the script cannot
    /// carry them: they are too large, or have absolute names.
    pub(super) fn carried_image(&self, steps: &[Step]) -> Option<String> {
        let Operation::Written(_) = &self.case.ops[self.index] else {
            return Some(String::new());
        };
        let files = steps.iter().find_map(|step| match &step.task {
            Task::Harness(HarnessAction::WriteImage { files, .. }) => Some(files),
            _ => None,
        });
        // Another tool writes it.
        let Some(files) = files else {
            return Some(String::new());
        };
        // Absolute names hold only where the image was written.
        let files = files.all(None).ok()?;
        let mut text = format!("{CARRIED}\n# The image, and raw files to compare it with.\n");
        for file in files.iter() {
            text.push_str(&in_shell(&format!("written/{}", file.name), file));
        }
        text.push_str("cp -r --sparse=always written/. candidate && cp -r --sparse=always written/. reference || exit 2\n");
        (text.len() <= TEXT_BYTES_MAX).then_some(text)
    }
}

/// Returns the line that makes a file of this name, with its bytes below it.
fn in_shell(name: &str, file: &HostFile) -> String {
    let mut pieces: Vec<(u64, Cow<'_, [u8]>)> = Vec::new();
    for (start, bytes) in &file.pieces {
        for (index, block) in (0..).zip(bytes.chunks(BLOCK_BYTES as usize)) {
            let offset = start + index * BLOCK_BYTES;
            match pieces.last_mut() {
                _ if is_zero(block) => {}
                Some((from, all)) if *from + all.len() as u64 == offset => {
                    all.to_mut().extend_from_slice(block);
                }
                _ => pieces.push((offset, block.into())),
            }
        }
    }
    let places: String = pieces
        .iter()
        .map(|(offset, bytes)| format!(" {offset}+{}", bytes.len()))
        .collect();
    let bytes: Vec<u8> = pieces
        .iter()
        .flat_map(|(_, bytes)| bytes.iter().copied())
        .collect();
    let text = base64::in_base64(&gzipped(&bytes));
    let lines = text.as_bytes().chunks(LINE_BYTES);
    let lines: Vec<Cow<'_, str>> = lines.map(String::from_utf8_lossy).collect();
    format!(
        "carried {} {}{places} <<'END'\n{}\nEND\n",
        quoted(name),
        file.length,
        lines.join("\n")
    )
}

/// Returns a gzip file with these bytes (RFC 1952).
fn gzipped(bytes: &[u8]) -> Vec<u8> {
    const LEVEL: u8 = 9;
    // Deflate, no name, no time, the best compression, an unknown system.
    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255];
    file.extend(miniz_oxide::deflate::compress_to_vec(bytes, LEVEL));
    file.extend(crc32(bytes).to_le_bytes());
    file.extend((bytes.len() as u32).to_le_bytes());
    file
}

/// The checksum of RFC 1952, section 8.
fn crc32(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0xedb8_8320;
    let all = bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| match sum & 1 {
            1 => sum >> 1 ^ POLYNOMIAL,
            _ => sum >> 1,
        })
    });
    !all
}

/// Returns the check of what the tools say about the image; `None` for other operations and where a shell cannot make it.
pub(super) fn of_written(input: &ScriptInput<'_>) -> Option<Check> {
    let Operation::Written(written) = input.operation else {
        return None;
    };
    let subject = input.subject()?;
    let mut text = shows(input.blame).to_owned();
    let mut is_compared = false;
    let expected = match subject {
        Subject::IntermediateContents { .. } | Subject::IntermediateMap { .. } => {
            Some(raw("expected.raw", written, input)?)
        }
        _ => None,
    };
    text.push_str(expected.as_deref().unwrap_or_default());
    for (name, step) in input.steps.iter().enumerate() {
        let Some(test) = test(input, written, subject, name, step) else {
            continue;
        };
        is_compared = true;
        text.push_str(&format!(
            "as_expected() {{ [ ! -e \"$1/{name}.out\" ] || {{ {test}; }} && echo yes || echo no; }}\n\
             shows \"$(as_expected candidate)\" \"$(as_expected reference)\" && exit 0\n"
        ));
    }
    if matches!(subject, Subject::ImageOnlyRead {}) {
        is_compared = true;
        text.push_str(UNCHANGED);
    }
    let functions = match subject {
        Subject::IntermediateMap { .. } => EXTENTS,
        _ => VALUE,
    };
    is_compared.then(|| Check::new(functions, text))
}

/// Returns a function that compares with the result at the time of the finding: the recipe alone says what is right.
fn shows(blame: Option<Blame>) -> &'static str {
    match blame {
        Some(Blame::Both) => {
            "# shows CANDIDATE REFERENCE: whether each is right.\nshows() { [ \"$1 $2\" = \"no no\" ]; }\n"
        }
        _ => "# shows CANDIDATE REFERENCE: whether each is right.\nshows() { [ \"$1\" = no ]; }\n",
    }
}

/// Returns the lines that make the raw file with what a guest must see: writes of the reference, which people can read.
fn raw(name: &str, written: &Written, input: &ScriptInput<'_>) -> Option<String> {
    let (size, writes) = written.size_and_writes();
    input.raw_file(name, size, writes)
}

/// Compares the files of both sides with those that were written.
const UNCHANGED: &str = r#"unchanged() { (cd written && find . -type f) | while read -r file; do cmp -s "written/$file" "$1/$file" || echo "$file"; done; }
as_expected() { [ ! "$(unchanged "$1")" ] && echo yes || echo no; }
shows "$(as_expected candidate)" "$(as_expected reference)" && exit 0
"#;

/// Returns the test of a step, with the side as `$1`; `None` if the finding is not about such steps.
fn test(
    input: &ScriptInput<'_>,
    written: &Written,
    subject: &Subject,
    name: usize,
    step: &Step,
) -> Option<String> {
    let Task::Tool(request) = &step.task else {
        return None;
    };
    let exit = format!("$(cat \"$1/{name}.code\")");
    let size = written.size();
    Some(match (subject, request) {
        (Subject::Exit { request: kind }, request) if request.kind() == *kind => match input.kind {
            DivergenceKind::CandidateCrash => format!("[ \"{exit}\" -lt 129 ]"),
            DivergenceKind::CandidateTimeout => format!("[ \"{exit}\" != 124 ]"),
            _ => format!("[ \"{exit}\" = 0 ]"),
        },
        (Subject::Compare { second: other, .. }, Request::Compare { second, .. })
            if *other == second.path =>
        {
            let code = u8::from(written.is_other(&second.path));
            format!("[ \"{exit}\" = {code} ]")
        }
        (Subject::IntermediateContents { file: path, .. }, Request::Contents { file })
            if *path == file.path =>
        {
            format!("[ \"{exit}\" != 0 ] || cmp -s \"$1/{name}{FLAT_SUFFIX}\" expected.raw")
        }
        (Subject::IntermediateCheck {}, Request::Check { .. }) => {
            format!("{CLEAN}clean \"$1\" {name}")
        }
        (Subject::IntermediateVirtualSize { .. }, Request::Info { .. }) => format!(
            "[ \"$(sed -n 's/^\\( \\{{4\\}}\\)\\{{0,1\\}}\"virtual-size\": *\\([0-9]*\\).*/\\2/p' \"$1/{name}.out\")\" = {size} ]"
        ),
        (Subject::IntermediateMap { .. }, Request::Map { .. }) => map(input, name, size)?,
        (Subject::IntermediateMeasure {}, Request::Measure { .. }) => {
            let value = |side: &str| format!("$(value fully-allocated {side}/{name}.out)");
            format!(
                "[ \"{}\" = \"{}\" ]",
                value("candidate"),
                value("reference")
            )
        }
        _ => return None,
    })
}

/// Returns the test of a map; `None` if it is about where data lie in the file, which a shell does not compare.
fn map(input: &ScriptInput<'_>, name: usize, size: u64) -> Option<String> {
    let told = &input.differences.first()?.candidate;
    let refused = format!("[ \"$(cat \"$1/{name}.code\")\" != 0 ] ||");
    if told.starts_with("no ") {
        return Some(format!(
            "{refused} tr -d ' \\n' <\"$1/{name}.out\" | grep -q '^\\[.*\\]$'"
        ));
    }
    let mut statements = ["zeros at", "a range at", "an end at"].into_iter();
    let is_about_zeros = statements.any(|start| told.starts_with(start));
    is_about_zeros
        .then(|| format!("{refused} [ ! \"$(lies \"$1/{name}.out\" {size} expected.raw)\" ]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_gzip() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }
}
