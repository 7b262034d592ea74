//! How a chain goes: which file is the current one, what lies below it, what a guest must see.
//!
//! Used thrice in the same way: to draw steps that make sense, to write the requests of steps that will all succeed, and to follow what
//! really happened.

use std::collections::{BTreeMap, BTreeSet};

use super::parameters::{placed, window};
use super::step::{ChainStep, Layer};
use crate::image::content::Write;
use crate::image::format::{Format, SECTOR_BYTES};
use crate::image::model::{Model, View};
use crate::image::options::{CreateOptions, Subformat};
use crate::oracle::observations::ExitExpectation;
use crate::oracle::observations::Inventory;
use crate::tool::request::{ImageFile, SnapshotAction};

mod backing;
mod requests;

/// Where a chain stands.
#[derive(Clone, Debug)]
pub struct ChainState {
    stem: String,
    /// The files of the chain, bottom first; the last is the current image.
    files: Vec<ImageFile>,
    /// What a guest must see.
    pub model: Model,
    /// What the current image was converted from, and what a guest saw in it.
    previous: Option<(ImageFile, View)>,
    conversions: usize,
    /// The names of images that were changed while others lay on them.
    changed_below: BTreeSet<String>,
    /// The names of images for which [`ChainState::has_unaligned_tail`].
    unaligned: BTreeSet<String>,
    /// How small images may be, by their names, where what was to make them grow or shrink may have been refused.
    doubtful: BTreeMap<String, u64>,
    /// The names of images that may have no bitmaps, because version 2 has none.
    unsure_bitmaps: BTreeSet<String>,
}

impl ChainState {
    /// The layers are made and written.
    pub fn start(stem: &str, layers: &[Layer]) -> Self {
        let mut chain_state = Self::bare(stem);
        for layer in layers {
            chain_state.add_layer(layer);
            layer
                .steps
                .iter()
                .for_each(|step| chain_state.advance_as_expected(step));
        }
        chain_state
    }

    /// Before there is any image.
    pub(super) fn bare(stem: &str) -> Self {
        Self {
            stem: stem.to_owned(),
            files: Vec::new(),
            model: Model::new(0),
            previous: None,
            conversions: 0,
            changed_below: BTreeSet::new(),
            unaligned: BTreeSet::new(),
            doubtful: BTreeMap::new(),
            unsure_bitmaps: BTreeSet::new(),
        }
    }

    /// A layer is made on top of what there is, and written; its steps come later.
    pub(super) fn add_layer(&mut self, layer: &Layer) {
        let stem = format!("{}-{}", self.stem, self.files.len());
        let file = placed(&stem, layer.format, &layer.options);
        let file = match self.files.last() {
            Some(below) => file.over(below),
            None => file,
        };
        let size = created_size(&file, layer.size);
        match self.files.is_empty() {
            true => self.model = Model::new(size),
            false => self.model.overlay(size),
        }
        self.files.push(file);
        layer
            .writes
            .iter()
            .for_each(|write| self.model.write(write));
    }

    /// What a description of the current image lists, where it is sure.
    pub(super) fn inventory(&self) -> Option<Inventory> {
        let snapshots = self.model.snapshots.iter();
        let mut snapshots: Vec<(u64, String)> = snapshots
            .map(|(name, snapshot)| (snapshot.id, name.clone()))
            .collect();
        snapshots.sort();
        let is_sure = !self.unsure_bitmaps.contains(&self.top().path);
        is_sure.then(|| Inventory {
            snapshots,
            bitmaps: self.model.bitmaps.keys().cloned().collect(),
        })
    }

    /// The sizes of the images below the current one, in bytes.
    pub fn edges(&self) -> Vec<u64> {
        let below = self.model.below.iter();
        below.map(|lower| lower.view.size).collect()
    }

    /// Whether the last cluster may hold something behind the image's end: it was cut there, or written to in part and filled up
    /// from a backing file that is gone. Growing shows it: qemu-img 10.0.2 zeroes only what lies over a longer backing file. The
    /// qcow2 specification does not say what a guest must see there, so it is not drawn.
    pub fn has_unaligned_tail(&self) -> bool {
        self.unaligned.contains(&self.top().path)
    }

