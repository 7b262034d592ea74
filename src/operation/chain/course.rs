//! How a chain goes: which file is the current one, what lies below it, what a guest must see.
//!
//! Used thrice in the same way: to draw acts that make sense, to write the requests of acts that will all succeed, and to follow what
//! really happened.

use super::act::{Act, Layer};
use super::wording::{placed, schedule, window};
use crate::content::Write;
use crate::exchange::Rule;
use crate::format::{Format, SECTOR_BYTES};
use crate::model::{Model, View};
use crate::request::{ImageFile, Request, SnapshotAction};

/// Where a chain stands.
#[derive(Clone, Debug)]
pub struct Course {
    stem: String,
    /// The files of the chain, bottom first; the last is the current image.
    files: Vec<ImageFile>,
    /// What a guest must see.
    pub model: Model,
    /// What the current image was converted from, and what a guest saw in it.
    previous: Option<(ImageFile, View)>,
    conversions: usize,
    committed: bool,
    ragged: bool,
    /// The least that the size may be, where a resize may have been refused.
    doubtful: Option<u64>,
    /// Whether a bitmap may be missing, because version 2 has none.
    has_unsure_bitmaps: bool,
}

impl Course {
    /// The layers are made and written.
    pub fn start(stem: &str, layers: &[Layer]) -> Self {
        let files = Self::files(stem, layers);
        let mut model = Model::new(0);
        for (index, (layer, file)) in layers.iter().zip(&files).enumerate() {
            let size = created_size(file, layer.size);
            if index == 0 {
                model = Model::new(size);
            } else {
                model.overlay(size);
            }
            layer.writes.iter().for_each(|write| model.write(write));
        }
        Self {
            stem: stem.to_owned(),
            files,
            model,
            previous: None,
            conversions: 0,
            committed: false,
            ragged: false,
            doubtful: None,
            has_unsure_bitmaps: false,
        }
    }

    /// Whether the last cluster may hold something behind the image's end: it was cut there, or written to in part and filled up
    /// from a backing file that is gone. Growing shows it: qemu-img 10.0.2 zeroes only what lies over a longer backing file. The
    /// qcow2 specification does not say what a guest must see there, so it is not drawn.
    pub fn is_ragged(&self) -> bool {
        self.ragged
    }

    /// The files of the layers, each knowing the one below it.
    pub(super) fn files(stem: &str, layers: &[Layer]) -> Vec<ImageFile> {
        let mut files: Vec<ImageFile> = Vec::new();
        for (index, layer) in layers.iter().enumerate() {
            let file = placed(&format!("{stem}-{index}"), layer.format, &layer.options);
            let file = match files.last() {
                Some(below) => file.over(below),
                None => file,
            };
            files.push(file);
        }
        files
    }

    /// The current image.
    pub fn top(&self) -> &ImageFile {
        self.files.last().expect("a chain has an image")
    }

    /// The images below the current one, bottom first.
    pub fn below(&self) -> &[ImageFile] {
        &self.files[..self.files.len() - 1]
    }

    /// What an act compares the current image with: the file, and what a guest sees in it.
    pub fn counterpart(&self, with: Option<usize>) -> Option<(&ImageFile, &View)> {
        match with {
            Some(index) => Some((self.below().get(index)?, self.model.below.get(index)?)),
            None => self.previous.as_ref().map(|(file, view)| (file, view)),
        }
    }

    /// Whether a guest could write to the current image: the grains of a streamOptimized vmdk are compressed, and written once.
    pub fn is_writable(&self) -> bool {
        self.top().option("subformat") != Some("streamOptimized")
    }

