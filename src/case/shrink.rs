//! A smaller case that shows the same: greedy, deterministic, bounded.
//!
//! What counts as "the same" is fixed first: the [`Symptom`], which holds the cause as far as it is told: another refusal, or one of the
//! other side, is another divergence. A candidate is kept only if it shows that symptom; which one
//! it shows is the caller's closure's business, so that nothing here knows duels or tools. Every state on the way can be
//! saved and taken up again: a run that was cut short and resumed ends where one in a single piece would have.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::base::error::Result;
use crate::base::simpler;
use crate::case::Case;
use crate::image::ImageRecipe;
use crate::operation::Operation;
use crate::oracle::signature::Cause;
use crate::oracle::verdict::Blame;

/// What a case shows: the class of a divergence and who refused in which words, not its values.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Symptom {
    /// The kind of divergence.
    pub kind: String,
    /// The operation.
    pub operation: String,
    /// Who is alone in what it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blame: Option<Blame>,
    /// The entry of the catalogue that knows it: a crash must not become another crash on the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<String>,
    /// What it comes from; one that an earlier version wrote down does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
}

impl Symptom {
    /// Whether a case shows it: what it does not say of its cause does not count.
    pub fn is_among(&self, shown: &[Self]) -> bool {
        shown.iter().any(|other| {
            let is_comparable = self.cause.is_some();
            let cause = other.cause.clone().filter(|_| is_comparable);
            *self
                == Self {
                    cause,
                    ..other.clone()
                }
        })
    }
}

/// How long it may go on.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Cases tried in one run.
    pub attempts: usize,
    /// Wall time of one run.
    pub time: Duration,
}

/// How far it has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// What every case on the way shows.
    pub symptom: Symptom,
    /// The smallest case so far.
    pub case: Case,
    /// How many cases were tried.
    pub attempts: usize,
    /// Whether nothing simpler shows the same.
    pub finished: bool,
    /// The pass that is next, of [`PASSES`].
    pass: usize,
    /// Whether a pass of this round has made the case smaller.
    is_smaller: bool,
    /// The fingerprints of the cases that were tried: none is tried twice.
    tried: Vec<u64>,
}

impl Progress {
    /// At the start, with a case that shows the symptom.
    pub fn new(case: Case, symptom: Symptom) -> Self {
        let tried = vec![fingerprint(&case)];
        Self {
            symptom,
            case,
            attempts: 0,
            finished: false,
            pass: 0,
            is_smaller: false,
            tried,
        }
    }
}

/// Simpler cases that a pass proposes.
type Pass = fn(&Case, &Symptom) -> Vec<Case>;

/// In the order in which they take away most.
const PASSES: [Pass; 3] = [fewer_operations, simpler_image, simpler_operations];

/// Makes the case smaller until nothing simpler shows its symptom, or the limits are reached. `shown` tries a case, with
/// fresh tools, and says which symptoms it shows; `save` is called after every attempt. An error of either ends it.
pub fn shrink(
    progress: &mut Progress,
    limits: Limits,
    mut shown: impl FnMut(&Case) -> Result<Vec<Symptom>>,
    mut save: impl FnMut(&Progress) -> Result<()>,
) -> Result<()> {
    let started = Instant::now();
    let before = progress.attempts;
    let mut tried: HashSet<u64> = progress.tried.iter().copied().collect();
    while !progress.finished {
        let pass = PASSES[progress.pass];
        let proposed = pass(&progress.case, &progress.symptom).into_iter();
        let mut is_new = |case: &Case| {
            let fingerprint = fingerprint(case);
            !tried.contains(&fingerprint) && tried.insert(fingerprint)
        };
        let mut kept = false;
        for case in proposed {
            if !is_new(&case) {
                continue;
            }
            let attempts = progress.attempts - before;
            if attempts >= limits.attempts || started.elapsed() >= limits.time {
                return Ok(());
            }
            kept = progress.symptom.is_among(&shown(&case)?);
            progress.attempts += 1;
            progress.tried.push(fingerprint(&case));
            if kept {
                progress.case = case;
                progress.is_smaller = true;
            }
            save(progress)?;
            if kept {
                break;
            }
        }
        // A pass that has made it smaller begins anew with what is left.
        if !kept {
            progress.next_pass();
        }
    }
    Ok(())
}

impl Progress {
    /// Whether it began with this case and this symptom.
    pub fn is_of(&self, case: &Case, symptom: &Symptom) -> bool {
        self.tried.first() == Some(&fingerprint(case)) && self.symptom == *symptom
    }

    fn next_pass(&mut self) {
        self.pass += 1;
        if self.pass == PASSES.len() {
            self.finished = !self.is_smaller;
            self.is_smaller = false;
            self.pass = 0;
        }
    }
}

/// What tells a case from others.
pub fn fingerprint(case: &Case) -> u64 {
    // A case is plain data: it can always be written.
    xxh3_64(&serde_json::to_vec(case).unwrap_or_default())
}

/// The operation alone, then every shorter list.
fn fewer_operations(case: &Case, symptom: &Symptom) -> Vec<Case> {
    let alone = case
        .ops
        .iter()
        .filter(|operation| operation.name() == symptom.operation)
        .map(|operation| vec![operation.clone()]);
    let shorter = simpler::shorter_not_empty(&case.ops);
    let lists = alone.chain(shorter);
    let fewer = lists.filter(|list| list.len() < case.ops.len());
    fewer.map(|ops| with_operations(case, ops)).collect()
}

fn simpler_image(case: &Case, _: &Symptom) -> Vec<Case> {
    let images = case.image.simpler().into_iter();
    images.map(|image| with_image(case, image)).collect()
}

fn simpler_operations(case: &Case, _: &Symptom) -> Vec<Case> {
    let lists = simpler::elementwise(&case.ops, |operation| operation.perform().simpler());
    let lists = lists.into_iter();
    lists.map(|ops| with_operations(case, ops)).collect()
}

fn with_operations(case: &Case, ops: Vec<Operation>) -> Case {
    Case {
        ops,
        ops_filter: None,
        fields_filter: None,
        ..case.clone()
    }
}

fn with_image(case: &Case, image: ImageRecipe) -> Case {
    let operations = case.ops.iter();
    let fitted = |operation: &Operation| {
        let fitted = operation.perform().fitted(&image);
        fitted.unwrap_or_else(|| operation.clone())
    };
    Case {
        ops: operations.map(fitted).collect(),
        image,
        ops_filter: None,
        fields_filter: None,
        ..case.clone()
    }
}

#[cfg(test)]
mod tests;
