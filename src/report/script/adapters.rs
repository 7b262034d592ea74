//! An adapter in a reproducer: its requests as lines of JSON, piped into the command that starts it.

use crate::run::evidence::quoted;
use crate::tool::request::Request;
use crate::tool::{DIRECTORY_MARK, FLAT_SUFFIX};

/// Turns an answer into an exit code and output, like those of a command line.
const ASK: &str = r#"
# ask REQUEST [FLAT]: starts the adapter for one request about the files here; contents are left in FLAT.
ask() {
  request=$(printf '%s' "$1" | sed "s|@MARK@|$PWD|g")
  { printf '%s\n' '{"hello":1,"newest":2}' "$request" | $limit $candidate; echo $? >code; } | sed -n 2p >answer
  case $(tr -d ' ' <answer) in
    *'"json"'*) sed 's/"cpu_ns" *: *[0-9]*,\{0,1\} *//; s/, *}$/}/; s/^[^:]*"json" *: *//; s/} *$//; s/[{,] */&\
    /g' answer ;;
    *'"raw"'*) raw=$(sed 's/.*"raw" *: *"\([^"]*\)".*/\1/' answer); [ "$raw" = "$2" ] || mv "$raw" "$2" ;;
    *'"refused"'* | *'"unsupported"'*) sed 's/^[^:]*: *"\(.*\)".*/\1/' answer >&2; return 1 ;;
    '{}' | '{"cpu_ns":'*) ;;
    '') case $(cat code) in 126 | 127) echo "cannot start $candidate" >&2; : >../not_started; exit 2 ;; esac
        [ "$(cat code)" = 124 ] && return 124; return 134 ;;
    *) cat answer >&2; return 134 ;;
  esac
}
"#;

/// Turns the answer to a session into one line for each request.
const ASK_SESSION: &str = r#"
# ask_session REQUEST: what came of each request: done, refused, or read and the bytes.
ask_session() {
  ask "$1" >list || return
  raw=$(sed -n 's/.*"raw" *: *"\([^"]*\)".*/\1/p' answer) place=0
  sed -E 's/^.*"json" *: *//; s/\{ *"refused" *: *"([^"\\]|\\.)*" *\}/refused/g; s/\{ *"read" *: *([0-9]+) *\}/read \1/g; s/"done"/done/g; s/\].*//; s/[[ ]*//' answer |
    tr ',' '\n' | sed 's/^ *//' | while read -r word length; do
      [ "$word" = read ] || { echo "$word"; continue; }
      [ "$length" = 0 ] && { echo "read "; continue; }
      echo "read $(od -An -v -tx1 -j "$place" -N "$length" "$raw" | tr -d ' \n')"
      place=$((place + length))
    done
}
"#;

/// Returns the definition of a variable for the adapter's command, which the user may override and which is split at
/// blanks, and the function that sends it a request. `limit` is its prefix.
pub(super) fn functions(command: &[String], limit: &str, calls: &str) -> String {
    let session = match calls.contains(" ask_session ") {
        true => ASK_SESSION,
        false => "",
    };
    format!(
        "candidate=${{CANDIDATE:-{}}}\nlimit={}\n{}{session}",
        quoted(&command.join(" ")),
        quoted(limit.trim_end()),
        ASK.replace("@MARK@", DIRECTORY_MARK)
    )
}

/// Returns the words of a call.
pub(super) fn call(request: &Request, line: &str) -> String {
    let verb = match request {
        Request::Session { .. } => "ask_session",
        _ => "ask",
    };
    let flat = match request {
        Request::Contents { file } => format!(" {}", quoted(&(file.path.clone() + FLAT_SUFFIX))),
        _ => String::new(),
    };
    format!("{verb} {}{flat}", quoted(line))
}