    /// The current image.
    pub fn top(&self) -> &ImageFile {
        self.files.last().expect("a chain has an image")
    }

    /// The images below the current one, bottom first.
    pub fn below(&self) -> &[ImageFile] {
        &self.files[..self.files.len() - 1]
    }

    /// What an step compares the current image with: the file, and what a guest sees in it.
    pub fn counterpart(&self, with: Option<usize>) -> Option<(&ImageFile, &View)> {
        match with {
            Some(index) => Some((self.below().get(index)?, &self.model.below.get(index)?.view)),
            None => self.previous.as_ref().map(|(file, view)| (file, view)),
        }
    }

    /// Whether a guest could write to the current image: the grains of a streamOptimized vmdk are compressed, and written once.
    pub fn is_writable(&self) -> bool {
        self.top().options.subformat() != Some(Subformat::StreamOptimized)
    }

    /// Whether the image may end elsewhere than the model says: a resize may have been refused.
    pub(super) fn is_of_doubtful_size(&self) -> bool {
        self.least_size().is_some()
    }

    /// How small the image may be, in bytes, where it may end elsewhere than the model says.
    pub(super) fn least_size(&self) -> Option<u64> {
        self.doubtful.get(&self.top().path).copied()
    }

    /// Whether its bitmaps may not be there.
    pub(super) fn has_unsure_bitmaps(&self) -> bool {
        self.unsure_bitmaps.contains(&self.top().path)
    }

    /// Whether it has no zero clusters, nor what else came with version 3.
    pub(super) fn is_version_2(&self) -> bool {
        self.top().options.is_version_2()
    }

    /// How small the image may be after this step, if there is any doubt, and whether its bitmaps are there.
    fn doubt(&mut self, step: &ChainStep) {
        if matches!(step, ChainStep::Bitmap { .. }) && self.is_version_2() {
            self.unsure_bitmaps.insert(self.top().path.clone());
        }
        let least = self.least_size();
        let doubted = match step {
            ChainStep::Resize { size, .. } if self.rule(step) == ExitExpectation::GoOn => {
                let before = least.unwrap_or(self.model.top.size);
                Some((self.top().path.clone(), before.min(*size)))
            }
            ChainStep::Commit if self.rule(step) == ExitExpectation::GoOn => self.doubted_below(),
            ChainStep::Dd {
                format,
                block_size,
                count,
                skip,
            } => least.map(|least| {
                let (_, length) = window(least, *block_size, *count, *skip);
                (self.target(*format, &CreateOptions::new()).path, length)
            }),
            ChainStep::Convert { format, .. } | ChainStep::ConvertSnapshot { format, .. } => {
                least.map(|least| (self.target(*format, &CreateOptions::new()).path, least))
            }
            _ => None,
        };
        self.doubtful.extend(doubted);
    }

    /// How small the image below may be after a commit that may have been refused, where it would grow by it.
    fn doubted_below(&self) -> Option<(String, u64)> {
        let (file, lower) = (self.below().last()?, self.model.below.last()?);
        let before = self.doubtful.get(&file.path).copied();
        let before = before.unwrap_or(lower.view.size);
        (before < self.model.top.size).then(|| (file.path.clone(), before))
    }

    /// The step is over, and came out as it should.
    pub fn advance_as_expected(&mut self, step: &ChainStep) {
        let succeeded = self.is_expected_to_succeed(step);
        self.advance(step, succeeded);
    }

