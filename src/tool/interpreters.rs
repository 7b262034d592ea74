//! The interpreters of tools that are scripts: those of a name on `PATH`, each once, as the program that really runs.
//!
//! A version manager such as pyenv puts a shell script with the interpreter's name on `PATH`, which searches for the real program at each start and
//! takes several times as long as that. A Python is therefore asked once in a run where it lies. `python.rs` and `scripted_writer.rs` ask for it;
//! which of them has a module is their matter.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::{ToolEnv, command_line};
use crate::process::Ending;

/// The name of Python's interpreter.
pub(super) const PYTHON: &str = "python3";

/// Makes a Python tell its own path, which is that of a virtual environment where it is one's.
const TELL_PATH: [&str; 2] = ["-c", "import sys; print(sys.executable)"];

/// Returns the interpreters of a name, in the order of `PATH`.
pub(super) fn all(name: &str, tool_env: &ToolEnv) -> Vec<PathBuf> {
    static PYTHONS: OnceLock<Vec<PathBuf>> = OnceLock::new();
    let named = || which::which_all(name).map_or_else(|_| Vec::new(), Iterator::collect);
    if name != PYTHON {
        return named();
    }
    let pythons = PYTHONS.get_or_init(|| {
        let told = |program: PathBuf| own_path(&program, tool_env).unwrap_or(program);
        once_each(named().into_iter().map(told))
    });
    pythons.clone()
}

/// Returns the path that a Python tells; `None` where it tells no program.
fn own_path(program: &Path, tool_env: &ToolEnv) -> Option<PathBuf> {
    let finished = command_line::tried(program, &TELL_PATH.map(str::to_owned), tool_env).ok()?;
    let path = PathBuf::from(finished.stdout.first_line().trim());
    let is_told = finished.ending == Ending::Exited(0) && path.is_absolute() && path.is_file();
    is_told.then_some(path)
}

fn once_each(programs: impl Iterator<Item = PathBuf>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for program in programs {
        if !found.contains(&program) {
            found.push(program);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use super::*;
    use crate::tool::launcher::{ExecMode, Launcher};

    fn told(script: &str) -> Option<PathBuf> {
        let directory = tempfile::tempdir().expect("a directory");
        let program = directory.path().join(PYTHON);
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("a script");
        std::fs::set_permissions(&program, Permissions::from_mode(0o755)).expect("a program");
        let tool_env = ToolEnv {
            worker_program: PathBuf::new(),
            limit: Duration::from_secs(30),
            launcher: Launcher::new(ExecMode::Spawn, false),
        };
        own_path(&program, &tool_env)
    }

    #[test]
    fn a_script_in_place_of_an_interpreter_is_left_out_when_it_tells_the_program() {
        assert_eq!(told("echo /bin/sh"), Some(PathBuf::from("/bin/sh")));
    }

    #[test]
    fn a_path_of_no_program_is_not_believed() {
        for lie in [
            "echo sh",
            "echo /nowhere/python3",
            "echo /bin/sh; exit 1",
            ":",
        ] {
            assert_eq!(told(lie), None, "{lie}");
        }
    }

    #[test]
    fn an_interpreter_with_two_names_is_tried_once() {
        let paths = ["/a/python3", "/b/python3", "/a/python3"].map(PathBuf::from);
        assert_eq!(once_each(paths.clone().into_iter()), paths[..2]);
    }
}
