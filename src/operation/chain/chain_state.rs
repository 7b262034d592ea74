//! The symbolic state of a chain: the current image, its backing images, and what a guest must see.
//!
//! It has three users: the generators draw steps that are admitted in it, the operation builds the requests of steps
//! from it, and the judges follow in it what really happened.

use std::collections::{BTreeMap, BTreeSet};

use super::parameters::placed;
use super::step::{ChainStep, Layer};
use crate::image::content::{Fill, Write};
use crate::image::format::Format;
use crate::image::model::{Model, View};
use crate::image::options::{CreateOptions, Subformat};
use crate::oracle::observations::ExitExpectation;
use crate::oracle::observations::Inventory;
use crate::tool::request::{ImageFile, SnapshotAction, dd_range};

mod backing;
mod copies;
mod outside;
mod requests;

/// The state of a chain between two steps.
#[derive(Clone, Debug)]
pub struct ChainState {
    stem: String,
    /// The files of the chain, bottom first. The last one is the current image.
    files: Vec<ImageFile>,
    /// What a guest must see in the current image and its backing images.
    pub model: Model,
    /// The chain of the image from which the current one was converted, as it was then.
    previous: Option<Box<Self>>,
    conversions: usize,
    /// The names of images that changed while they were backing files.
    changed_below: BTreeSet<String>,
    /// The names of images for which [`ChainState::has_unaligned_tail`] holds.
    unaligned: BTreeSet<String>,
    /// For images whose resize may have been refused: the smallest size that they may have, by name.
    doubtful: BTreeMap<String, u64>,
    /// The names of images that may lack their bitmaps, because version 2 has none.
    unsure_bitmaps: BTreeSet<String>,
    /// The names of images between one that was committed and one that it was committed into: what they show depends on
    /// which clusters they have.
    unsettled: BTreeSet<String>,
    /// The names of images that had version 2, and whose lazy refcounts were not asked for since.
    downgraded: BTreeSet<String>,
    /// The images that come from outside, by name.
    origins: BTreeMap<String, outside::Origin>,
}

impl ChainState {
    /// Returns the state after the layers were created and written, and their steps performed.
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

