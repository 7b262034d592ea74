//! What a chain left, layer by layer, compared in a shell: header fields, bitmaps, refcounts, what the reference maps, the space on the
//! host, and which files a step touched. Each side is held against what the recipe says of it, where it says anything.
//!
//! Called for a comparison; the functions here read a qcow2 with od(1), as QEMU's qcow2 specification has it.

use super::About;
use super::by_hand::FIELDS;
use super::comparison::Comparison;
use super::midway::{EXTENTS, shows};
use crate::image::format::Format;
use crate::operation::Operation;
use crate::operation::chain::{HOST_RATIO, HOST_SLACK, may_touch};
use crate::oracle::exchange::{Output, Side, Step};
use crate::oracle::verdict::{Blame, Difference, Subject};
use crate::run::evidence::quoted;
use crate::tool::request::{Request, RequestKind, Window};

/// `extension` for what header extensions tell; 595929205 (0x23852875) is the type of the bitmaps extension.
const HEADER: &str = r#"
# extension FILE TYPE: where the data of a header extension begin, and their length.
extension() {
  place=72; [ "$(field "$1" 4 4)" = 2 ] || place=$(field "$1" 100 4)
  while kind=$(field "$1" "$place" 4); [ "$kind" != 0 ]; do
    length=$(field "$1" $((place + 4)) 4)
    [ "$kind" != "$2" ] || { echo "$((place + 8)) $length"; return; }
    place=$((place + 8 + (length + 7) / 8 * 8))
  done
}
# string FILE OFFSET LENGTH: the text there.
string() { [ "${3:-0}" = 0 ] || dd if="$1" bs=1 skip="$2" count="$3" 2>/dev/null; }
# told FILE TYPE: the text of a header extension.
told() { set -- "$1" $(extension "$1" "$2"); string "$1" "$2" "$3"; }
# directory FILE: where the bitmap directory lies, and its number of entries; without the autoclear bit there are no bitmaps.
directory() {
  set -- "$1" $(extension "$1" 595929205)
  [ -z "$2" ] || [ $(($(field "$1" 95 1) & 1)) = 0 ] || echo "$(field "$1" $(($2 + 16)) 8) $(field "$1" "$2" 4)"
}
"#;

const DIRTY: &str = r#"
# ranges FILE ENTRY: the granules that are dirty in the bitmap of that directory entry, unjoined.
ranges() {
  size=$((1 << $(field "$1" 20 4))); bits=$(field "$1" $(($2 + 17)) 1)
  granules=$((($(field "$1" 24 8) + (1 << bits) - 1) >> bits)); table=$(field "$1" "$2" 8)
  first=0
  for index in $(seq 0 $(($(field "$1" $(($2 + 8)) 4) - 1))); do
    place=$(field "$1" $((table + index * 8)) 8); end=$((first + size * 8))
    [ "$end" -lt "$granules" ] || end=$granules
    if [ $((place & ~511)) != 0 ]; then
      od -An -v -tu1 -j"$place" -N"$size" "$1" | tr -s ' ' '\n' | grep . | awk -v first="$first" -v end="$end" '
        { for (bit = 0; bit < 8; bit++) if (int($1 / 2 ^ bit) % 2 && (granule = first + (NR - 1) * 8 + bit) < end) printf "%.0f %.0f\n", granule, granule + 1 }'
    elif [ $((place & 1)) = 1 ] && [ "$first" -lt "$end" ]; then
      echo "$first $end"
    fi
    first=$((first + size * 8))
  done
}
# dirty FILE BITMAP: its dirty granules, as START..END.
dirty() {
  set -- "$1" "$2" $(directory "$1")
  for _ in $(seq "${4:-0}"); do
    length=$(field "$1" $(($3 + 18)) 2); extra=$(field "$1" $(($3 + 20)) 4)
    if [ "$(string "$1" $(($3 + 24 + extra)) "$length")" = "$2" ]; then
      [ $(($(field "$1" $(($3 + 12)) 4) & 1)) = 0 ] || { echo 'not stored cleanly'; return; }
      ranges "$1" "$3" | awk '
        NR > 1 && $1 == end { end = $2; next }
        NR > 1 { printf "%s..%s ", start, end }
        { start = $1; end = $2 }
        END { if (NR) print start ".." end; else print "none" }'
      return
    fi
    set -- "$1" "$2" $(($3 + (24 + extra + length + 7) / 8 * 8)) "$4"
  done
  echo 'no such bitmap'
}
"#;

