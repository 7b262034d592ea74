//! A chain whose acts all make sense where they stand.
//!
//! The shrinker and the guide change a chain at one place, and what stood behind it may then mean nothing: a snapshot that is no
//! longer made cannot be applied. Such acts are left out, ranges that reach beyond an image are cut. What our own generations
//! draw is whole already and comes back as it was. Knows nothing of what is simpler or likely.

use super::act::{Act, Layer};
use super::{Chain, Course, Hazard};
use crate::content::Write;
use crate::format::{Format, SECTOR_BYTES};
use crate::request::SnapshotAction;

/// A rebase or a commit goes through the whole image.
const WALKED_BYTES_MAX: u64 = 64 << 20;

/// Clusters at which qemu-img rebuilds the refcounts in bearable time, block by block: at 512 KiB it takes minutes.
const REBUILT_CLUSTER_MAX: u64 = 16384;

/// Blocks of one dd: qemu-img takes some 60 microseconds for each.
const BLOCKS_MAX: u64 = 20_000;

/// Clusters that a data file that is to stay a raw image grows by, all of them allocated: 32 GiB in clusters of 1 KiB takes minutes.
const ALLOCATED_CLUSTERS_MAX: u64 = 1 << 18;

impl Chain {
    /// Whether one of its acts takes qemu-img minutes where it stands. None is drawn so, but what is changed afterwards may be.
    pub fn is_unbearable(&self) -> bool {
        let mut course = Course::start("", &self.layers);
        self.steps.iter().any(|act| {
            let (acting, inner) = course.resolved(act);
            let top = acting.top();
            let is_unbearable = match inner {
                Act::Amend { options } => {
                    let rebuilds = options.iter().any(|it| it.starts_with("refcount_bits="));
                    rebuilds && top.cluster_size() > REBUILT_CLUSTER_MAX
                }
                Act::Resize { size, .. } if top.option("data_file_raw").is_some() => {
                    let added = size.saturating_sub(acting.model.top.size);
                    added / top.cluster_size() > ALLOCATED_CLUSTERS_MAX
                }
                Act::Dd {
                    block_size,
                    count,
                    skip,
                    ..
                } => {
                    let size = acting.model.top.size;
                    let (_, length) = super::window(size, *block_size, *count, *skip);
                    length / block_size > BLOCKS_MAX
                }
                _ => false,
            };
            drop(acting);
            course.advance(act, true);
            is_unbearable
        })
    }

    /// The same without what makes no sense.
    pub fn fitted(&self) -> Self {
        self.fitted_within(&Hazard::ALL)
    }

    /// The same without what makes no sense, and without acts that meet other defects of qemu-img than `other` does.
    pub fn fitted_like(&self, other: &Self) -> Self {
        self.fitted_within(&other.hazards())
    }

    /// The defects of qemu-img that its acts meet.
    pub(super) fn hazards(&self) -> Vec<Hazard> {
        let mut course = Course::start("", &self.layers);
        let mut hazards = Vec::new();
        for act in &self.steps {
            hazards.extend(Hazard::of(&course, act));
            course.advance(act, true);
        }
        hazards
    }

    /// The same without what makes no sense, and without acts that meet other defects of qemu-img than `hazards`.
    pub(super) fn fitted_within(&self, hazards: &[Hazard]) -> Self {
        let layers = fitted_layers(&self.layers);
        let mut course = Course::start("", &layers);
        let mut steps = Vec::new();
        for act in &self.steps {
            let is_safe = |act: &Act| {
                let hazard = Hazard::of(&course, act);
                hazard.is_none_or(|hazard| hazards.contains(&hazard))
            };
            if let Some(act) = fitted(act, &course).filter(is_safe) {
                course.advance(&act, true);
                steps.push(act);
            }
        }
        Self { layers, steps }
    }
}

/// The layers, with the acts of each that make sense before the next one is put onto it.
fn fitted_layers(layers: &[Layer]) -> Vec<Layer> {
    let mut course = Course::bare("");
    let fitted = layers.iter().map(|layer| {
        let mut layer = fitted_layer(layer);
        course.put(&layer);
        let acts = std::mem::take(&mut layer.acts);
        for act in acts {
            let fitted = fitted(&act, &course).filter(|act| course.is_sure(act));
            if let Some(act) = fitted {
                course.advance(&act, true);
                layer.acts.push(act);
            }
        }
        layer
    });
    fitted.collect()
}

