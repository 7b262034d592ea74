//! What a measurement of a conversion (`qemu-img measure`) must say.
//!
//! Its judge calls it. How much space is *required* depends on what is allocated in the source, which is the tools' choice; only its lower bound
//! is known. How much a *fully allocated* image takes follows from the size and the options alone.

use super::chain_state::ChainState;
use super::witnesses::witnesses;
use crate::image::format::{Format, SECTOR_BYTES};
use crate::image::options::CreateOptions;
use crate::oracle::observations::StepResult;
use crate::oracle::verdict::{DivergenceKind, Finding, Subject};
use crate::tool::request::{Answer, ImageFile};

/// The bytes of an entry of an L1 table, a refcount table, and a usual L2 table (qcow2 specification).
const ENTRY_BYTES: u64 = 8;
/// The bytes of an entry of an L2 table with subclusters (qcow2 specification, Extended L2 Entries).
const EXTENDED_ENTRY_BYTES: u64 = 16;

impl ChainState {
    /// Returns how many bytes other than zeros a copy of the image, or of its snapshot, holds; 0 if that is not settled.
    pub fn measured_bytes(&self, snapshot: Option<&str>) -> u64 {
        let view = match snapshot {
            None => Some(&self.model.top),
            Some(name) => {
                let snapshot = self.model.snapshots.get(name);
                snapshot.and_then(|snapshot| snapshot.seen.as_ref())
            }
        };
        let view = view.filter(|_| !self.is_of_doubtful_size());
        view.map_or(0, |view| view.runs().map(|(start, end)| end - start).sum())
    }

    /// Returns the bytes that a fully allocated copy takes; `None` if the size of the image is not settled, or the format is not known here.
    pub(super) fn fully_allocated(&self, target: Format, options: &CreateOptions) -> Option<u64> {
        let size = self.model.top.size;
        match target {
            _ if self.is_of_doubtful_size() => None,
            Format::Raw => Some(size.next_multiple_of(SECTOR_BYTES)),
            Format::Qcow2 => Some(qcow2(size, options)),
            _ => None,
        }
    }
}

/// Returns a finding if the candidate measured the image in place of its snapshot: of the same file, the reference measures as much for the image, and
/// something else for the snapshot. A tool that tells the space of a fully allocated image, whatever is there, tells it of both.
pub(super) fn of_image(ours: &StepResult) -> Option<Finding> {
    let [of_snapshot, of_image] = ours.measured_again.as_ref()?;
    let figure = |answer: &Answer, key: &str| answer.report.tree().ok()?[key].as_u64();
    let required = |answer: &Answer| figure(answer, "required");
    let told = required(&ours.answer)?;
    let (snapshot, image) = (required(of_snapshot)?, required(of_image)?);
    let is_estimate = figure(&ours.answer, "fully-allocated") == Some(told);
    if told != image || told == snapshot || is_estimate {
        return None;
    }
    let values = [told, snapshot, snapshot].map(|bytes| bytes.to_string());
    witnesses(
        DivergenceKind::ChainMeasure,
        Subject::IntermediateRequired {},
        values,
    )
}

/// Returns the bytes of a qcow2 whose every cluster is allocated: the header, the L1 table, the L2 tables and the data, each in whole clusters, and
/// the refcount table and blocks that count all of them and themselves (qcow2 specification).
fn qcow2(size: u64, options: &CreateOptions) -> u64 {
    let file = ImageFile::new("", Format::Qcow2).with_options(options.clone());
    let cluster = file.cluster_size();
    let entry = match options.has_extended_l2() {
        true => EXTENDED_ENTRY_BYTES,
        false => ENTRY_BYTES,
    };
    let data = size.div_ceil(cluster);
    let tables = data.div_ceil(cluster / entry);
    let first_table = tables.div_ceil(cluster / ENTRY_BYTES);
    let counted = 1 + first_table + tables + data;
    let per_block = cluster * 8 / options.refcount_width();
    let mut refcounts = 0;
    loop {
        let blocks = (counted + refcounts).div_ceil(per_block);
        let needed = blocks + blocks.div_ceil(cluster / ENTRY_BYTES);
        if needed == refcounts {
            return (counted + refcounts) * cluster;
        }
        refcounts = needed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::options::CreateOption;

    /// The figures are those of qemu-img 10.0.2.
    #[test]
    fn a_fully_allocated_image_takes_what_qemu_img_measures() {
        let default = CreateOptions::new();
        assert_eq!(qcow2(64 << 20, &default), 67_436_544);
        let small = CreateOptions::from([CreateOption::ClusterSize(4096)]);
        assert_eq!(qcow2(64 << 20, &small), 67_289_088);
    }
}
