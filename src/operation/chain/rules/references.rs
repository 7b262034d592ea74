//! The rules for steps that change or name other images of a chain: rebases, commits, and copies into an image that exists.

use super::super::chain_state::ChainState;
use super::super::step::ChainStep;
use super::{Costly, MayBeRefused, Sensible, Unsettled, WALKED_BYTES_MAX, only_if};
use crate::image::format::Format;
use crate::image::model::View;
use crate::tool::request::{CopyMode, ImageFile};

impl ChainState {
    /// The rules for the steps of this file, and for measurements and changes of bitmaps.
    pub(super) fn sense_of_reference(&self, step: &ChainStep) -> Sensible {
        let only_qcow2 = || {
            let only = "only a qcow2 has that";
            only_if(self.top().format == Format::Qcow2, MayBeRefused(only))
        };
        match step {
            ChainStep::Rebase {
                onto,
                is_unsafe,
                compresses,
            } => {
                self.sense_of_rebase(*onto)?;
                self.sense_of_compression(*compresses)?;
                let is_same = !is_unsafe || self.shows_the_same_over(*onto);
                let seen = "what is seen over another backing file is not settled";
                only_if(is_same, Unsettled(seen))
            }
            ChainStep::Commit { base, .. } => self.sense_of_commit(*base),
            ChainStep::Bitmap {
                actions,
                name,
                from,
            } => {
                only_qcow2()?;
                self.sense_of_bitmap(actions, name, *from)
            }
            ChainStep::ConvertInto { mode } => self.sense_of_copy_into(mode),
            ChainStep::Measure {
                snapshot: Some(name),
                ..
            } => {
                only_qcow2()?;
                self.sense_of_reading(name)
            }
            _ => Ok(()),
        }
    }

    fn sense_of_rebase(&self, onto: Option<usize>) -> Sensible {
        let top = self.top();
        let only = "only a qcow2 is put onto another image";
        only_if(top.format == Format::Qcow2, MayBeRefused(only))?;
        let none = "there is no image below the current one";
        only_if(!self.below().is_empty(), MayBeRefused(none))?;
        let is_there = onto.is_none_or(|index| index < self.below().len());
        let missing = "there is no such image below the current one";
        only_if(is_there, Unsettled(missing))?;
        // The overlay is then opened by options instead of a name, and qemu-img does not resolve a relative backing
        // file name against them.
        let locked = "an encrypted image cannot be put onto another one by its name";
        let is_named = onto.is_none() || !top.is_locked();
        only_if(is_named, MayBeRefused(locked))?;
        let walked = top.format == Format::Qcow2 && self.model.top.size <= WALKED_BYTES_MAX;
        only_if(walked, Costly("a rebase goes through the whole image"))
    }

    /// Whether the current image shows the same over this image, or over none, as over its backing file, whatever data
    /// of its own it has.
    fn shows_the_same_over(&self, onto: Option<usize>) -> bool {
        let size = self.model.top.size;
        let Some(last) = self.below().len().checked_sub(1) else {
            return true;
        };
        let view = |index: usize| {
            let lower = self.model.below.get(index);
            lower.map(|lower| lower.view.resized(size))
        };
        let (old, new) = match onto {
            Some(index) if index == last => return true,
            Some(index) if self.is_unsettled(index) => return false,
            Some(index) => (view(last), view(index)),
            None => (view(last), Some(View::zeros(size))),
        };
        !self.is_unsettled(last)
            && old
                .zip(new)
                .is_some_and(|(old, new)| old.shows_the_same(&new))
    }

    /// Whether a rebase may compress what it copies. qemu-img 10.0.2 never compresses into a data file or under encryption, and may end with a
    /// failed assertion in other images than plain ones.
    fn sense_of_compression(&self, compresses: bool) -> Sensible {
        let top = self.top();
        let is_plain = top.data_file().is_none() && !top.is_encrypted();
        let plain = "clusters of such an image are not compressed";
        only_if(!compresses || is_plain, MayBeRefused(plain))?;
        let others = "what a compressing rebase makes of such an image is not settled";
        let is_simple = !top.options.has_extended_l2();
        only_if(!compresses || is_simple, Unsettled(others))
    }