fn fitted_layer(layer: &Layer) -> Layer {
    let layer = Layer {
        size: (layer.size / SECTOR_BYTES * SECTOR_BYTES).max(SECTOR_BYTES),
        ..layer.clone()
    };
    let empty = Layer {
        writes: Vec::new(),
        acts: Vec::new(),
        ..layer.clone()
    };
    // Some formats round it.
    let size = Course::start("", &[empty]).model.top.size;
    Layer {
        writes: cut(&layer.writes, size),
        ..layer
    }
}

fn cut(writes: &[Write], size: u64) -> Vec<Write> {
    let parts = writes.iter().filter_map(|write| write.within(0, size));
    parts.collect()
}

/// The part of [`offset`, `offset + length`) that lies in an image of `size` bytes, if any does.
fn cut_range(offset: u64, length: u64, size: u64) -> Option<(u64, u64)> {
    let end = (offset + length).min(size);
    (offset < end).then(|| (offset, end - offset))
}

/// Whether the current image can be treated so at all: what no tool can do with its format.
fn can(act: &Act, course: &Course) -> bool {
    let top = course.top();
    let is_qcow2 = top.format == Format::Qcow2;
    match act {
        Act::Write { .. } | Act::WriteZeroes { .. } => course.is_writable(),
        Act::Snapshot { .. } => is_qcow2 && top.data_file().is_none(),
        // An encrypted image below another cannot be named with its secret as a new backing file.
        Act::Rebase { onto: Some(_) } => is_qcow2 && !top.is_locked(),
        Act::Rebase { .. } | Act::SnapshotList | Act::ConvertSnapshot { .. } => is_qcow2,
        Act::Commit => {
            let below = course.below().last();
            let is_committed = matches!(top.format, Format::Qcow2 | Format::Qcow);
            is_committed
                && course.commits_simply()
                && below.is_some_and(|below| below.format != Format::Parallels)
        }
        Act::Repair { .. } => {
            matches!(top.format, Format::Qcow2 | Format::Parallels) && course.is_writable()
        }
        Act::Bench { byte, .. } => !top.is_locked() && (byte.is_none() || course.is_writable()),
        Act::Bitmap { flags, .. } => {
            let merged = flags.iter().skip_while(|flag| *flag != "--merge").nth(1);
            merged.is_none_or(|other| course.model.bitmaps.contains_key(other))
        }
        Act::Dd {
            block_size,
            count,
            skip,
            ..
        } => {
            let blocks = course.model.top.size.div_ceil(*block_size);
            count.unwrap_or(blocks).min(blocks) > *skip
        }
        _ => true,
    }
}

/// The act as far as it makes sense where the chain stands.
fn fitted(act: &Act, course: &Course) -> Option<Act> {
    if let Act::Below { layer, act } = act {
        let lower = course.lower(*layer)?;
        let layer = *layer;
        let act = fitted(act, &lower).map(Box::new)?;
        let below = Act::Below { layer, act };
        return course.objection(&below).is_none().then_some(below);
    }
    if !can(act, course) {
        return None;
    }
    let top = course.top();
    let size = course.model.top.size;
    let is_qcow2 = top.format == Format::Qcow2;
    match act {
        Act::Write { writes } => {
            let writes = cut(writes, size);
            (!writes.is_empty()).then_some(Act::Write { writes })
        }
        Act::WriteZeroes {
            offset,
            length,
            unmap,
        } => {
            let (offset, length) = cut_range(*offset, *length, size)?;
            let unmap = *unmap;
            Some(Act::WriteZeroes {
                offset,
                length,
                unmap,
            })
        }
        Act::Discard { offset, length } => discard(*offset, *length, course),
        Act::Resize {
            size: wanted,
            preallocation,
        } => {
            let wanted = (wanted / SECTOR_BYTES * SECTOR_BYTES).max(SECTOR_BYTES);
            let can = matches!(top.format, Format::Qcow2 | Format::Raw);
            let can_preallocate = wanted > size && course.below().is_empty() && !top.is_encrypted();
            let preallocation = preallocation.clone().filter(|_| can_preallocate);
            can.then_some(Act::Resize {
                size: wanted,
                preallocation,
            })
        }
        Act::Snapshot { action, name } => {
            let is_there = course.model.snapshots.contains_key(name);
            let makes_sense = is_there != (*action == SnapshotAction::Create);
            (is_qcow2 && makes_sense).then(|| act.clone())
        }
        Act::Rebase { onto } => {
            let last = course.below().len().checked_sub(1)?;
            let onto = onto.map(|index| index.min(last));
            (size <= WALKED_BYTES_MAX).then_some(Act::Rebase { onto })
        }
        Act::Commit => {
            let below = course.below().last()?;
            let can_grow = matches!(below.format, Format::Qcow2 | Format::Raw);
            let must_grow = course.model.below.last()?.view.size < size;
            let can = (can_grow || !must_grow) && size <= WALKED_BYTES_MAX;
            can.then_some(Act::Commit)
        }
        Act::Amend { options } => (is_qcow2 && !options.is_empty()).then(|| act.clone()),
        Act::Bitmap { flags, name } => {
            let is_there = course.model.bitmaps.contains_key(name);
            let adds = flags.iter().any(|flag| flag == "--add");
            (is_qcow2 && is_there != adds).then(|| act.clone())
        }
        Act::Check => top.format.is_checked().then_some(Act::Check),
        Act::Bench { .. } => benched(act, size).filter(|act| course.objection(act).is_none()),
        _ => course.objection(act).is_none().then(|| act.clone()),
    }
}