/// Around each step, so that `NAME.touched` names the files that came, went or were written to in it.
pub(super) const WATCH: &str = r#"
# watch, touched NAME: between them, files are written to; NAME.touched names those that were, that came and that went.
watch() { ls >before && touch -t 200001010000 -- *; }
touched() {
  find . -type f -newer before ! -name exits ! -name '*.out' ! -name '*.err' ! -name '*.touched' | sed 's,^\./,,' >"$1.touched"
  while read -r file; do [ -e "$file" ] || echo "$file"; done <before >>"$1.touched"
}
"#;

/// Whether the finding is about what a step touched, so that its steps have to be watched.
pub(super) fn is_watched(differences: &[Difference]) -> bool {
    differences
        .iter()
        .any(|found| matches!(found.subject, Subject::TouchedFiles { .. }))
}

/// The comparison of what is about an image that was left, or about the files around it; `None` for every other kind.
pub(super) fn of_what_is_left(about: &About<'_>) -> Option<Comparison> {
    let Operation::Chain(_) = about.operation else {
        return None;
    };
    let difference = about.differences.first()?;
    let expected = difference.expected.as_deref();
    let output = |name: &str| about.outputs.iter().find(|left| left.file.path == name);
    let text = match &difference.subject {
        Subject::HeaderField { .. } => header_fields(about),
        Subject::BitmapGranules { bitmap } => {
            let image = &about.outputs.first()?.file.path;
            granules(about, bitmap, image, expected?)
        }
        Subject::BitmapGranulesBelow { bitmap, file } => granules(about, bitmap, file, expected?),
        Subject::MapLeft { file } => map(about, output(file)?)?,
        Subject::SnapshotCount { file } => {
            let (file, expected) = (quoted(file), expected?);
            let test = format!("[ \"$(field \"$1\"/{file} 60 4)\" = {expected} ]");
            format!("{FIELDS}\n{}", witnesses(about, &test))
        }
        // What our own reading finds wrong, a check does as well.
        Subject::Metadata { file } | Subject::MetadataUnreadable { file } => {
            let file = output(file)?.file.clone();
            let line = about.line(Side::Reference, &Request::Check { file })?;
            witnesses(about, &format!("(cd \"$1\" && {line}) >/dev/null 2>&1"))
        }
        Subject::HostSpace { file } => space(about, output(file)?)?,
        Subject::TouchedFiles { request } => touched(about, *request, difference)?,
        _ => return None,
    };
    Some(Comparison {
        text,
        ..Comparison::default()
    })
}

fn granules(about: &About<'_>, bitmap: &str, image: &str, expected: &str) -> String {
    let [bitmap, image, expected] = [bitmap, image, expected].map(quoted);
    let test = format!("[ \"$(dirty \"$1\"/{image} {bitmap})\" = {expected} ]");
    format!("{FIELDS}{HEADER}{DIRTY}\n{}", witnesses(about, &test))
}

/// Each side is as expected, or not, as it was when this was found. `test` has the side's directory as `$1`.
fn witnesses(about: &About<'_>, test: &str) -> String {
    format!(
        "{}as_expected() {{ {test} && echo yes || echo no; }}\n\
         shows \"$(as_expected candidate)\" \"$(as_expected reference)\" && exit 0\n",
        shows(about.blame)
    )
}