    fn sense_of_commit(&self, base: Option<usize>) -> Sensible {
        let index = self.committed_into(base);
        let below = index.and_then(|index| self.below().get(index));
        let lower = index.and_then(|index| self.model.below.get(index));
        let (Some(index), Some(below), Some(lower)) = (index, below, lower) else {
            return Err(MayBeRefused("there is no image below the current one"));
        };
        // The secret of a backing file is given by options, and qemu-img finds no image by its name behind those.
        let locked = "of an encrypted chain, no image to commit to is found by its name";
        let is_found = base.is_none() || !self.top().is_locked();
        only_if(is_found, MayBeRefused(locked))?;
        // qemu-img looks for the name among those that overlays record, each relative to the overlay's directory.
        let mut files = self.below().iter().chain([self.top()]);
        let is_plain = files.all(|file| file.placement.is_usual());
        let elsewhere = "an image in another directory is not found by its name";
        only_if(base.is_none() || is_plain, MayBeRefused(elsewhere))?;
        let can = matches!(self.top().format, Format::Qcow2 | Format::Qcow);
        only_if(can, MayBeRefused("such an image is not committed"))?;
        let is_parallels = |file: &ImageFile| file.format == Format::Parallels;
        let opens =
            "qemu-img opens the whole chain again to write, and its driver of parallels cannot";
        only_if(!self.below().iter().any(is_parallels), MayBeRefused(opens))?;
        let must_grow = lower.view.size < self.model.top.size;
        let can_grow = matches!(below.format, Format::Qcow2 | Format::Raw);
        let grows = "the image below would have to grow, and cannot";
        only_if(can_grow || !must_grow, MayBeRefused(grows))?;
        let is_covered = !self.is_unsettled(index) || lower.view.size <= self.model.top.size;
        let end = "what the image below shows behind the end of the current one is not settled";
        only_if(is_covered, Unsettled(end))?;
        let is_plain = lower.snapshots.is_empty() && lower.bitmaps.is_empty();
        let is_simple = !must_grow || (is_plain && !self.has_unaligned_tail_below(index));
        let simply = "what the image below shows where it grows is not settled";
        only_if(is_simple, Unsettled(simply))?;
        let walked = self.model.top.size <= WALKED_BYTES_MAX;
        only_if(walked, Costly("a commit goes through the whole image"))
    }

    fn sense_of_copy_into(&self, mode: &CopyMode) -> Sensible {
        let nothing = "the current image is no copy of another one";
        let there = self.previous().ok_or(Unsettled(nothing))?;
        let (file, model) = (there.top(), &there.model);
        there.sense_of_writing()?;
        let is_written = there.below().iter().all(|file| file.format.is_written());
        only_if(is_written, MayBeRefused("no tool writes such an image"))?;
        let locked =
            "the secret of an image that is there has no place beside the options of a new one";
        only_if(
            !file.is_locked() && !self.top().is_locked(),
            MayBeRefused(locked),
        )?;
        let is_sure = !self.is_of_doubtful_size() && !there.is_of_doubtful_size();
        only_if(is_sure, Unsettled("one of the two may have another size"))?;
        let fits = model.top.size >= self.model.top.size;
        only_if(fits, MayBeRefused("the image that is there is too small"))?;
        let recorded = "which parts of the copy a bitmap records is not settled";
        let records = !model.bitmaps.is_empty() || mode.bitmaps;
        only_if(!records, Unsettled(recorded))?;
        let walked = model.top.size <= WALKED_BYTES_MAX;
        only_if(
            walked,
            Costly("every part of the image that is there is written"),
        )?;
        let is_zero = model.top.is_zero(0, model.top.size);
        let old = "the old data would be taken for zeros";
        only_if(is_zero || !mode.target_is_zero, Unsettled(old))
    }
}
