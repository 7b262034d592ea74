//! Several candidates on the page: a row for every group of divergences, a column for every tool.

use std::collections::BTreeSet;

use maud::{Markup, html};

use crate::base::prose::counted;
use crate::report::against_recipe;
use crate::run::record::{Cell, Row, Summary};

/// The section; nothing for one candidate.
pub(super) fn matrix(summary: &Summary) -> Markup {
    let rows = summary.matrix.rows();
    let tools: BTreeSet<&String> = rows.iter().flat_map(|row| row.cells.keys()).collect();
    html! {
        @if !rows.is_empty() {
            section #matrix {
                h2 { "Where each tool stands" }
                div.scroll tabindex="0" role="group" aria-label="Where each tool stands" {
                    table.matrix {
                        thead { tr {
                            th scope="col" { "divergence" }
                            th scope="col" { "who is alone" }
                            @for tool in &tools { th scope="col" { (tool) } }
                        } }
                        tbody {
                            @for row in rows { (line(row, &tools)) }
                        }
                    }
                }
            }
        }
    }
}

fn line(row: &Row, tools: &BTreeSet<&String>) -> Markup {
    html! {
        tr {
            th scope="row" {
                (against_recipe::title(&row.group))
                br; code { (row.first_id) } " " (counted(row.cases, "case"))
                @if let Some(known) = &row.known { ", known as " (known) }
            }
            td { (row.verdict) }
            @for tool in tools {
                @match row.cells.get(*tool) {
                    Some(cell) => (self::cell(cell)),
                    None => { td { "skipped" } },
                }
            }
        }
    }
}

fn cell(cell: &Cell) -> Markup {
    html! {
        td data-stand=(cell.stand.words()) {
            (cell.stand.words())
            @if let Some(value) = &cell.value { br; code { (value) } }
        }
    }
}
