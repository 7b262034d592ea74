//! Calls that fail on purpose, in a reproducer: a small library in C that is loaded before the tool, and what must be left of the image.
//!
//! It counts the same functions of the C library as `preload/faults.rs`. A tool that is no command line makes no such step, there as here.

use super::intermediate::shows;
use super::shell::Check;
use super::{ScriptContext, ScriptInput, sessions};
use crate::image::format::Format;
use crate::oracle::observations::{HarnessAction, Side, Step, Task};
use crate::run::evidence::quoted;
use crate::tool::request::{
    CopyMode, DataFile, Fault, FaultKind, FaultyCall, ImageFile, RepairTier, Request,
};
use crate::tool::{Reproducer, Support};

/// The library, and a function that runs a command with it.
pub(super) const FAULTY: &str = r#"
# A library that makes one call of a command fail: it needs a C compiler.
cat >faults.c <<'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
static atomic_int count;
static int is_short;
static int fails(const char *kind) {
  const char *call = getenv("FAULTY_CALL"), *number = getenv("FAULTY_NUMBER"), *how = getenv("FAULTY_HOW");
  if (!call || !number || !how || strcmp(call, kind) || ++count != atoi(number)) return 0;
  if (!strcmp(how, "kill")) raise(SIGKILL);
  is_short = !strcmp(how, "short");
  errno = strcmp(how, "enospc") ? EIO : ENOSPC;
  return 1;
}
#define FAULTY(kind, type, name, parameters, short_of_it, ...) \
  type name parameters { \
    type (*real) parameters = dlsym(RTLD_NEXT, #name); \
    return !fails(kind) ? real(__VA_ARGS__) : is_short ? short_of_it : -1; \
  }
FAULTY("write", ssize_t, pwrite, (int file, const void *bytes, size_t length, off_t at), real(file, bytes, (length + 1) / 2, at), file, bytes, length, at)
FAULTY("write", ssize_t, pwrite64, (int file, const void *bytes, size_t length, off64_t at), real(file, bytes, (length + 1) / 2, at), file, bytes, length, at)
FAULTY("write", ssize_t, pwritev, (int file, const struct iovec *all, int n, off_t at), -1, file, all, n, at)
FAULTY("write", ssize_t, pwritev64, (int file, const struct iovec *all, int n, off64_t at), -1, file, all, n, at)
FAULTY("read", ssize_t, pread, (int file, void *bytes, size_t length, off_t at), real(file, bytes, (length + 1) / 2, at), file, bytes, length, at)
FAULTY("read", ssize_t, pread64, (int file, void *bytes, size_t length, off64_t at), real(file, bytes, (length + 1) / 2, at), file, bytes, length, at)
FAULTY("read", ssize_t, preadv, (int file, const struct iovec *all, int n, off_t at), -1, file, all, n, at)
FAULTY("read", ssize_t, preadv64, (int file, const struct iovec *all, int n, off64_t at), -1, file, all, n, at)
FAULTY("flush", int, fsync, (int file), -1, file)
FAULTY("flush", int, fdatasync, (int file), -1, file)
FAULTY("flush", int, syncfs, (int file), -1, file)
FAULTY("allocate", int, fallocate, (int file, int mode, off_t at, off_t length), -1, file, mode, at, length)
FAULTY("allocate", int, fallocate64, (int file, int mode, off64_t at, off64_t length), -1, file, mode, at, length)
FAULTY("truncate", int, ftruncate, (int file, off_t length), -1, file, length)
FAULTY("truncate", int, ftruncate64, (int file, off64_t length), -1, file, length)
END
cc -w -shared -fPIC -o faults.so faults.c -ldl || { echo "cannot compile: a C compiler is needed" >&2; exit 2; }
faults=$PWD/faults.so
# faulty NAME CALL NUMBER HOW COMMAND...: runs it in NAME.fault, on copies of the files; its NUMBERth CALL fails.
faulty() {
  name=$1 FAULTY_CALL=$2 FAULTY_NUMBER=$3 FAULTY_HOW=$4; shift 4
  mkdir "$name.fault" && for file in *; do [ ! -f "$file" ] || cp --sparse=always "$file" "$name.fault"; done
  (cd "$name.fault" && export FAULTY_CALL FAULTY_NUMBER FAULTY_HOW LD_PRELOAD="$faults" && "$@") >"$name.out" 2>"$name.err"
  echo $? >>exits
}
"#;

/// Whether an image is as one of several views, byte by byte.
const LEFT: &str = r#"
# is_dirty FILE: whether a qcow2 says that its refcounts may be wrong; who opens it to write repairs them.
is_dirty() { [ "$(($(od -An -tu1 -j79 -N1 "$1") & 1))" = 1 ]; }
# one_of FILE VIEW...: whether it is as long as one of them, and every byte as in one.
one_of() {
  file=$1; shift; is_long=no
  rm -f wrong
  for view; do
    [ "$(wc -c <"$view")" = "$(wc -c <"$file")" ] && is_long=yes
    cp --sparse=always "$view" view.raw && truncate -s "$(wc -c <"$file")" view.raw
    cmp -l "$file" view.raw | awk '{ print $1 }' | sort >others
    if [ -e wrong ]; then comm -12 wrong others >both; mv both wrong; else mv others wrong; fi
  done
  [ "$is_long" = yes ] && [ ! -s wrong ]
}
"#;

impl ScriptContext<'_> {
    /// Returns the lines of a step of which one call fails; `None` if the tool's part cannot be written down.
    pub(super) fn faulty_call(
        &self,
        name: usize,
        side: Side,
        request: &Request,
        fault: Fault,
    ) -> Option<String> {
        let by = match self.tool(side).support(request) {
            Support::Yes => side,
            Support::No(_) => Side::Reference,
        };
        let Reproducer::CommandLine(words) = self.tool(by).reproducer(request)? else {
            // The tests of exits count the steps.
            return Some("  echo 0 >>exits\n".to_owned());
        };
        let mut text = String::new();
        for data in DataFile::needed_by(request) {
            text.push_str(&format!("  {} >{}\n", data.in_awk(), quoted(&data.name)));
        }
        let (words, session) = match request {
            Request::Session { .. } => {
                let (words, commands) = sessions::parted(&words);
                text.push_str(&sessions::commands_file(name, &commands));
                (words, "session ")
            }
            _ => (words, ""),
        };
        let line = self.in_variables(by, &words)?;
        let Fault { call, number, how } = fault;
        let (call, how) = (call.name(), how.name());
        text.push_str(&format!(
            "  faulty {name} {call} {number} {how} {session}{line}\n"
        ));
        Some(text)
    }
}

