//! Shrinks a case while it shows the same divergence: greedy, deterministic and bounded.
//!
//! The `Symptom` defines which divergences count as the same. It includes the cause if that is known: a different refusal, or a refusal
//! by the other side, is a different divergence. The shrinker keeps a smaller case only if it shows the symptom; the caller passes a
//! closure that runs the case, so this module depends on neither the runner nor the tools. Each `Progress` can be saved: an
//! interrupted and resumed run ends with the same case as an uninterrupted one.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::base::error::Result;
use crate::base::variants;
use crate::case::Case;
use crate::image::ImageRecipe;
use crate::operation::Operation;
use crate::oracle::signature::Cause;
use crate::oracle::verdict::Blame;

/// The class of a divergence: its kind, operation, blame and cause, but not the differing values.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Symptom {
    /// The kind of divergence.
    pub kind: String,
    /// The operation.
    pub operation: String,
    /// The side that is probably wrong, because its result differs from all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blame: Option<Blame>,
    /// The matching entry of the catalogue: shrinking must not replace one crash with another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<String>,
    /// The cause; `None` in symptoms written by earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
}

impl Symptom {
    /// Returns whether `shown` contains this symptom. If this symptom has no cause, causes are not compared.
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

/// Limits of one run of the shrinker.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The maximum number of cases to run.
    pub attempts: usize,
    /// The maximum wall time.
    pub time: Duration,
}

/// The state of a shrink run, from which it can be resumed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The symptom that the smallest case must show.
    pub symptom: Symptom,
    /// The smallest case so far.
    pub case: Case,
    /// The number of cases run so far.
    pub attempts: usize,
    /// Whether no shrink candidate of `case` shows the symptom.
    pub finished: bool,
    /// The index of the next pass in [`PASSES`].
    pass: usize,
    /// Whether a pass of the current round made the case smaller.
    is_smaller: bool,
    /// The fingerprints of all cases run so far, so that no case runs twice.
    tried: Vec<u64>,
}

impl Progress {
    /// Starts with a case that shows the symptom.
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

/// Returns the shrink candidates of one kind.
type Pass = fn(&Case, &Symptom) -> Vec<Case>;

/// All passes. The ones that remove most come first.
const PASSES: [Pass; 3] = [fewer_operations, simpler_image, simpler_operations];

/// Shrinks the case until no shrink candidate shows the symptom or a limit is reached. `shown` runs a case and returns its symptoms;
/// `save` is called after every attempt. Returns the first error of either closure.
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
        // A pass that made the case smaller starts again with the smaller case.
        if !kept {
            progress.next_pass();
        }
    }
    Ok(())
}

impl Progress {
    /// Returns whether the run started with this case and this symptom.
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

/// Returns a hash that identifies the case.
pub fn fingerprint(case: &Case) -> u64 {
    // A case is plain data, so serializing it cannot fail.
    xxh3_64(&serde_json::to_vec(case).unwrap_or_default())
}

/// Proposes each operation with the symptom alone, then all shorter lists of operations.
fn fewer_operations(case: &Case, symptom: &Symptom) -> Vec<Case> {
    let alone = case
        .ops
        .iter()
        .filter(|operation| operation.name() == symptom.operation)
        .map(|operation| vec![operation.clone()]);
    let shorter = variants::shorter_not_empty(&case.ops);
    let lists = alone.chain(shorter);
    let fewer = lists.filter(|list| list.len() < case.ops.len());
    fewer.map(|ops| with_operations(case, ops)).collect()
}

/// Proposes simpler source images, with the operations adjusted to them.
fn simpler_image(case: &Case, _: &Symptom) -> Vec<Case> {
    let images = case.image.simpler().into_iter();
    images.map(|image| with_image(case, image)).collect()
}

/// Proposes cases in which one operation is simpler.
fn simpler_operations(case: &Case, _: &Symptom) -> Vec<Case> {
    let lists = variants::elementwise(&case.ops, |operation| operation.perform().simpler());
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
    let sanitized = |operation: &Operation| {
        let sanitized = operation.perform().sanitized(&image);
        sanitized.unwrap_or_else(|| operation.clone())
    };
    Case {
        ops: operations.map(sanitized).collect(),
        image,
        ops_filter: None,
        fields_filter: None,
        ..case.clone()
    }
}

#[cfg(test)]
mod tests;
