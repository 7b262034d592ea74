//! Sessions in a reproducer: the calls, and what must have come of each of their requests.
//!
//! A session of qemu-io reads its commands from standard input, so that its prompts tell apart what it prints. What came of the requests is
//! compared one by one: those of libraries print it themselves, and an adapter's answer is turned into the same lines.

use super::ScriptInput;
use super::intermediate::shows;
use super::shell::Check;
use crate::operation::Operation;
use crate::operation::chain::{ChainStep, ExpectedOutcome, expected_outcomes};
use crate::oracle::verdict::Subject;

/// A function around qemu-io: that a request is refused ends no session.
pub(super) const SESSION: &str = r#"
# session COMMAND...: gives it the lines of NAME.commands. That it refuses one of them is no failure.
session() { "$@" <"$name.commands"; code=$?; [ "$code" = 1 ] || return "$code"; }
"#;

/// What came of every request, one line each.
const TOLD: &str = r#"
# told NAME: what came of each request of a session: done, refused, or read and the bytes.
told() {
  [ -e "$1.commands" ] || { cat "$1.out"; return; }
  printed=$1.out
  [ -e "$1.printed" ] && printed=$1.printed
  # qemu-io prints a prompt before each command, and one at the end.
  awk '
    function came_of(command, text,   word, count, at, length_, line, lines, n, dump) {
      count = split(command, word, " ")
      for (at = 2; word[at] ~ /^-/; at++) if (word[at] ~ /^-[Ps]$/) at++
      length_ = word[at + 1]
      for (n = at + 2; n <= count; n++) length_ += word[n]
      verb = word[1] ~ /read/ ? "read" : word[1] ~ /write/ ? "wrote" : "discard"
      line = verb " " length_ "/" length_ " bytes at offset " word[at]
      count = split(text, lines, "\n")
      for (n = 1; n <= count; n++) {
        if (lines[n] ~ /^[0-9a-f]+:  /) { sub(/^[0-9a-f]+:  /, "", lines[n]); sub(/  .*/, "", lines[n]); gsub(/ /, "", lines[n]); dump = dump lines[n] }
        else if (lines[n] == line) return verb == "read" ? "read " dump : "done"
        else dump = ""
      }
      return "refused"
    }
    FNR == NR { command[++count] = $0; next }
    { while (sub(/^qemu-io> /, "")) at++; printed[at] = printed[at] $0 "\n" }
    END {
      for (n = 1; n <= count && n < at; n++) {
        if (command[n] == "flush") { print "done"; continue }
        if (command[n] ~ /^truncate/) {
          # Two reads behind it tell where the image ends.
          if (n + 2 < at) print printed[n + 1] ~ /^read / && printed[n + 1] !~ /failed/ && printed[n + 2] !~ /^read 0/ ? "done" : "refused"
          n += 2; continue
        }
        if (command[n] !~ /^aio_/) { print came_of(command[n], printed[n]); continue }
        text = ""
        for (last = n; command[last] != "aio_flush"; last++) text = text printed[last]
        text = text printed[last]
        if (last < at) for (; n < last; n++) print came_of(command[n], text)
        n = last
      }
    }' "$1.commands" "$printed"
}
# come_out NAME WORD...: whether each request came out so; `any` is either.
come_out() {
  told "$1" | cut -d ' ' -f 1 >lines; shift
  while [ $# -gt 0 ]; do
    read -r line || return 1
    [ "$1" = any ] || [ "$1" = "$line" ] || return 1
    shift
  done <lines
}
# hex FILE: its bytes.
hex() { od -An -v -tx1 "$1" | tr -d ' \n'; }
"#;

/// Splits a command line of qemu-io into the line without commands, and the commands.
pub(super) fn parted(words: &[String]) -> (Vec<String>, Vec<String>) {
    let (mut line, mut commands) = (Vec::new(), Vec::new());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-c" => commands.extend(words.next().cloned()),
            _ => line.push(word.clone()),
        }
    }
    (line, commands)
}

/// Returns the shell's lines that write the commands of step `name` into a file.
pub(super) fn commands_file(name: usize, commands: &[String]) -> String {
    let commands: String = commands.iter().map(|line| format!("{line}\n")).collect();
    format!("cat >{name}.commands <<'END'\n{commands}END\n")
}

/// Returns the check of what came of a session; `None` where no session is in question.
pub(super) fn of_session(input: &ScriptInput<'_>) -> Option<Check> {
    let Operation::Chain(chain) = input.operation else {
        return None;
    };
    let mut text = shows(input.blame);
    let mut is_compared = false;
    for (index, step, chain_state) in chain.followed(input.context, input.observations) {
        let ChainStep::Session { requests } = &step else {
            continue;
        };
        let outcomes = expected_outcomes(&chain_state, requests);
        let test = match input.subject()? {
            Subject::SessionContents { number, .. } => {
                let Some(test) = read_rightly(input, index, *number, &outcomes) else {
                    continue;
                };
                text.push_str(&test.0);
                test.1
            }
            Subject::SessionRequest { .. } => come_out(index, &outcomes),
            _ => return None,
        };
        is_compared = true;
        text.push_str(&format!(
            "as_expected() {{ {test} && echo yes || echo no; }}\n\
             shows \"$(as_expected candidate)\" \"$(as_expected reference)\" && exit 0\n"
        ));
    }
    is_compared.then(|| Check::new(TOLD, text))
}

fn come_out(step: usize, outcomes: &[ExpectedOutcome]) -> String {
    let words = outcomes.iter().map(|outcome| match outcome {
        ExpectedOutcome::Performed => " done",
        ExpectedOutcome::Refused => " refused",
        ExpectedOutcome::Reads {
            may_refuse: false, ..
        } => " read",
        ExpectedOutcome::Either | ExpectedOutcome::Reads { .. } => " any",
    });
    format!("come_out \"$1/{step}\"{}", words.collect::<String>())
}

/// Returns the lines that prepare the test whether request `number` of a session read the right bytes, and the test.
fn read_rightly(
    input: &ScriptInput<'_>,
    step: usize,
    number: usize,
    outcomes: &[ExpectedOutcome],
) -> Option<(String, String)> {
    let outcome = outcomes.get(number.checked_sub(1)?)?;
    let ExpectedOutcome::Reads {
        contents,
        may_refuse,
    } = outcome
    else {
        return None;
    };
    let file = format!("expected-{step}.raw");
    let prepare = input.expected(&file, contents)?;
    // A raw file has whole sectors.
    let length = contents.size;
    let prepare = format!("{prepare}truncate -s {length} {file}\n");
    let refused = if *may_refuse { "refused) ;; " } else { "" };
    let test = format!(
        "case $(told \"$1/{step}\" | sed -n {number}p) in \"read $(hex {file})\") ;; {refused}*) false ;; esac"
    );
    Some((prepare, test))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_of_a_line_leave_the_rest_of_it() {
        let words = ["-f", "raw", "-c", "read -v 0 1", "-c", "flush", "a"].map(str::to_owned);
        let (line, commands) = parted(&words);
        assert_eq!(line, ["-f", "raw", "a"]);
        assert_eq!(commands, ["read -v 0 1", "flush"]);
        assert_eq!(
            commands_file(3, &commands),
            "cat >3.commands <<'END'\nread -v 0 1\nflush\nEND\n"
        );
    }
}
