//! What a step costs the reference, foretold: the flushes of the requests that are known to be slow.
//!
//! Measured with qemu-img 10.0.2 under strace, and read in QEMU's `block/qcow2-cluster.c` and `block/qcow2.c`: shrinking and discarding go through every L2
//! table of the range, and one that does not exist is first allocated and flushed, three times `fdatasync`; `preallocation=metadata` flushes four times for
//! each table that it makes. At 512-byte clusters a table covers 32 KiB. Used by the duel, for its patience and its reasons, and by the command and the test
//! door, which try long cases first. Pure.

use std::collections::HashMap;

use crate::case::Case;
use crate::image::format::Format;
use crate::oracle::exchange::Step;
use crate::tool::request::{ImageFile, Request};

/// Flushes for an L2 table that a shrink or a discard has to allocate first: 64M to 1M at 512-byte clusters makes 6,073 for 2,016 tables.
const FLUSHES_FOR_DISCARDED_TABLE: u64 = 3;

/// Flushes for an L2 table that is preallocated: 64M at 512-byte clusters makes 8,216 for 2,048 tables.
const FLUSHES_FOR_PREALLOCATED_TABLE: u64 = 4;

/// How many cases are looked at together to find the long ones.
pub const LOOK_AHEAD_CASES: usize = 256;

/// What a step is expected to take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// How many times the reference waits for the disk.
    pub flushes: u64,
    /// By how many bytes the image grows until then, where that tells how far it has come.
    pub growth_bytes: Option<u64>,
}

impl Cost {
    /// How far the reference has come when its image has grown by so many bytes, in words; nothing for what costs little.
    pub fn progress(&self, grown_bytes: u64) -> Option<String> {
        let expected = grouped(self.flushes);
        if self.flushes == 0 {
            return None;
        }
        let Some(growth_bytes) = self.growth_bytes.filter(|bytes| *bytes > 0) else {
            return Some(format!("about {expected} expected flushes not done"));
        };
        // Not exact: refcount blocks grow the image as well.
        let done = u128::from(self.flushes) * u128::from(grown_bytes) / u128::from(growth_bytes);
        let done = grouped(u64::try_from(done).unwrap_or(u64::MAX));
        Some(format!("about {done} of about {expected} expected flushes"))
    }
}

/// The cost of every step, in their order.
pub fn of_steps(steps: &[Step]) -> Vec<Cost> {
    let mut sizes: HashMap<&str, u64> = HashMap::new();
    let mut costs = Vec::with_capacity(steps.len());
    for step in steps {
        let (file, cost) = of_request(&step.request, &sizes);
        costs.push(cost);
        if let Some((file, size)) = file {
            sizes.insert(file, size);
        }
    }
    costs
}

/// The flushes of all of a case's operations.
pub fn of_case(case: &Case) -> u64 {
    let of_operation = |index: usize| {
        let steps = case.ops[index].perform().steps(&case.ground(index));
        of_steps(&steps)
            .iter()
            .map(|cost| cost.flushes)
            .fold(0, u64::saturating_add)
    };
    (0..case.ops.len())
        .map(of_operation)
        .fold(0, u64::saturating_add)
}

/// The same cases, the long ones among the next first: what is begun last should not be what is waited for.
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

/// The size in bytes that the request's file has afterwards, where it tells, and the cost.
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

fn discarded(file: &ImageFile, bytes: u64) -> Cost {
    let tables = tables(file, bytes);
    Cost {
        flushes: tables * FLUSHES_FOR_DISCARDED_TABLE,
        growth_bytes: Some(tables * file.cluster_size()),
    }
}

/// How many L2 tables cover so many bytes of a guest's space: a table is a cluster of entries of 8 bytes, 16 with subclusters
/// (qcow2 specification, "Cluster mapping").
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

/// A number with its thousands apart: 24,192.
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
mod tests {
    use super::*;
    use crate::base::size::Size;
    use crate::case::generation::Generation;
    use crate::image::options::CreateOptions;
    use crate::tool::request::NewSize;

    fn costs_of(options: &[&str], before: &str, after: u64) -> Vec<Cost> {
        let options = CreateOptions::parse(options).expect("options of ours");
        let file = ImageFile::new("image", Format::Qcow2).with_options(options);
        let create = Request::Create {
            file: file.clone(),
            size: Size::literal(before),
        };
        let resize = Request::Resize {
            file,
            size: NewSize::of_bytes(after),
            end_bytes: after,
            shrink: true,
            preallocation: None,
        };
        of_steps(&[Step::own(create), Step::own(resize)])
    }

    #[test]
    fn the_flushes_foretold_are_close_to_those_that_strace_counted() {
        let counted = [
            ("cluster_size=512", "64M", 1 << 20, 6073),
            ("cluster_size=512", "256M", 4 << 20, 24289),
            ("cluster_size=512", "16M", 1 << 20, 1446),
            ("cluster_size=4096", "1G", 1 << 20, 1540),
        ];
        for (option, before, after, counted) in counted {
            let foretold = costs_of(&[option], before, after)[1].flushes;
            let apart = foretold.abs_diff(counted);
            assert!(
                apart * 100 <= counted,
                "{before}: {foretold}, not {counted}"
            );
        }
        let extended = ["cluster_size=16384", "extended_l2=on"];
        assert_eq!(costs_of(&extended, "4G", 1 << 20)[1].flushes, 768);
        let metadata = ["cluster_size=512", "preallocation=metadata"];
        assert_eq!(costs_of(&metadata, "64M", 64 << 20)[0].flushes, 8192);
        assert_eq!(
            costs_of(&["cluster_size=65536"], "1M", 64 << 20)[1].flushes,
            0
        );
    }

    #[test]
    fn progress_is_told_in_flushes() {
        let shrink = costs_of(&["cluster_size=512"], "256M", 4 << 20)[1];
        assert_eq!(
            shrink.progress(2064384).as_deref(),
            Some("about 12,096 of about 24,192 expected flushes")
        );
        assert_eq!(Cost::default().progress(1), None);
    }

    #[test]
    fn the_known_slow_case_comes_first_and_none_is_lost() {
        let generation = Generation::named("ops7").unwrap();
        let cases = generation.cases(59095591, 0, None).unwrap().take(800);
        let ordered: Vec<u64> = long_first(cases.map(Ok::<_, ()>))
            .map(|case| case.unwrap().iteration.unwrap())
            .collect();
        // The window from 512 to 767 has the shrink of issue 336 in it.
        assert!(ordered[512..520].contains(&751), "{:?}", &ordered[512..520]);
        let mut sorted = ordered;
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..800));
    }
}
