//! The rules for steps: which step is admitted in which state of a chain, and how it must exit.
//!
//! No other place has such rules. The generators draw only admitted steps; sanitizing keeps only admitted steps of
//! mutated, spliced and shrunk chains; and the requests of a case take their [`ExitExpectation`] from here. The rules
//! do not change the state, and know neither probabilities nor the known bugs of qemu-img
//! ([`KnownQemuBug`](super::KnownQemuBug)).

use super::chain_state::ChainState;
use super::step::{ChainStep, Conversion};
use crate::image::bitmap_action::BitmapAction;
use crate::image::content::Write;
use crate::image::format::{Format, SECTOR_BYTES};
use crate::image::options::Preallocation;
use crate::oracle::observations::ExitExpectation;
use crate::tool::request::{ImageFile, SnapshotAction, dd_range};

use cost::PREALLOCATED_BYTES_MAX;
pub use cost::{REBUILT_CLUSTER_MAX, WALKED_BYTES_MAX};

mod cost;
mod exit;
mod layers;
mod opening;
mod references;

/// The maximum number of entries of an L1 table in qemu-img: 32 MiB (QEMU, block/qcow2.h, QCOW_MAX_L1_SIZE).
const L1_ENTRIES_MAX: u64 = 4 << 20;

/// What the rules say about a step in a state of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The step is meaningful and must exit like this.
    Admitted(ExitExpectation),
    /// The step is not meaningful. A case that is written by hand may still have it.
    Rejected(Rejection),
}

impl Admission {
    /// Whether the step is meaningful.
    pub fn is_admitted(self) -> bool {
        matches!(self, Self::Admitted(_))
    }
}

