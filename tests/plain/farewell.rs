//! A program and, with `--cfg library`, the library that it is linked to: each says that its destructor was run.
//! Compiled by `tests/suite/fork_server.rs`.

use std::io::Write;

#[cfg(not(library))]
unsafe extern "C" {
    safe fn greet();
}

#[used]
#[unsafe(link_section = ".fini_array")]
static FAREWELL: extern "C" fn() = farewell;

extern "C" fn farewell() {
    say(if cfg!(library) {
        "library ends"
    } else {
        "program ends"
    });
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[cfg(library)]
#[unsafe(no_mangle)]
pub extern "C" fn greet() {
    say("library works");
}

#[cfg(not(library))]
fn main() {
    greet();
    print!("not flushed by the program");
}
