//! Turns a step into the request for a tool. The state does not change.

use super::super::parameters::{placed, plan};
use super::super::step::Conversion;
use super::{ChainState, ChainStep};
use crate::image::content::Write;
use crate::image::format::Format;
use crate::image::options::{CreateOptions, Preallocation};
use crate::tool::request::{
    CopyMode, ImageFile, NewSize, RebaseMode, Request, SessionRequest, SnapshotAction, SnapshotKey,
};

impl ChainState {
    /// Returns the request of the step.
    pub(in super::super) fn request(&self, step: &ChainStep) -> Request {
        let file = self.top().clone();
        match step {
            ChainStep::Below { .. } => {
                let (lower, step) = self.resolved(step);
                lower.request(step)
            }
            ChainStep::Refused { step } | ChainStep::Fault { step, .. } => self.request(step),
            ChainStep::Opened { opening, step } => self.request(step).opened(*opening),
            ChainStep::Convert(to) => Request::Convert {
                source: file,
                target: self.converted(to),
                compress: to.compress,
                mode: to.mode.clone(),
            },
            ChainStep::ConvertSnapshot { name, by, to, .. } => Request::ConvertSnapshot {
                source: file,
                target: self.target(to.format, &to.options),
                compress: to.compress,
                snapshot: by.key(self.snapshot_id(name), name),
            },
            ChainStep::Write { writes } => self.write(writes),
            ChainStep::WriteZeroes {
                offset,
                length,
                unmap,
            } => self.write_zeroes(*offset, *length, *unmap),
            ChainStep::Discard { offset, length } => self.discard(*offset, *length),
            ChainStep::Resize {
                size,
                preallocation,
            } => self.resize(*size, *preallocation),
            ChainStep::Snapshot { action, name } => self.snapshot(*action, name),
            ChainStep::Rebase {
                onto,
                is_unsafe,
                compresses,
            } => self.rebase(*onto, *is_unsafe, *compresses),
            ChainStep::Commit { base, keeps } => self.commit(*base, *keeps),
            ChainStep::Amend { options } => Request::Amend {
                file,
                options: options.clone(),
            },
            ChainStep::ConvertInto { mode } => self.convert_into(mode),
            ChainStep::Bitmap { .. } => self.bitmap(step),
            ChainStep::Read => Request::Contents { file },
            ChainStep::Map { window } => Request::Map {
                file,
                window: *window,
            },
            ChainStep::Info => Request::Info { file },
            ChainStep::Check => Request::Check { file },
            ChainStep::Measure { .. } => self.measure(step),
            ChainStep::Compare { with } => self.compare(*with),
            ChainStep::Dd {
                format,
                block_size,
                count,
                skip,
            } => self.dd(*format, *block_size, *count, *skip),
            ChainStep::Repair { tier } => Request::Repair { file, tier: *tier },
            ChainStep::Bench { .. } => self.bench(step),
            ChainStep::Session { requests } => self.session(requests),
            ChainStep::SnapshotList => Request::SnapshotList { file },
        }
    }

    /// Returns the id of a snapshot, 0 if it does not exist.
    fn snapshot_id(&self, name: &str) -> u64 {
        let snapshot = self.model.snapshots.get(name);
        snapshot.map_or(0, |snapshot| snapshot.id)
    }

    fn bench(&self, step: &ChainStep) -> Request {
        Request::Bench {
            plan: plan(step, self.is_of_doubtful_size()),
            file: self.top().clone(),
        }
    }

    fn session(&self, requests: &[SessionRequest]) -> Request {
        Request::Session {
            file: self.top().clone(),
            requests: requests.to_vec(),
        }
    }

    fn dd(&self, format: Format, block_size: u64, count: Option<u64>, skip: u64) -> Request {
        Request::Dd {
            source: self.top().clone(),
            target: self.target(format, &CreateOptions::new()),
            block_size,
            count,
            skip,
        }
    }

    fn resize(&self, size: u64, preallocation: Option<Preallocation>) -> Request {
        Request::Resize {
            file: self.top().clone(),
            size: NewSize::of_bytes(size),
            end_bytes: size,
            shrink: size < self.model.top.size,
            preallocation,
        }
    }