    /// Why the act makes no sense where the chain stands, where that is so: the generator draws none such, but a case that was made
    /// smaller may have it.
    pub(super) fn objection(&self, act: &Act) -> Option<&'static str> {
        match act {
            Act::Snapshot {
                action: SnapshotAction::Apply,
                name,
            } => {
                let snapshot = self.model.snapshots.get(name)?;
                let unsettled = snapshot.seen.is_none();
                unsettled.then_some("what a guest sees in the snapshot is not settled")
            }
            Act::Compare { with } => {
                let missing = self.counterpart(*with).is_none();
                missing.then_some("there is nothing to compare the image with")
            }
            _ => None,
        }
    }

    /// The image below the current one, and what a guest must see in it, when something was committed into it.
    pub(super) fn committed(&self) -> Option<(&ImageFile, &View)> {
        let view = self.model.below.last()?;
        let file = self.below().last()?;
        self.committed.then_some((file, view))
    }

    /// What the act asks of a tool.
    pub(super) fn request(&self, act: &Act) -> Request {
        let file = self.top().clone();
        match act {
            Act::Write { writes } => Request::Write {
                file,
                writes: self.asked(writes),
            },
            Act::WriteZeroes {
                offset,
                length,
                unmap,
            } => Request::WriteZeroes {
                file,
                offset: *offset,
                length: *length,
                unmap: *unmap,
            },
            Act::Discard { offset, length } => Request::Discard {
                file,
                offset: *offset,
                length: *length,
            },
            Act::Resize {
                size,
                preallocation,
            } => Request::Resize {
                file,
                size: size.to_string(),
                end_bytes: *size,
                shrink: *size < self.model.top.size,
                preallocation: preallocation.clone(),
            },
            Act::Snapshot { action, name } => Request::Snapshot {
                file,
                action: *action,
                argument: name.clone(),
            },
            Act::Rebase { onto } => self.rebase(*onto),
            Act::Commit => Request::Commit { file, base: None },
            Act::Amend { options } => Request::Amend {
                file,
                options: options.clone(),
            },
            Act::Bitmap { flags, name } => Request::Bitmap {
                file,
                flags: flags.clone(),
                name: name.clone(),
            },
            Act::Convert {
                format,
                options,
                compress,
            } => Request::Convert {
                source: file,
                target: self.target(*format, options),
                compress: *compress,
            },
            Act::Read => Request::Contents { file },
            Act::Map => Request::Map {
                file,
                window: Vec::new(),
            },
            Act::Info => Request::Info { file },
            Act::Check => Request::Check { file },
            Act::Measure { target } => Request::Measure {
                source: file,
                target: *target,
            },
            Act::Compare { with } => Request::Compare {
                second: self
                    .counterpart(*with)
                    .map_or_else(|| file.clone(), |(other, _)| other.clone()),
                first: file,
            },
            Act::Dd {
                format,
                block_size,
                count,
                skip,
            } => Request::Dd {
                source: file,
                target: self.target(*format, &[]),
                block_size: *block_size,
                count: *count,
                skip: *skip,
            },
            Act::Repair { tier } => Request::Repair { file, tier: *tier },
            Act::Bench { .. } => Request::Bench {
                arguments: schedule(file.format, act, self.doubtful.is_some()),
                file,
            },
            Act::SnapshotList => Request::SnapshotList { file },
        }
    }

    fn rebase(&self, onto: Option<usize>) -> Request {
        let new = onto.and_then(|index| self.files.get(index));
        Request::Rebase {
            file: self.top().clone(),
            new_backing: new.map(|file| file.path.clone()).unwrap_or_default(),
            flags: new.map_or(Vec::new(), |file| {
                vec!["-F".to_owned(), file.format.to_string()]
            }),
        }
    }

    fn target(&self, format: Format, options: &[String]) -> ImageFile {
        let stem = format!("{}-c{}", self.stem, self.conversions);
        placed(&stem, format, options)
    }

    /// What the act's exit means: it must succeed, except where a format's limits may forbid it in ways that are not modelled.
    pub(super) fn rule(&self, act: &Act) -> Rule {
        match act {
            // What it found is judged, not how it came out.
            Act::Check | Act::Compare { .. } => Rule::Free,
            _ if self.doubtful.is_some() => Rule::GoOn,
            Act::Amend { .. } | Act::Snapshot { .. } => Rule::GoOn,
            Act::Bitmap { .. } if self.has_unsure_bitmaps || self.is_version_2() => Rule::GoOn,
            // An image with snapshots or bitmaps may keep its size; a measure may be unknown.
            Act::Resize { .. }
                if !self.model.snapshots.is_empty() || !self.model.bitmaps.is_empty() =>
            {
                Rule::GoOn
            }
            // Version 2 cannot hide what a longer backing file holds behind the old end, and refuses to grow.
            Act::Resize { .. } if cannot_hide(self.top()) => Rule::GoOn,
            Act::Commit if self.below().last().is_some_and(cannot_hide) => Rule::GoOn,
            Act::Measure { .. } => Rule::GoOn,
            _ => Rule::Succeed,
        }
    }

    /// The writes that are asked for. Where the image may end before one of them, some tools make those that fit and some none after the
    /// first that does not: then only those are asked that fit in any case, or a single one, which is made or refused whole.
    fn asked(&self, writes: &[Write]) -> Vec<Write> {
        let Some(least) = self.doubtful else {
            return writes.to_vec();
        };
        let fits = |write: &&Write| write.offset + write.length <= least;
        let sure: Vec<Write> = writes.iter().filter(fits).copied().collect();
        if sure.is_empty() {
            return writes.iter().take(1).copied().collect();
        }
        sure
    }

    fn is_version_2(&self) -> bool {
        self.top().option("compat") == Some("0.10")
    }

    /// How small the image may be after this act, if there is any doubt, and whether its bitmaps are there.
    fn doubt(&mut self, act: &Act) {
        self.has_unsure_bitmaps |= matches!(act, Act::Bitmap { .. }) && self.is_version_2();
        match (act, self.doubtful) {
            (Act::Resize { size, .. }, least) if self.rule(act) == Rule::GoOn => {
                let before = least.unwrap_or(self.model.top.size);
                self.doubtful = Some(before.min(*size));
            }
            (
                Act::Dd {
                    block_size,
                    count,
                    skip,
                    ..
                },
                Some(least),
            ) => {
                let (_, length) = window(least, *block_size, *count, *skip);
                self.doubtful = Some(length);
            }
            _ => {}
        }
    }

    /// The act is over.
    pub fn advance(&mut self, act: &Act, succeeded: bool) {
        self.doubt(act);
        if !succeeded {
            return;
        }
        match act {
            Act::Write { writes } => writes.iter().for_each(|write| self.model.write(write)),
            Act::WriteZeroes { offset, length, .. } | Act::Discard { offset, length } => {
                self.model.zero(*offset, *length);
            }
            Act::Resize { size, .. } => {
                let top = self.top();
                let cut = *size < self.model.top.size && top.format == Format::Qcow2;
                self.ragged |= cut && !size.is_multiple_of(top.cluster_size());
                self.model.resize(*size);
            }
            Act::Snapshot { action, name } => match action {
                SnapshotAction::Create => self.model.create_snapshot(name),
                SnapshotAction::Delete => self.model.delete_snapshot(name),
                SnapshotAction::Apply => self.model.apply_snapshot(name),
            },
            Act::Rebase { onto } => self.rebased(*onto),
            Act::Commit => {
                self.model.commit();
                self.committed = true;
            }
            Act::Amend { options } => self.amended(options),
            Act::Bitmap { flags, name } => {
                let cluster_size = self.top().cluster_size();
                self.model.bitmap_changed(flags, name, cluster_size);
            }
            Act::Convert {
                format, options, ..
            } => {
                let target = self.target(*format, options);
                self.copied(target.clone());
                self.model
                    .convert(created_size(&target, self.model.top.size));
            }
            Act::Dd {
                format,
                block_size,
                count,
                skip,
            } => {
                let (start, length) = window(self.model.top.size, *block_size, *count, *skip);
                let target = self.target(*format, &[]);
                self.copied(target.clone());
                let size = created_size(&target, length.next_multiple_of(SECTOR_BYTES));
                self.model.copy_window(start, length, size);
            }
            Act::Bench {
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
            Act::Read
            | Act::Map
            | Act::Info
            | Act::Check
            | Act::Measure { .. }
            | Act::Compare { .. }
            | Act::Repair { .. }
            | Act::Bench { byte: None, .. }
            | Act::SnapshotList => {}
        }
    }

    /// The current image is left as it is, and its copy is the current one.
    fn copied(&mut self, target: ImageFile) {
        self.previous = Some((self.top().clone(), self.model.top.clone()));
        self.files = vec![target];
        self.conversions += 1;
        self.committed = false;
        self.ragged = false;
    }

    fn rebased(&mut self, onto: Option<usize>) {
        let mut top = self.top().clone();
        top.backing = None;
        self.files.truncate(onto.map_or(0, |index| index + 1));
        if let Some(below) = self.files.last() {
            top = top.over(below);
        }
        self.ragged |= !self.model.top.size.is_multiple_of(top.cluster_size());
        self.files.push(top);
        self.model.rebase(onto);
        self.committed = false;
    }

    /// Tools tell from the options what they can open.
    fn amended(&mut self, options: &[String]) {
        let name = |option: &str| option.split('=').next().unwrap_or_default().to_owned();
        let changed: Vec<String> = options.iter().map(|option| name(option)).collect();
        let top = self.files.last_mut().expect("a chain has an image");
        top.options
            .retain(|option| !changed.contains(&name(option)));
        top.options.extend(options.iter().cloned());
    }
}

/// Version 2 has no zero clusters.
fn cannot_hide(file: &ImageFile) -> bool {
    file.backing.is_some() && file.option("compat") == Some("0.10")
}

/// The size of an image that is created with `bytes`.
fn created_size(file: &ImageFile, bytes: u64) -> u64 {
    if file.option("force_size") == Some("on") {
        return bytes;
    }
    file.format.created_size(bytes)
}
