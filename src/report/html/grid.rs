//! The page of `imgduel grid`: for each format a table of those who make it and those who read it, the others by name, and a picture of each cell that shows
//! something else.
//!
//! A pure function of the rows. It has the style of the page of a campaign.

use std::collections::BTreeSet;
use std::path::Path;

use maud::{DOCTYPE, Markup, html};

use super::views::{figure, strip};
use crate::base::error::{Error, Result};
use crate::base::prose::{counted, printable};
use crate::image::format::Format;
use crate::report::terminal::grid::word;
use crate::run::grid::{Cell, Row, Standing};

/// Writes the page.
pub fn write(path: &Path, rows: &[Row]) -> Result<()> {
    let page = page(rows).into_string();
    std::fs::write(path, &*printable(&page))
        .map_err(|error| Error::io("write the page to", path, &error))
}

fn page(rows: &[Row]) -> Markup {
    let formats: BTreeSet<Format> = rows.iter().map(|row| row.format).collect();
    let made = || rows.iter().filter(|row| row.is_made);
    let writers: BTreeSet<&str> = made().map(|row| &*row.writer).collect();
    let asked = made()
        .flat_map(|row| &row.cells)
        .filter(|cell| is_asked(cell));
    let readers: BTreeSet<&str> = asked.map(|cell| &*cell.reader).collect();
    html! {
        (DOCTYPE)
        html lang="en" {
            (super::head("imgduel: who reads whose images"))
            body {
                header {
                    h1 { "imgduel" }
                    p.tools { "Who reads whose images: " (formats.len()) " formats, " (writers.len()) " writers, " (readers.len()) " readers" }
                    nav aria-label="Formats" { @for format in &formats { a href=(format!("#{format}")) { (format) } } }
                }
                main {
                    @for format in &formats {
                        (section(*format, &rows.iter().filter(|row| row.format == *format).collect::<Vec<_>>()))
                    }
                }
            }
        }
    }
}

fn section(format: Format, rows: &[&Row]) -> Markup {
    let made: Vec<&Row> = rows.iter().copied().filter(|row| row.is_made).collect();
    let count = rows.first().map_or(0, |row| row.cells.len());
    let is_asked = |column: &usize| made.iter().any(|row| is_asked(&row.cells[*column]));
    let (asked, others): (Vec<usize>, Vec<usize>) = (0..count).partition(is_asked);
    let name = |column: &usize| rows[0].cells[*column].reader.as_str();
    html! {
        section id=(format.name()) {
            h2 { (format) }
            div.scroll tabindex="0" role="group" aria-label=(format!("Who reads whose {format}")) {
                table.grid {
                    thead {
                        tr {
                            th scope="col" { "writer" }
                            @for column in &asked { th scope="col" { (name(column)) } }
                        }
                    }
                    tbody { @for row in &made { (line(row, &asked)) } }
                }
            }
            @for row in rows { (notes(row)) }
            @for (form, writers) in missing(rows) { p.note { "Do not make " (form) ": " (writers.join(", ")) } }
            @if !others.is_empty() { p.note { "Do not read it: " (others.iter().map(name).collect::<Vec<_>>().join(", ")) } }
        }
    }
}

fn is_asked(cell: &Cell) -> bool {
    cell.standing != Standing::NotAsked
}

/// Who does not make a form, by form.
fn missing<'rows>(rows: &[&'rows Row]) -> Vec<(&'rows str, Vec<&'rows str>)> {
    let mut missing: Vec<(&str, Vec<&str>)> = Vec::new();
    for row in rows.iter().filter(|row| !row.is_made) {
        let form = if row.form.is_empty() { "it" } else { row.form };
        match missing.iter_mut().find(|(known, _)| *known == form) {
            Some((_, writers)) => writers.push(&row.writer),
            None => missing.push((form, vec![&row.writer])),
        }
    }
    missing
}

fn line(row: &Row, columns: &[usize]) -> Markup {
    html! {
        tr {
            th scope="row" { (row.writer) " " small { (row.form) } }
            @for cell in columns.iter().map(|column| &row.cells[*column]) {
                td class=(class(cell.standing)) title=(title(cell)) { (word(cell.standing)) }
            }
        }
    }
}

/// What stands behind a cell, in words.
fn title(cell: &Cell) -> String {
    match (&cell.said, cell.standing) {
        (Some((bytes, words)), _) => format!("{bytes} bytes: {words}"),
        (None, Standing::NotAsked) => "it reads no such image".to_owned(),
        (None, _) => "it shows what was written".to_owned(),
    }
}

fn class(standing: Standing) -> &'static str {
    match standing {
        Standing::NotAsked => "none",
        Standing::Right => "right",
        Standing::Skips => "skips",
        Standing::Refuses => "refuses",
        Standing::Wrong => "wrong",
        Standing::Dies => "dies",
    }
}

/// What the writer and the readers of a row say, where not all is right.
fn notes(row: &Row) -> Markup {
    let said = row.cells.iter().filter(|cell| cell.said.is_some());
    let said: Vec<&Cell> = said.collect();
    if said.is_empty() && row.not_made.is_empty() {
        return html! {};
    }
    html! {
        details.line {
            summary { (row.writer) " " (row.form) ": " (counted((said.len() + row.not_made.len()) as u64, "note")) }
            @for (bytes, words) in &row.not_made { p { "It does not make " (bytes) " bytes: " (words) } }
            @for cell in said {
                p { b { (cell.reader) " " (word(cell.standing)) } ": " (title(cell)) }
                (picture(cell))
            }
        }
    }
}

/// What the recipe wrote, and below it what the reader shows, outlined where they differ.
fn picture(cell: &Cell) -> Markup {
    let Some(shown) = cell.shown.as_ref().filter(|shown| shown.guest_bytes > 0) else {
        return html! {};
    };
    let bytes = shown.guest_bytes;
    let strips = html! {
        (strip("written by the recipe", bytes, &shown.written, &[]))
        (strip(&format!("{} reads", cell.reader), bytes, &shown.read, &shown.differing))
    };
    figure(bytes, "not what was written", &strips)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::grid::Shown;

    fn row(is_made: bool, cells: Vec<Cell>) -> Row {
        Row {
            format: Format::Vdi,
            form: "dynamic",
            writer: "a 1".to_owned(),
            is_made,
            not_made: Vec::new(),
            cells,
        }
    }

    #[test]
    fn every_tool_is_told_and_a_wrong_cell_is_drawn() {
        let cell = |reader: &str, standing, said, shown| Cell {
            reader: reader.to_owned(),
            standing,
            said,
            shown,
        };
        let shown = Shown {
            guest_bytes: 1000,
            written: vec![(0, 500)],
            read: vec![(0, 250)],
            differing: vec![(250, 250)],
        };
        let words = Some((1000, "byte <0>".to_owned()));
        let cells = vec![
            cell("b 2", Standing::Right, None, None),
            cell("c 3", Standing::NotAsked, None, None),
            cell("d 4", Standing::Wrong, words, Some(shown)),
        ];
        let page = page(&[row(true, cells.clone()), row(false, cells)]).into_string();
        for wanted in [
            r#"<td class="right" title="it shows what was written">right</td>"#,
            r#"<td class="wrong" title="1000 bytes: byte &lt;0&gt;">WRONG</td>"#,
            "Do not make dynamic: a 1",
            "Do not read it: c 3",
            r#"<rect class="over" x="250.00""#,
        ] {
            assert!(page.contains(wanted), "{wanted}: {page}");
        }
    }
}
