//! Turns a step into the request for a tool. The state does not change.

use super::super::parameters::{placed, plan};
use super::{ChainState, ChainStep};
use crate::image::content::Write;
use crate::image::format::Format;
use crate::image::options::CreateOptions;
use crate::tool::request::{ImageFile, NewSize, RebaseMode, Request, SnapshotKey, Window};

impl ChainState {
    /// Returns the request of the step.
    pub(in super::super) fn request(&self, step: &ChainStep) -> Request {
        let file = self.top().clone();
        match step {
            ChainStep::Below { .. } => {
                let (lower, step) = self.resolved(step);
                lower.request(step)
            }
            ChainStep::ConvertSnapshot {
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
                    snapshot: by.key(id, name),
                }
            }
            ChainStep::Write { writes } => Request::Write {
                file,
                writes: self.certain_writes(writes),
            },
            ChainStep::WriteZeroes {
                offset,
                length,
                unmap,
            } => Request::WriteZeroes {
                file,
                offset: *offset,
                length: *length,
                unmap: *unmap,
            },
            ChainStep::Discard { offset, length } => Request::Discard {
                file,
                offset: *offset,
                length: *length,
            },
            ChainStep::Resize {
                size,
                preallocation,
            } => Request::Resize {
                file,
                size: NewSize::of_bytes(*size),
                end_bytes: *size,
                shrink: *size < self.model.top.size,
                preallocation: *preallocation,
            },
            ChainStep::Snapshot { action, name } => Request::Snapshot {
                file,
                action: *action,
                snapshot: SnapshotKey::word(*action, name),
            },
            ChainStep::Rebase { onto } => self.rebase(*onto),
            ChainStep::Commit => Request::Commit { file, base: None },
            ChainStep::Amend { options } => Request::Amend {
                file,
                options: options.clone(),
            },
            ChainStep::Bitmap { actions, name } => Request::Bitmap {
                file,
                actions: actions.clone(),
                name: name.clone(),
            },
            ChainStep::Convert {
                format,
                options,
                compress,
            } => Request::Convert {
                source: file,
                target: self.target(*format, options),
                compress: *compress,
            },
            ChainStep::Read => Request::Contents { file },
            ChainStep::Map => Request::Map {
                file,
                window: Window::WHOLE,
            },
            ChainStep::Info => Request::Info { file },
            ChainStep::Check => Request::Check { file },
            ChainStep::Measure { target } => Request::Measure {
                source: file,
                target: *target,
            },
            ChainStep::Compare { with } => Request::Compare {
                second: self
                    .counterpart(*with)
                    .map_or_else(|| file.clone(), |(other, _)| other.clone()),
                first: file,
            },
            ChainStep::Dd {
                format,
                block_size,
                count,
                skip,
            } => Request::Dd {
                source: file,
                target: self.target(*format, &CreateOptions::new()),
                block_size: *block_size,
                count: *count,
                skip: *skip,
            },
            ChainStep::Repair { tier } => Request::Repair { file, tier: *tier },
            ChainStep::Bench { .. } => Request::Bench {
                plan: plan(step, self.is_of_doubtful_size()),
                file,
            },
            ChainStep::SnapshotList => Request::SnapshotList { file },
            ChainStep::Refused { step } => self.request(step),
        }
    }

    fn rebase(&self, onto: Option<usize>) -> Request {
        let new = onto.and_then(|index| self.files.get(index));
        Request::Rebase {
            file: self.top().clone(),
            new_backing: new.map(|file| file.path.clone()),
            mode: RebaseMode {
                is_unsafe: false,
                backing_format: new.map(|file| file.format),
            },
        }
    }

    pub(super) fn target(&self, format: Format, options: &CreateOptions) -> ImageFile {
        let stem = format!("{}-c{}", self.stem, self.conversions);
        placed(&stem, format, options)
    }

    /// Returns the writes of the request. If the image may end before one of them, tools differ: some perform all
    /// writes that fit, some none after the first one that does not. Then the request has only the writes that fit in
    /// any case, or a single one, which a tool performs or refuses as a whole.
    fn certain_writes(&self, writes: &[Write]) -> Vec<Write> {
        let Some(least) = self.least_size() else {
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
