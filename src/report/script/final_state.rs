//! Checks of a chain's final images: header fields, bitmaps, refcounts, the reference's map, the space on the host, and
//! the files that a step touched. Each side is compared with the expected value, if there is one.
//!
//! `imgduel inspect` reads the metadata of a qcow2.

use super::ScriptInput;
use super::intermediate::{EXTENTS, shows};
use super::shell::{Check, NEEDS_IMGDUEL};
use crate::image::format::Format;
use crate::operation::Operation;
use crate::operation::chain::{HOST_RATIO, HOST_SLACK, may_touch};
use crate::oracle::observations::{Output, Side, Step};
use crate::oracle::verdict::{Blame, Difference, Subject};
use crate::run::evidence::quoted;
use crate::tool::request::{Request, RequestKind, Window};

/// Functions around each step; `NAME.touched` then has the files that were created, removed or written.
pub(super) const WATCH: &str = r#"
# watch, touched NAME: between them, files are written to; NAME.touched names those that were, that came and that went.
watch() { ls >before && touch -t 200001010000 -- *; }
touched() {
  find . -type f -newer before ! -name exits ! -name '*.out' ! -name '*.err' ! -name '*.touched' ! -name '*.code' ! -name '*.commands' | sed 's,^\./,,' >"$1.touched"
  while read -r file; do [ -e "$file" ] || echo "$file"; done <before >>"$1.touched"
}
"#;

/// Whether the divergence is about the files that a step touched, so that the steps must be watched.
pub(super) fn is_watched(differences: &[Difference]) -> bool {
    differences
        .iter()
        .any(|found| matches!(found.subject, Subject::TouchedFiles { .. }))
}

/// Returns the check for a final image or its files; `None` for other subjects.
pub(super) fn of_what_is_left(input: &ScriptInput<'_>) -> Option<Check> {
    let difference = input.differences.first()?;
    let is_metadata = matches!(
        difference.subject,
        Subject::Metadata { .. } | Subject::MetadataUnreadable { .. }
    );
    if !is_metadata && !matches!(input.operation, Operation::Chain(_)) {
        return None;
    }
    let expected = difference.expected.as_deref();
    let output = |name: &str| input.outputs.iter().find(|left| left.file.path == name);
    let text = match &difference.subject {
        Subject::HeaderField { .. } => header_fields(input),
        Subject::BitmapGranules { bitmap } => {
            let image = &input.outputs.first()?.file.path;
            granules(input, bitmap, image, expected?)
        }
        Subject::BitmapGranulesBelow { bitmap, file } => granules(input, bitmap, file, expected?),
        Subject::FinalMap { file } => map(input, output(file)?)?,
        Subject::SnapshotCount { file } => {
            let (file, expected) = (quoted(file), expected?);
            let test = format!(
                "[ \"$(imgduel inspect \"$1\"/{file} --field nb_snapshots)\" = {expected} ]"
            );
            witnesses(input, &test)
        }
        // Errors that our own audit finds are also found by a check.
        Subject::Metadata { file } | Subject::MetadataUnreadable { file } => {
            let file = output(file)?.file.clone();
            let line = input.line(Side::Reference, &Request::Check { file })?;
            witnesses(input, &format!("(cd \"$1\" && {line}) >/dev/null 2>&1"))
        }
        Subject::HostSpace { file } => space(input, output(file)?)?,
        Subject::TouchedFiles { request } => touched(input, *request, difference)?,
        _ => return None,
    };
    let functions = match text.contains("imgduel inspect") {
        true => NEEDS_IMGDUEL,
        false => "",
    };
    Some(Check {
        functions,
        text,
        ..Check::default()
    })
}

fn granules(input: &ScriptInput<'_>, bitmap: &str, image: &str, expected: &str) -> String {
    let [bitmap, image, expected] = [bitmap, image, expected].map(quoted);
    let test = format!("[ \"$(imgduel inspect \"$1\"/{image} --bitmap {bitmap})\" = {expected} ]");
    witnesses(input, &test)
}

