//! The command `imgduel`; everything is in the library's `command` room.

use std::process::ExitCode;

fn main() -> ExitCode {
    imgduel::frontend::command::main()
}
