//! What the harness does to an image by itself, as shell functions: damage to be repaired, and a look at all bytes of an image whose
//! snapshots' dates are settled first.

use super::About;
use super::comparison::Comparison;
use crate::disk_format::qcow2::corruption::Corruption;
use crate::oracle::exchange::Step;
use crate::oracle::verdict::DivergenceKind;
use crate::run::evidence::quoted;
use crate::tool::request::Request;

/// What the functions below read and write with. `field` and `put` are about big-endian numbers, as qcow2 has them.
pub(super) const FIELDS: &str = r#"
# field FILE OFFSET LENGTH: the number there.
field() { od -An -v -tu1 -j"$2" -N"$3" "$1" | tr -s ' \n' '  ' | { read -r bytes; number=0; for byte in $bytes; do number=$((number * 256 + byte)); done; echo "$number"; }; }
# bytes NUMBER LENGTH: its bytes, as printf takes them.
bytes() { text=; left=$1; for _ in $(seq "$2"); do text=$(printf '\\%03o' $((left & 255)))$text; left=$((left >> 8)); done; printf '%s' "$text"; }
# put FILE OFFSET LENGTH NUMBER: writes it there.
put() { printf "$(bytes "$4" "$3")" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null; }
"#;

const DAMAGE: &str = r#"
# l2 FILE: where its first L2 table lies; cluster FILE N: where the cluster of its entry N lies. Bit 63 is a flag.
l2() { field "$1" $(($(field "$1" 40 8) + 1)) 7; }
cluster() { field "$1" $(($(l2 "$1") + $2 * 8 + 1)) 7; }
# recount FILE CLUSTER REFCOUNT: of 16 bits; the cluster is given by its offset.
recount() {
  bits=$(field "$1" 20 4)
  index=$(($2 >> bits))
  block=$(field "$1" $(($(field "$1" 48 8) + (index >> (bits - 1)) * 8)) 8)
  put "$1" $((block + (index & ((1 << (bits - 1)) - 1)) * 2)) 2 "$3"
}
"#;

const SETTLE: &str = r#"
# settle FILE COPY: sets the date of every snapshot to the same value, then copies the file; COPY.dates has the dates.
settle() {
  entry=$(field "$1" 64 8)
  : >"$2.dates"
  for _ in $(seq "$(field "$1" 60 4)"); do
    field "$1" $((entry + 16)) 4 >>"$2.dates"
    put "$1" $((entry + 16)) 4 1610612736
    put "$1" $((entry + 20)) 4 0
    next=$((entry + 40 + $(field "$1" $((entry + 36)) 4) + $(field "$1" $((entry + 12)) 2) + $(field "$1" $((entry + 14)) 2)))
    entry=$(((next + 7) / 8 * 8))
  done
  cp --sparse=always "$1" "$2"
}
# same ONE OTHER: whether they have the same bytes; zeros at the end do not count.
same() {
  one=$(wc -c <"$1"); other=$(wc -c <"$2")
  [ "$one" -gt "$other" ] || one=$other
  truncate -s "$one" "$1" "$2" && cmp -s "$1" "$2"
}
"#;

/// How far the two sides may make the same snapshot apart, in seconds.
const DATE_SLACK_SECONDS: u32 = 800;

/// The functions that some of the steps need.
pub(super) fn functions(steps: &[Step]) -> String {
    let has = |wanted: fn(&Request) -> bool| steps.iter().any(|step| wanted(&step.request));
    let damages = has(|request| matches!(request, Request::Corrupt { .. }));
    let settles = has(|request| matches!(request, Request::HostClusters { .. }));
    let mut text = String::new();
    text.push_str(if damages || settles { FIELDS } else { "" });
    text.push_str(if damages { DAMAGE } else { "" });
    text.push_str(if settles { SETTLE } else { "" });
    text
}

/// The line for a step that no tool carries out, the step with this number.
pub(super) fn line(request: &Request, number: usize) -> Option<String> {
    let name = quoted(&request.file().path);
    match request {
        Request::HostClusters { .. } => Some(format!("settle {name} {number}.host")),
        Request::Corrupt { corruption, .. } => Some(match corruption {
            Corruption::RefcountZero => {
                format!("recount {name} \"$(cluster {name} 0)\" 0")
            }
            Corruption::RefcountTooHigh => {
                format!("recount {name} \"$(cluster {name} 0)\" 2; put {name} \"$(l2 {name})\" 1 0")
            }
            Corruption::LeakedCluster => format!("put {name} \"$(l2 {name})\" 8 0"),
            Corruption::StaleCopied => format!(
                "entry=0; [ \"$(cluster {name} 1)\" = 0 ] || entry=1; recount {name} \"$(cluster {name} $entry)\" 2; \
                 put {name} $(($(l2 {name}) + entry * 8)) 1 128"
            ),
            Corruption::Overlapping => format!(
                "cell=$(field {name} \"$(l2 {name})\" 1); place=$(cluster {name} 0); put {name} $(($(l2 {name}) + 8)) 1 \"$cell\"; \
                 put {name} $(($(l2 {name}) + 9)) 7 \"$place\""
            ),
        }),
        _ => None,
    }
}

/// The comparison of both sides' bytes after every settling; `None` for every other kind.
pub(super) fn of_host_clusters(about: &About<'_>) -> Option<Comparison> {
    let mut text = String::new();
    for (number, step) in about.steps.iter().enumerate() {
        if !matches!(step.request, Request::HostClusters { .. }) {
            continue;
        }
        let sides = |ending: &str| {
            format!("candidate/{number}.host{ending} reference/{number}.host{ending}")
        };
        text.push_str(&match about.kind {
            DivergenceKind::SnapshotBytes => format!("same {} || exit 0\n", sides("")),
            DivergenceKind::SnapshotDate => format!(
                "paste {} | awk '{{ apart = $1 - $2; if (apart > {DATE_SLACK_SECONDS} || -apart > {DATE_SLACK_SECONDS}) far = 1 }} END {{ exit !far }}' && exit 0\n",
                sides(".dates")
            ),
            DivergenceKind::SnapshotNormalize => {
                let name = quoted(&step.request.file().path);
                let list = |side: &str| {
                    format!("(cd {side} && \"$reference\" snapshot -l {name}) >/dev/null 2>&1")
                };
                format!("{} && ! {} && exit 0\n", list("reference"), list("candidate"))
            }
            _ => return None,
        });
    }
    (!text.is_empty()).then_some(Comparison {
        text,
        ..Comparison::default()
    })
}