    /// Returns the state before any image exists.
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
            unsettled: BTreeSet::new(),
            downgraded: BTreeSet::new(),
            origins: BTreeMap::new(),
        }
    }

    /// Creates a layer on top of the chain and writes its data. The caller performs the layer's steps.
    pub(super) fn add_layer(&mut self, layer: &Layer) {
        if let Some(outside) = &layer.outside {
            return self.add_outside(layer, outside);
        }
        let directory = layer.placement.directory.path();
        let stem = format!("{directory}{}-{}", self.stem, self.files.len());
        let file = ImageFile {
            placement: layer.placement,
            ..placed(&stem, layer.format, &layer.options)
        };
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

    /// Returns what a description of the current image must list, as far as that is certain.
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

    /// Returns the sizes of the backing images in bytes, bottom first.
    pub fn edges(&self) -> Vec<u64> {
        let below = self.model.below.iter();
        below.map(|lower| lower.view.size).collect()
    }

    /// Whether the last cluster may contain data beyond the end of the image: because the image was shrunk, or because
    /// a partial write filled the cluster from a backing file that is gone. Growing exposes that data: qemu-img 10.0.2
    /// zeroes only the range over a longer backing file. The qcow2 specification does not define what a guest sees
    /// there, so such growth is not drawn.
    pub fn has_unaligned_tail(&self) -> bool {
        self.unaligned.contains(&self.top().path)
    }

    /// Returns the current image.
    pub fn top(&self) -> &ImageFile {
        self.files.last().expect("a chain has an image")
    }

    /// Returns the backing images, bottom first.
    pub fn below(&self) -> &[ImageFile] {
        &self.files[..self.files.len() - 1]
    }

    /// Returns the image with which a step compares the current one, and what a guest sees in it.
    pub fn counterpart(&self, with: Option<usize>) -> Option<(&ImageFile, &View)> {
        match with {
            Some(index) if self.is_unsettled(index) => None,
            Some(index) => Some((self.below().get(index)?, &self.model.below.get(index)?.view)),
            None => {
                let previous = self.previous.as_deref()?;
                Some((previous.top(), &previous.model.top))
            }
        }
    }

    /// Whether what the backing image `index` shows is not settled.
    pub(super) fn is_unsettled(&self, index: usize) -> bool {
        let file = self.below().get(index);
        file.is_some_and(|file| self.unsettled.contains(&file.path))
    }

    /// Returns the chain of the image from which the current one was converted.
    pub(super) fn previous(&self) -> Option<&Self> {
        self.previous.as_deref()
    }

    /// Returns the index of the image that a commit changes.
    pub(super) fn committed_into(&self, base: Option<usize>) -> Option<usize> {
        base.or(self.below().len().checked_sub(1))
    }

    /// Whether a guest could write to the current image. The grains of a streamOptimized vmdk are compressed and
    /// written once.
    pub fn is_writable(&self) -> bool {
        self.top().options.subformat() != Some(Subformat::StreamOptimized)
    }

    /// Whether the image's size may differ from the model's, because a resize may have been refused.
    pub(super) fn is_of_doubtful_size(&self) -> bool {
        self.least_size().is_some()
    }

    /// Returns the smallest size in bytes that the image may have, if its size may differ from the model's.
    pub(super) fn least_size(&self) -> Option<u64> {
        self.doubtful.get(&self.top().path).copied()
    }

    /// Whether the image's bitmaps may be missing.
    pub(super) fn has_unsure_bitmaps(&self) -> bool {
        self.unsure_bitmaps.contains(&self.top().path)
    }

    /// Whether the image has qcow2 version 2: no zero clusters, and none of the other features of version 3.
    pub(super) fn is_version_2(&self) -> bool {
        self.top().options.is_version_2()
    }

    /// Records how the step makes the image's size or bitmaps uncertain.
    fn doubt(&mut self, step: &ChainStep) {
        // The step within it is performed thereafter.
        if matches!(step, ChainStep::Opened { .. }) {
            return;
        }
        if matches!(step, ChainStep::Bitmap { .. }) && self.is_version_2() {
            self.unsure_bitmaps.insert(self.top().path.clone());
        }
        let least = self.least_size();
        let doubted = match step {
            ChainStep::Resize { size, .. } if self.expected_exit(step) == ExitExpectation::GoOn => {
                let before = least.unwrap_or(self.model.top.size);
                Some((self.top().path.clone(), before.min(*size)))
            }
            ChainStep::Commit { base, .. } if self.expected_exit(step) == ExitExpectation::GoOn => {
                self.doubted_below(*base)
            }
            ChainStep::Dd {
                format,
                block_size,
                count,
                skip,
            } => least.map(|least| {
                let (_, length) = dd_range(least, *block_size, *count, *skip);
                (self.target(*format, &CreateOptions::new()).path, length)
            }),
            ChainStep::Convert(to) | ChainStep::ConvertSnapshot { to, .. } => {
                least.map(|least| (self.target(to.format, &CreateOptions::new()).path, least))
            }
            _ => None,
        };
        self.doubtful.extend(doubted);
    }

    /// Returns the smallest size of the backing image after a commit that would grow it but may have been refused.
    fn doubted_below(&self, base: Option<usize>) -> Option<(String, u64)> {
        let index = self.committed_into(base)?;
        let (file, lower) = (self.below().get(index)?, self.model.below.get(index)?);
        let before = self.doubtful.get(&file.path).copied();
        let before = before.unwrap_or(lower.view.size);
        (before < self.model.top.size).then(|| (file.path.clone(), before))
    }

    /// Performs the step with its expected result.
    pub fn advance_as_expected(&mut self, step: &ChainStep) {
        let succeeded = self.is_expected_to_succeed(step);
        self.advance(step, succeeded);
    }

    /// Performs the step.
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
            ChainStep::Resize { size, .. } => self.resized(*size),
            ChainStep::Snapshot { action, name } => match action {
                SnapshotAction::Create => self.model.create_snapshot(name),
                SnapshotAction::Delete => self.model.delete_snapshot(name),
                SnapshotAction::Apply => self.model.apply_snapshot(name),
            },
            ChainStep::Rebase { onto, .. } => self.rebased(*onto),
            ChainStep::Commit { base, .. } => self.committed(*base),
            ChainStep::Amend { options } => self.amended(options),
            ChainStep::Bitmap {
                actions,
                name,
                from,
            } => {
                let cluster_size = self.top().cluster_size();
                let other = from.and_then(|index| self.model.below.get(index));
                let other = other.map(|lower| lower.bitmaps.clone());
                self.model
                    .bitmap_changed(actions, name, other, cluster_size);
            }
            ChainStep::Convert(to) => self.all_copied(to),
            ChainStep::ConvertInto { .. } => self.copied_back(),
            ChainStep::ConvertSnapshot { name, to, .. } => {
                let target = self.target(to.format, &to.options);
                let size = self.copied(target, self.model.top.size);
                self.model.convert_snapshot(name, size);
            }
            ChainStep::Below { layer, step } => {
                if let Some(mut lower) = self.lower(*layer) {
                    lower.advance_as_expected(step);
                    self.replace_lower(*layer, lower);
                }
            }
            ChainStep::Dd { .. } => self.window_copied(step),
            ChainStep::Bench { .. } => self.benched(step),
            ChainStep::Session { requests } => self.pass_session(requests),
            ChainStep::Opened { step, .. } => self.advance(step, true),
            ChainStep::Read
            | ChainStep::Map { .. }
            | ChainStep::Info
            | ChainStep::Check
            | ChainStep::Measure { .. }
            | ChainStep::Compare { .. }
            | ChainStep::Repair { .. }
            | ChainStep::SnapshotList
            | ChainStep::Fault { .. }
            | ChainStep::Refused { .. } => {}
        }
    }

    fn resized(&mut self, size: u64) {
        let top = self.top();
        let cut = size < self.model.top.size && top.format == Format::Qcow2;
        if cut && !size.is_multiple_of(top.cluster_size()) {
            let name = top.path.clone();
            self.unaligned.insert(name);
        }
        self.model.resize(size);
    }

    fn committed(&mut self, base: Option<usize>) {
        let Some(index) = self.committed_into(base) else {
            return;
        };
        self.model.commit(index);
        let mut names = self
            .below()
            .iter()
            .skip(index)
            .map(|file| file.path.clone());
        let into = names.next();
        let between: Vec<String> = names.collect();
        if let Some(into) = into {
            self.unsettled.remove(&into);
            // An image that lies on the changed one too shows something else now.
            let lies_on = |other: &Self| other.files.iter().any(|file| file.path == into);
            self.previous = self.previous.take().filter(|other| !lies_on(other));
            self.changed_below.insert(into);
        }
        self.unsettled.extend(between);
    }

    /// Applies the writes of a bench, if it writes.
    fn benched(&mut self, step: &ChainStep) {
        let ChainStep::Bench {
            count,
            length,
            offset,
            stride,
            byte: Some(byte),
            ..
        } = *step
        else {
            return;
        };
        for index in 0..count {
            let offset = offset + index * stride;
            self.model.write(&Write {
                offset,
                length,
                fill: Fill::Byte(byte),
            });
        }
    }

    fn rebased(&mut self, onto: Option<usize>) {
        let mut top = self.top().clone();
        top.backing = None;
        // If no such backing image exists, the overlay has none: see [`ChainState::objection`].
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

    /// The tools decide from the options which images they can open.
    fn amended(&mut self, options: &CreateOptions) {
        let top = self.files.last_mut().expect("a chain has an image");
        top.options.amend(options);
        if top.options.is_version_2() {
            self.downgraded.insert(top.path.clone());
        } else if options.lazy_refcounts().is_some() {
            self.downgraded.remove(&top.path);
        }
    }

    /// Whether the current image has lazy refcounts. Version 2 has none, and an upgrade does not bring them back.
    pub(super) fn has_lazy_refcounts(&self) -> bool {
        let top = self.top();
        let is_asked = top.options.lazy_refcounts() == Some(true);
        is_asked && !top.options.is_version_2() && !self.downgraded.contains(&top.path)
    }
}

/// Returns the size of an image that is created with `bytes`.
fn created_size(file: &ImageFile, bytes: u64) -> u64 {
    if file.options.force_size() == Some(true) {
        return bytes;
    }
    file.format.created_size(bytes)
}
