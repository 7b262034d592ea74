//! Divergences of both sides from the recipe, as reports show them.
//!
//! If both sides agree with each other but contradict the recipe, a record has the recipe's value in the field of the
//! reference, and its reason calls it the reference's. Every report for people passes differences, reasons and titles
//! through this module, which names the recipe as what it is. Records and seed files stay as they are.

use std::borrow::Cow;

use crate::oracle::signature::Group;
use crate::oracle::verdict::{Difference, DivergenceKind, OutputAspect, Subject};
use crate::run::record::Record;

/// How signatures and reasons write that both sides have the same contents.
const ON_BOTH_SIDES: &str = ", on both sides,:";

/// Whether the difference is one of both sides from the recipe; `kind` is that of the divergence.
pub(super) fn is_against_recipe(kind: Option<&str>, difference: &Difference) -> bool {
    matches!(difference.subject, Subject::ContentsOnBothSides { .. }) || is_recipe_kind(kind)
}

fn is_recipe_kind(kind: Option<&str>) -> bool {
    matches!(
        kind.and_then(DivergenceKind::named),
        Some(DivergenceKind::Output(_, OutputAspect::Recipe) | DivergenceKind::RepairRecipe)
    )
}

/// Returns the difference with both sides' value for the candidate and the reference, and the recipe's as the expected
/// one, if it is a difference from the recipe.
pub fn shown<'difference>(
    kind: Option<&str>,
    difference: &'difference Difference,
) -> Cow<'difference, Difference> {
    if !is_against_recipe(kind, difference) {
        return Cow::Borrowed(difference);
    }
    let required = difference.expected.as_ref();
    let required = required.unwrap_or(&difference.reference).clone();
    let subject = match difference.subject.clone() {
        Subject::ContentsOnBothSides { file, place } => Subject::Contents { file, place },
        subject => subject,
    };
    let both = &difference.candidate;
    Cow::Owned(Difference::new(subject, both, both).with_expected(required))
}

/// Returns a reason in which the recipe's value, if it has one, is not called the reference's. It works on the text,
/// because a record has the differences of its deciding operation alone.
pub(super) fn shown_reason<'reason>(kind: Option<&str>, reason: &'reason str) -> Cow<'reason, str> {
    let is_against_recipe = is_recipe_kind(kind) || reason.contains(ON_BOTH_SIDES);
    let named = is_against_recipe.then(|| with_recipe(reason)).flatten();
    named.map_or(Cow::Borrowed(reason), Cow::Owned)
}

/// Takes apart what [`Difference::summary`] wrote.
fn with_recipe(summary: &str) -> Option<String> {
    let (subject, values) = summary.split_once(": candidate ")?;
    let (both, others) = values.split_once(", reference ")?;
    let expected = others.rsplit_once(", expected ");
    let required = expected.map_or(others, |(_, expected)| expected);
    let subject = subject.replacen(ON_BOTH_SIDES, ":", 1);
    Some(format!("{subject}: both sides {both}, recipe {required}"))
}

/// Returns the reason of a record's verdict, with the recipe named as such; empty if there is none.
pub fn reason(record: &Record) -> Cow<'_, str> {
    let reason = record.reason.as_deref().unwrap_or_default();
    shown_reason(record.kind.as_deref(), reason)
}

/// Returns the signature of a group, with the recipe named as such.
pub fn signature(group: &Group) -> String {
    let named = ", on both sides, against the recipe:";
    group.signature.replace(ON_BOTH_SIDES, named)
}

/// Returns the title of a group, with the recipe named as such.
pub fn title(group: &Group) -> String {
    format!(
        "{} in {}: {}",
        group.kind,
        group.operation,
        signature(group)
    )
}

#[cfg(test)]
mod tests;
