//! The command `imgduel`; everything is in the library's module `frontend::command`.

use std::process::ExitCode;

fn main() -> ExitCode {
    imgduel::frontend::command::main()
}