/// Fields that both sides' headers must share, in whatever image of them they differ.
fn header_fields(about: &About<'_>) -> String {
    let mut text = format!("{FIELDS}{HEADER}\n");
    let names = about.differences.iter();
    let names = names.filter_map(|found| match &found.subject {
        Subject::HeaderField { field } => Some(field.as_str()),
        _ => None,
    });
    let names: Vec<_> = names.collect();
    let images = about.outputs.iter();
    for output in images.filter(|output| output.file.format == Format::Qcow2) {
        let image = quoted(&output.file.path);
        for name in &names {
            let Some(value) = header_field(name) else {
                continue;
            };
            text.push_str(&format!(
                "# {name}\nvalue_of() {{ {value}; }}\n\
                 [ \"$(value_of candidate/{image})\" != \"$(value_of reference/{image})\" ] && exit 0\n"
            ));
        }
    }
    text
}

/// The command that tells a field of the file `$1`: what version 2 has not is what version 3 has there by default.
fn header_field(name: &str) -> Option<String> {
    let since_3 = |place: u32, length: u32, before: u32| {
        format!(
            "if [ \"$(field \"$1\" 4 4)\" = 2 ]; then echo {before}; else field \"$1\" {place} {length}; fi"
        )
    };
    Some(match name {
        "version" => "field \"$1\" 4 4".to_owned(),
        "cluster_bits" => "field \"$1\" 20 4".to_owned(),
        "size" => "field \"$1\" 24 8".to_owned(),
        "crypt_method" => "field \"$1\" 32 4".to_owned(),
        "nb_snapshots" => "field \"$1\" 60 4".to_owned(),
        // Bit 0 says that the file was not closed cleanly.
        "incompatible_features" => {
            let features = since_3(72, 8, 0);
            format!("echo \"$(($({features}) & ~1))\"")
        }
        "compatible_features" => since_3(80, 8, 0),
        "autoclear_features" => since_3(88, 8, 0),
        "refcount_order" => since_3(96, 4, 4),
        "compression_type" => {
            "if [ \"$(field \"$1\" 4 4)\" = 2 ] || [ \"$(field \"$1\" 100 4)\" -le 104 ]; then echo 0; else field \"$1\" 104 1; fi".to_owned()
        }
        "nb_bitmaps" => "set -- $(directory \"$1\"); echo \"${2:-0}\"".to_owned(),
        "backing_file" => {
            "string \"$1\" \"$(field \"$1\" 8 8)\" \"$(field \"$1\" 16 4)\"".to_owned()
        }
        // 0xe2792aca and 0x44415441, the types of these extensions.
        "backing_format" => "told \"$1\" 3799591626".to_owned(),
        "data_file" => "told \"$1\" 1145132097".to_owned(),
        _ => return None,
    })
}

/// What the reference maps of an image: all of it, and nothing as zeros that is not.
fn map(about: &About<'_>, output: &Output) -> Option<String> {
    let request = Request::Map {
        file: output.file.clone(),
        window: Window::WHOLE,
    };
    let line = about.line(Side::Reference, &request)?;
    let expected = about.expected("expected.raw", &output.expected)?;
    let test = format!(
        "(cd \"$1\" && {line}) >\"$1.map\" 2>/dev/null && [ ! \"$(lies \"$1.map\" {} expected.raw)\" ]",
        output.expected.size
    );
    Some(format!("{EXTENTS}\n{expected}{}", witnesses(about, &test)))
}

/// How much the host gives for an image, with all its files.
fn space(about: &About<'_>, output: &Output) -> Option<String> {
    let (more, less) = match about.blame {
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

/// Whether a step touches the files again that it had no business to.
fn touched(about: &About<'_>, request: RequestKind, difference: &Difference) -> Option<String> {
    let told = [&difference.candidate, &difference.reference].into_iter();
    let files: Vec<&str> = told.flat_map(|names| names.split(", ")).collect();
    let mut text = String::new();
    for (number, step) in about.steps.iter().enumerate() {
        let is_wrong = |step: &Step, file: &str| !may_touch(&step.request, file);
        if step.request.kind() != request {
            continue;
        }
        for file in files.iter().filter(|file| **file != "none") {
            if is_wrong(step, file) {
                let test = format!("! grep -qxF -e {} \"$1/{number}.touched\"", quoted(file));
                text.push_str(&witnesses(about, &test));
            }
        }
    }
    Some(text)
}
