//! In which situations the steps of a chain find their image: what is there, what lies below, what was done before.
//!
//! The guide of a campaign calls it: rare defects need two or three circumstances at once, and which of them a case has is known before it
//! runs. It does not judge, and tools are not asked.

use std::collections::BTreeSet;

use xxhash_rust::xxh3::xxh3_64;

use super::{Chain, ChainState, ChainStep};
use crate::image::format::Format;
use crate::tool::request::ImageFile;

impl Chain {
    /// Returns fingerprints of the situations: the kind of each step, with each pair of its circumstances.
    pub fn situations(&self) -> BTreeSet<u32> {
        let mut found = BTreeSet::new();
        let mut chain_state = ChainState::start("", &self.layers);
        let mut before = "start";
        for step in &self.steps {
            let (acting, inner) = chain_state.resolved(step);
            let mut circumstances = of_image(&acting);
            circumstances.push(format!("after {before}"));
            circumstances.extend(of_ranges(inner, &acting));
            let kind = inner.name();
            for (index, one) in circumstances.iter().enumerate() {
                for other in &circumstances[index + 1..] {
                    let text = [kind, one, other].join("\n");
                    found.insert(xxh3_64(text.as_bytes()) as u32);
                }
            }
            before = kind;
            drop(acting);
            chain_state.advance_as_expected(step);
        }
        found
    }
}

/// Returns what is special about the image and those below it.
fn of_image(chain_state: &ChainState) -> Vec<String> {
    let (top, model) = (chain_state.top(), &chain_state.model);
    let mut found = vec![top.format.to_string()];
    if top.format == Format::Qcow2 {
        found.push(format!("clusters of {}", top.cluster_size()));
        found.push(format!("refcounts of {}", top.options.refcount_width()));
        let marks = [
            ("version 2", top.options.is_version_2()),
            ("extended L2", top.options.has_extended_l2()),
            ("lazy refcounts", top.options.lazy_refcounts() == Some(true)),
            ("data file", top.data_file().is_some()),
            ("encrypted", top.is_encrypted()),
            (
                "ragged end",
                !model.top.size.is_multiple_of(top.cluster_size()),
            ),
        ];
        let marks = marks.into_iter().filter(|(_, is_so)| *is_so);
        found.extend(marks.map(|(name, _)| name.to_owned()));
        let snapshots = model.snapshots.len().min(2);
        found.extend((snapshots > 0).then(|| format!("{snapshots} snapshots")));
        found.extend((!model.bitmaps.is_empty()).then(|| "bitmaps".to_owned()));
    }
    if let (Some(file), Some(lower)) = (chain_state.below().last(), model.below.last()) {
        let size = match lower.view.size.cmp(&model.top.size) {
            std::cmp::Ordering::Less => "shorter",
            std::cmp::Ordering::Equal => "equal",
            std::cmp::Ordering::Greater => "longer",
        };
        found.push(format!("over {size} {}", file.format));
        found.push(format!("over {}", kind_of(file)));
    }
    found
}

fn kind_of(file: &ImageFile) -> &'static str {
    match (file.format, file.options.is_version_2()) {
        (Format::Qcow2, true) => "version 2",
        (Format::Qcow2, false) => "version 3",
        (Format::Raw, _) => "raw",
        _ => "another format",
    }
}

/// The guest ranges of a step, as (offset, end).
fn ranges(step: &ChainStep, size: u64) -> Vec<(u64, u64)> {
    match step {
        ChainStep::Write { writes } => {
            let writes = writes.iter();
            writes
                .map(|write| (write.offset, write.offset + write.length))
                .collect()
        }
        ChainStep::WriteZeroes { offset, length, .. } | ChainStep::Discard { offset, length } => {
            vec![(*offset, offset + length)]
        }
        ChainStep::Resize { size: new, .. } => vec![(size.min(*new), size.max(*new))],
        _ => Vec::new(),
    }
}

/// Returns how the ranges of a step lie, and what is there.
fn of_ranges(step: &ChainStep, chain_state: &ChainState) -> Vec<String> {
    let (top, view) = (chain_state.top(), &chain_state.model.top);
    let cluster = top.cluster_size();
    let entry = if top.options.has_extended_l2() { 16 } else { 8 };
    let table = cluster.saturating_mul(cluster) / entry;
    let mut found = Vec::new();
    let ranges = ranges(step, view.size);
    found.extend((ranges.len() > 1).then(|| "several".to_owned()));
    for (start, end) in ranges {
        let edge = |place: u64| match place {
            _ if place == view.size => "the end",
            _ if place.is_multiple_of(cluster) => "a cluster",
            _ if place.is_multiple_of(512) => "a sector",
            _ => "a byte",
        };
        found.push(format!("from {}", edge(start)));
        found.push(format!("to {}", edge(end)));
        let crosses = |grain: u64| start / grain != end.saturating_sub(1) / grain;
        found.extend(crosses(cluster).then(|| "across clusters".to_owned()));
        found.extend(crosses(table).then(|| "across tables".to_owned()));
        let data = if view.is_zero(start, end) {
            "over zeros"
        } else {
            "over data"
        };
        found.push(data.to_owned());
        if let ChainStep::Resize { size, .. } = step {
            found.push(
                if *size < view.size {
                    "shrinks"
                } else {
                    "grows"
                }
                .to_owned(),
            );
        }
        if let Some(lower) = chain_state.model.below.last() {
            let place = match lower.view.size {
                below if below == start => "from the end below",
                below if start < below && below < end => "across the end below",
                below if below <= start => "behind the end below",
                _ => "before the end below",
            };
            found.push(place.to_owned());
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::content::Write;
    use crate::image::options::{CreateOption, CreateOptions};
    use crate::operation::chain::Layer;

    fn chain(options: CreateOptions, write: Write) -> Chain {
        let layer = Layer {
            format: Format::Qcow2,
            size: 1 << 20,
            options,
            writes: Vec::new(),
            steps: Vec::new(),
            placement: Default::default(),
            outside: None,
        };
        Chain {
            layers: vec![layer],
            steps: vec![ChainStep::Write {
                writes: vec![write],
            }],
        }
    }

    #[test]
    fn a_circumstance_makes_a_new_situation_and_another_byte_does_not() {
        let plain = chain(CreateOptions::new(), Write::repeated(0, 512, 1)).situations();
        assert!(!plain.is_empty());
        let other = chain(CreateOptions::new(), Write::repeated(0, 512, 2)).situations();
        assert_eq!(plain, other);
        let across = chain(CreateOptions::new(), Write::repeated(65_000, 1000, 1)).situations();
        assert!(!across.is_subset(&plain));
        let small = CreateOptions::from([CreateOption::ClusterSize(512)]);
        assert!(
            !chain(small, Write::repeated(0, 512, 1))
                .situations()
                .is_subset(&plain)
        );
    }
}