/// Returns the check of what is left after a call failed.
pub(super) fn of_fault(input: &ScriptInput<'_>) -> Option<Check> {
    let mut text = shows(input.blame);
    let faults = input.steps.iter().enumerate();
    for (name, step) in faults {
        let Task::Harness(HarnessAction::Fault {
            file,
            allowed,
            fault,
            ..
        }) = &step.task
        else {
            continue;
        };
        let mut views = String::new();
        for (number, view) in allowed.iter().enumerate() {
            let view_name = format!("view-{name}-{number}.raw");
            text.push_str(&input.expected(&view_name, &view.contents())?);
            text.push_str(&format!("truncate -s {} {view_name}\n", view.size));
            views.push_str(&format!(" ../../{view_name}"));
        }
        let looked = looked_at(input, file)?;
        text.push_str(&format!(
            "# {}\n\
             left() {{\n  [ -d \"$1/{name}.fault\" ] || return 0\n  cd \"$1/{name}.fault\" || return\n{looked}{views}\n}}\n\
             as_expected() {{ (left \"$1\") >/dev/null 2>&1 && echo yes || echo no; }}\n\
             shows \"$(as_expected candidate)\" \"$(as_expected reference)\" && exit 0\n",
            in_words(*fault)
        ));
    }
    Some(Check::new(LEFT, text))
}

/// Returns what failed, in words.
fn in_words(Fault { call, number, how }: Fault) -> String {
    let call = match call {
        FaultyCall::Write => "pwrite or pwritev",
        FaultyCall::Flush => "fsync, fdatasync or syncfs",
        FaultyCall::Allocate => "fallocate",
        FaultyCall::Truncate => "ftruncate",
        FaultyCall::Read => "pread or preadv",
    };
    let how = match how {
        FaultKind::Eio => "fails with EIO",
        FaultKind::Enospc => "fails with ENOSPC",
        FaultKind::Short => "moves half of its data",
        FaultKind::Kill => "never comes: the tool is killed before it",
    };
    format!(
        "Call {number} of {call} {how}. What is left must be as before or as after, with leaks at most."
    )
}

/// Returns the lines that check an image in this directory and read it, up to the comparison's last words.
fn looked_at(input: &ScriptInput<'_>, file: &ImageFile) -> Option<String> {
    let name = quoted(&file.path);
    if file.format == Format::Raw {
        return Some(format!("  one_of {name}"));
    }
    let line = |request: Request| input.line(Side::Reference, &request);
    let mut text = String::new();
    if file.format == Format::Qcow2 {
        let repair = line(Request::Repair {
            file: file.clone(),
            tier: RepairTier::All,
        })?;
        let check = line(Request::Check { file: file.clone() })?;
        text.push_str(&format!(
            "  if is_dirty {name}; then {repair}; fi\n  {check}\n  case $? in 0 | 3) ;; *) return 1 ;; esac\n"
        ));
    }
    let convert = line(Request::Convert {
        source: file.clone(),
        target: ImageFile::new("left", Format::Raw),
        compress: false,
        mode: CopyMode::default(),
    })?;
    let flat = ImageFile::new("left", Format::Raw).path;
    text.push_str(&format!("  {convert} || return\n  one_of {flat}"));
    Some(text)
}

/// Whether one of the steps has a call that fails.
pub(super) fn are_in(steps: &[Step]) -> bool {
    let is_faulty = |step: &Step| matches!(step.task, Task::Harness(HarnessAction::Fault { .. }));
    steps.iter().any(is_faulty)
}
