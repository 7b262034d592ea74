//! An adapter for a reader that is written in Rust: `imgduel fuzz --candidate adapter:target/debug/examples/adapter_minimal`.
//!
//! It speaks the protocol of docs/adapters.md, one JSON object a line, and needs nothing of imgduel. This one reads raw files; a crate of yours takes
//! the place of [`read`].

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde_json::{Value, json};

/// What a guest sees in an image. A format with an error of its own for what it does not support would answer with `unsupported` there.
fn read(image: &Path) -> io::Result<Vec<u8>> {
    let mut contents = fs::read(image)?;
    // A guest's disk has whole sectors.
    contents.resize(contents.len().next_multiple_of(512), 0);
    Ok(contents)
}

/// The answer to one line.
fn answer(asked: &Value) -> Value {
    if asked["hello"].is_number() {
        return json!({
            "protocol": 2, "name": "adapter_minimal", "version": env!("CARGO_PKG_VERSION"),
            "can": {"info": ["raw"], "contents": ["raw"]},
        });
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let directory = PathBuf::from(text(&asked["directory"]));
    let name = text(&asked["file"]["path"]);
    let contents = match read(&directory.join(&name)) {
        Ok(contents) => contents,
        Err(error) => return json!({"refused": error.to_string()}),
    };
    match asked["request"].as_str() {
        Some("info") => json!({"json": {"virtual-size": contents.len(), "format": "raw"}}),
        Some("contents") => {
            let flat = format!("{name}.flat");
            match fs::write(directory.join(&flat), contents) {
                Ok(()) => json!({"raw": flat}),
                Err(error) => json!({"refused": error.to_string()}),
            }
        }
        _ => json!({"refused": "this adapter has info and contents"}),
    }
}

fn main() -> io::Result<()> {
    let mut output = io::stdout();
    for line in io::stdin().lock().lines() {
        let asked = serde_json::from_str(&line?)?;
        writeln!(output, "{}", answer(&asked))?;
        output.flush()?;
    }
    Ok(())
}
