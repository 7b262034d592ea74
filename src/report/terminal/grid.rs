//! Who reads whose images, as tables for a terminal: one for each format, with a line for each cell that is not right.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::base::prose::{printable, wrapped};
use crate::image::format::Format;
use crate::run::grid::{Cell, Row, Standing};

/// The usual width of a terminal, in columns.
const WIDTH: usize = 100;

/// All formats, and who was alone where.
pub fn grid(rows: &[Row]) -> String {
    let formats: BTreeSet<Format> = rows.iter().map(|row| row.format).collect();
    let tables = formats.into_iter().map(|format| {
        let rows = rows.iter().filter(|row| row.format == format);
        table(format, &rows.collect::<Vec<_>>())
    });
    tables.collect::<Vec<_>>().join("\n")
}

fn table(format: Format, rows: &[&Row]) -> String {
    let is_asked = |index: &usize| {
        let mut cells = rows.iter().map(|row| &row.cells[*index]);
        cells.any(|cell| cell.standing != Standing::NotAsked)
    };
    let columns: Vec<usize> = (0..rows[0].cells.len()).filter(is_asked).collect();
    let first: Vec<String> = rows.iter().map(|row| writer(row)).collect();
    let lengths = first.iter().map(|name| name.len());
    let width = lengths
        .chain([format.name().len()])
        .max()
        .unwrap_or_default();
    let named = |index: &usize| name(&rows[0].cells[*index].reader);
    let mut text = format!("{:width$}", format.name());
    for index in &columns {
        let _ = write!(text, "  {:7}", named(index));
    }
    text = text.trim_end().to_owned() + "\n";
    for (row, first) in std::iter::zip(rows, &first) {
        let mut line = format!("{first:width$}");
        for index in &columns {
            let cell = &row.cells[*index];
            let column = named(index).len().max(7);
            let _ = write!(line, "  {:column$}", word(cell.standing));
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    for row in rows {
        for (size, words) in &row.not_made {
            let line = format!(
                "{} does not make {size} bytes: {}",
                writer(row),
                printable(words)
            );
            text.push_str(&wrapped(&line, WIDTH, "    "));
        }
        for line in notes(row) {
            text.push_str(&wrapped(&line, WIDTH, "    "));
        }
    }
    text
}

/// What the readers say that do not stand right, those that say the same in one line.
fn notes(row: &Row) -> Vec<String> {
    let mut alike: Vec<(&Cell, Vec<&str>)> = Vec::new();
    for cell in row.cells.iter().filter(|cell| cell.said.is_some()) {
        let same = |other: &&mut (&Cell, Vec<&str>)| {
            (other.0.standing, &other.0.said) == (cell.standing, &cell.said)
        };
        match alike.iter_mut().find(same) {
            Some((_, readers)) => readers.push(name(&cell.reader)),
            None => alike.push((cell, vec![name(&cell.reader)])),
        }
    }
    let line = |(cell, readers): (&Cell, Vec<&str>)| {
        let (size, words) = cell.said.as_ref()?;
        let (readers, standing) = (readers.join(", "), word(cell.standing));
        let (writer, words) = (writer(row), printable(words));
        Some(format!(
            "{writer} ({size} bytes) by {readers}: {standing}: {words}"
        ))
    };
    alike.into_iter().filter_map(line).collect()
}

fn writer(row: &Row) -> String {
    format!("{} {}", name(&row.writer), row.form)
        .trim_end()
        .to_owned()
}

/// The name of a tool without its version.
fn name(tool: &str) -> &str {
    tool.split(' ').next().unwrap_or_default()
}

/// A standing as one word.
pub fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::NotAsked => "-",
        Standing::Right => "right",
        Standing::Skips => "skips",
        Standing::Refuses => "refuses",
        Standing::Wrong => "WRONG",
        Standing::Dies => "DIES",
    }
}
