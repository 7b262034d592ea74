//! Facts about a damaged image at which tools diverge: its options, the mutations, and the requests before the
//! divergence.
//!
//! Called by the operation's [`facts`](crate::operation::Perform::facts).

use std::collections::BTreeSet;

use super::Malformed;
use crate::disk_format::damage::{Damage, Value};
use crate::operation::facts::Facts;
use crate::operation::feature::Feature;

use crate::oracle::observations::{HarnessAction, Observations, Task};
use crate::oracle::verdict::Place;

/// Adds the facts about the place that are specific to damaged images.
pub(super) fn add(case: &Malformed, observations: &Observations, place: &Place, facts: &mut Facts) {
    let base_image = &case.base_image;
    for (is_so, feature) in [
        (base_image.compressed, Feature::Compressed),
        (base_image.has_data_file, Feature::DataFile),
        (base_image.encrypted, Feature::Encryption),
        (base_image.snapshots > 0, Feature::Snapshots),
        (base_image.bitmaps > 0, Feature::Bitmaps),
        (base_image.writes.is_empty(), Feature::Empty),
        (!base_image.size.is_multiple_of(1024), Feature::OddSectors),
    ] {
        if is_so {
            facts.add("file", feature.name());
        }
    }
    let names: BTreeSet<String> = case.damages.iter().map(of_damage).collect();
    let structures: BTreeSet<&str> = names
        .iter()
        .filter_map(|name| name.split('.').next())
        .collect();
    names.iter().for_each(|name| facts.add("damaged", name));
    structures
        .iter()
        .for_each(|name| facts.add("damaged", name));
    if let [name] = &*names.iter().collect::<Vec<_>>() {
        facts.add("only", name);
    }
    if let [name] = &*structures.iter().collect::<Vec<_>>() {
        facts.add("only", name);
    }
    for damage in &case.damages {
        facts.add("how", &how(damage));
        if let Damage::Replace {
            structure,
            stale_checksum: true,
            ..
        } = damage
        {
            facts.add("how", &format!("{structure}:stale_checksum"));
        }
    }
    if let Some(change) = case
        .change
        .as_ref()
        .filter(|_| is_changed(observations, place))
    {
        facts.add("change", change.name());
    }
}

/// Whether the change was tried before this step.
fn is_changed(observations: &Observations, place: &Place) -> bool {
    let step_results = observations
        .reference
        .as_ref()
        .map(|side_run| &side_run.step_results);
    let end_of_reads = step_results.and_then(|step_results| {
        let is_end = |task: &Task| matches!(task, Task::Harness(HarnessAction::Untouched { .. }));
        step_results
            .iter()
            .position(|step_result| is_end(&step_result.step.task))
    });
    match (place.step, end_of_reads) {
        (Some(step), Some(end_of_reads)) => step > end_of_reads,
        _ => false,
    }
}

/// Returns the structure and field, or the structure at which the file is truncated.
fn of_damage(damage: &Damage) -> String {
    match damage {
        Damage::Truncate { .. } => "truncated".to_owned(),
        other => other.name(),
    }
}

/// Returns the kind of the mutation, without its numbers.
fn how(damage: &Damage) -> String {
    match damage {
        Damage::Replace { value, .. } => {
            let value = match value {
                Value::Number(0) | Value::Bytes(0) => "zero",
                Value::Number(_) | Value::Bytes(_) => "number",
                Value::Ones | Value::SignBit | Value::SignedMaximum => "huge",
                Value::Plus(more) if *more < 0 => "less",
                Value::Plus(_) => "more",
                Value::Flip(_) => "flipped",
                Value::EndOfFile(_) => "end_of_file",
                Value::StartOf { .. } => "another_structure",
            };
            format!("{}:{value}", damage.name())
        }
        Damage::Truncate { structure, .. } => format!("{structure}:cut"),
        Damage::Overwrite { .. } => "overwritten".to_owned(),
    }
}
