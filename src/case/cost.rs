//! Predicts the cost of a step for the reference: the number of flushes in requests that are known to be slow.
//!
//! The figures come from qemu-img 10.0.2 under strace and from QEMU's `block/qcow2-cluster.c` and `block/qcow2.c`. Shrinking and
//! discarding visit every L2 table of the range; a missing table is first allocated and flushed, with three calls of `fdatasync`.
//! `preallocation=metadata` flushes four times for each table that it creates. With 512-byte clusters, a table covers 32 KiB.
//!
//! The differential runner derives the grace period of a call from these costs and reports the progress with a timeout; the command and the
//! test target run expensive cases first. The functions are pure and measure nothing.

use std::collections::HashMap;

use crate::case::Case;
use crate::image::format::Format;
use crate::oracle::observations::Step;
use crate::tool::request::{ImageFile, Request};

/// Flushes per L2 table that a shrink or a discard has to allocate first: shrinking from 64M to 1M with 512-byte clusters causes 6,073
/// flushes for 2,016 tables.
const FLUSHES_FOR_DISCARDED_TABLE: u64 = 3;

/// Flushes per preallocated L2 table: an image of 64M with 512-byte clusters causes 8,216 flushes for 2,048 tables.
const FLUSHES_FOR_PREALLOCATED_TABLE: u64 = 4;

/// The number of cases that [`long_first`] sorts at a time.
pub const LOOK_AHEAD_CASES: usize = 256;

/// The predicted cost of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// The number of flushes, each of which waits for the disk.
    pub flushes: u64,
    /// The bytes by which the image file grows during the step, if its growth indicates progress.
    pub growth_bytes: Option<u64>,
}

impl Cost {
    /// Describes the progress of a step whose image file has grown by `grown_bytes`. Returns `None` if no flushes are expected.
    pub fn progress(&self, grown_bytes: u64) -> Option<String> {
        let expected = grouped(self.flushes);
        if self.flushes == 0 {
            return None;
        }
        let Some(growth_bytes) = self.growth_bytes.filter(|bytes| *bytes > 0) else {
            return Some(format!("about {expected} expected flushes not done"));
        };
        // This is an estimate: refcount blocks also grow the image.
        let done = u128::from(self.flushes) * u128::from(grown_bytes) / u128::from(growth_bytes);
        let done = grouped(u64::try_from(done).unwrap_or(u64::MAX));
        Some(format!("about {done} of about {expected} expected flushes"))
    }
}

/// Returns the cost of each step, in order.
pub fn of_steps(steps: &[Step]) -> Vec<Cost> {
    let mut sizes: HashMap<&str, u64> = HashMap::new();
    let mut costs = Vec::with_capacity(steps.len());
    for step in steps {
        let Some(request) = step.task.request() else {
            costs.push(Cost::default());
            continue;
        };
        let (file, cost) = of_request(request, &sizes);
        costs.push(cost);
        if let Some((file, size)) = file {
            sizes.insert(file, size);
        }
    }
    costs
}

/// Returns the expected number of flushes of all operations of a case.
pub fn of_case(case: &Case) -> u64 {
    let of_operation = |index: usize| {
        let steps = case.ops[index].perform().steps(&case.context(index));
        of_steps(&steps)
            .iter()
            .map(|cost| cost.flushes)
            .fold(0, u64::saturating_add)
    };
    (0..case.ops.len())
        .map(of_operation)
        .fold(0, u64::saturating_add)
}

/// Reorders the cases: sorts each group of [`LOOK_AHEAD_CASES`] by descending cost, so that no expensive case starts last and keeps
/// the other workers waiting. Errors count as cost 0.
pub fn long_first<E>(
    cases: impl Iterator<Item = Result<Case, E>>,
) -> impl Iterator<Item = Result<Case, E>> {
    let mut cases = cases;
    std::iter::from_fn(move || {
        let mut next: Vec<Result<Case, E>> = cases.by_ref().take(LOOK_AHEAD_CASES).collect();
        next.sort_by_cached_key(|case| std::cmp::Reverse(case.as_ref().map_or(0, of_case)));
        (!next.is_empty()).then_some(next)
    })
    .flatten()
}

/// Returns the path and the new virtual size in bytes of the file that the request creates or resizes, if it does, and the request's
/// cost. `sizes` holds the virtual sizes before the request.
fn of_request<'step>(
    request: &'step Request,
    sizes: &HashMap<&str, u64>,
) -> (Option<(&'step str, u64)>, Cost) {
    match request {
        Request::Create { file, size } => {
            let size = size.bytes();
            let preallocates = file.options.preallocates();
            let tables = if preallocates { tables(file, size) } else { 0 };
            let cost = Cost {
                flushes: tables * FLUSHES_FOR_PREALLOCATED_TABLE,
                growth_bytes: None,
            };
            (Some((&file.path, size)), cost)
        }
        Request::Resize {
            file, end_bytes, ..
        } => {
            let before = sizes.get(file.path.as_str()).copied().unwrap_or(*end_bytes);
            let cost = discarded(file, before.saturating_sub(*end_bytes));
            (Some((&file.path, *end_bytes)), cost)
        }
        Request::Discard { file, length, .. } => (None, discarded(file, *length)),
        _ => (None, Cost::default()),
    }
}

/// Returns the cost of discarding `bytes` bytes of guest space.
fn discarded(file: &ImageFile, bytes: u64) -> Cost {
    let tables = tables(file, bytes);
    Cost {
        flushes: tables * FLUSHES_FOR_DISCARDED_TABLE,
        growth_bytes: Some(tables * file.cluster_size()),
    }
}

/// Returns the number of L2 tables that cover `bytes` bytes of guest space. A table fills one cluster with entries of 8 bytes, or 16 with
/// subclusters (qcow2 specification, "Cluster mapping").
fn tables(file: &ImageFile, bytes: u64) -> u64 {
    if file.format != Format::Qcow2 {
        return 0;
    }
    let entry_bytes = match file.options.has_extended_l2() {
        true => 16,
        false => 8,
    };
    let covered = file.cluster_size().saturating_pow(2) / entry_bytes;
    bytes.div_ceil(covered.max(1))
}

/// Formats a number with thousands separators: 24,192.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests;
