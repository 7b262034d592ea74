//! An adapter in a reproducer: its requests as lines of JSON, piped into the command that starts it.

use crate::run::evidence::quoted;
use crate::tool::request::Request;
use crate::tool::{DIRECTORY_MARK, FLAT_SUFFIX};

/// Turns an answer into an exit code and output, like those of a command line.
const ASK: &str = r#"
# ask REQUEST [FLAT]: starts the adapter for one request about the files here; contents are left in FLAT.
ask() {
  request=$(printf '%s' "$1" | sed "s|@MARK@|$PWD|")
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

/// Returns the definition of a variable for the adapter's command, which the user may override and which is split at
/// blanks, and the function that sends it a request. `limit` is its prefix.
pub(super) fn functions(command: &[String], limit: &str) -> String {
    format!(
        "candidate=${{CANDIDATE:-{}}}\nlimit={}\n{}",
        quoted(&command.join(" ")),
        quoted(limit.trim_end()),
        ASK.replace("@MARK@", DIRECTORY_MARK)
    )
}

/// Returns the words of a call.
pub(super) fn call(request: &Request, line: &str) -> String {
    let flat = match request {
        Request::Contents { file } => format!(" {}", quoted(&(file.path.clone() + FLAT_SUFFIX))),
        _ => String::new(),
    };
    format!("ask {}{flat}", quoted(line))
}