/// Why a step is not meaningful in a state of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// Every tool must refuse it and change nothing.
    MustBeRefused(&'static str),
    /// qemu-img refuses it or has no command for it; another tool may perform it.
    MayBeRefused(&'static str),
    /// The guest-visible contents afterwards are undefined, so that nothing that follows can be judged.
    Unsettled(&'static str),
    /// It takes qemu-img minutes, or much host space.
    Costly(&'static str),
}

use Rejection::{Costly, MayBeRefused, MustBeRefused, Unsettled};

const ONLY_READ: Rejection = Unsettled("the image from outside is only to be read");

type Sensible = Result<(), Rejection>;

/// Returns `rejection` unless the condition holds.
fn only_if(holds: bool, rejection: Rejection) -> Sensible {
    match holds {
        true => Ok(()),
        false => Err(rejection),
    }
}

impl ChainState {
    /// Returns whether the step is meaningful in this state, and how it must exit.
    pub fn admit(&self, step: &ChainStep) -> Admission {
        match self.sense(step) {
            Ok(()) => Admission::Admitted(self.exit(step)),
            Err(rejection) => Admission::Rejected(rejection),
        }
    }

    /// Returns how the step must exit, even if it is not meaningful.
    pub fn expected_exit(&self, step: &ChainStep) -> ExitExpectation {
        let exit = self.exit(step);
        match self.admit(step) {
            Admission::Rejected(MustBeRefused(_)) => ExitExpectation::Refuse,
            Admission::Rejected(MayBeRefused(_)) if exit == ExitExpectation::Succeed => {
                ExitExpectation::GoOn
            }
            _ => exit,
        }
    }

    /// Returns why nothing after the step could be judged, if that is so.
    pub(super) fn objection(&self, step: &ChainStep) -> Option<&'static str> {
        match self.admit(step) {
            Admission::Rejected(Unsettled(why)) => Some(why),
            _ => None,
        }
    }

    /// Whether the step is performed when it exits as expected.
    pub(super) fn is_expected_to_succeed(&self, step: &ChainStep) -> bool {
        !matches!(
            self.admit(step),
            Admission::Rejected(MustBeRefused(_) | MayBeRefused(_))
        )
    }

    fn sense(&self, step: &ChainStep) -> Sensible {
        let format = self.top().format;
        only_if(!self.changes_what_is_only_read(step), ONLY_READ)?;
        let only_qcow2 = || {
            let only = "only a qcow2 has that";
            only_if(format == Format::Qcow2, MayBeRefused(only))
        };
        match step {
            ChainStep::Refused { .. } => Err(MustBeRefused("the case says so")),
            ChainStep::Below { layer, step } => self.sense_below(*layer, step),
            ChainStep::Write { writes } => self.sense_of_writes(writes),
            ChainStep::WriteZeroes { offset, length, .. } => {
                self.sense_of_range(*offset, *length)?;
                self.sense_of_writing()
            }
            ChainStep::Discard { offset, length } => self.sense_of_discard(*offset, *length),
            ChainStep::Resize {
                size,
                preallocation,
            } => self.sense_of_resize(*size, *preallocation),
            ChainStep::Snapshot { action, name } => self.sense_of_snapshot(*action, name),
            ChainStep::Amend { options } => {
                only_qcow2()?;
                only_if(!options.is_empty(), MayBeRefused("nothing is amended"))
            }
            ChainStep::Convert(to) => {
                self.sense_of_mode(to)?;
                self.sense_of_copy(to)
            }
            ChainStep::Opened { opening, step } => self.sense_of_opening(*opening, step),
            ChainStep::ConvertSnapshot {
                name, to, resized, ..
            } => {
                only_qcow2()?;
                self.sense_of_reading_any(name, *resized)?;
                self.sense_of_copy(to)
            }
            ChainStep::Dd {
                block_size,
                count,
                skip,
                ..
            } => {
                let (_, length) = dd_range(self.model.top.size, *block_size, *count, *skip);
                let sector = "a copy of less than a sector has no settled size";
                only_if(length >= SECTOR_BYTES, Unsettled(sector))
            }
            ChainStep::Compare { with } => {
                let other = self.counterpart(*with);
                let nothing = "there is nothing to compare the image with";
                only_if(other.is_some(), Unsettled(nothing))
            }
            ChainStep::Check => {
                let checked = "images of this format are not checked";
                only_if(format.is_checked(), MayBeRefused(checked))
            }
            ChainStep::Repair { .. } => self.sense_of_repair(),
            ChainStep::Bench { .. } => self.sense_of_bench(step),
            ChainStep::Session { requests } => self.sense_of_session(requests),
            ChainStep::Fault { step, fault } => self.sense_of_fault(step, *fault),
            ChainStep::SnapshotList => only_qcow2(),
            ChainStep::Read | ChainStep::Map { .. } | ChainStep::Info => Ok(()),
            ChainStep::Rebase { .. }
            | ChainStep::Commit { .. }
            | ChainStep::Bitmap { .. }
            | ChainStep::ConvertInto { .. }
            | ChainStep::Measure { .. } => self.sense_of_reference(step),
        }
    }

    /// Whether a range certainly reaches beyond the end of the image. It does not if the image's size may differ from
    /// the model's.
    fn is_out(&self, offset: u64, length: u64) -> bool {
        !self.is_of_doubtful_size() && offset.saturating_add(length) > self.model.top.size
    }

    fn sense_of_range(&self, offset: u64, length: u64) -> Sensible {
        let out = MustBeRefused("it reaches out of the image");
        only_if(!self.is_out(offset, length), out)
    }

    fn sense_of_writes(&self, writes: &[Write]) -> Sensible {
        let mut out = writes.iter().map(|it| self.is_out(it.offset, it.length));
        match (out.clone().any(|out| out), out.all(|out| out)) {
            (true, true) => Err(MustBeRefused("it reaches out of the image")),
            (true, false) => Err(Unsettled(
                "one of several writes reaches out of the image: some tools make the others, some none",
            )),
            _ => self.sense_of_writing(),
        }
    }

    fn sense_of_discard(&self, offset: u64, length: u64) -> Sensible {
        self.sense_of_range(offset, length)?;
        let surely = "what is given back need not read as zeros here";
        only_if(self.discards_surely(), Unsettled(surely))?;
        let (top, size) = (self.top(), self.model.top.size);
        let is_edge = |place: u64| place == size || place.is_multiple_of(top.cluster_size());
        let is_qcow2 = top.format == Format::Qcow2;
        let is_whole = !is_qcow2 || (is_edge(offset) && is_edge(offset + length));
        let parts = "the parts of clusters need not read as zeros";
        only_if(is_whole, Unsettled(parts))
    }

    fn sense_of_bitmap(
        &self,
        actions: &[BitmapAction],
        name: &String,
        from: Option<usize>,
    ) -> Sensible {
        let is_there = |name: &String| self.model.bitmaps.contains_key(name);
        let is_addition = |action: &BitmapAction| matches!(action, BitmapAction::Add { .. });
        let adds = actions.iter().any(is_addition);
        let there = "the bitmap is there already, or is not there";
        only_if(is_there(name) != adds, MayBeRefused(there))?;
        let merged = actions.iter().find_map(|action| match action {
            BitmapAction::Merge { source } => Some(source),
            _ => None,
        });
        let other = "the bitmap to be merged is not there";
        let Some(index) = from else {
            return only_if(merged.is_none_or(is_there), MayBeRefused(other));
        };
        let lower = self.lower(index).filter(|lower| {
            let is_equal = lower.model.top.size == self.model.top.size;
            is_equal && !lower.is_of_doubtful_size() && !lower.has_unsure_bitmaps()
        });
        let has_it = lower.is_some_and(|lower| {
            let is_plain = lower.top().format == Format::Qcow2 && !lower.top().is_locked();
            is_plain && merged.is_some_and(|name| lower.model.bitmaps.contains_key(name))
        });
        // The other image is named by a word on the command line, which has no place for a secret.
        only_if(has_it && !self.top().is_locked(), MayBeRefused(other))
    }

    fn sense_of_writing(&self) -> Sensible {
        let once = MayBeRefused("compressed grains are written once");
        only_if(self.is_writable(), once)
    }

    /// Whether a discarded range reads as zeros. Version 2 cannot express that over a backing file, and the other
    /// formats do not discard.
    pub fn discards_surely(&self) -> bool {
        match self.top().format {
            Format::Qcow2 => self.below().is_empty() || !self.is_version_2(),
            Format::Raw => true,
            _ => false,
        }
    }

    /// Whether the current image can be resized.
    pub fn is_resized(&self) -> bool {
        matches!(self.top().format, Format::Qcow2 | Format::Raw)
    }

    /// Returns the preallocation modes for growth. A raw image has no metadata.
    pub fn preallocations(&self) -> &'static [Preallocation] {
        let all = &[
            Preallocation::Off,
            Preallocation::Falloc,
            Preallocation::Full,
            Preallocation::Metadata,
        ];
        match self.top().format {
            Format::Raw => &all[..3],
            _ => all,
        }
    }

    /// Whether growth to `wanted` bytes may be preallocated in this mode.
    pub fn preallocates(&self, wanted: u64, mode: Preallocation) -> bool {
        self.sense_of_preallocation(wanted, mode).is_ok()
    }

    fn sense_of_preallocation(&self, wanted: u64, mode: Preallocation) -> Sensible {
        let added = wanted.saturating_sub(self.model.top.size);
        let is_alone = self.below().is_empty() && !self.top().is_encrypted();
        let can = added > 0 && is_alone && self.preallocations().contains(&mode);
        let there = "nothing can be preallocated so here";
        only_if(can, MayBeRefused(there))?;
        let is_little = mode == Preallocation::Off || added <= PREALLOCATED_BYTES_MAX;
        only_if(
            is_little,
            Costly("so much of the host is not to be taken at once"),
        )
    }

    fn sense_of_resize(&self, wanted: u64, preallocation: Option<Preallocation>) -> Sensible {
        let format = "qemu-img changes the size of no such image";
        only_if(self.is_resized(), MayBeRefused(format))?;
        only_if(wanted > 0, MayBeRefused("an image of no size"))?;
        only_if(holds(self.top(), wanted), MayBeRefused(TOO_LARGE))?;
        match preallocation {
            Some(mode) => self.sense_of_preallocation(wanted, mode),
            None => Ok(()),
        }
    }

    /// Whether the current image can have internal snapshots.
    pub fn takes_snapshots(&self) -> bool {
        self.top().format == Format::Qcow2 && self.top().data_file().is_none()
    }

    fn sense_of_snapshot(&self, action: SnapshotAction, name: &str) -> Sensible {
        let none = "such an image has no snapshots";
        only_if(self.takes_snapshots(), MayBeRefused(none))?;
        let snapshot = self.model.snapshots.get(name);
        match (action, snapshot) {
            (SnapshotAction::Create, None) => Ok(()),
            (SnapshotAction::Create, Some(_)) => {
                Err(Unsettled("two snapshots would have the same name"))
            }
            (_, None) => Err(MayBeRefused("there is no such snapshot")),
            (SnapshotAction::Delete, Some(_)) => Ok(()),
            (SnapshotAction::Apply, Some(snapshot)) => {
                let unsettled = "what a guest sees in the snapshot is not settled";
                only_if(snapshot.seen.is_some(), Unsettled(unsettled))
            }
        }
    }

    fn sense_of_reading(&self, snapshot: &str) -> Sensible {
        let snapshot = self.model.snapshots.get(snapshot);
        let seen = snapshot.and_then(|snapshot| snapshot.seen.as_ref());
        // qemu-img reads the snapshot with the image's current size.
        let is_settled = seen.is_some_and(|view| view.size == self.model.top.size);
        let settled = "what `convert -l` sees in the snapshot is not settled";
        only_if(is_settled, Unsettled(settled))
    }

    fn sense_of_mode(&self, to: &Conversion) -> Sensible {
        let is_plain_qcow2 = to.format == Format::Qcow2
            && to.options.data_file().is_none()
            && to.options.encrypt_format().is_none();
        let nothing = "there is no backing file for the copy";
        only_if(
            !to.on_backing || !self.below().is_empty(),
            Unsettled(nothing),
        )?;
        let locked = "qemu-img has no secret for the backing file of a copy";
        let is_locked = self.below().iter().any(ImageFile::is_encrypted);
        only_if(!(to.on_backing && is_locked), MayBeRefused(locked))?;
        let overlay = "only a qcow2 is made as an overlay";
        only_if(!to.on_backing || is_plain_qcow2, Unsettled(overlay))?;
        let top = self.top();
        let has_bitmaps = top.format == Format::Qcow2 && !top.options.is_version_2();
        let takes_bitmaps = is_plain_qcow2 && !to.options.is_version_2() && has_bitmaps;
        let bitmaps = "only qcow2 of version 3 has bitmaps";
        only_if(!to.mode.bitmaps || takes_bitmaps, MayBeRefused(bitmaps))?;
        let order = "compressed clusters are written in order";
        only_if(!(to.mode.out_of_order && to.compress), MayBeRefused(order))
    }

    fn sense_of_copy(&self, to: &Conversion) -> Sensible {
        let target = ImageFile::new("", to.format).with_options(to.options.clone());
        only_if(holds(&target, self.model.top.size), MayBeRefused(TOO_LARGE))?;
        let has_compressed = matches!(to.format, Format::Qcow2 | Format::Qcow);
        let is_plain = target.data_file().is_none() && !target.is_encrypted();
        let can = !to.compress || (has_compressed && is_plain);
        only_if(can, MayBeRefused("its clusters cannot be compressed"))
    }

    fn sense_of_repair(&self) -> Sensible {
        let is_repaired = matches!(self.top().format, Format::Qcow2 | Format::Parallels);
        let repaired = "images of this format are not repaired";
        only_if(is_repaired, MayBeRefused(repaired))?;
        self.sense_of_writing()
    }

    fn sense_of_bench(&self, step: &ChainStep) -> Sensible {
        let ChainStep::Bench {
            count,
            length,
            offset,
            stride,
            byte,
            ..
        } = step
        else {
            return Ok(());
        };
        let locked = "a bench has no place for a secret";
        only_if(!self.top().is_locked(), MayBeRefused(locked))?;
        if byte.is_some() {
            self.sense_of_writing()?;
        }
        self.sense_of_range(*offset, *length)?;
        let last = stride.saturating_mul(count.saturating_sub(1));
        let is_in = !self.is_out(offset.saturating_add(last), *length);
        let out =
            "some requests reach out of the image, and how many are made before is not settled";
        only_if(is_in, Unsettled(out))
    }
}

const TOO_LARGE: &str = "such an image cannot be so large";

/// Whether an image of this format and cluster size can have `size` bytes.
fn holds(file: &ImageFile, size: u64) -> bool {
    if file.format != Format::Qcow2 {
        return true;
    }
    let entry = match file.options.has_extended_l2() {
        true => 16,
        false => 8,
    };
    let cluster = file.cluster_size();
    size.div_ceil(cluster * (cluster / entry)) <= L1_ENTRIES_MAX
}