/// Compares whether each side is as expected with the result at the time of the finding. `test` has the side's
/// directory as `$1`.
fn witnesses(input: &ScriptInput<'_>, test: &str) -> String {
    format!(
        "{}as_expected() {{ {test} && echo yes || echo no; }}\n\
         shows \"$(as_expected candidate)\" \"$(as_expected reference)\" && exit 0\n",
        shows(input.blame)
    )
}

/// Compares header fields that must be the same on both sides, in all images.
fn header_fields(input: &ScriptInput<'_>) -> String {
    let names = input.differences.iter();
    let names = names.filter_map(|found| match &found.subject {
        Subject::HeaderField { field } => Some(quoted(field)),
        _ => None,
    });
    let names: Vec<_> = names.collect();
    let images = input.outputs.iter();
    let images = images.filter(|output| output.file.format == Format::Qcow2);
    let compare = images.flat_map(|output| {
        let image = quoted(&output.file.path);
        let has_absolute = output.file.names_its_directory();
        let field = move |side: Side, name: &str| {
            let side = side.name();
            let relative = match has_absolute {
                true => format!(" | sed \"s,$PWD/{side}/,@DIRECTORY@/,\""),
                false => String::new(),
            };
            format!("\"$(imgduel inspect {side}/{image} --field {name}{relative})\"")
        };
        names.iter().map(move |name| {
            let [ours, theirs] = [Side::Candidate, Side::Reference].map(|side| field(side, name));
            format!("[ {ours} != {theirs} ] && exit 0\n")
        })
    });
    compare.collect()
}

/// Tests the reference's map of an image: it covers the image, and reports no data as zeros.
fn map(input: &ScriptInput<'_>, output: &Output) -> Option<String> {
    let request = Request::Map {
        file: output.file.clone(),
        window: Window::WHOLE,
    };
    let line = input.line(Side::Reference, &request)?;
    let expected = input.expected("expected.raw", &output.expected)?;
    let test = format!(
        "(cd \"$1\" && {line}) >\"$1.map\" 2>/dev/null && [ ! \"$(lies \"$1.map\" {} expected.raw)\" ]",
        output.expected.size
    );
    Some(format!("{EXTENTS}\n{expected}{}", witnesses(input, &test)))
}

/// Compares the host space of an image, with all its files.
fn space(input: &ScriptInput<'_>, output: &Output) -> Option<String> {
    let (more, less) = match input.blame {
        Some(Blame::Reference) => (Side::Reference, Side::Candidate),
        _ => (Side::Candidate, Side::Reference),
    };
    let data = output.file.data_file().map(quoted).unwrap_or_default();
    let image = quoted(&output.file.path);
    // The extents of a vmdk are named after it.
    let extents = match output.file.path.strip_suffix(".vmdk") {
        Some(stem) => format!("{}-*", quoted(stem)),
        None => String::new(),
    };
    let slack = HOST_SLACK / 1024;
    let (more, less) = (more.name(), less.name());
    Some(format!(
        "# space SIDE: in KiB.\n\
         space() {{ (cd \"$1\" && du -k -- {image} {data} {extents} 2>/dev/null) | awk '{{ sum += $1 }} END {{ print sum + 0 }}'; }}\n\
         [ \"$(space {more})\" -gt \"$(($(space {less}) * {HOST_RATIO} + {slack}))\" ] && exit 0\n"
    ))
}

/// Whether a step touches the same files that it must not touch.
fn touched(
    input: &ScriptInput<'_>,
    request: RequestKind,
    difference: &Difference,
) -> Option<String> {
    let touched_files = [&difference.candidate, &difference.reference].into_iter();
    let files: Vec<&str> = touched_files.flat_map(|names| names.split(", ")).collect();
    let mut text = String::new();
    for (number, step) in input.steps.iter().enumerate() {
        let is_wrong = |step: &Step, file: &str| !may_touch(&step.task, file);
        if step.task.kind() != request {
            continue;
        }
        for file in files.iter().filter(|file| **file != "none") {
            if is_wrong(step, file) {
                let test = format!("! grep -qxF -e {} \"$1/{number}.touched\"", quoted(file));
                text.push_str(&witnesses(input, &test));
            }
        }
    }
    Some(text)
}