/// As many requests of a bench as do not reach over the end.
fn benched(act: &Act, size: u64) -> Option<Act> {
    let mut act = act.clone();
    if let Act::Bench {
        count,
        length,
        offset,
        stride,
        ..
    } = &mut act
    {
        let room = size.checked_sub(*offset + *length)?;
        *count = (*count).min(room / (*stride).max(1) + 1);
    }
    Some(act)
}

/// Whole clusters of a qcow2, where they surely read as zeros afterwards: version 2 cannot say so over a backing file.
fn discard(offset: u64, length: u64, course: &Course) -> Option<Act> {
    let (top, size) = (course.top(), course.model.top.size);
    let (offset, length) = cut_range(offset, length, size)?;
    if top.format == Format::Raw {
        return Some(Act::Discard { offset, length });
    }
    let hides_nothing = !course.below().is_empty() && top.option("compat") == Some("0.10");
    if top.format != Format::Qcow2 || hides_nothing {
        return None;
    }
    let cluster = top.cluster_size();
    let start = offset / cluster * cluster;
    let end = (offset + length).next_multiple_of(cluster).min(size);
    Some(Act::Discard {
        offset: start,
        length: end - start,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(steps: Vec<Act>) -> Chain {
        let layer = Layer {
            format: Format::Qcow2,
            size: 1 << 20,
            options: Vec::new(),
            writes: Vec::new(),
            acts: Vec::new(),
        };
        let layers = vec![layer];
        Chain { layers, steps }
    }

    fn snapshot(action: SnapshotAction) -> Act {
        let name = "a".to_owned();
        Act::Snapshot { action, name }
    }

    #[test]
    fn what_rested_on_an_act_that_is_gone_goes_with_it() {
        let rest = vec![
            snapshot(SnapshotAction::Apply),
            snapshot(SnapshotAction::Delete),
            Act::Commit,
            Act::Rebase { onto: None },
            Act::Read,
        ];
        assert_eq!(chain(rest).fitted().steps, [Act::Read]);
    }

    #[test]
    fn growth_that_allocates_every_cluster_is_unbearable_and_any_other_is_not() {
        let resize = || Act::Resize {
            size: 32 << 30,
            preallocation: None,
        };
        let mut chain = chain(vec![resize()]);
        assert!(!chain.is_unbearable());
        chain.layers[0].options = ["cluster_size=1024", "data_file_raw=on"]
            .map(str::to_owned)
            .to_vec();
        assert!(chain.is_unbearable());
    }

    #[test]
    fn ranges_are_cut_at_the_end_and_discards_are_whole_clusters() {
        let write = |offset, length| Write {
            offset,
            length,
            byte: 1,
        };
        let steps = vec![
            Act::Write {
                writes: vec![write(0, 2 << 20), write(1 << 20, 1)],
            },
            Act::Discard {
                offset: 70000,
                length: 512,
            },
        ];
        let fitted = chain(steps).fitted().steps;
        let writes = vec![write(0, 1 << 20)];
        let (offset, length) = (65536, 65536);
        assert_eq!(
            fitted,
            [Act::Write { writes }, Act::Discard { offset, length }]
        );
    }
}
