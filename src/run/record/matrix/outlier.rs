//! Says in words which tool stands alone in a row of the matrix.
//!
//! Called when a row is counted. Pure: it depends on the cells alone. It does not say which tool is right.

use std::collections::BTreeMap;

use super::{AS_CANDIDATE, Cell, CellOutcome};
use crate::base::version;

/// Names the tool that stands alone, or the tools on each side.
pub(super) fn who(cells: &BTreeMap<String, Cell>, reference: &str) -> String {
    let named = |wanted: fn(&Cell) -> bool| -> Vec<&str> {
        let found = cells.iter().filter(|(_, cell)| wanted(cell));
        found.map(|(tool, _)| tool.as_str()).collect()
    };
    let wrong = named(|cell| cell.stand.is_wrong());
    let right = named(|cell| cell.stand == CellOutcome::Agrees);
    if let Some(changes) = releases_that_change(cells) {
        return changes;
    }
    match (&*wrong, &*right) {
        ([], _) => "nobody is alone".to_owned(),
        ([alone], _) if *alone == reference => "the reference is alone".to_owned(),
        ([alone], [_]) => format!("{alone} against the reference"),
        ([alone], _) => format!("{alone} is the odd one out"),
        (several, []) => format!("no two agree: {}", several.join(", ")),
        (several, others) => {
            let values: Vec<&Cell> = several.iter().map(|tool| &cells[*tool]).collect();
            let same = values
                .windows(2)
                .all(|two| (two[0].stand, &two[0].value) == (two[1].stand, &two[1].value));
            let several = several.join(", ");
            match (same, others) {
                (true, [only]) if *only == reference => {
                    format!("the reference is alone against {several}")
                }
                (true, _) => format!("two camps: {several} against {}", others.join(", ")),
                (false, _) => {
                    format!(
                        "each in its own way: {several} against {}",
                        others.join(", ")
                    )
                }
            }
        }
    }
}

/// Describes between which releases of qemu-img the behaviour changes, in the order of the versions: mostly once, but
/// a bug that one release introduces and the next fixes is two changes. A release with an unknown outcome can neither
/// be named as the change nor be ruled out. Returns `None` if other tools diverge too, or if one release contradicts
/// itself.
fn releases_that_change(cells: &BTreeMap<String, Cell>) -> Option<String> {
    let mut releases: BTreeMap<(Vec<u64>, &str), CellOutcome> = BTreeMap::new();
    for (tool, cell) in cells {
        match tool.strip_prefix("qemu-img ") {
            Some(text) => {
                let text = text.strip_suffix(AS_CANDIDATE).unwrap_or(text);
                let stand = releases
                    .entry((version::numbers(text), text))
                    .or_insert(cell.stand);
                match (is_conclusive(*stand), is_conclusive(cell.stand)) {
                    (true, true) if *stand != cell.stand => return None,
                    (false, true) => *stand = cell.stand,
                    _ => {}
                }
            }
            None if cell.stand.is_wrong() => return None,
            _ => {}
        }
    }
    let releases: Vec<(&str, CellOutcome)> = releases
        .into_iter()
        .map(|((_, release), stand)| (release, stand))
        .collect();
    let mut changes: Vec<&[(&str, CellOutcome)]> = Vec::new();
    let mut last: Option<usize> = None;
    for (index, (_, stand)) in releases.iter().enumerate() {
        if !is_conclusive(*stand) {
            continue;
        }
        let before = last.replace(index);
        changes.extend(
            before
                .filter(|before| releases[*before].1 != *stand)
                .map(|before| &releases[before..=index]),
        );
    }
    match &*changes {
        [] => None,
        [[(before, _), (after, _)]] => Some(format!(
            "qemu-img {after} is the first to behave otherwise than qemu-img {before}"
        )),
        several => {
            let each: Vec<String> = several.iter().map(|run| change(run)).collect();
            let times = match several.len() {
                1 => "once".to_owned(),
                count => format!("{count} times"),
            };
            Some(format!("qemu-img changes {times}: {}", each.join(", ")))
        }
    }
}

/// Whether the outcome shows how a release behaves.
fn is_conclusive(stand: CellOutcome) -> bool {
    stand.is_wrong() || stand == CellOutcome::Agrees
}

/// Describes a change from the first to the last of these releases; the outcomes between them are unknown.
fn change(run: &[(&str, CellOutcome)]) -> String {
    let [(before, was), between @ .., (after, is)] = run else {
        return String::new();
    };
    let between: Vec<String> = between
        .iter()
        .map(|(release, stand)| format!("; {release} {}", stand.words()))
        .collect();
    format!(
        "from {before} ({}) to {after} ({}{})",
        was.words(),
        is.words(),
        between.concat()
    )
}

#[cfg(test)]
mod tests;
