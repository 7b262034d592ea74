//! Checks of the images that both sides wrote: read by the reference, by the candidate, or compared with the recipe.

use super::ScriptInput;
use super::responses::has_index;
use super::shell::{Check, VALUES_MAX};
use crate::image::format::Format;
use crate::oracle::observations::{Output, Side};
use crate::oracle::verdict::{Blame, Difference, DivergenceKind, OutputAspect, Subject};
use crate::run::evidence::quoted;
use crate::tool::FLAT_SUFFIX;
use crate::tool::request::{ImageFile, Request, SnapshotKey};

const QUIET: &str = ">/dev/null 2>&1";

/// Returns the comparison of the outputs that the kind concerns; `None` if it concerns none.
pub(super) fn of_outputs(input: &ScriptInput<'_>) -> Option<Check> {
    let mut text = String::new();
    let mut reads_by_candidate = false;
    for output in input.outputs {
        let Some(aspect) = aspect(input.kind, output) else {
            continue;
        };
        reads_by_candidate |=
            matches!(aspect, OutputAspect::Reading | OutputAspect::ReadingRefused);
        text.push_str(&check_output(input, output, aspect)?);
    }
    (!text.is_empty()).then_some(Check {
        functions: "",
        text,
        reads_by_candidate,
    })
}

/// Returns the aspect of the output that differs, if the kind concerns it. A refused reading concerns every image of
/// the operation.
fn aspect(kind: DivergenceKind, output: &Output) -> Option<OutputAspect> {
    let DivergenceKind::Output(_, aspect) = kind else {
        return None;
    };
    (DivergenceKind::output(output.role, aspect) == kind).then_some(aspect)
}

fn flattened(output: &Output, side: &str) -> String {
    let name = quoted(&output.file.path);
    let format = output.file.format;
    format!(
        "(cd {side} && rm -f true.raw && \"$reference\" convert -f {format} -O raw {name} true.raw) {QUIET}"
    )
}

/// The conversion of an encrypted image, which is opened with its secret.
fn unlocked(input: &ScriptInput<'_>, output: &Output) -> Option<String> {
    let convert = Request::Convert {
        source: output.file.clone(),
        target: ImageFile::new("true", Format::Raw),
        compress: false,
        mode: Default::default(),
    };
    let is_locked = output.file.is_locked();
    is_locked.then(|| input.line(Side::Reference, &convert))?
}

fn check_output(input: &ScriptInput<'_>, output: &Output, aspect: OutputAspect) -> Option<String> {
    let name = quoted(&output.file.path);
    let flat = quoted(&format!("{}{FLAT_SUFFIX}", output.file.path));
    let unlocked = unlocked(input, output);
    let flatten = |side: &str| match &unlocked {
        Some(line) => format!("(cd {side} && rm -f true.raw && {line}) {QUIET}"),
        None => flattened(output, side),
    };
    let both = format!(
        "{} || exit 2\n{} || exit 2\n",
        flatten("candidate"),
        flatten("reference")
    );
    let info = |side: &str| format!("(cd {side} && \"$reference\" info --output=json {name})");
    let check = |side: &str| format!("(cd {side} && \"$reference\" check {name}) {QUIET}");
    let only_candidate_fails = |read: &dyn Fn(&str) -> String| {
        format!(
            "{} && ! {} && exit 0\n",
            read("reference"),
            read("candidate")
        )
    };
    let of_snapshots = input
        .differences
        .iter()
        .any(|found| is_of_a_snapshot(&found.subject));
    Some(match aspect {
        OutputAspect::Info => described(&info, input.differences),
        OutputAspect::InfoReadback => {
            let quiet = |side: &str| format!("{} {QUIET}", info(side));
            only_candidate_fails(&quiet)
        }
        OutputAspect::ContentReadback => only_candidate_fails(&flatten),
        OutputAspect::Check if input.blame == Some(Blame::Both) => {
            let (candidate, reference) = (check("candidate"), check("reference"));
            format!("! {candidate} && ! {reference} && exit 0\n")
        }
        OutputAspect::Check | OutputAspect::CheckUnparseable => only_candidate_fails(&check),
        OutputAspect::Reading | OutputAspect::ReadingRefused => {
            let compare = |side: &str| {
                let flatten = flatten(side);
                format!("{flatten} || exit 2\ncmp -s {side}/{flat} {side}/true.raw || exit 0\n")
            };
            compare("candidate") + &compare("reference")
        }
        OutputAspect::SnapshotContents
        | OutputAspect::SnapshotReadback
        | OutputAspect::SnapshotReadbackError
        | OutputAspect::Recipe
            if of_snapshots =>
        {
            snapshots(input, output, aspect)?
        }
        OutputAspect::Recipe => {
            let expected = input.expected("expected.raw", &output.expected)?;
            format!(
                "{expected}{both}# The tools agree with each other, and not with what was written.\n\
                 cmp -s candidate/true.raw reference/true.raw && ! cmp -s candidate/true.raw expected.raw && exit 0\n"
            )
        }
        OutputAspect::List => lists(input, output)?,
        aspect if aspect == output.content_aspect => {
            format!("{both}cmp -s candidate/true.raw reference/true.raw || exit 0\n")
        }
        _ => return None,
    })
}

