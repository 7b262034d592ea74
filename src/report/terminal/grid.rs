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
        let of_format = rows.iter().filter(|row| row.format == format);
        let (made, not_made): (Vec<&Row>, Vec<&Row>) = of_format.partition(|row| row.is_made);
        match made.is_empty() {
            true => format!("{format}\nnobody makes it\n"),
            false => table(format, &made) + &left_out(&made, &not_made),
        }
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
    }
    for line in notes(rows) {
        text.push_str(&wrapped(&line, WIDTH, "    "));
    }
    text
}

/// Who makes no form of a format, and who does not read it.
fn left_out(made: &[&Row], not_made: &[&Row]) -> String {
    let makes = |writer: &str| made.iter().any(|row| row.writer == writer);
    let writers: Vec<&str> = not_made
        .iter()
        .map(|row| &*row.writer)
        .filter(|writer| !makes(writer))
        .map(name)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let is_asked = |index: &usize| {
        let mut standings = made.iter().map(|row| row.cells[*index].standing);
        standings.any(|standing| standing != Standing::NotAsked)
    };
    let readers = 0..made.first().map_or(0, |row| row.cells.len());
    let readers: Vec<&str> = readers
        .filter(|index| !is_asked(index))
        .map(|index| name(&made[0].cells[index].reader))
        .collect();
    let lines = [("do not make it", writers), ("do not read it", readers)].into_iter();
    let lines = lines.filter(|(_, names)| !names.is_empty());
    let lines =
        lines.map(|(what, names)| wrapped(&format!("{what}: {}", names.join(", ")), WIDTH, "    "));
    lines.collect()
}

/// A cell that is not right, and the writers and readers over which the same is said.
struct Note<'rows> {
    cell: &'rows Cell,
    writers: Vec<String>,
    readers: Vec<&'rows str>,
}

/// What the readers say that do not stand right, what is the same in one line.
fn notes(rows: &[&Row]) -> Vec<String> {
    let mut notes: Vec<Note<'_>> = Vec::new();
    for row in rows {
        for note in notes_of(row) {
            let is_same = |other: &&mut Note<'_>| {
                is_alike(other.cell, note.cell) && other.readers == note.readers
            };
            match notes.iter_mut().find(is_same) {
                Some(same) => same.writers.extend(note.writers),
                None => notes.push(note),
            }
        }
    }
    let line = |note: Note<'_>| {
        let (size, words) = note.cell.said.as_ref()?;
        let (writers, readers) = (note.writers.join(", "), note.readers.join(", "));
        let (standing, words) = (word(note.cell.standing), printable(words));
        Some(format!(
            "{writers} ({size} bytes) by {readers}: {standing}: {words}"
        ))
    };
    notes.into_iter().filter_map(line).collect()
}

fn notes_of(row: &Row) -> Vec<Note<'_>> {
    let mut notes: Vec<Note<'_>> = Vec::new();
    for cell in row.cells.iter().filter(|cell| cell.said.is_some()) {
        match notes.iter_mut().find(|note| is_alike(note.cell, cell)) {
            Some(note) => note.readers.push(name(&cell.reader)),
            None => notes.push(Note {
                cell,
                writers: vec![writer(row)],
                readers: vec![name(&cell.reader)],
            }),
        }
    }
    notes
}

fn is_alike(one: &Cell, other: &Cell) -> bool {
    (one.standing, &one.said) == (other.standing, &other.said)
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
