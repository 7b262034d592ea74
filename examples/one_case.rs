//! One case by its id, from a program of one's own: `cargo run --example one_case native1_s7_i000003 --candidate qemu-img`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example talks to the terminal"
)]

use std::process::ExitCode;

use imgduel::{Runner, Settings};

fn main() -> ExitCode {
    // Embedded libraries run in this very program, started once more.
    if let Some(code) = imgduel::serve_if_asked() {
        return code;
    }
    match try_case() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn try_case() -> imgduel::Result<()> {
    let mut words = std::env::args().skip(1);
    let id = words.next().unwrap_or("native1_s7_i000003".to_owned());
    let runner = Runner::open(&Settings::from_flags(words)?)?;
    for record in runner.run(&id.parse()?)? {
        let candidate = &record.candidate;
        println!(
            "{} {}: {}",
            candidate.name, candidate.version, record.verdict
        );
        if let Some(reason) = &record.reason {
            println!("  {reason}");
        }
    }
    Ok(())
}
