//! The tables of several candidates on a terminal: their verdicts, and each one's outcome in every group of
//! divergences.

use std::fmt::Write;

use crate::base::prose::counted;
use crate::report::against_recipe;
use crate::run::record::{Cell, CellOutcome, Row, Summary};

/// The order of the outcomes in a row: the worst first.
const STANDS: [CellOutcome; 9] = [
    CellOutcome::Crashes,
    CellOutcome::Hangs,
    CellOutcome::Refuses,
    CellOutcome::Accepts,
    CellOutcome::Differs,
    CellOutcome::Agrees,
    CellOutcome::Elsewhere,
    CellOutcome::Inconclusive,
    CellOutcome::NotAsked,
];

/// Both tables; an empty text for a single candidate.
pub fn matrix(summary: &Summary) -> String {
    let mut text = String::new();
    if summary.by_candidate.is_empty() {
        return text;
    }
    let _ = writeln!(
        text,
        "{:>8} {:>8} {:>8} {:>8} {:>8} candidate",
        "match", "diverges", "known", "inconcl.", "unsupp."
    );
    for (name, tally) in &summary.by_candidate {
        let _ = writeln!(
            text,
            "{:>8} {:>8} {:>8} {:>8} {:>8} {name}",
            tally.matches, tally.divergences, tally.known, tally.inconclusive, tally.unsupported
        );
    }
    for row in summary.matrix.rows() {
        text.push_str(&one(row));
    }
    text
}

fn one(row: &Row) -> String {
    let known = row.known.as_ref().map(|id| format!(", known as {id}"));
    let mut text = format!(
        "{}\n    {}, first {}{}\n",
        against_recipe::title(&row.group),
        counted(row.cases, "case"),
        row.first_id,
        known.unwrap_or_default()
    );
    for stand in STANDS {
        let named = row.cells.iter().filter(|(_, cell)| cell.stand == stand);
        let named: Vec<String> = named.map(|(tool, cell)| cell_text(tool, cell)).collect();
        if !named.is_empty() {
            let _ = writeln!(text, "{:>20}: {}", stand.words(), named.join(", "));
        }
    }
    let _ = writeln!(text, "{:>20}  {}", "=>", row.verdict);
    text
}

fn cell_text(tool: &str, cell: &Cell) -> String {
    let value = cell.value.as_ref().map(|value| format!(" ({value})"));
    format!("{tool}{}", value.unwrap_or_default())
}
