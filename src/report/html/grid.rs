//! The page of `imgduel grid`: for each format a table of writers and readers, with every cell, and a picture of each that shows something else.
//!
//! A pure function of the rows. It has the style of the page of a campaign.

use std::collections::BTreeSet;
use std::path::Path;

use maud::{DOCTYPE, Markup, html};

use super::views::{figure, strip};
use crate::base::error::{Error, Result};
use crate::base::prose::printable;
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
    let writers: BTreeSet<&str> = rows.iter().map(|row| &*row.writer).collect();
    let readers = rows.first().map_or(0, |row| row.cells.len());
    html! {
        (DOCTYPE)
        html lang="en" {
            (super::head("imgduel: who reads whose images"))
            body {
                header {
                    h1 { "imgduel" }
                    p.tools { "Who reads whose images: " (formats.len()) " formats, " (writers.len()) " writers, " (readers) " readers" }
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
    let readers = rows.first().map_or(&[][..], |row| &row.cells);
    html! {
        section id=(format.name()) {
            h2 { (format) }
            div.scroll tabindex="0" role="group" aria-label=(format!("Who reads whose {format}")) {
                table.grid {
                    thead {
                        tr {
                            th scope="col" { "writer" }
                            @for cell in readers { th scope="col" { (cell.reader) } }
                        }
                    }
                    tbody { @for row in rows { (line(row)) } }
                }
            }
            @for row in rows { (notes(row)) }
        }
    }
}

fn line(row: &Row) -> Markup {
    html! {
        tr {
            th scope="row" { (row.writer) " " small { (row.form) } }
            @if row.is_made {
                @for cell in &row.cells {
                    td class=(class(cell.standing)) title=(title(cell)) { (word(cell.standing)) }
                }
            } @else {
                td.none colspan=(row.cells.len()) { "does not make it" }
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
            summary { (row.writer) " " (row.form) ": " (said.len() + row.not_made.len()) " notes" }
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
    fn every_cell_is_told_and_a_wrong_one_is_drawn() {
        let cell = |standing, said, shown| Cell {
            reader: "b 2".to_owned(),
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
            cell(Standing::Right, None, None),
            cell(Standing::NotAsked, None, None),
            cell(Standing::Wrong, words, Some(shown)),
        ];
        let page = page(&[row(true, cells.clone()), row(false, cells)]).into_string();
        for wanted in [
            r#"<td class="right" title="it shows what was written">right</td>"#,
            r#"<td class="none" title="it reads no such image">-</td>"#,
            r#"<td class="wrong" title="1000 bytes: byte &lt;0&gt;">WRONG</td>"#,
            r#"<td class="none" colspan="3">does not make it</td>"#,
            r#"<rect class="over" x="250.00""#,
        ] {
            assert!(page.contains(wanted), "{wanted}: {page}");
        }
    }
}
