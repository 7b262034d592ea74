//! What an act asks of a tool where a chain stands, and what its exit means. Changes nothing of the course.

use super::super::hazard::Hazard;
use super::super::wording::{placed, schedule};
use super::{Act, Course};
use crate::content::Write;
use crate::exchange::Rule;
use crate::format::Format;
use crate::request::{ImageFile, Request, SnapshotAction};

impl Course {
    /// What the act asks of a tool.
    pub(in super::super) fn request(&self, act: &Act) -> Request {
        let file = self.top().clone();
        match act {
            Act::Below { .. } => {
                let (lower, act) = self.resolved(act);
                lower.request(act)
            }
            Act::ConvertSnapshot {
                name,
                by,
                format,
                options,
                compress,
            } => {
                let snapshot = self.model.snapshots.get(name);
                let id = snapshot.map_or(0, |snapshot| snapshot.id);
                Request::ConvertSnapshot {
                    source: file,
                    target: self.target(*format, options),
                    compress: *compress,
                    snapshot: by.words(id, name).into(),
                }
            }
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

    pub(super) fn target(&self, format: Format, options: &[String]) -> ImageFile {
        let stem = format!("{}-c{}", self.stem, self.conversions);
        placed(&stem, format, options)
    }

    /// What the act's exit means: it must succeed, except where a format's limits may forbid it in ways that are not modelled.
    pub(in super::super) fn rule(&self, act: &Act) -> Rule {
        match act {
            Act::Below { .. } => {
                let (lower, act) = self.resolved(act);
                lower.rule(act)
            }
            // What it found is judged, not how it came out.
            Act::Check | Act::Compare { .. } => Rule::Free,
            _ if self.doubtful.is_some() => Rule::GoOn,
            Act::Amend { .. } | Act::Snapshot { .. } => Rule::GoOn,
            Act::Bitmap { .. } if self.has_unsure_bitmaps() || self.is_version_2() => Rule::GoOn,
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

    /// Whether nothing about the image can make a tool refuse the act, nor a known defect of qemu-img make it fail: what is done with a layer before
    /// another is put onto it has to be of this kind.
    pub fn is_sure(&self, act: &Act) -> bool {
        let is_allowed = match act {
            // "Device has active dirty bitmaps".
            Act::Snapshot {
                action: SnapshotAction::Apply,
                ..
            } => self.model.bitmaps.is_empty(),
            Act::Snapshot { .. } => true,
            act => self.rule(act) != Rule::GoOn && !act.is_copy(),
        };
        is_allowed && Hazard::of(self, act).is_none()
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
}

/// Version 2 has no zero clusters.
fn cannot_hide(file: &ImageFile) -> bool {
    file.backing.is_some() && file.option("compat") == Some("0.10")
}