fn is_of_a_snapshot(subject: &Subject) -> bool {
    matches!(
        subject,
        Subject::SnapshotContents { .. } | Subject::SnapshotUnreadable { .. }
    )
}

/// Compares the guest-visible contents of every snapshot.
fn snapshots(input: &ScriptInput<'_>, output: &Output, aspect: OutputAspect) -> Option<String> {
    let mut text = String::new();
    for (index, snapshot) in output.snapshots.iter().flatten().enumerate() {
        let request = Request::ConvertSnapshot {
            source: output.file.clone(),
            target: ImageFile::new("true", Format::Raw),
            compress: false,
            snapshot: SnapshotKey::Id(snapshot.id.clone()),
        };
        // An encrypted image is opened with its secret.
        let line = input.line(Side::Reference, &request)?;
        let flatten = |side: &str| format!("(cd {side} && rm -f true.raw && {line}) {QUIET}");
        text.push_str(&format!("{} || exit 2\n", flatten("reference")));
        text.push_str(&format!("{} || exit 0\n", flatten("candidate")));
        if aspect == OutputAspect::Recipe {
            let name = format!("expected-{index}.raw");
            text.push_str(&input.expected(&name, &snapshot.contents)?);
            text.push_str(&format!("cmp -s candidate/true.raw {name} || exit 0\n"));
        } else {
            text.push_str("cmp -s candidate/true.raw reference/true.raw || exit 0\n");
        }
    }
    Some(text)
}

/// Compares both tools' lists of both copies.
fn lists(input: &ScriptInput<'_>, output: &Output) -> Option<String> {
    let file = output.file.clone();
    let request = Request::SnapshotList { file };
    let candidate = input.line(Side::Candidate, &request)?;
    let reference = input.line(Side::Reference, &request)?;
    let sides = ["candidate", "reference"].map(|side| {
        format!(
            "(cd {side} && {candidate}) >ours 2>&1\n(cd {side} && {reference}) >theirs 2>&1\ncmp -s ours theirs || exit 0\n"
        )
    });
    Some(sides.concat())
}

/// Compares the reference's descriptions of both copies at the keys that differ. In its JSON, the indentation shows the
/// depth of a value.
fn described(info: &impl Fn(&str) -> String, differences: &[Difference]) -> String {
    let (candidate, reference) = (info("candidate"), info("reference"));
    let mut lines = format!(
        "{candidate} >candidate/described 2>/dev/null || exit 2\n{reference} >reference/described 2>/dev/null || exit 2\n"
    );
    if has_index(differences) {
        lines.push_str(
            "described() { grep -v actual-size \"$1/described\"; }\n[ \"$(described candidate)\" != \"$(described reference)\" ] && exit 0\n",
        );
        return lines;
    }
    let paths = differences.iter().filter_map(|found| match &found.subject {
        Subject::JsonValue { path } => Some((path, path.last_key()?)),
        _ => None,
    });
    for (path, key) in paths.take(VALUES_MAX) {
        let indentation = " ".repeat(4 * path.depth());
        lines.push_str(&format!(
            "line() {{ grep '^{indentation}\"{key}\":' \"$1/described\" | tr -d , | sed \"s,$PWD/$1/,@DIRECTORY@/,\"; }}\n\
             [ \"$(line candidate)\" != \"$(line reference)\" ] && exit 0\n"
        ));
    }
    lines
}
