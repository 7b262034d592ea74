//! The case's source image: the reference makes it when an operation first needs it; operations that only read it are
//! checked for writes.
//!
//! The runner calls it.

use std::path::{Path, PathBuf};

use super::{CaseRun, DifferentialRunner, dmg_command, harness, picture};
use crate::base::error::{Error, Result};
use crate::case::cost::Cost;
use crate::disk_format::dmg;
use crate::image::content::{Contents, copy_sparse, write_at};
use crate::image::dmg::DmgRecipe;
use crate::oracle::observations::{Side, StepContext};
use crate::oracle::verdict::{
    Difference, DivergenceKind, Finding, InconclusiveKind, Subject, Verdict,
};
use crate::process::write_watch::Guarded;
use crate::tool::request::{Answer, Exit, ImageFile, Request};

/// The state of the case's source image.
pub(super) enum Source {
    /// No operation has needed it yet.
    NotMade,
    /// Both sides share one file, which nobody may write to.
    Shared(Guarded),
    /// Each side has a copy; these are the contents that it had at first.
    Private(Contents),
    /// The reference could not make it, so no operation that needs it can be judged.
    Failed(Verdict),
}

impl CaseRun<'_> {
    /// Makes the source image with the reference and gives it to each side, unless that is done already.
    pub(super) fn make_source(&mut self, context: &StepContext<'_>) -> Result<()> {
        if !matches!(self.source, Source::NotMade) {
            return Ok(());
        }
        let file = || context.source.clone();
        let recipe = context.recipe;
        if let Some(dmg) = &recipe.dmg {
            return self.write_dmg(dmg, &context.source.path);
        }
        let mut requests = vec![Request::Create {
            file: file(),
            size: recipe.size_to_create(),
        }];
        if !recipe.writes().is_empty() {
            requests.push(Request::Write {
                file: file(),
                writes: recipe.writes().to_vec(),
            });
        }
        let name = &context.source.path;
        let fixtures = &self.runner.fixtures;
        let found = (1..=requests.len())
            .rev()
            .find_map(|made| Some((made, fixtures.find(&requests[..made])?)));
        let table = recipe.partition_table();
        let original = self.scratch_dir.source_directory().join(name);
        let original = match found {
            Some((made, fixture)) if made == requests.len() && table.is_none() => {
                self.fixture = fixture.commands;
                fixture.path
            }
            found => {
                let made = found.as_ref().map_or(0, |(made, _)| *made);
                if let Some((_, fixture)) = found {
                    copy_sparse(&fixture.path, &original)?;
                    self.fixture = fixture.commands;
                }
                if let Some(failed) = self.make_rest(&requests, made, &original)? {
                    self.source = Source::Failed(failed);
                    return Ok(());
                }
                original
            }
        };
        if let Some((offset, bytes)) = table {
            write_at(&original, offset, &bytes)?;
            self.fixture.push(picture::in_shell(name, offset, &bytes));
        }
        let original = match recipe.is_compressed() {
            true => self.compressed(&context.source, original)?,
            false => original,
        };
        self.give(&original, name)
    }

    /// Gives the finished image to each side.
    fn give(&mut self, original: &Path, name: &str) -> Result<()> {
        let shared = match self.privately {
            true => None,
            false => self.scratch_dir.share_source(original, name)?,
        };
        self.source = match shared {
            Some(guarded) => Source::Shared(guarded),
            None => Source::Private(self.scratch_dir.copy_source(original, name)?),
        };
        Ok(())
    }

    /// Writes a dmg, which no tool can.
    fn write_dmg(&mut self, dmg: &DmgRecipe, name: &str) -> Result<()> {
        let original = self.scratch_dir.source_directory().join(name);
        let written = std::fs::write(&original, dmg::written(dmg));
        written.map_err(|error| Error::io("write the source image", &original, &error))?;
        self.fixture.push(dmg_command::words(dmg, name));
        self.give(&original, name)
    }

    /// Returns the path of a copy of the image with compressed clusters. As in the Python harness, it counts if it can be opened, whatever the
    /// conversion says: qemu-img 10.0.2 exits with 1 after every compressed conversion to qcow. Otherwise it is the image itself.
    fn compressed(&mut self, source: &ImageFile, original: PathBuf) -> Result<PathBuf> {
        let directory = self.scratch_dir.source_directory();
        let inside = directory.join(&source.path);
        if inside != original {
            copy_sparse(&original, &inside)?;
        }
        let target = ImageFile::new("compressed", source.format);
        let convert = Request::Convert {
            source: source.clone(),
            target: target.clone(),
            compress: true,
            mode: Default::default(),
        };
        let info = Request::Info {
            file: target.clone(),
        };
        let grace = self.grace(Side::Reference, None, Cost::default());
        let converted = self.call_in(directory.clone(), Side::Reference, &convert, grace)?;
        let is_done = matches!(converted.exit, Exit::Success | Exit::Refused(1));
        let is_opened = is_done
            && self
                .call_in(directory.clone(), Side::Reference, &info, grace)?
                .succeeded();
        if !is_opened {
            return Ok(inside);
        }
        self.fixture.push(converted.transcript.command);
        let (from, to) = (target.path, source.path.clone());
        std::fs::rename(directory.join(&from), &inside)
            .map_err(|error| Error::io("rename the compressed image to", &inside, &error))?;
        self.fixture.push(vec!["mv".to_owned(), from, to]);
        Ok(inside)
    }

    /// Makes the source image from `requests[made]` on. Returns the verdict if a request fails.
    fn make_rest(
        &mut self,
        requests: &[Request],
        made: usize,
        original: &Path,
    ) -> Result<Option<Verdict>> {
        let directory = self.scratch_dir.source_directory();
        let grace = self.grace(Side::Reference, None, Cost::default());
        for (count, request) in requests.iter().enumerate().skip(made) {
            let answer = match harness::writes_itself(request) {
                true => harness::carry_out_raw(request, &directory),
                false => self.call_in(directory.clone(), Side::Reference, request, grace)?,
            };
            self.fixture.push(answer.transcript.command.clone());
            if !answer.succeeded() {
                return Ok(Some(source_failed(request, &answer)));
            }
            let so_far = &requests[..=count];
            let DifferentialRunner {
                fixtures, workdir, ..
            } = self.runner;
            fixtures.keep(so_far, original, &self.fixture, workdir)?;
        }
        Ok(None)
    }

    /// Checks that an operation which only reads the source image did not write to it. For a shared file, a possible
    /// write makes the whole run void. For copies, the candidate's must be unchanged; a changed one is restored, so
    /// that it does not affect the next operation.
    pub(super) fn source_changed(&mut self, context: &StepContext<'_>) -> Result<Option<Verdict>> {
        let name = &context.source.path;
        let made = match &self.source {
            Source::Shared(guarded) => {
                self.is_void = guarded.may_have_changed();
                return Ok(None);
            }
            Source::Private(made) => made,
            Source::NotMade | Source::Failed(_) => return Ok(None),
        };
        let Some(difference) = self.difference_of_source(name, made) else {
            return Ok(None);
        };
        self.scratch_dir.restore_candidate(name)?;
        let finding = Finding::of_difference(DivergenceKind::InputChanged, difference);
        Ok(Some(Verdict::Divergence(finding)))
    }

    fn difference_of_source(&self, name: &str, made: &Contents) -> Option<Difference> {
        match self.scratch_dir.fingerprint(Side::Candidate, name) {
            Some(now) => now.difference(made).map(|found| {
                let subject = Subject::SourceContents {
                    place: found.place,
                    file: name.to_owned(),
                };
                Difference::new(subject, found.first, found.second)
            }),
            None => {
                let file = name.to_owned();
                let subject = Subject::SourceFile { file };
                Some(Difference::new(subject, "gone", "there"))
            }
        }
    }
}

fn source_failed(request: &Request, answer: &Answer) -> Verdict {
    let kind = match answer.exit {
        Exit::TimedOut(_) => InconclusiveKind::QemuTimeout,
        Exit::HitLimit(_) => InconclusiveKind::ReferenceLimit,
        Exit::Crashed(_) => InconclusiveKind::ReferenceCrash,
        Exit::Success | Exit::Refused(_) | Exit::Unsupported(_) => {
            InconclusiveKind::ReferenceUnsound
        }
    };
    let reason = format!(
        "the source image could not be made ({}): {}",
        request.name(),
        answer.describe()
    );
    Verdict::inconclusive(kind, reason)
}