    fn write_zeroes(&self, offset: u64, length: u64, unmap: bool) -> Request {
        Request::WriteZeroes {
            file: self.top().clone(),
            offset,
            length,
            unmap,
        }
    }

    fn discard(&self, offset: u64, length: u64) -> Request {
        Request::Discard {
            file: self.top().clone(),
            offset,
            length,
        }
    }

    fn snapshot(&self, action: SnapshotAction, name: &str) -> Request {
        Request::Snapshot {
            file: self.top().clone(),
            action,
            snapshot: SnapshotKey::word(action, name),
        }
    }

    fn commit(&self, base: Option<usize>, keeps: bool) -> Request {
        Request::Commit {
            file: self.top().clone(),
            base: base.map(|index| self.name_of(index)),
            keeps,
        }
    }

    fn bitmap(&self, step: &ChainStep) -> Request {
        let ChainStep::Bitmap {
            actions,
            name,
            from,
        } = step
        else {
            unreachable!("the caller has a change of a bitmap");
        };
        Request::Bitmap {
            file: self.top().clone(),
            actions: actions.clone(),
            name: name.clone(),
            merged_from: from.and_then(|index| self.below().get(index)).cloned(),
        }
    }

    fn measure(&self, step: &ChainStep) -> Request {
        let ChainStep::Measure {
            target,
            options,
            snapshot,
        } = step
        else {
            unreachable!("the caller has a measurement");
        };
        Request::Measure {
            source: self.top().clone(),
            target: *target,
            options: options.clone(),
            snapshot: snapshot.clone().map(SnapshotKey::Name),
        }
    }

    /// Returns the conversion into the image that the current one was converted from.
    fn convert_into(&self, mode: &CopyMode) -> Request {
        let there = self.counterpart(None).map(|(file, _)| file);
        Request::Convert {
            source: self.top().clone(),
            target: there.unwrap_or(self.top()).clone(),
            compress: false,
            mode: CopyMode {
                existing: true,
                ..mode.clone()
            },
        }
    }

    /// Returns the name of the backing image `index`; one that does not exist has that of the current image.
    fn name_of(&self, index: usize) -> String {
        let file = self.below().get(index).unwrap_or(self.top());
        file.path.clone()
    }

    fn compare(&self, with: Option<usize>) -> Request {
        let other = self.counterpart(with).map(|(file, _)| file);
        Request::Compare {
            first: self.top().clone(),
            second: other.unwrap_or(self.top()).clone(),
        }
    }

    fn rebase(&self, onto: Option<usize>, is_unsafe: bool, compresses: bool) -> Request {
        let new = onto.and_then(|index| self.files.get(index));
        Request::Rebase {
            file: self.top().clone(),
            new_backing: new.map(|file| self.top().name_for(file)),
            mode: RebaseMode {
                is_unsafe,
                compresses,
                backing_format: new.map(|file| file.format),
            },
        }
    }

    /// Returns the new image of a conversion.
    pub(super) fn converted(&self, to: &Conversion) -> ImageFile {
        let target = self.target(to.format, &to.options);
        match self.below().last() {
            Some(below) if to.on_backing => target.over(below),
            _ => target,
        }
    }

    pub(super) fn target(&self, format: Format, options: &CreateOptions) -> ImageFile {
        let stem = format!("{}-c{}", self.stem, self.conversions);
        placed(&stem, format, options)
    }

    /// Returns the request to write. If the image may end before one of the writes, tools differ: some perform all writes that fit, some none
    /// after the first one that does not. Then the request has only the writes that fit in any case, or a single one, which a tool performs
    /// or refuses as a whole.
    fn write(&self, writes: &[Write]) -> Request {
        let least = self.least_size().unwrap_or(u64::MAX);
        let fits = |write: &&Write| write.offset + write.length <= least;
        let mut sure: Vec<Write> = writes.iter().filter(fits).copied().collect();
        if sure.is_empty() {
            sure.extend(writes.first());
        }
        Request::Write {
            file: self.top().clone(),
            writes: sure,
        }
    }
}
