//! The texts of `imgduel tools`: one screen that shows what each tool supports for each format and what is missing, or
//! with `--verbose` everything.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::base::error::Result;
use crate::base::prose::wrapped;
use crate::image::format::Format;
use crate::process::SandboxLayer;
use crate::tool::writing::Form;
use crate::tool::{self, Tool};

/// The letters of a cell, what they mean, and the requests any of which gives the letter.
const LETTERS: [(char, &str, &[&str]); 6] = [
    ('r', "reads", &["contents"]),
    ('m', "maps", &["map"]),
    ('k', "checks", &["check"]),
    ('c', "creates", &["create"]),
    ('w', "writes", &["write"]),
    (
        '+',
        "amends, commits, rebases or makes bitmaps",
        &["amend", "rebase", "commit", "bitmap"],
    ),
];

/// The letter of a tool that is asked for images as a writer alone, and what it means.
const FROM_RAW: (char, &str) = ('f', "f makes from a raw file (--writer)");

/// The formats without a column, which qemu-img alone has: the long list tells of them.
const APART: [Format; 2] = [Format::Luks, Format::Qed];

/// What stands for a format to which a tool does nothing.
const NOTHING: &str = "-";

/// The usual width of a terminal, in columns.
pub const WIDTH: usize = 80;

/// One tool of the list.
pub struct Line {
    /// The tool's row in the table of tools.
    pub row: &'static tool::Row,
    /// The tool, or the error why it is missing.
    pub opened: Result<Arc<dyn Tool>>,
}

/// The table of the installed tools, and after it what the missing ones need.
pub fn matrix(lines: &[Line]) -> String {
    let is_column = |format: &Format| !APART.contains(format);
    let formats: Vec<Format> = Format::all().filter(is_column).collect();
    let here: Vec<(String, Vec<String>)> = lines
        .iter()
        .filter_map(|line| {
            let tool = line.opened.as_ref().ok()?;
            let cells = formats.iter().map(|format| cell(&**tool, *format));
            Some((
                format!("{} {}", line.row.name, tool.version()),
                cells.collect(),
            ))
        })
        .collect();
    let names = here.iter().map(|(name, _)| name.chars().count());
    let first = names.max().unwrap_or_default();
    let widths: Vec<usize> = formats
        .iter()
        .enumerate()
        .map(|(place, format)| {
            let cells = here.iter().map(|(_, cells)| cells[place].len());
            cells.chain([format.name().len()]).max().unwrap_or_default()
        })
        .collect();
    let mut text = String::new();
    let mut add = |name: &str, cells: &[String]| {
        let mut line = format!("{name:<first$}");
        for (cell, width) in std::iter::zip(cells, &widths) {
            let _ = write!(line, " {cell:<width$}");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    };
    let head: Vec<String> = formats
        .iter()
        .map(|format| format.name().to_owned())
        .collect();
    add("", &head);
    for (name, cells) in &here {
        add(name, cells);
    }
    let letters = LETTERS.map(|(letter, word, _)| format!("{letter} {word}"));
    let letters = [&letters[..], &[FROM_RAW.1.to_owned()]].concat();
    text.push_str(&wrapped(&letters.join(", "), WIDTH, "  "));
    for line in lines {
        if let Err(error) = &line.opened {
            let (row, error) = (line.row, error.to_string());
            // How a tool is had is enough for one screen; `--verbose` has the rest.
            let told = match error.contains(row.install) {
                true => row.install,
                false => &error,
            };
            let not_here = format!("{} not here: {told}", row.name);
            text.push_str(&wrapped(&not_here, WIDTH, "  "));
        }
    }
    text
}

fn cell(tool: &dyn Tool, format: Format) -> String {
    let can = |request: &&str| tool.capabilities().formats(request).contains(&format);
    let letters = LETTERS
        .iter()
        .filter(|(.., requests)| requests.iter().any(can));
    let mut letters: String = letters.map(|(letter, ..)| *letter).collect();
    let mut forms = Form::all().iter().filter(|form| form.format == format);
    if tool
        .writer()
        .is_some_and(|writer| forms.any(|form| writer.makes(form)))
    {
        letters.push(FROM_RAW.0);
    }
    match letters.is_empty() {
        true => NOTHING.to_owned(),
        false => letters,
    }
}

/// The parts of the sandbox in one line, and a line for each missing part.
pub fn sandbox(layers: &[SandboxLayer]) -> String {
    let missing: Vec<&SandboxLayer> = layers
        .iter()
        .filter(|layer| layer.missing.is_some())
        .collect();
    let here = layers.len() - missing.len();
    let mut text = format!("sandbox: {here} of {} parts here\n", layers.len());
    for layer in missing {
        let why = layer.missing.as_deref().unwrap_or_default();
        let missing = format!("  missing: {} ({why})", layer.name);
        text.push_str(&wrapped(&missing, WIDTH, "    "));
    }
    text
}

/// A tool in the long list: whether it is installed, and which requests it supports.
pub fn tool(row: &tool::Row, opened: &Result<Arc<dyn Tool>>, started: Option<&str>) -> String {
    let mut text = String::new();
    let found = match opened {
        Ok(tool) => {
            let place = tool
                .program()
                .map(|program| format!(", {}", program.display()));
            format!("{}{}", tool.version(), place.unwrap_or_default())
        }
        Err(error) => format!("not here: {error}"),
    };
    let _ = writeln!(text, "{} {found}\n    {}", row.name, row.about);
    if let Some(started) = started {
        let _ = writeln!(text, "    {started}");
    }
    for tool::Capability { request, formats } in
        opened.iter().flat_map(|tool| tool.capabilities().rows())
    {
        let names: Vec<&str> = formats.iter().map(|format| format.name()).collect();
        let names = if names.is_empty() {
            "-".to_owned()
        } else {
            names.join(" ")
        };
        let _ = writeln!(text, "    {request:<9} {names}");
    }
    let lacks: Vec<String> = opened.iter().flat_map(|tool| tool.lacks()).collect();
    if !lacks.is_empty() {
        let _ = writeln!(text, "    lacks     {}", lacks.join(", "));
    }
    text
}
