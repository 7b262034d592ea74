//! Who stands apart in a row of the matrix, in words.
//!
//! Called where a row is counted. Pure: of the cells alone. It does not say who is right.

use std::collections::BTreeMap;

use super::{AS_CANDIDATE, Cell, Stand};
use crate::version;

/// Names who stands alone.
pub(super) fn who(cells: &BTreeMap<String, Cell>, reference: &str) -> String {
    let named = |wanted: fn(&Cell) -> bool| -> Vec<&str> {
        let found = cells.iter().filter(|(_, cell)| wanted(cell));
        found.map(|(tool, _)| tool.as_str()).collect()
    };
    let wrong = named(|cell| cell.stand.is_wrong());
    let right = named(|cell| cell.stand == Stand::Agrees);
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

/// Of several releases of qemu-img, from which to which the behaviour changes: mostly once, in the order of the versions, but a defect that a
/// release brings and the next one mends again changes it twice. Where other tools stand apart too, or one release against itself, that is
/// not the question.
fn releases_that_change(cells: &BTreeMap<String, Cell>) -> Option<String> {
    let mut releases: BTreeMap<(Vec<u64>, &str), Stand> = BTreeMap::new();
    for (tool, cell) in cells {
        let is_telling = cell.stand.is_wrong() || cell.stand == Stand::Agrees;
        match tool.strip_prefix("qemu-img ") {
            Some(told) if is_telling => {
                let told = told.strip_suffix(AS_CANDIDATE).unwrap_or(told);
                let release = (version::numbers(told), told);
                if *releases.entry(release).or_insert(cell.stand) != cell.stand {
                    return None;
                }
            }
            None if cell.stand.is_wrong() => return None,
            _ => {}
        }
    }
    let releases: Vec<(&str, Stand)> = releases
        .into_iter()
        .map(|((_, release), stand)| (release, stand))
        .collect();
    let changes: Vec<&[(&str, Stand)]> = releases
        .windows(2)
        .filter(|two| two[0].1 != two[1].1)
        .collect();
    match &*changes {
        [] => None,
        [two] => Some(format!(
            "qemu-img {} is the first to behave otherwise than qemu-img {}",
            two[1].0, two[0].0
        )),
        several => {
            let each = several.iter().map(|two| {
                let [(before, was), (after, is)] = [two[0], two[1]];
                format!(
                    "from {before} ({}) to {after} ({})",
                    was.words(),
                    is.words()
                )
            });
            let each: Vec<String> = each.collect();
            Some(format!(
                "qemu-img changes {} times: {}",
                several.len(),
                each.join(", ")
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(stands: &[(&str, Stand)]) -> String {
        let cells = stands.iter().map(|(tool, stand)| {
            let cell = Cell {
                stand: *stand,
                value: None,
                count: u64::from(stand.is_wrong()),
            };
            ((*tool).to_owned(), cell)
        });
        who(&cells.collect(), "qemu-img 10.0.2")
    }

    #[test]
    fn of_releases_the_first_that_behaves_otherwise_is_named_by_its_number() {
        let stands = [
            ("qemu-img 7.2.22", Stand::Crashes),
            ("qemu-img 9.1.0", Stand::Agrees),
            ("qemu-img 10.0.2", Stand::Agrees),
            ("qemu-img 10.0.2 (candidate)", Stand::Agrees),
        ];
        assert_eq!(
            verdict(&stands),
            "qemu-img 9.1.0 is the first to behave otherwise than qemu-img 7.2.22"
        );
        assert_eq!(
            verdict(&[stands[3], stands[0]]),
            "qemu-img 10.0.2 is the first to behave otherwise than qemu-img 7.2.22"
        );
    }

    #[test]
    fn a_release_that_a_later_one_does_not_follow_is_no_first() {
        let stands = [
            ("qemu-img 5.2.0", Stand::Differs),
            ("qemu-img 7.2.22", Stand::Differs),
            ("qemu-img 10.0.2", Stand::Agrees),
            ("qemu-img 10.0.13", Stand::Differs),
            ("qemu-img 11.1.3", Stand::Agrees),
        ];
        assert_eq!(
            verdict(&stands),
            "qemu-img changes 3 times: from 7.2.22 (differs) to 10.0.2 (agrees), from 10.0.2 (agrees) to 10.0.13 (differs), \
             from 10.0.13 (differs) to 11.1.3 (agrees)"
        );
        assert_eq!(
            verdict(&stands[..4]),
            "qemu-img changes 2 times: from 7.2.22 (differs) to 10.0.2 (agrees), from 10.0.2 (agrees) to 10.0.13 (differs)"
        );
        assert_eq!(
            verdict(&stands[1..3]),
            "qemu-img 10.0.2 is the first to behave otherwise than qemu-img 7.2.22"
        );
    }

    #[test]
    fn releases_are_ordered_by_number_and_not_as_text() {
        let stands = [
            ("qemu-img 10.0.13", Stand::Refuses),
            ("qemu-img 10.0.2", Stand::Agrees),
            ("qemu-img 9.2.4", Stand::Agrees),
            ("qemu-img 11.1.3", Stand::Refuses),
        ];
        assert_eq!(
            verdict(&stands),
            "qemu-img 10.0.13 is the first to behave otherwise than qemu-img 10.0.2"
        );
    }

    #[test]
    fn a_release_that_was_not_asked_is_passed_over() {
        let stands = [
            ("qemu-img 5.2.0", Stand::Agrees),
            ("qemu-img 7.2.22", Stand::NotAsked),
            ("qemu-img 10.0.2", Stand::Agrees),
            ("qemu-img 11.1.3", Stand::Differs),
        ];
        assert_eq!(
            verdict(&stands),
            "qemu-img 11.1.3 is the first to behave otherwise than qemu-img 10.0.2"
        );
    }

    #[test]
    fn a_reference_that_nobody_agrees_with_is_alone_when_the_others_are_of_one_mind() {
        let mut stands = vec![
            ("vhd-core 0.1.4", Stand::Accepts),
            ("7zz 25.01", Stand::Accepts),
            ("qemu-img 10.0.2", Stand::Agrees),
        ];
        assert_eq!(
            verdict(&stands),
            "the reference is alone against 7zz 25.01, vhd-core 0.1.4"
        );
        stands.push(("libvhdi 20210425", Stand::Agrees));
        assert_eq!(
            verdict(&stands),
            "two camps: 7zz 25.01, vhd-core 0.1.4 against libvhdi 20210425, qemu-img 10.0.2"
        );
    }

    #[test]
    fn a_release_that_stands_against_itself_is_no_matter_of_releases() {
        let stands = [
            ("qemu-img 7.2.22", Stand::Agrees),
            ("qemu-img 10.0.2", Stand::Agrees),
            ("qemu-img 10.0.2 (candidate)", Stand::Differs),
        ];
        assert_eq!(
            verdict(&stands),
            "qemu-img 10.0.2 (candidate) is the odd one out"
        );
    }

    #[test]
    fn releases_that_crash_alike_are_not_told_apart() {
        let stands = [
            ("qemu-img 7.2.22", Stand::Crashes),
            ("qemu-img 10.0.2", Stand::Crashes),
            ("imago 0.2.6", Stand::Agrees),
        ];
        assert!(!verdict(&stands).contains("first"), "{}", verdict(&stands));
    }
}