    /// The step is over.
    pub fn advance(&mut self, step: &ChainStep, succeeded: bool) {
        self.doubt(step);
        if !succeeded {
            return;
        }
        match step {
            ChainStep::Write { writes } => writes.iter().for_each(|write| self.model.write(write)),
            ChainStep::WriteZeroes { offset, length, .. }
            | ChainStep::Discard { offset, length } => {
                self.model.zero(*offset, *length);
            }
            ChainStep::Resize { size, .. } => {
                let top = self.top();
                let cut = *size < self.model.top.size && top.format == Format::Qcow2;
                if cut && !size.is_multiple_of(top.cluster_size()) {
                    let name = top.path.clone();
                    self.unaligned.insert(name);
                }
                self.model.resize(*size);
            }
            ChainStep::Snapshot { action, name } => match action {
                SnapshotAction::Create => self.model.create_snapshot(name),
                SnapshotAction::Delete => self.model.delete_snapshot(name),
                SnapshotAction::Apply => self.model.apply_snapshot(name),
            },
            ChainStep::Rebase { onto } => self.rebased(*onto),
            ChainStep::Commit => {
                self.model.commit();
                let name = self.below().last().map(|file| file.path.clone());
                self.changed_below.extend(name);
            }
            ChainStep::Amend { options } => self.amended(options),
            ChainStep::Bitmap { actions, name } => {
                let cluster_size = self.top().cluster_size();
                self.model.bitmap_changed(actions, name, cluster_size);
            }
            ChainStep::Convert {
                format, options, ..
            } => {
                let target = self.target(*format, options);
                self.copied(target.clone());
                self.model
                    .convert(created_size(&target, self.model.top.size));
            }
            ChainStep::ConvertSnapshot {
                name,
                format,
                options,
                ..
            } => {
                let target = self.target(*format, options);
                let size = created_size(&target, self.model.top.size);
                self.copied(target);
                self.model.convert_snapshot(name, size);
            }
            ChainStep::Below { layer, step } => {
                if let Some(mut lower) = self.lower(*layer) {
                    lower.advance_as_expected(step);
                    self.replace_lower(*layer, lower);
                }
            }
            ChainStep::Dd {
                format,
                block_size,
                count,
                skip,
            } => {
                let (start, length) = window(self.model.top.size, *block_size, *count, *skip);
                let target = self.target(*format, &CreateOptions::new());
                self.copied(target.clone());
                let size = created_size(&target, length.next_multiple_of(SECTOR_BYTES));
                self.model.copy_window(start, length, size);
            }
            ChainStep::Bench {
                count,
                length,
                offset,
                stride,
                byte: Some(byte),
                ..
            } => {
                let writes = (0..*count).map(|index| Write {
                    offset: offset + index * stride,
                    length: *length,
                    byte: *byte,
                });
                writes.for_each(|write| self.model.write(&write));
            }
            ChainStep::Read
            | ChainStep::Map
            | ChainStep::Info
            | ChainStep::Check
            | ChainStep::Measure { .. }
            | ChainStep::Compare { .. }
            | ChainStep::Repair { .. }
            | ChainStep::Bench { byte: None, .. }
            | ChainStep::SnapshotList
            | ChainStep::Refused { .. } => {}
        }
    }

    /// The current image is left as it is, and its copy is the current one.
    fn copied(&mut self, target: ImageFile) {
        self.previous = Some((self.top().clone(), self.model.top.clone()));
        self.files = vec![target];
        self.conversions += 1;
    }

    fn rebased(&mut self, onto: Option<usize>) {
        let mut top = self.top().clone();
        top.backing = None;
        // Below an image that is not there lies nothing: see [`ChainState::objection`].
        let onto = onto.filter(|index| *index < self.below().len());
        self.files.truncate(onto.map_or(0, |index| index + 1));
        if let Some(below) = self.files.last() {
            top = top.over(below);
        }
        if !self.model.top.size.is_multiple_of(top.cluster_size()) {
            self.unaligned.insert(top.path.clone());
        }
        self.files.push(top);
        self.model.rebase(onto);
    }

    /// Tools tell from the options what they can open.
    fn amended(&mut self, options: &CreateOptions) {
        let top = self.files.last_mut().expect("a chain has an image");
        top.options.amend(options);
    }
}

/// The size of an image that is created with `bytes`.
fn created_size(file: &ImageFile, bytes: u64) -> u64 {
    if file.options.force_size() == Some(true) {
        return bytes;
    }
    file.format.created_size(bytes)
}
